"""Locks of real packages from PyPI, as images."""

import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

from projects import PYTHON, make_lock, make_project, names_of, pip_list

DEADLINE = 120
PREFIX = "/opt/firn-real/weather"
CODE = "import sys\ndef main(): print('sunny at', sys.prefix)\n"
# markupsafe has a compiled module.
LOCKED = ("six==1.16.0", "markupsafe==3.0.3")


def build(firn, uv, source, image, *options, check=True, user=None, compile=False, **environment):
    options = (*options, "--level", "1", *([] if compile else ["--no-compile"]))
    home = {} if user is None else {"HOME": str(user.home), "TMPDIR": str(user.home),
                                    "UV_CACHE_DIR": str(user.home / "uv-cache")}
    return firn.run("build", source, "-o", image, "--python", PYTHON, *options, check=check,
                    user=user, env=uv.environment(**home) | environment)


def image_id(result):
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("  id:")]
    return line.split()[1]


def listing(directory):
    return sorted(str(path.relative_to(directory)) for path in pathlib.Path(directory).rglob("*"))


@pytest.fixture(scope="module")
def locks(scratch, uv):
    """A directory with the same packages as hashed requirements and as a pylock.toml."""
    path = scratch / "locks"
    path.mkdir()
    make_lock(uv, path / "requirements.txt", *LOCKED)
    make_lock(uv, path / "pylock.toml", *LOCKED)
    return path


@pytest.fixture(scope="module")
def weather(firn, uv, scratch):
    """(image, project) of a uv project with a compiled wheel."""
    project = make_project(uv, scratch / "weather", "weather", "six", "numpy==2.2.6", code=CODE)
    before = listing(project)
    image = scratch / "weather.firn"
    build(firn, uv, project, image, "--prefix", PREFIX, "--no-check")
    assert listing(project) == before
    return image, project


def test_a_uv_project_runs_where_what_it_was_made_of_is_gone(weather, check_alone, run_alone):
    image, project = weather
    check_alone(image, 3, hidden=[project])
    result = run_alone(image, f"{PREFIX}/bin/weather", hidden=[project])
    assert (result.returncode, result.stdout) == (0, f"sunny at {PREFIX}\n"), result
    result = run_alone(image, f"{PREFIX}/bin/python", "-c",
                       "import numpy, six; print(numpy.ones(3).sum())", hidden=[project])
    assert (result.returncode, result.stdout) == (0, "3.0\n"), result


def test_its_entry_points_run_mounted_at_other_paths(firn, weather, directory):
    for place in (directory / "one", directory / "with space" / "two", directory / "three"):
        with firn.mounted(weather[0], directory=place):
            for program, output in (("weather", f"sunny at {place}\n"), ("f2py", "2.2.6\n")):
                options = ["-v"] if program == "f2py" else []
                result = subprocess.run([place / "bin" / program, *options], check=True, text=True,
                                        stdout=subprocess.PIPE)
                assert result.stdout == output


def test_its_packages_are_those_of_pip(firn, weather):
    found = names_of(firn, weather[0])
    assert found["numpy"] == "2.2.6" and found["weather"] == "1.2"
    assert found == pip_list(firn, weather[0], f"{PREFIX}/bin/python")


def test_its_bill_of_materials_is_of_the_schema(firn, weather, schema_errors):
    sbom = firn.run("inspect", "--sbom", weather[0]).stdout
    found = schema_errors(sbom, sbom.replace('"bomFormat": "CycloneDX"', '"bomFormat": "other"'))
    assert found[0] is None and found[1] is not None


@pytest.mark.parametrize("lock, tool", [("requirements.txt", "uv"), ("requirements.txt", "pip"),
                                        ("pylock.toml", "uv")])
def test_locked_packages(firn, uv, directory, locks, check_alone, lock, tool):
    """By the check of the recipe, too, which shows whose packages it sees."""
    recipe = directory / "recipe.yaml"
    recipe.write_text(f"source: {{path: {locks / lock}, tool: {tool}}}\n"
                      "prefix: /opt/firn-real/locked\n"
                      "checks:\n"
                      "- python -c 'import markupsafe._speedups as s, six; print(s.__file__)'\n")
    build(firn, uv, recipe, directory / "t.firn")
    printed = check_alone(directory / "t.firn", 2, hidden=[locks])
    assert "\n/opt/firn-real/locked/" in printed
    assert names_of(firn, directory / "t.firn") == {"six": "1.16.0", "markupsafe": "3.0.3"}


@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_two_days_directories_and_users_give_the_same_image(firn, uv, locks, root_user,
                                                            ordinary_user, other_day, tool):
    ids = set()
    for user, day in ((root_user, {}), (ordinary_user, other_day)):
        place = user.make_directory(f"{tool}-{len(day)}")
        (place / "requirements.txt").write_bytes((locks / "requirements.txt").read_bytes())
        (place / "recipe.yaml").write_text(f"source: {{path: requirements.txt, tool: {tool}}}\n")
        result = build(firn, uv, place / "recipe.yaml", place / "t.firn", "--name", "same",
                       "--prefix", "/opt/firn-real/same", "--no-check", user=user,
                       compile=tool == "uv", **day)
        ids.add(image_id(result))
    assert len(ids) == 1


