"""The order of an image's contents: as a profile says, and otherwise the same image."""

import json
import os
import random
import subprocess

import pytest

from harness import inodes
from harness import layout as layouts
from harness import tree as trees
from harness.mounts import kernel_mount, mksquashfs, unsquash

USAGE, INPUT, OUTPUT, DAMAGED, UNSUPPORTED = 2, 3, 4, 5, 6
BLOCK = 64 << 10
OPTIONS = ("--block-size", "64K", "--prefix", "/opt/tree", "--name", "tree", "--level", "3")
FIELDS = ("type", "mode", "nlink", "size", "target", "sha256", "uid", "gid", "mtime")


def text_bytes(length, seed):
    words = [bytes(random.Random(seed + i).choices(b"abcdefgh", k=6)) for i in range(300)]
    return b" ".join(random.Random(seed).choices(words, k=length // 7 + 1))[:length]


def make_tree(root):
    """Small files in many fragment blocks, large ones, links, copies, holes."""
    for number in range(12):
        package = root / f"p{number:02}"
        package.mkdir(parents=True)
        for i in range(20):
            seed = number * 100 + i
            (package / f"m{i:02}.py").write_bytes(text_bytes(3000 + 91 * i + number, seed))
            (package / f"d{i:02}.dat").write_bytes(random.Random(seed).randbytes(700 + 13 * i))
    (root / "lib").mkdir()
    for i in range(6):
        (root / "lib" / f"large{i}.so").write_bytes(text_bytes(3 * BLOCK + 1000 * i + 7, i)
                                                    + random.Random(i).randbytes(BLOCK))
    os.link(root / "lib" / "large3.so", root / "lib" / "large3-linked.so")
    os.link(root / "p03" / "m03.py", root / "p09" / "linked.py")
    (root / "same-large.so").write_bytes((root / "lib" / "large4.so").read_bytes())
    (root / "same-small.py").write_bytes((root / "p04" / "m04.py").read_bytes())
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "empty").touch()
    (root / "to-p05").symlink_to("p05")
    with open(root / "sparse", "wb") as file:
        file.seek(5 * BLOCK)
        file.write(b"end")
    with open(root / "zeros", "wb") as file:
        file.truncate(2 * BLOCK + 5)
    return root


# First read in this order; the large file stands between small ones of many fragment blocks.
FRONT = ["p11/m19.py", "lib/large5.so", "p00/d00.dat", "p09/linked.py", "lib/large3-linked.so",
         "same-small.py", "p07/m07.py", "p07/d01.dat", "sparse", "run.sh", "p02/d19.dat"]
MISSING = ["gone", "p00/gone.py", "to-p05/m01.py", "p01/m01.py/below"]


def write_profile(path, front, *lines):
    reads = [f"read {name} 0 {100 + number}\n" for number, name in enumerate(front)]
    path.write_text("firn-profile 1\nlookup lib\n" + "".join(reads)
                    + "".join(f"{line}\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def tree(scratch):
    return make_tree(scratch / "layout-tree")


@pytest.fixture(scope="module")
def profile(scratch):
    missing = [f"read {path} 0 10" for path in MISSING]
    return write_profile(scratch / "start.profile", FRONT, "read p07/m07.py 4000 50",
                         "miss p00/nothing.py", "list p03", *missing, "read gone 50 10")


@pytest.fixture(scope="module")
def plain(firn, tree, scratch):
    return firn.build(tree, scratch / "layout-plain.firn", *OPTIONS)


@pytest.fixture(scope="module")
def ordered(firn, tree, profile, scratch):
    return firn.build(tree, scratch / "layout-ordered.firn", *OPTIONS, "--profile", profile)


@pytest.fixture(scope="module")
def optimized(firn, plain, profile, scratch):
    image = scratch / "layout-optimized.firn"
    firn.run("optimize", plain, "--profile", profile, "-o", image)
    return image


@pytest.fixture(params=["ordered", "optimized"])
def image(request):
    """An image in the profile's order, however it came to be."""
    return request.getfixturevalue(request.param)


def first_offset(place):
    return min(offset for offset in place if offset is not None)


def check(firn, *arguments):
    return firn.run(*arguments, check=False)


# The order

def test_the_profile_stands_in_front(image):
    places = inodes.places(image)
    front = [name for name in FRONT if name != "same-small.py"] + ["p04/m04.py"]
    behind = [path for path in places
              if path not in front and path not in ("lib/large3.so", "p03/m03.py", "same-small.py")]
    last = max(offset for name in front for offset in places[name] if offset is not None)
    first = min(offset for name in behind for offset in places[name] if offset is not None)
    assert last < first
    # Each front file that has blocks of its own, and each fragment block, as first read.
    blocks = [places[name][0] for name in FRONT if places[name][0] is not None]
    assert blocks == sorted(blocks)
    fragments = [places[name][1] for name in FRONT if places[name][1] is not None]
    assert fragments == sorted(fragments) and len(fragments) == 8


def test_without_a_profile_other_files_are_in_front(plain):
    places = inodes.places(plain)
    assert first_offset(places["p00/m00.py"]) == 160
    assert len({places[name][1] for name in FRONT}) > 4
    # Modules beside modules, data beside data.
    modules = {places[path][1] for path in places if path.endswith(".py")}
    data = {places[path][1] for path in places if path.endswith(".dat")}
    assert len(modules & data) <= 1


def test_every_rule_of_the_format(image):
    found = layouts.check_image(image, "profile")
    text = found.content("profile").decode()
    assert text.startswith("firn-profile 1\nlookup lib\nread p11/m19.py 0 100\n")
    assert "miss p00/nothing.py\n" in text and "list p03\n" in text
    assert not any(path in text for path in MISSING)


def test_a_read_beyond_the_end_is_cut(firn, tree, directory):
    profile = write_profile(directory / "p", [], "read run.sh 2 5000", "read run.sh 9000 1")
    image = firn.build(tree, directory / "i.firn", *OPTIONS, "--profile", profile)
    assert firn.run("inspect", "--section", "profile", image).stdout == (
        "firn-profile 1\nlookup lib\nread run.sh 2 8\n")


# The same tree

def test_the_kernel_reads_the_same_tree(plain, image, directory):
    with kernel_mount(plain, directory / "a") as a, kernel_mount(image, directory / "b") as b:
        one, other = trees.tree_listing(a), trees.tree_listing(b)
        trees.assert_same_tree(one, other, FIELDS + ("inode",))
        assert trees.hard_link_groups(one) == trees.hard_link_groups(other)
        layouts.check_digests_of_tree(layouts.check_image(image, "profile"), other)


def test_unsquashfs_reads_the_same_tree(tree, image, directory):
    unsquash(image, directory / "out")
    subprocess.run(["diff", "-r", "--no-dereference", tree, directory / "out"], check=True)


def test_firn_reads_and_verifies_it(firn, tree, image):
    firn.run("verify", image)
    with firn.mounted(image) as mount:
        subprocess.run(["diff", "-r", "--no-dereference", tree, mount], check=True)


def test_the_manifest_stays(plain, image):
    manifests = [layouts.Layout(path.read_bytes()).content("manifest")
                 for path in (plain, image)]
    assert manifests[0] == manifests[1]


def test_a_real_environment_takes_hardly_more_room(firn, environment_tree, directory):
    """With every third module of numpy in front."""
    modules = sorted(str(path.relative_to(environment_tree))
                     for path in environment_tree.glob("lib/python3*/site-packages/numpy/**/*.py")
                     if path.stat().st_size > 0)
    profile = write_profile(directory / "p", modules[::3])
    options = ("--no-compile", "--level", "3")
    plain = firn.build(environment_tree, directory / "plain.firn", *options)
    ordered = firn.build(environment_tree, directory / "i.firn", *options, "--profile", profile)
    firn.run("optimize", plain, "--profile", profile, "-o", directory / "o.firn")
    for image in (ordered, directory / "o.firn"):
        assert image.stat().st_size <= 1.01 * plain.stat().st_size


# What commands say

@pytest.mark.parametrize("command", ["build", "optimize"])
def test_missing_paths_are_counted(firn, tree, plain, profile, directory, command):
    source = [tree, *OPTIONS] if command == "build" else [plain]
    image = directory / "i.firn"
    summary = json.loads(firn.run(command, *source, "-o", image, "--profile", profile,
                                  "--json").stdout)
    assert summary["profile_paths_missing"] == len(MISSING)
    assert summary["profile_files"] == len(FRONT)
    text = firn.run(command, *source, "-o", image, "--profile", profile, "--force").stdout
    assert f"{len(FRONT)} files in front, {len(MISSING)} " in text


def test_profiles_are_merged(firn, tree, directory):
    one = write_profile(directory / "1", ["p05/m05.py", "lib/large1.so"])
    other = write_profile(directory / "2", ["p06/m06.py", "p05/m05.py", "lib/large0.so"])
    image = firn.build(tree, directory / "i.firn", *OPTIONS, "--profile", one, "--profile", other)
    places = inodes.places(image)
    assert places["lib/large1.so"][0] == 160 < places["lib/large0.so"][0]
    assert places["p05/m05.py"][1] == places["p06/m06.py"][1]
    text = firn.run("inspect", "--section", "profile", image).stdout
    assert text.count("lookup lib\n") == 1
    assert [line.split()[1] for line in text.splitlines() if line.startswith("read")] == [
        "p05/m05.py", "lib/large1.so", "p06/m06.py", "p05/m05.py", "lib/large0.so"]


def test_a_profile_of_another_tree_changes_nothing(firn, tree, plain, directory):
    profile = directory / "p"
    profile.write_text("firn-profile 1\nlookup nothing\nread of/this 0 10\n")
    image = firn.build(tree, directory / "i.firn", *OPTIONS, "--profile", profile)
    assert image.read_bytes() == plain.read_bytes()


@pytest.mark.concurrent
@pytest.mark.parametrize("command", ["build", "optimize"])
def test_same_bytes_at_any_job_count(firn, tree, plain, profile, request, directory, command):
    expected = request.getfixturevalue("ordered" if command == "build" else "optimized")
    source = [tree, *OPTIONS] if command == "build" else [plain]
    for jobs in ("1", "4"):
        image = directory / f"{jobs}.firn"
        firn.run(command, *source, "-o", image, "--profile", profile, "--jobs", jobs)
        assert image.read_bytes() == expected.read_bytes()


# What is not compressed again

def stored_blocks(image):
    layout = layouts.Layout(image.read_bytes())
    return {extent.sha256 for extent in layout.extents()
            if 160 <= extent.offset < layout.superblock["inode_table"]}


def test_optimize_copies_what_stays_together(firn, plain, profile, directory):
    image = directory / "i.firn"
    summary = json.loads(firn.run("optimize", plain, "--profile", profile, "-o", image,
                                  "--json").stdout)
    before, after = stored_blocks(plain), stored_blocks(image)
    assert summary["blocks_copied"] == len(before & after)
    assert summary["blocks_compressed"] == len(after - before)
    # Only fragment blocks that lost files, and what they and those in front became.
    parted = {offset for path, (_, offset) in inodes.places(plain).items()
              if path in FRONT and offset is not None}
    assert len(before - after) == len(parted)
    assert summary["blocks_compressed"] <= len(parted) + 1
    assert summary["source_id"] != summary["id"]


def test_optimizing_again_compresses_nothing(firn, optimized, profile, directory):
    summary = json.loads(firn.run("optimize", optimized, "--profile", profile, "-o",
                                  directory / "i.firn", "--json").stdout)
    assert summary["blocks_compressed"] == 0
    assert stored_blocks(directory / "i.firn") == stored_blocks(optimized)


def test_optimizing_an_ordered_build_keeps_its_blocks(firn, ordered, profile, directory):
    summary = json.loads(firn.run("optimize", ordered, "--profile", profile, "-o",
                                  directory / "i.firn", "--json").stdout)
    assert summary["blocks_compressed"] == 0


def test_optimize_may_replace_its_own_input(firn, plain, profile, optimized, directory):
    image = directory / "i.firn"
    image.write_bytes(plain.read_bytes())
    assert check(firn, "optimize", image, "--profile", profile, "-o", image).returncode == OUTPUT
    assert image.read_bytes() == plain.read_bytes()
    firn.run("optimize", image, "--profile", profile, "-o", image, "--force")
    assert image.read_bytes() == optimized.read_bytes()


# Bad input

BAD_PROFILES = {
    "empty": b"",
    "of another version": b"firn-profile 2\nlookup lib\n",
    "another file": b"\x7fELF" + bytes(100),
    "outside": b"firn-profile 1\nread ../lib 0 5\n",
    "absolute": b"firn-profile 1\nread /etc/passwd 0 5\n",
    "cut short": b"firn-profile 1\nlookup lib\nread lib/lar",
    "a strange range": b"firn-profile 1\nread run.sh 5 -1\n",
    "too long": b"firn-profile 1\n" + b"lookup lib\n" * (2 << 20),
}


@pytest.mark.parametrize("kind", BAD_PROFILES)
@pytest.mark.parametrize("command", ["build", "optimize"])
def test_a_damaged_profile_is_refused(firn, tree, plain, directory, command, kind):
    profile = directory / "bad.profile"
    profile.write_bytes(BAD_PROFILES[kind])
    source = tree if command == "build" else plain
    result = check(firn, command, source, "-o", directory / "i.firn", "--profile", profile)
    assert result.returncode == INPUT, result.stderr
    assert str(profile) in result.stderr
    assert list(directory.iterdir()) == [profile]


@pytest.mark.parametrize("command", ["build", "optimize"])
def test_a_missing_profile_is_refused(firn, tree, plain, directory, command):
    source = tree if command == "build" else plain
    result = check(firn, command, source, "-o", directory / "i.firn", "--profile",
                   directory / "none")
    assert result.returncode == INPUT and "none" in result.stderr
    assert list(directory.iterdir()) == []


def test_foreign_files_are_refused(firn, tree, profile, directory):
    foreign = mksquashfs(tree, directory / "foreign.sqfs", "-comp", "zstd")
    result = check(firn, "optimize", foreign, "--profile", profile, "-o", directory / "i.firn")
    assert result.returncode == UNSUPPORTED and "appendix" in result.stderr
    assert list(directory.iterdir()) == [foreign]


def test_optimize_needs_a_profile(firn, plain, directory):
    result = check(firn, "optimize", plain, "-o", directory / "i.firn")
    assert result.returncode == USAGE and "--profile" in result.stderr


def test_a_damaged_block_ends_optimize(firn, plain, profile, directory):
    data = bytearray(plain.read_bytes())
    offset = inodes.places(plain)["lib/large2.so"][0]
    data[offset + 10] ^= 1
    image = directory / "damaged.firn"
    image.write_bytes(data)
    result = check(firn, "optimize", image, "--profile", profile, "-o", directory / "i.firn")
    assert result.returncode == DAMAGED and f"offset {offset}" in result.stderr
    assert list(directory.iterdir()) == [image]
