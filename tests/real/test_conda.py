"""conda packages: from a channel made here, by a real installer, as images."""

import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

import conda_channel
from harness.mounts import unsquash
from projects import make_lock, names_of

PREFIX = "/opt/firn-real/conda"
# Longer and shorter than where the environment was installed.
OTHER = "/opt/firn-real/" + "a-longer-prefix-than-that-of-any-test/" * 3 + "conda"


@pytest.fixture(scope="module")
def channel(tools, scratch):
    made = conda_channel.Channel(tools, scratch / "channel", scratch / "channel-work")
    conda_channel.add_python(made)
    conda_channel.add_greeter(made)
    conda_channel.add_show(made)
    conda_channel.add_table(made)
    return made


@pytest.fixture(scope="module")
def client(tools, scratch):
    """bin/ with a micromamba that is rattler."""
    (scratch / "client").mkdir()
    return conda_channel.write_client(scratch / "client", tools).parent


@pytest.fixture(scope="module")
def real_client():
    """bin/ of the conda, mamba or micromamba of this machine, and its name."""
    for name in ("conda", "mamba", "micromamba"):
        if program := shutil.which(name):
            return pathlib.Path(program).parent, name
    # conda-express, of PyPI, is none: its first command of any kind fetches conda from conda-forge.
    pytest.skip("no conda, mamba or micromamba in PATH, and PyPI has none")


def environment(programs, cache, **more):
    """What a client gets; its cache of packages can be taken away."""
    path = f"{programs}:/usr/bin:/bin:/usr/sbin:/sbin"
    return os.environ | {"PATH": path, "CONDA_PKGS_DIRS": str(cache)} | more


def build(firn, source, image, programs, *options, user=None, prefix=PREFIX, compile=False,
          **more):
    home = {} if user is None else {"HOME": str(user.home), "TMPDIR": str(user.home)}
    return firn.run("build", source, "-o", image, "--name", "conda", "--prefix", prefix, "--level",
                    "1", *([] if compile else ["--no-compile"]), *options, user=user,
                    env=environment(programs, image.parent / "pkgs", **home, **more))


