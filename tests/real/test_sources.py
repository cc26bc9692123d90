"""Locks of real packages from PyPI, as images."""

import os
import pathlib
import signal
import subprocess
import time

import pytest


DEADLINE = 120
PYTHON = "/usr/bin/python3"
PROJECT = """\
[project]
name = "weather"
version = "1.2"
requires-python = ">=3.11"
dependencies = [{dependencies}]
[project.scripts]
weather = "weather:main"
[build-system]
requires = ["setuptools==80.9.0"]
build-backend = "setuptools.build_meta"
[tool.uv]
environments = ["sys_platform == 'linux' and platform_machine == 'x86_64'"]
"""


def make_project(directory, uv, *dependencies, lock=True):
    (directory / "src" / "weather").mkdir(parents=True)
    quoted = ", ".join(f'"{name}"' for name in dependencies)
    (directory / "pyproject.toml").write_text(PROJECT.format(dependencies=quoted))
    (directory / "src" / "weather" / "__init__.py").write_text(
        "import sys\ndef main(): print('sunny at', sys.prefix)\n")
    if lock:
        uv.run("lock", "-q", "--python", PYTHON, cwd=directory)
    return directory


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


@pytest.fixture
def requirements(directory, uv):
    (directory / "in").mkdir()
    (directory / "in" / "tools.in").write_text("six==1.16.0\nnumpy==2.2.6\n")
    uv.run("pip", "compile", "-q", "--python", PYTHON, "--generate-hashes", "tools.in", "-o",
           "requirements.txt", cwd=directory / "in")
    return directory / "in" / "requirements.txt"


def test_a_uv_project_runs_where_what_it_was_made_of_is_gone(firn, uv, directory, run_alone):
    project = make_project(directory / "project", uv, "six", "numpy==2.2.6")
    before = listing(project)
    build(firn, uv, project, directory / "w.firn", "--prefix", "/opt/firn-real/weather")
    assert listing(project) == before
    result = run_alone(directory / "w.firn", "/opt/firn-real/weather/bin/weather",
                       hidden=[project])
    assert (result.returncode, result.stdout) == (0, "sunny at /opt/firn-real/weather\n"), result
    result = run_alone(directory / "w.firn", "/opt/firn-real/weather/bin/python", "-c",
                       "import numpy, six; print(numpy.ones(3).sum())", hidden=[project])
    assert (result.returncode, result.stdout) == (0, "3.0\n"), result


@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_requirements_with_hashes(firn, uv, directory, requirements, run_alone, tool):
    recipe = directory / "recipe.yaml"
    recipe.write_text(f"source: {{path: {requirements}, tool: {tool}}}\n"
                      "prefix: /opt/firn-real/tools\n")
    build(firn, uv, recipe, directory / "t.firn")
    result = run_alone(directory / "t.firn", "/opt/firn-real/tools/bin/python", "-c",
                       "import numpy, six; print(six.__version__)")
    assert (result.returncode, result.stdout) == (0, "1.16.0\n"), result


def test_a_pylock(firn, uv, directory, requirements, run_alone):
    uv.run("pip", "compile", "-q", "--python", PYTHON, "tools.in", "-o", "pylock.toml",
           cwd=requirements.parent)
    build(firn, uv, requirements.parent / "pylock.toml", directory / "t.firn", "--prefix",
          "/opt/firn-real/tools")
    result = run_alone(directory / "t.firn", "/opt/firn-real/tools/bin/python", "-c",
                       "import numpy, six; print(six.__version__)")
    assert (result.returncode, result.stdout) == (0, "1.16.0\n"), result


def test_two_directories_and_two_users_give_the_same_image(firn, uv, scratch, directory,
                                                           requirements, root_user, ordinary_user):
    ids = set()
    for number, user in enumerate((root_user, ordinary_user)):
        place = user.make_directory(f"same-{number}")
        lock = place / "requirements.txt"
        lock.write_bytes(requirements.read_bytes())
        result = build(firn, uv, lock, place / f"{number}.firn", "--name", "same", "--prefix",
                       "/opt/firn-real/same", "--no-check", user=user, compile=True)
        ids.add(image_id(result))
    assert len(ids) == 1


def test_the_same_project_in_two_directories_is_the_same_image(firn, uv, directory):
    ids = set()
    for name in ("one", "two"):
        project = make_project(directory / name, uv, "six==1.17.0")
        result = build(firn, uv, project, directory / f"{name}.firn", "--prefix",
                       "/opt/firn-real/weather")
        ids.add(image_id(result))
        assert "built here:" in result.stdout and "weather" in result.stdout
    differences = firn.run("diff", directory / "one.firn", directory / "two.firn", check=False)
    assert len(ids) == 1, differences.stdout


def test_resolve_locks_what_is_no_lock(firn, uv, directory, requirements):
    unlocked = requirements.parent / "tools.in"
    refused = build(firn, uv, unlocked, directory / "t.firn", check=False)
    assert refused.returncode == 3
    assert f"{unlocked}: expected a lock, found on line 1: 'six==1.16.0' has no --hash" \
        in refused.stderr
    assert f"uv pip compile --generate-hashes {unlocked} -o locked.txt" in refused.stderr
    build(firn, uv, unlocked, directory / "t.firn", "--resolve", "--name", "t", "--prefix",
          "/opt/firn-real/t")
    again = build(firn, uv, requirements, directory / "u.firn", "--name", "t", "--prefix",
                  "/opt/firn-real/t")
    assert again.returncode == 0


def test_a_project_without_a_lock_is_refused_or_locked(firn, uv, directory):
    project = make_project(directory / "project", uv, "six", lock=False)
    refused = build(firn, uv, project, directory / "w.firn", check=False)
    assert refused.returncode == 3
    assert f"uv lock --project {project}" in refused.stderr
    build(firn, uv, project, directory / "w.firn", "--resolve", "--prefix", "/opt/firn-real/w")
    assert not (project / "uv.lock").exists()


def test_a_wrong_hash_is_told_by_the_tool(firn, uv, directory, requirements):
    wrong = directory / "requirements.txt"
    wrong.write_text("six==1.16.0 --hash=sha256:" + "0" * 64 + "\n")
    result = build(firn, uv, wrong, directory / "t.firn", check=False)
    assert result.returncode == 3
    assert "Hash mismatch for `six==1.16.0`" in result.stderr
    assert sorted(os.listdir(directory)) == ["in", "requirements.txt", "t.firn.log"]


def test_a_package_that_fails_to_build_is_told_by_the_tool(firn, uv, directory):
    project = make_project(directory / "project", uv)
    (project / "setup.py").write_text("raise SystemExit('no compiler for the weather')\n")
    result = build(firn, uv, project, directory / "w.firn", check=False)
    assert result.returncode == 3
    assert "no compiler for the weather" in result.stderr
    assert "no compiler for the weather" in (directory / "w.firn.log").read_text()
    assert sorted(os.listdir(directory)) == ["project", "w.firn.log"]


def test_ctrl_c_ends_the_tool_and_leaves_nothing(firn, uv, directory):
    project = make_project(directory / "project", uv)
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
