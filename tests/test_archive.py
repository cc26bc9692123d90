"""docs/archive.md shows commands: each of them does what the page says, in the page's order."""

import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

TESTS = pathlib.Path(__file__).parent
PAGE = TESTS.parent / "docs" / "archive.md"
DATA = "".join(f"measured: {number}\n" for number in range(500))
# Programs that a machine may lack, each of which scripts/setup installs.
PROGRAMS = ("7zz", "sqfs2tar", "squashfuse", "strings", "jq")


def blocks():
    """The page's commands: lists of lines, those of root begin with "# "."""
    found, block = [], []
    for line in [*PAGE.read_text().splitlines(), ""]:
        if re.match(r"    [$#] ", line):
            block.append(line.strip())
        else:
            assert not line.startswith("    "), f"neither text nor a command: {line}"
            if block:
                found.append(block)
            block = []
    return found


BLOCKS = blocks()


@pytest.fixture(scope="module")
def place(firn, scratch):
    """A directory with all that the page names."""
    directory = scratch / "archive"
    (directory / "second-place").mkdir(parents=True)
    tree = directory / "tree"
    (tree / "share").mkdir(parents=True)
    (tree / "share" / "data.txt").write_text(DATA)
    os.link(tree / "share" / "data.txt", tree / "share" / "again.txt")
    firn.build(tree, directory / "science.firn", "--prefix", "/opt/science")
    firn.build(tree, directory / "base.firn", "--prefix", "/opt/science")
    (tree / "share" / "data.txt").unlink()
    (tree / "share" / "data.txt").write_text("of the layer\n")
    firn.build(tree, directory / "layer.firn", "--prefix", "/opt/science", "--base",
               directory / "base.firn")
    shutil.rmtree(tree)
    shutil.copy(directory / "science.firn", directory / "signed.firn")
    (directory / "keys").mkdir()
    firn.run("keygen", directory / "site")
    shutil.move(directory / "site.pub", directory / "keys")
    firn.run("sign", directory / "signed.firn", "--key", directory / "site")
    (directory / "format_reader").symlink_to(TESTS / "format_reader")
    return directory


def run(block, firn, place):
    """What the block's commands print, one after the other in one shell."""
    as_root = block[0].startswith("# ")
    assert all(line.startswith("# ") == as_root for line in block)
    for program in PROGRAMS:
        if any(re.search(rf"\b{program}\b", line) for line in block) and not shutil.which(program):
            pytest.skip(f"this machine has no {program}")
    script = "set -e\n" + "\n".join(line[2:] for line in block)
    command = ["sh", "-c", script]
    if as_root:
        if os.geteuid() != 0:
            pytest.skip("needs root")
        with open("/proc/filesystems", encoding="ascii") as systems:
            known = {line.split()[-1] for line in systems}
        if not {"squashfs", "overlay"} <= known or not os.path.exists("/dev/loop-control"):
            pytest.skip("this kernel mounts no SquashFS")
        command = ["unshare", "--mount", *command]
    environment = os.environ | {"PATH": f"{firn.directory}:/usr/bin:/bin:/usr/sbin:/sbin",
                                "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    result = subprocess.run(command, cwd=place, env=environment, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300)
    assert result.returncode == 0, f"{script}\n{result.stdout}{result.stderr}"
    return result.stdout


def image_id(firn, place, name):
    return json.loads(firn.run("inspect", "--json", place / name).stdout)["id"]


def kept(printed, firn, place):
    assert (place / "whole.firn.id").read_text() == image_id(firn, place, "whole.firn") + "\n"
    assert "good: " in printed


def listed(printed, firn, place):
    assert "squashfs-root/share/data.txt" in printed
    assert (place / "science" / "share" / "data.txt").read_text() == DATA


def part(printed, firn, place):
    assert (place / "data.txt").read_text() == DATA
    assert [path.name for path in (place / "part").iterdir()] == ["share"]


def names_data(printed, firn, place):
    assert "data.txt" in printed


def seven(printed, firn, place):
    assert (place / "seven" / "share" / "data.txt").read_text() == DATA


def merged(printed, firn, place):
    assert printed == "of the layer\n"


def manifest(printed, firn, place):
    for text in ('prefix: "/opt/science"', "builder: ", "block_size: "):
        assert text in printed


def by_hand(printed, firn, place):
    one, other = printed.split()
    assert one == other == image_id(firn, place, "science.firn").removeprefix("sha256:")


def by_reader(printed, firn, place):
    lines = printed.splitlines()
    digest = hashlib.sha256(DATA.encode()).hexdigest()
    assert lines[0] == image_id(firn, place, "science.firn")
    assert lines[-1] == f"{digest}  -" and any(line.endswith(f"{digest} share/data.txt")
                                               for line in lines)


def signed(printed, firn, place):
    assert "trusted" in printed and printed.endswith(image_id(firn, place, "signed.firn") + "\n")


# What each block must have done, by a piece of its commands.
DONE = {
    "flatten": kept, "-lln": listed, "-cat": part, "tar -tf": names_data, "7zz": seven,
    "umount /mnt": names_data, "squashfuse": names_data, "overlay": merged, "strings": manifest,
    "tail -c 128": by_hand, "extract": by_reader, "--trusted-keys": signed,
}


@pytest.mark.parametrize("number", range(len(BLOCKS)), ids=lambda number: BLOCKS[number][0][2:40])
def test_what_the_page_shows(firn, fuse, place, number):
    block = BLOCKS[number]
    (done,) = [check for words, check in DONE.items() if words in "\n".join(block)]
    done(run(block, firn, place), firn, place)


def test_nothing_of_the_page_is_left_out():
    text = "\n".join("\n".join(block) for block in BLOCKS)
    assert len(BLOCKS) == len(DONE) and all(words in text for words in DONE)
    for path in re.findall(r"`((?:tests|format|docs)/[\w/.]+)`", PAGE.read_text()):
        assert (TESTS.parent / path).exists(), path
