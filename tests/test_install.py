"""What `cmake --install` gives, and that it works where it stands."""

import os
import pathlib
import shutil
import subprocess

import pytest

from conftest import build_directory
from harness.programs import installed_version
from harness.tree import assert_same_tree, tree_listing


@pytest.fixture(scope="module")
def installed(firn, scratch):
    """The root of a staged installation, as a packager makes it."""
    stage = scratch / "stage"
    result = subprocess.run(["/usr/bin/cmake", "--install", build_directory()],
                            env=os.environ | {"DESTDIR": str(stage)}, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (prefix,) = {path.parent.parent for path in stage.rglob("bin/firn")}
    return prefix


def test_what_is_installed(installed):
    files = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    assert {"bin/firn", "sbin/firnd", "share/man/man1/firn.1", "share/man/man8/firnd.8",
            "share/man/man5/firn-image.5", "share/man/man5/firnd.yaml.5",
            "share/doc/firn/FORMAT.md", "share/doc/firn/README.md", "share/doc/firn/LICENSE",
            "share/doc/firn/CHANGELOG.md", "share/doc/firn/firnd.yaml",
            "share/doc/firn/archive.md", "share/doc/firn/format_reader/__main__.py"} <= files
    units = {"lib/systemd/system/firnd.service", "lib/systemd/user/firnd.service"}
    assert units <= files
    assert not {name for name in files if name.startswith(("include/", "lib"))} - units


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("kind", ["system", "user"])
def test_units_are_right(installed, scratch, kind):
    """By systemd's own judgement, of a copy that starts the programs of this stage."""
    unit = (installed / "lib/systemd" / kind / "firnd.service").read_text()
    started = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    program = started.removeprefix("ExecStart=").split()[0]
    copy = scratch / kind / "firnd.service"
    copy.parent.mkdir()
    copy.write_text(unit.replace(program, str(installed / "sbin/firnd")))
    result = subprocess.run(["systemd-analyze", "verify", "--man=no", f"--{kind}", copy],
                            capture_output=True, text=True)
    assert "firnd.service" not in result.stderr, result.stderr


def test_versions_agree(installed):
    for program in ("bin/firn", "sbin/firnd"):
        output = subprocess.run([installed / program, "--version"], capture_output=True, text=True,
                                check=True).stdout.split()
        assert output == [pathlib.Path(program).name, installed_version(build_directory())]


def test_manual_has_every_command_and_option(installed):
    """A command or an option that the help knows stands in the manual too."""
    page = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l",
                           installed / "share/man/man1/firn.1"], capture_output=True, text=True,
                          env=os.environ | {"MANWIDTH": "200", "MAN_KEEP_FORMATTING": ""},
                          check=True).stdout
    words = set(page.replace(",", " ").replace("[", " ").replace("]", " ").split())
    overview = subprocess.run([installed / "bin/firn", "--help"], capture_output=True, text=True,
                              check=True).stdout
    commands = [line.split()[0] for line in
                overview.split("Commands:\n")[1].split("\n\n")[0].splitlines()]
    assert {"build", "run", "verify"} <= set(commands)
    missing = []
    for command in commands:
        help_text = subprocess.run([installed / "bin/firn", command, "--help"], capture_output=True,
                                   text=True, check=True).stdout
        options = {word.rstrip(",") for line in help_text.splitlines()
                   if line.startswith("  -") for word in line.split() if word.startswith("--")}
        missing += [f"{command} {option}" for option in options - words - {"--help", "--"}]
    assert not missing


def test_installed_firn_works_at_its_place(installed, fuse, directory):
    """firn finds firnd in an installation that was moved, and serves by it."""
    tree = directory / "tree"
    (tree / "directory").mkdir(parents=True)
    (tree / "directory" / "file").write_text("content")
    (tree / "directory").chmod(0o755)
    tree.chmod(0o755)
    (tree / "directory" / "file").chmod(0o644)
    (directory / "mount").mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "FIRND"}

    def firn(*arguments):
        return subprocess.run([installed / "bin/firn", *arguments], check=True, text=True,
                              capture_output=True, env=environment, stdin=subprocess.DEVNULL)

    firn("build", tree, "-o", directory / "image.firn", "--prefix", "/opt/installed")
    firn("mount", directory / "image.firn", directory / "mount")
    try:
        assert_same_tree(tree_listing(tree), tree_listing(directory / "mount"))
    finally:
        firn("unmount", directory / "mount")
    output = firn("run", directory / "image.firn", "--", "cat", "/opt/installed/directory/file")
    assert output.stdout == "content"
