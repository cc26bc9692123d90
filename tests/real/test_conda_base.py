"""conda packages over a base of conda packages: only what it lacks is installed."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

import conda_channel

PREFIX = "/opt/firn-real/conda-layer"
QUICK = ("--no-compile", "--level", "1", "--no-check")
INPUT = 3


@pytest.fixture(scope="module")
def channels(tools, scratch):
    """(what the base is made of, what there is later)."""
    made = []
    for name in ("base", "later"):
        channel = conda_channel.Channel(tools, scratch / f"base-{name}",
                                        scratch / f"base-{name}-work")
        made.append(channel)
    conda_channel.add_python(made[0])
    conda_channel.add_greeter(made[0])
    conda_channel.add_table(made[0])
    conda_channel.add_show(made[1])
    conda_channel.add_greeter(made[1], "2.0")
    return made


@pytest.fixture(scope="module")
def client(tools, scratch):
    (scratch / "base-client").mkdir()
    return conda_channel.write_client(scratch / "base-client", tools).parent


def environment(programs, cache):
    return os.environ | {"PATH": f"{programs}:/usr/bin:/bin:/usr/sbin:/sbin",
                         "CONDA_PKGS_DIRS": str(cache)}


def build(firn, source, image, client, *options, check=True):
    return firn.run("build", source, "-o", image, "--name", image.stem, *QUICK, *options,
                    env=environment(client, image.parent / f"{image.stem}-pkgs"), check=check)


@pytest.fixture(scope="module")
def base(firn, channels, client, scratch):
    """Compiled, so that byte code of what a layer replaces would be found."""
    (scratch / "base-list.txt").write_text(channels[0].explicit())
    image = scratch / "conda-base.firn"
    firn.run("build", scratch / "base-list.txt", "-o", image, "--name", "basis", "--prefix",
             PREFIX, "--level", "1", "--no-check", env=environment(client, scratch / "base-pkgs"))
    return image


def conda_packages(firn, image):
    packages = json.loads(firn.run("inspect", "--packages", "--json", image).stdout)["packages"]
    return {p["name"]: p["version"] for p in packages if p["kind"] == "conda"}


def listed_by_client(firn, client, image):
    text = firn.run("run", image, "--", client / "micromamba", "list", "--json", "--prefix",
                    PREFIX).stdout
    return {record["name"]: record["version"] for record in json.loads(text)}


def held_by(image):
    printed = subprocess.run(["unsquashfs", "-l", image], check=True, stdout=subprocess.PIPE,
                             text=True).stdout
    return [line[len("squashfs-root/"):] for line in printed.splitlines()]


def explicit(*channels, without=()):
    lines = [line for channel in channels for line in channel.explicit().splitlines()[1:]]
    return "\n".join(["@EXPLICIT", *(line for line in lines
                                     if not any(name in line for name in without)), ""])


@pytest.mark.parametrize("lock", [False, True], ids=["explicit", "conda-lock"])
def test_a_list_over_a_base_adds_what_it_lacks(firn, base, channels, client, scratch, directory,
                                               lock):
    """The base's packages may be where nobody can fetch them any more."""
    both = conda_channel.Channel.__new__(conda_channel.Channel)
    both.packages = channels[0].packages + channels[1].packages[:1]
    source = directory / ("conda-lock.yml" if lock else "list.txt")
    source.write_text(both.lock() if lock else both.explicit())
    image = scratch / f"conda-{directory.name}.firn"
    gone = channels[0].directory.with_name("gone")
    channels[0].directory.rename(gone)
    try:
        build(firn, source, image, client, "--base", base)
    finally:
        gone.rename(channels[0].directory)
    assert "the base has 3 of 4 packages" in pathlib.Path(f"{image}.log").read_text()
    expected = {"python": conda_channel.python_version()[0], "greeter": "1.0", "table": "1!3.0",
                "show": "2.0"}
    assert conda_packages(firn, image) == expected
    assert listed_by_client(firn, client, image) == expected
    held = held_by(image)
    assert [name for name in held if name.endswith(".json")] == ["conda-meta/show-2.0-h_0.json"]
    assert "share/data/table" not in held and not any("greeter" in name for name in held)
    for command, output in {"show": f"{PREFIX}/share/show/text\ntext: {PREFIX}\n",
                            "greeter": f"hello from {PREFIX}\n",
                            "shown": f"script of {PREFIX}\n"}.items():
        assert firn.run("run", image, "--", command).stdout == output


def test_another_version_takes_the_place_of_the_bases(firn, base, channels, client, scratch,
                                                      directory):
    """The base has what the list does not name besides."""
    (directory / "list.txt").write_text(explicit(channels[1], without=["show"]))
    image = scratch / f"conda-{directory.name}.firn"
    build(firn, directory / "list.txt", image, client, "--base", base)
    expected = {"python": conda_channel.python_version()[0], "greeter": "2.0", "table": "1!3.0"}
    assert conda_packages(firn, image) == expected
    assert listed_by_client(firn, client, image) == expected
    code = "import greeter, importlib.metadata as m; print(m.version('greeter'), greeter.__file__)"
    version, path = firn.run("run", image, "--", "python", "-c", code).stdout.split()
    assert version == "2.0" and path.startswith(PREFIX)
    found = firn.run("run", image, "--", "sh", "-c",
                     f"find {PREFIX} -path '*greeter*' -name '*.pyc' -o -name 'greeter-1*'").stdout
    assert found == ""


def test_nothing_to_add_needs_no_tool_to_do_it(firn, base, channels, client, scratch, directory):
    (directory / "list.txt").write_text(channels[0].explicit("table"))
    image = scratch / f"conda-{directory.name}.firn"
    build(firn, directory / "list.txt", image, client, "--base", base)
    log = pathlib.Path(f"{image}.log").read_text()
    assert "the base has 1 of 1 packages" in log and "install" not in log
    assert len(conda_packages(firn, image)) == 3


def test_a_base_that_it_cannot_go_over(firn, channels, base, client, scratch, directory):
    """Refused before anything is fetched."""
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", directory / "venv"],
                   check=True)
    other = firn.build(directory / "venv", directory / "venv.firn", *QUICK, "--prefix", PREFIX)
    (directory / "list.txt").write_text("@EXPLICIT\nhttps://127.0.0.1:1/linux-64/a-1-0.conda#"
                                        + "0" * 32 + "\n")
    result = build(firn, directory / "list.txt", directory / "l.firn", client, "--base", other,
                   check=False)
    assert result.returncode == INPUT and "without conda-meta" in result.stderr
    (directory / "list.txt").write_text("@EXPLICIT\nhttps://127.0.0.1:1/linux-64/python-3.2.1-0."
                                        "conda#" + "0" * 32 + "\n")
    shutil.copy(base, directory)
    result = build(firn, directory / "list.txt", directory / "l.firn", client, "--base", base,
                   check=False)
    assert result.returncode == INPUT and "which the base's packages" in result.stderr
    assert not (directory / "l.firn").exists()
