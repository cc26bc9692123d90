"""The reader written from FORMAT.md alone agrees with stock tools, and notices what is wrong."""

import hashlib
import os
import pathlib
import random
import re
import stat
import struct
import subprocess
import sys
import time

import pytest

from format_reader.check import check
from format_reader.errors import FormatError
from format_reader.image import Image
from format_reader.squashfs import DIRECTORY, FILE, SquashFS
from harness.everything import make_everything
from harness.mounts import mksquashfs, unsquash

READER = [sys.executable, "-B", pathlib.Path(__file__).parent / "format_reader"]
OPTIONS = ("--block-size", "4K", "--prefix", "/opt/everything", "--keep-modes")


def read(*arguments, check=True):
    result = subprocess.run([*READER, *arguments], capture_output=True)
    if check:
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout
    return result


@pytest.fixture(scope="module")
def tree(scratch):
    return make_everything(scratch / "everything")


@pytest.fixture(scope="module")
def special_tree(scratch):
    return make_everything(scratch / "special", special=True)


@pytest.fixture(scope="module")
def plain(firn, tree, scratch):
    return firn.build(tree, scratch / "plain.firn", *OPTIONS)


@pytest.fixture(scope="module")
def profiled(firn, tree, scratch):
    profile = scratch / "everything.profile"
    profile.write_text(f"firn-profile 1\nread text 0 9000\nread many/entry-007-{'x' * 245} 0 1\n")
    return firn.build(tree, scratch / "profiled.firn", *OPTIONS, "--level", "1", "--profile",
                      profile)


@pytest.fixture(scope="module")
def environment(firn, scratch):
    """With packages, needs and a bill of materials; from a recipe."""
    tree = scratch / "reader-environment"
    (tree / "conda-meta").mkdir(parents=True)
    (tree / "conda-meta" / "zlib-1.3-0.json").write_text(
        '{"name": "zlib", "version": "1.3", "files": ["lib/libz.so.1"]}')
    (tree / "bin").mkdir()
    (tree / "bin" / "true").write_bytes(pathlib.Path("/bin/true").read_bytes())
    recipe = scratch / "recipe.yaml"
    recipe.write_text(f"source: {{path: {tree}}}\nprefix: /opt/reader\n")
    return firn.build(recipe, scratch / "reader-environment.firn", "--no-check")


@pytest.fixture(scope="module")
def layer(firn, tree, plain, scratch):
    child = scratch / "layer-tree"
    subprocess.run(["cp", "-a", tree, child], check=True)
    (child / "text").unlink()
    (child / "added").write_text("added\n")
    return firn.build(child, scratch / "layer.firn", *OPTIONS, "--base", plain)


@pytest.fixture(scope="module")
def signed(firn, plain, scratch):
    image = scratch / "signed.firn"
    image.write_bytes(plain.read_bytes())
    for name in ("one", "two"):
        firn.run("keygen", scratch / name)
    firn.run("sign", image, "--key", scratch / "one")
    firn.run("sign", "--detached", image, "--key", scratch / "two")
    return image


@pytest.fixture(params=["plain", "profiled", "environment", "layer", "signed"])
def image(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["gzip", "lzma", "xz", "lz4", "zstd"])
def foreign(request, special_tree, scratch):
    """Another SquashFS file, of each compression."""
    return mksquashfs(special_tree, scratch / f"{request.param}.sqfs", "-comp", request.param, "-b",
                      "4096")


def assert_as_unsquashfs_lists(image):
    """Modes, owners, sizes or devices, times, names, targets."""
    printed = subprocess.run(["unsquashfs", "-lln", "-UTC", image], check=True,
                             stdout=subprocess.PIPE).stdout
    squashfs = SquashFS(image.read_bytes())
    rest = printed[printed.index(b"d"):]
    for path, inode in squashfs.walk():
        name = b"squashfs-root" + (b"/" + path if path else b"")
        if inode.target:
            name += b" -> " + inode.target
        line, rest = rest[:rest.index(name + b"\n")], rest[rest.index(name + b"\n"):]
        rest = rest[len(name) + 1:]
        mode, owner, size, date, clock = re.fullmatch(
            r"(\S+) (\S+)\s+(\d+(?:,\s*\d+)?) (\S+) (\S+) ", line.decode()).groups()
        # unsquashfs cuts a device number as Linux did when it had 16 bits.
        expected = (f"{inode.device >> 8},{inode.device & 255}" if mode[0] in "bc"
                    else str(inode.size))
        assert re.sub(r"\s", "", size) == expected, path
        assert mode == stat.filemode(inode.st_mode), path
        assert owner == f"{inode.uid}/{inode.gid}", path
        assert f"{date} {clock}" == time.strftime("%Y-%m-%d %H:%M", time.gmtime(inode.mtime)), path
    assert not rest