def client_list(client, prefix):
    text = subprocess.run([client / "micromamba", "list", "--json", "--prefix", prefix], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    return sorted((r["name"], r["version"], r["build_string"], r["url"], r["sha256"])
                  for r in json.loads(text))


def firn_list(firn, image):
    packages = json.loads(firn.run("inspect", "--packages", "--json", image).stdout)["packages"]
    return sorted((p["name"], p["version"], p["build"], p["origin"], p["sha256"])
                  for p in packages if p["kind"] == "conda")


def image_id(firn, image):
    return json.loads(firn.run("inspect", "--json", image).stdout)["id"]


def check_works(run_alone, image, prefix, hidden):
    """Every kind of file that names the prefix names this one."""
    for command, output in {
            "show": f"{prefix}/share/show/text\ntext: {prefix}\n",
            "greeter": f"hello from {prefix}\n",
            "shown": f"script of {prefix}\n"}.items():
        result = run_alone(image, command, hidden=hidden)
        assert (result.returncode, result.stdout) == (0, output), result


@pytest.fixture(scope="module")
def explicit(firn, channel, client, scratch):
    """(image, where it was made) of an explicit list."""
    place = scratch / "explicit"
    place.mkdir()
    (place / "list.txt").write_text(channel.explicit())
    build(firn, place / "list.txt", place / "conda.firn", client, "--no-check")
    return place / "conda.firn", place


@pytest.fixture(scope="module")
def installed(channel, client, scratch):
    """A prefix that rattler made, elsewhere."""
    place = scratch / "installed"
    place.mkdir()
    (place / "list.txt").write_text(channel.explicit())
    subprocess.run([client / "micromamba", "install", "--yes", "--prefix", place / "p", "--file",
                    place / "list.txt"], check=True, env=environment(client, place / "pkgs"))
    return place / "p"


def test_an_explicit_list_runs_where_what_it_was_made_of_is_gone(firn, firn_alone, run_alone,
                                                                 explicit, channel):
    image, place = explicit
    hidden = [channel.directory, place / "pkgs"]
    check_works(run_alone, image, PREFIX, hidden)
    checked = firn_alone("check", image, hidden=hidden)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_entry_points_run_mounted_at_other_paths(firn, explicit, directory):
    for place in (directory / "one", directory / "with space" / "two", directory / "three"):
        with firn.mounted(explicit[0], directory=place):
            for program, output in (("greeter", f"hello from {place}\n"),
                                    ("shown", f"script of {place}\n")):
                result = subprocess.run([place / "bin" / program], check=True, text=True,
                                        stdout=subprocess.PIPE)
                assert result.stdout == output


def test_a_lock_gives_the_files_of_the_explicit_list(firn, explicit, channel, client, directory):
    (directory / "conda-lock.yml").write_text(channel.lock())
    build(firn, directory / "conda-lock.yml", directory / "lock.firn", client, "--no-check")
    # Only what names the source differs.
    differences = firn.run("diff", explicit[0], directory / "lock.firn", check=False).stdout
    _, short = conda_channel.python_version()
    assert differences.splitlines() == [
        "files:", *(f"  ~ bin/{name} (content)" for name in ("pip", "pip3", f"pip{short}")),
        "  ~ conda-meta/frozen (content)",
        f"  ~ lib/python{short}/EXTERNALLY-MANAGED (content)"]
    assert firn.run("inspect", "--lock", directory / "lock.firn").stdout == channel.lock()


def test_a_pixi_project_has_conda_packages_and_pypis(firn, channel, client, uv, run_alone,
                                                     directory, tools):
    project = directory / "project"
    project.mkdir()
    (project / "pixi.toml").write_text("[workspace]\nname = 'weather'\n")
    make_lock(uv, directory / "pylock.toml", "six==1.17.0")
    (wheel,) = re.findall(r"https://[^\"]*\.whl", (directory / "pylock.toml").read_text())
    (digest,) = re.findall(r"\.whl\".*sha256 = \"(\w+)\"", (directory / "pylock.toml").read_text())
    six = f"- pypi: {wheel}\n  name: six\n  version: 1.17.0\n  sha256: {digest}\n"
    (project / "pixi.lock").write_text(channel.pixi_lock(six))
    code = ("from rattler import LockFile\n"
            f"found = LockFile.from_path({str(project / 'pixi.lock')!r}).default_environment()\n"
            "print(sum(len(packages) for packages in found.packages_by_platform().values()))")
    listed = subprocess.run([tools / "python", "-c", code], check=True, stdout=subprocess.PIPE,
                            text=True).stdout
    assert int(listed) == len(channel.packages) + 1  # it is a lock to rattler, which pixi uses
    image = directory / "weather.firn"
    firn.run("build", project, "-o", image, "--level", "1", "--no-compile", "--no-check",
             "--prefix", PREFIX, env=uv.environment(
                 CONDA_PKGS_DIRS=str(directory / "pkgs"),
                 PATH=f"{client}:{uv.program.parent}:/usr/bin:/bin:/usr/sbin:/sbin"))
    check_works(run_alone, image, PREFIX, [project, channel.directory, directory / "pkgs"])
    assert names_of(firn, image)["six"] == "1.17.0"
    assert firn.run("run", image, "--", "python", "-c", "import six; print(six.__file__)") \
        .stdout.startswith(f"{PREFIX}/")
    stored = firn.run("inspect", "--lock", image).stdout
    assert "pixi.lock" in stored and "pixi.toml" in stored
    (project / "pixi.lock").unlink()
    refused = firn.run("build", project, "-o", directory / "n.firn", check=False)
    assert refused.returncode == 3
    assert f"pixi lock --manifest-path {project}" in refused.stderr
    assert "https://pixi.sh" in refused.stderr


def test_the_packages_are_the_clients_list(firn, explicit, installed, client):
    expected = client_list(client, installed)
    assert [package[0] for package in expected] == ["greeter", "python", "show", "table"]
    assert firn_list(firn, explicit[0]) == expected


def test_the_exported_list_is_what_it_was_made_of(firn, explicit, channel):
    exported = firn.run("export", explicit[0], "--format", "explicit").stdout.splitlines()
    assert exported[0] == "@EXPLICIT"
    for line in exported[1:]:
        url, _, md5 = line.partition("#")
        assert hashlib.md5(pathlib.Path(url[len("file://"):]).read_bytes()).hexdigest() == md5
    assert sorted(exported) == sorted(channel.explicit().split())


def test_two_days_directories_and_users_give_the_same_image(firn, channel, client, root_user,
                                                            ordinary_user, other_day):
    ids = set()
    for user, day in ((root_user, {}), (ordinary_user, other_day)):
        place = user.make_directory(f"same-conda-{len(day)}")
        (place / "list.txt").write_text(channel.explicit())
        build(firn, place / "list.txt", place / "c.firn", client, "--no-check", user=user,
              compile=True, **day)
        ids.add(image_id(firn, place / "c.firn"))
    assert len(ids) == 1


@pytest.mark.parametrize("prefix", ["/o/c", OTHER], ids=["shorter", "longer"])
def test_an_installed_prefix_moves(firn, run_alone, installed, client, directory, prefix):
    build(firn, installed, directory / "c.firn", client, prefix=prefix)
    check_works(run_alone, directory / "c.firn", prefix, [installed.parent])
    assert firn_list(firn, directory / "c.firn") == client_list(client, installed)
    tree = unsquash(directory / "c.firn", directory / "tree")
    left = subprocess.run(["grep", "-rlaF", os.fspath(installed), tree], check=False,
                          stdout=subprocess.PIPE, text=True).stdout
    assert left == ""
    # A client finds that what it recorded is what is there.
    for record in (tree / "conda-meta").glob("*.json"):
        for entry in json.loads(record.read_text())["paths_data"]["paths"]:
            if entry["path_type"] == "hardlink" and "sha256_in_prefix" in entry:
                content = (tree / entry["_path"]).read_bytes()
                assert hashlib.sha256(content).hexdigest() == entry["sha256_in_prefix"], entry


def test_a_conda_pack_archive(firn, run_alone, tools, installed, client, directory):
    subprocess.run([tools / "conda-pack", "-q", "--prefix", installed, "--output",
                    directory / "packed.tar.gz", "--n-threads", "2", "--compress-level", "1"],
                   check=True)
    build(firn, directory / "packed.tar.gz", directory / "c.firn", client)
    check_works(run_alone, directory / "c.firn", PREFIX, [installed.parent])
    assert [p[:3] for p in firn_list(firn, directory / "c.firn")] == \
        [p[:3] for p in client_list(client, installed)]


def test_a_package_with_another_hash_is_refused(firn, channel, client, directory):
    text = channel.explicit("table")
    (directory / "list.txt").write_text(text[:-33] + "0" * 32 + "\n")
    result = firn.run("build", directory / "list.txt", "-o", directory / "c.firn", check=False,
                      env=environment(client, directory / "pkgs"))
    assert result.returncode == 3
    assert f"expected the hash {'0' * 32}, found" in result.stderr
    assert not (directory / "c.firn").exists()


def test_a_real_client_builds_and_is_refused_changes(firn, run_alone, channel, real_client,
                                                     directory):
    """conda's own program, where the machine has one."""
    programs, name = real_client
    (directory / "list.txt").write_text(channel.explicit())
    image = directory / "conda.firn"
    build(firn, directory / "list.txt", image, programs, "--no-check")
    check_works(run_alone, image, PREFIX, [directory / "pkgs"])
    before = firn_list(firn, image)
    home = directory / "home"
    home.mkdir()
    for words in (["install", "--offline", "--yes", "six"], ["remove", "--yes", "table"]):
        result = firn.run("run", image, "--", programs / name, *words, check=False,
                          env=environment(programs, directory / "pkgs", HOME=str(home)))
        assert result.returncode != 0
        # conda install finds first that it cannot write there, and says so.
        if name == "conda" and words[0] == "remove":
            assert "the Firn image 'conda'" in result.stderr
            assert "firn build list.txt -o conda.firn" in result.stderr
    assert not (home / ".local").exists()
    assert firn_list(firn, image) == before


def test_installers_in_a_job_change_nothing(firn, explicit, channel, client, uv, directory):
    (directory / "list.txt").write_text(channel.explicit("table"))
    for command, message in {
            f"micromamba install --yes --file {directory}/list.txt --prefix {PREFIX}": "",
            f"{uv.program} pip install idna": "the Firn image 'conda'",
            f"{uv.program} pip uninstall greeter": "firn build list.txt -o conda.firn"}.items():
        result = firn.run("run", explicit[0], "--", "sh", "-c", f"{command} 2>&1; echo $?; greeter",
                          env=environment(client, directory / "pkgs", HOME=str(directory)))
        *printed, ending, greeting = result.stdout.splitlines()
        assert ending != "0" and greeting == f"hello from {PREFIX}"
        assert message in "\n".join(printed)
    assert not (directory / ".local" / "lib").exists()


def test_the_bill_of_materials_is_of_the_schema(firn, explicit, schema_errors):
    assert schema_errors(firn.run("inspect", "--sbom", explicit[0]).stdout) == [None]
