"""Pages shared between images of the node's firnd: how many, and that nobody can abuse it."""

import errno
import hashlib
import mmap
import os
import shutil
import struct
import subprocess

import pytest

from harness.layout import Layout, page_tree_root, with_core
from harness.node import (  # noqa: F401 (fixtures)
    attach, images, own_run_directory, serving, trees)

PAGE = 4096


@pytest.fixture
def node(firnd, firn, fuse):
    with serving(firnd, firn, "--linger", "0", "--no-prefetch") as running:
        yield running


def is_shared(number):
    return number % 5 != 0


def resident(path):
    """Bytes of the file that the page cache holds, as the kernel says."""
    output = subprocess.run(["fincore", "--bytes", "--noheadings", "--output", "RES", path],
                            check=True, stdout=subprocess.PIPE, text=True).stdout
    return int(output)


def read_past_the_cache(path):
    """The file's bytes, each asked of firnd; None where that fails with EIO."""
    content = bytearray()
    with mmap.mmap(-1, 1 << 20) as buffer:
        file = os.open(path, os.O_RDONLY | os.O_DIRECT)
        try:
            while count := os.readv(file, [buffer]):
                content += buffer[:count]
        except OSError as error:
            assert error.errno == errno.EIO
            return None
        finally:
            os.close(file)
    return bytes(content)


def mounted(firn, image, place):
    place.mkdir()
    firn.run("mount", image, place)
    return place


def unmount(places):
    for place in places:
        subprocess.run(["umount", place], check=True)


def names(tree):
    return sorted(path.name for path in tree.iterdir())


def test_pages_of_equal_files_are_held_once(firn, node, images, trees, directory):  # noqa: F811
    for image, lease in zip(images, "ab"):
        attach(firn, image, lease)
    node.wait_until_proved()
    places = [mounted(firn, image, directory / lease) for image, lease in zip(images, "ab")]
    for name in names(trees[0]):
        (places[0] / name).read_bytes()
    # What the first image's readers brought along is there for the second's.
    for number in range(20):
        size = (trees[1] / f"file-{number}").stat().st_size
        held = resident(places[1] / f"file-{number}")
        assert held >= size if is_shared(number) else held == 0
    for name in names(trees[1]):
        (places[1] / name).read_bytes()
    held = {}
    for place in places:
        for path in place.iterdir():
            held[path.stat().st_ino & 0xffffffffffff] = resident(path)
    contents = {(tree / name).read_bytes() for tree in trees for name in names(tree)}
    assert sum(held.values()) <= 1.05 * sum(len(content) + PAGE for content in contents)
    unmount(places)


def with_digest(image, inode, digest):
    """The image with another digest for that file, and all that covers it right again."""
    layout = Layout(image)
    section = layout.sections["digests"]
    content = bytearray(layout.content("digests"))
    content[8 + 32 * (inode - 1):8 + 32 * inode] = digest
    (count,) = struct.unpack_from("<I", content)
    digests = [bytes(content[8 + 32 * number:40 + 32 * number]) for number in range(count)]
    order = sorted(range(1, count + 1), key=lambda number: (digests[number - 1], number))
    struct.pack_into(f"<{count}I", content, 8 + 32 * count, *order)
    root, upper = page_tree_root(bytes(content))
    assert not upper

    def change(core):
        at = core.index(section.digest)
        core[at:at + 32] = root

    changed = with_core(image, change)
    return (changed[:section.offset] + bytes(content)
            + changed[section.offset + section.length:])


@pytest.fixture
def liar(firn, trees, directory):  # noqa: F811
    """(image, its tree): file-3 has other bytes than the honest images' and their digest."""
    tree = directory / "liar-tree"
    shutil.copytree(trees[0], tree)
    evil = bytes(len((tree / "file-3").read_bytes()))
    (tree / "file-3").write_bytes(evil)
    image = firn.build(tree, directory / "liar.firn", "--prefix", "/opt/liar")
    content = image.read_bytes()
    inode = Layout(content).file_digests().index(hashlib.sha256(evil).digest()) + 1
    wanted = hashlib.sha256((trees[0] / "file-3").read_bytes()).digest()
    image.write_bytes(with_digest(content, inode, wanted))
    Layout(image.read_bytes())  # it is whole, by what it says itself
    image.chmod(0o644)
    return image, tree