def test_the_same_project_in_two_directories_is_the_same_image(firn, uv, directory):
    ids = set()
    for name in ("one", "two"):
        project = make_project(uv, directory / name, "weather", "six==1.17.0", code=CODE)
        result = build(firn, uv, project, directory / f"{name}.firn", "--prefix", PREFIX,
                       "--no-check")
        ids.add(image_id(result))
        assert "built here:" in result.stdout and "weather" in result.stdout
    differences = firn.run("diff", directory / "one.firn", directory / "two.firn", check=False)
    assert len(ids) == 1, differences.stdout


def test_packages_that_changed_and_no_other(firn, uv, directory):
    images = []
    for name, packages in (("old", ("six==1.16.0", "idna==3.10", "iniconfig==2.1.0")),
                           ("new", ("six==1.17.0", "idna==3.10", "markupsafe==3.0.3"))):
        lock = make_lock(uv, directory / f"{name}.txt", *packages)
        images.append(directory / f"{name}.firn")
        build(firn, uv, lock, images[-1], "--prefix", PREFIX, "--name", "same", "--no-check")
    result = firn.run("diff", "--packages", "--json", *images, check=False)
    assert result.returncode == 1, result
    assert json.loads(result.stdout)["packages"] == {
        "added": [{"kind": "python", "name": "MarkupSafe", "version": "3.0.3"}],
        "removed": [{"kind": "python", "name": "iniconfig", "version": "2.1.0"}],
        "changed": [{"kind": "python", "name": "six", "before": "1.16.0", "after": "1.17.0"}]}


def test_resolve_locks_what_is_no_lock(firn, uv, directory, locks):
    unlocked = locks / "requirements.in"
    refused = build(firn, uv, unlocked, directory / "t.firn", check=False)
    assert refused.returncode == 3
    assert f"{unlocked}: expected a lock, found on line 1: 'six==1.16.0' has no --hash" \
        in refused.stderr
    assert f"uv pip compile --generate-hashes {unlocked} -o locked.txt" in refused.stderr
    options = ("--name", "t", "--prefix", "/opt/firn-real/t", "--no-check")
    build(firn, uv, unlocked, directory / "t.firn", "--resolve", *options)
    # What it was locked to is in the image, and can be built again.
    locked = directory / "locked.txt"
    locked.write_text(firn.run("inspect", "--lock", directory / "t.firn").stdout)
    assert "--hash=sha256:" in locked.read_text()
    build(firn, uv, locked, directory / "u.firn", *options)
    assert names_of(firn, directory / "u.firn") == names_of(firn, directory / "t.firn") == {
        "six": "1.16.0", "markupsafe": "3.0.3"}


def test_a_project_without_a_lock_is_refused_or_locked(firn, uv, directory):
    project = make_project(uv, directory / "project", "weather", "six", code=CODE, lock=False)
    refused = build(firn, uv, project, directory / "w.firn", check=False)
    assert refused.returncode == 3
    assert f"uv lock --project {project}" in refused.stderr
    build(firn, uv, project, directory / "w.firn", "--resolve", "--no-check", "--prefix", PREFIX)
    assert not (project / "uv.lock").exists()


def test_a_wrong_hash_is_told_by_the_tool(firn, uv, directory):
    wrong = directory / "requirements.txt"
    wrong.write_text("six==1.16.0 --hash=sha256:" + "0" * 64 + "\n")
    result = build(firn, uv, wrong, directory / "t.firn", check=False)
    assert result.returncode == 3
    assert "Hash mismatch for `six==1.16.0`" in result.stderr
    assert sorted(os.listdir(directory)) == ["requirements.txt", "t.firn.log"]


def test_a_package_that_fails_to_build_is_told_by_the_tool(firn, uv, directory):
    project = make_project(uv, directory / "project", "weather", code=CODE)
    (project / "setup.py").write_text("raise SystemExit('no compiler for the weather')\n")
    result = build(firn, uv, project, directory / "w.firn", check=False)
    assert result.returncode == 3
    assert "no compiler for the weather" in result.stderr
    assert "no compiler for the weather" in (directory / "w.firn.log").read_text()
    assert sorted(os.listdir(directory)) == ["project", "w.firn.log"]


def test_ctrl_c_ends_the_tool_and_leaves_nothing(firn, uv, directory):
    project = make_project(uv, directory / "project", "weather", code=CODE)
    (project / "setup.py").write_text(
        "import pathlib, time\n"
        f"pathlib.Path({str(directory / 'started')!r}).touch()\n"
        "time.sleep(600)\n")
    temporary = directory / "tmp"
    temporary.mkdir()
    command = [firn.path, "build", project, "-o", directory / "w.firn", "--python", PYTHON,
               "--prefix", "/opt/firn-real-interrupted"]
    with subprocess.Popen(command, env=uv.environment(TMPDIR=str(temporary)),
                          stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + DEADLINE
        while not (directory / "started").exists():
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130, stderr
    assert listing(temporary) == []
    assert sorted(os.listdir(directory)) == ["project", "started", "tmp", "w.firn.log"]
    assert not pathlib.Path("/opt/firn-real-interrupted").exists()
    commands = [path.read_bytes() for path in pathlib.Path("/proc").glob("[0-9]*/cmdline")
                if path.exists()]
    assert not any(os.fsencode(uv.program) in words for words in commands)