def assert_same_contents(image, directory):
    """Every file's bytes as unsquashfs takes them out."""
    unsquash(image, directory / "out")
    squashfs = SquashFS(image.read_bytes())
    files = 0
    for path, inode in squashfs.walk():
        if inode.type == FILE:
            with open(os.fsencode(directory / "out") + b"/" + path, "rb") as file:
                assert squashfs.sha256(inode) == hashlib.sha256(file.read()).digest(), path
            files += 1
    return files


def test_it_lists_what_unsquashfs_lists(image):
    assert_as_unsquashfs_lists(image)


def test_it_reads_what_unsquashfs_reads(image, directory):
    assert assert_same_contents(image, directory) > 0


def test_it_reads_every_compression(foreign, directory):
    assert_as_unsquashfs_lists(foreign)
    assert assert_same_contents(foreign, directory) > 250


def test_it_finds_images_whole_and_agrees_on_the_id(firn, image):
    assert not check(Image(image.read_bytes()))
    printed = firn.run("verify", image).stdout
    assert f"sha256:{Image(image.read_bytes()).image_id.hex()}\n" in printed


def test_sections_are_there(plain, profiled, environment, layer, signed):
    assert "profile" in Image(profiled.read_bytes()).sections
    assert {"packages", "needs", "sbom", "recipe"} <= set(Image(environment.read_bytes()).sections)
    base = Image(layer.read_bytes()).manifest()["base"]
    assert base["id"] == f"sha256:{Image(plain.read_bytes()).image_id.hex()}"
    image_id, entries = Image(signed.read_bytes()).signatures()
    assert len(entries) == 1 and image_id == Image(plain.read_bytes()).image_id


# As a program

def test_list(tree, plain):
    lines = read("list", "--digests", plain).decode().splitlines()
    assert len(lines) == sum(len(names) + len(files) for _, names, files in os.walk(tree)) + 1
    text = hashlib.sha256((tree / "text").read_bytes()).hexdigest()
    size = (tree / "text").stat().st_size
    assert f"-rw-r--r-- 1 0/0 {size} 1980-01-01 00:00:00 {text} text" in lines
    assert lines[0].startswith("drwxr-xr-x ") and lines[0].endswith(" - .")
    assert any(line.endswith(r" line\x0afeed") for line in lines)
    assert any(line.endswith(r" not-utf-8-\xff\xfe") for line in lines)


def test_extract(tree, plain):
    for path in ("sparse", "below/deep/link", "blank and\ttab", "many/entry-251-" + "x" * 245):
        assert read("extract", plain, path) == (tree / path).read_bytes()
    for path in ("absent", "text/below", "many"):
        assert read("extract", plain, path, check=False).returncode != 0


def test_check(signed, plain, scratch, directory):
    image_id = b"sha256:" + Image(plain.read_bytes()).image_id.hex().encode() + b"\n"
    assert read("check", plain) == image_id
    # One signature is in the image, the other beside it.
    assert read("check", signed, "--key", scratch / "one.pub") == image_id
    assert read("check", signed, "--key", scratch / "two.pub") == image_id
    result = read("check", plain, "--key", scratch / "one.pub", check=False)
    assert result.returncode == 1 and b"did not sign it" in result.stdout
    damaged = directory / "damaged"
    damaged.write_bytes(plain.read_bytes()[:-200] + plain.read_bytes()[-199:])
    assert read("check", damaged, check=False).returncode == 1


# What is wrong

def problems(data):
    try:
        return check(Image(data))
    except (FormatError, struct.error) as error:
        return [error]


def test_it_notices_flipped_bits(signed):
    """In each part of the file, and all over it."""
    data = signed.read_bytes()
    image = Image(data)
    numbers = random.Random(3)
    places = [0, 5, 97, 120, 130, 160, image.superblock["inode_table"], image.squashfs_length,
              image.core_offset, image.core_offset + 40, image.signatures_offset,
              image.signatures_offset + 20, image.signatures_offset + 60, image.footer_offset,
              image.footer_offset + 100, len(data) - 1]
    for section in image.sections.values():
        places += [section.offset, section.offset + section.length - 1]
    places += [numbers.randrange(len(data)) for _ in range(60)]
    for offset in places:
        changed = bytearray(data)
        changed[offset] ^= 1 << numbers.randrange(8)
        assert problems(bytes(changed)), offset


def test_it_notices_a_file_that_is_cut_or_longer(plain):
    data = plain.read_bytes()
    for length in (0, 50, 96, 200, len(data) // 2, len(data) - 1):
        assert problems(data[:length])
    assert problems(data + b"\0") and problems(data + data)


def test_directories_have_an_index(plain):
    """So that what the reader says of indexes was tried."""
    squashfs = SquashFS(plain.read_bytes())
    assert any(inode.index for _, inode in squashfs.walk() if inode.type == DIRECTORY)