@pytest.mark.parametrize("first", ["liar", "honest"])
def test_an_image_that_lies_in_its_digests_changes_no_others_bytes(
        firn, node, images, trees, directory, liar, first):  # noqa: F811
    order = [(liar[0], liar[1], "liar"), (images[0], trees[0], "honest")]
    if first == "honest":
        order.reverse()
    places = []
    for image, tree, name in order:
        attach(firn, image, name)
        places.append(mounted(firn, image, directory / name))
        for file in names(tree):
            assert (places[-1] / file).read_bytes() == (tree / file).read_bytes(), (name, file)
    honest = str(images[0])
    node.wait_for(lambda: {image["image"]: image["shares_pages"]
                           for image in node.images()}.get(honest), "the honest one is not proved")
    for place, (_, tree, name) in zip(places, order):
        for file in names(tree):
            assert (place / file).read_bytes() == (tree / file).read_bytes(), (name, file)
            assert read_past_the_cache(place / file) == (tree / file).read_bytes(), (name, file)
    assert not any(image["shares_pages"] for image in node.images()
                   if image["image"] == str(liar[0]))
    unmount(places)


@pytest.mark.parametrize("first", ["fake", "honest"])
def test_an_image_with_the_id_of_another_changes_no_others_bytes(
        firn, node, images, trees, directory, first):  # noqa: F811
    """The same owner's: the bytes of files are others, what the id is made of is not."""
    fake = directory / "fake.firn"
    content = bytearray(images[0].read_bytes())
    for at in range(1000, Layout(bytes(content)).squashfs_length // 2, 50_000):
        content[at] ^= 1
    fake.write_bytes(content)
    fake.chmod(0o644)
    order = [fake, images[0]] if first == "fake" else [images[0], fake]
    places = []
    for number, image in enumerate(order):
        attach(firn, image, f"job-{number}")
        places.append(mounted(firn, image, directory / f"place-{number}"))
    for place in places:
        for name in names(trees[0]):
            assert read_past_the_cache(place / name) in (None, (trees[0] / name).read_bytes())
    if first == "honest":
        for name in names(trees[0]):
            assert read_past_the_cache(places[0] / name) == (trees[0] / name).read_bytes()
    unmount(places)


@pytest.mark.parametrize("harm", ["overwritten", "truncated"])
def test_an_image_that_is_changed_under_its_readers(
        firn, firnd, fuse, images, trees, directory, harm):  # noqa: F811
    """EIO on what is gone, told once; what is not gone and all other images are served."""
    victim = directory / "victim.firn"
    victim.write_bytes(images[0].read_bytes())
    victim.chmod(0o644)
    with serving(firnd, firn, "--linger", "0", "--no-prefetch") as node:
        attach(firn, images[1], "other")
        attach(firn, victim, "victim")
        node.wait_until_proved()
        places = [mounted(firn, image, directory / name)
                  for image, name in ((victim, "v"), (images[1], "o"))]
        length = victim.stat().st_size
        for place, tree in zip(places, trees):  # what is looked up stays known
            assert names(place) == names(tree)
        with open(victim, "r+b") as file:
            if harm == "truncated":
                file.truncate(length // 3)
            else:
                file.seek(length // 3)
                file.write(os.urandom(length // 3))
        results = {name: read_past_the_cache(places[0] / name) for name in names(trees[0])}
        for name, content in results.items():
            assert content in (None, (trees[0] / name).read_bytes()), name
        assert None in results.values()
        for _ in range(20):
            for name in names(trees[0]):
                read_past_the_cache(places[0] / name)
        for name in names(trees[1]):
            assert read_past_the_cache(places[1] / name) == (trees[1] / name).read_bytes(), name
        unmount(places)
        errors = node.end()
    told = [line for line in errors.splitlines() if "victim.firn" in line and "error" in line]
    assert 1 <= len(told) < 60, errors
