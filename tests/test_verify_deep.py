"""firn verify --deep: structures that contradict each other while every checksum is right."""

import json
import os
import random
import struct
import subprocess

import pytest

from format_reader.check import check
from format_reader.image import Image
from harness.everything import make_everything
from harness.mutator import Mutant, xattr_table

DAMAGED = 5
# Where fields stand in inodes of the basic types, from the inode's start.
NUMBER, LINKS, PARENT = 12, 20, 28


@pytest.fixture(scope="module")
def tree(scratch):
    """So small that its tables are one metadata block each."""
    root = scratch / "deep-tree"
    (root / "lib" / "below").mkdir(parents=True)
    (root / "lib" / "module.py").write_text("text = 'of a module'\n" * 30)
    (root / "lib" / "below" / "other").write_text("other\n")
    (root / "noise").write_bytes(os.urandom(3 * 4096 + 100))
    with open(root / "holes", "wb") as file:
        file.seek(2 * 4096)
        file.write(os.urandom(5000))
    (root / "one-name").write_text("linked\n")
    os.link(root / "one-name", root / "other-name")
    (root / "symlink").symlink_to("lib/module.py")
    return root


@pytest.fixture(scope="module")
def image(firn, tree, scratch):
    return firn.build(tree, scratch / "deep.firn", "--block-size", "4K", "--prefix", "/opt/deep")


def verify(firn, image, *options):
    result = firn.run("verify", "--json", *options, image, check=False)
    return result.returncode, json.loads(result.stdout)


def test_whole_images_pass(firn, image, scratch):
    large = firn.build(make_everything(scratch / "deep-everything"), scratch / "large.firn",
                       "--block-size", "4K", "--prefix", "/opt/everything")
    for whole in (image, large):
        code, report = verify(firn, whole, "--deep")
        assert (code, report["findings"], report["paths"], report["notes"]) == (0, [], [], [])
        assert report["inodes"] == Image(whole.read_bytes()).superblock["inode_count"]
    assert "inodes" not in verify(firn, image)[1]


def test_what_is_written_anew_passes(firn, image, directory):
    """So that what is found in mutants is what was changed."""
    written = Mutant(image).write(directory / "same.firn")
    assert verify(firn, written, "--deep")[1]["findings"] == []
    assert not check(Image(written.read_bytes()))
    subprocess.run(["unsquashfs", "-dest", directory / "out", written], check=True,
                   stdout=subprocess.DEVNULL)


def other_inode(mutant):
    mutant.pack("listings", mutant.entry(b"noise"), "H", mutant.inode(b"holes"))


def other_links(mutant):
    mutant.pack("inodes", mutant.inode(b"lib") + LINKS, "I", 7)


def other_parent(mutant):
    mutant.pack("inodes", mutant.inode(b"lib/below") + PARENT, "I", mutant.paths[b""].number)


def root_with_parent(mutant):
    mutant.pack("inodes", mutant.inode(b"") + PARENT, "I", 1)


def other_export(mutant):
    number = mutant.paths[b"noise"].number
    mutant.exports[number - 1] = mutant.exports[number % 3]


def other_type(mutant):
    mutant.pack("listings", mutant.entry(b"symlink") + 4, "H", 2)


def unsorted(mutant):
    at = mutant.entry(b"noise") + 8
    mutant.listings[at:at + 5] = b"zoise"


def bad_name(mutant):
    at = mutant.entry(b"noise") + 8
    mutant.listings[at:at + 5] = b"noi/e"


def no_such_inode(mutant):
    mutant.pack("listings", mutant.entry(b"symlink") + 2, "h", 3000)


def long_listing(mutant):
    at = mutant.inode(b"lib") + 24
    (length,) = struct.unpack_from("<H", mutant.inodes, at)
    mutant.pack("inodes", at, "H", length - 4)


def shared_listing(mutant):
    lib, below = mutant.inode(b"lib"), mutant.inode(b"lib/below")
    mutant.inodes[below + 24:below + 28] = mutant.inodes[lib + 24:lib + 28]


def same_number(mutant):
    mutant.pack("inodes", mutant.inode(b"symlink") + NUMBER, "I", mutant.paths[b"lib"].number)


def block_outside(mutant):
    mutant.pack("inodes", mutant.inode(b"noise") + 16, "I", mutant.head["inode_table"] - 10)


def long_block(mutant):
    mutant.pack("inodes", mutant.inode(b"noise") + 32, "I", 4097)


def other_holes(mutant):
    mutant.pack("inodes", mutant.inode(b"holes") + 32, "Q", 1)


def lost_fragment(mutant):
    offset, word, _ = mutant.fragments[0]
    mutant.fragments.append((offset, 5000, 0))
    mutant.head["fragment_count"] += 1
    assert word & 0xFFFFFF < 4096


def nul_in_target(mutant):
    at = mutant.inode(b"symlink") + 24
    mutant.inodes[at + 3] = 0


def trailing_inode(mutant):
    mutant.inodes += bytes(20)


def fewer_inodes(mutant):
    mutant.head["inode_count"] -= 1
    mutant.exports.pop()


def no_exports(mutant):
    mutant.head["export_table"] = 2**64 - 1


def extended_attribute(mutant):
    """An extended inode that has attributes where there is no table."""
    mutant.pack("inodes", mutant.inode(b"holes") + 52, "I", 0)


PAIR = struct.pack("<HH", 0, 4) + b"name" + struct.pack("<I", 5) + b"value"


def bad_xattr_prefix(mutant):
    mutant.xattrs = xattr_table(struct.pack("<H", 9) + PAIR[2:], [(0, 1, 14)])


def long_xattr(mutant):
    mutant.xattrs = xattr_table(PAIR[:8] + struct.pack("<I", 70000) + b"value", [(0, 1, 14)])


def xattr_outside(mutant):
    mutant.xattrs = xattr_table(PAIR, [(5 << 16, 1, 14)])


def time_of_another(mutant):
    mutant.head["mtime"] += 1


def other_level(mutant):
    mutant.front[2:6] = struct.pack("<I", 21)


def manifest(before, after):
    def change(mutant):
        assert mutant.sections["manifest"].count(before) == 1
        mutant.sections["manifest"] = mutant.sections["manifest"].replace(before, after)
    return change


def other_digest(mutant):
    digests = bytearray(mutant.sections["digests"])
    digests[8] ^= 1
    mutant.sections["digests"] = bytes(digests)


# What is changed, and what must be said of which path.
WRONG = {
    "an entry that leads to another inode": (other_inode, "noise", "another inode"),
    "a link count": (other_links, "lib", "link count of 7, expected 3"),
    "a parent": (other_parent, "lib/below", "names another directory"),
    "a root with a parent": (root_with_parent, "/", "has a parent"),
    "an export entry": (other_export, None, "export table: inode"),
    "a type in a listing": (other_type, "symlink", "another type"),
    "the order of names": (unsorted, "one-name", "order of names"),
    "a name with a slash": (bad_name, "noi/e", "no file may have"),
    "an inode that is not there": (no_such_inode, "symlink", "which is not there"),
    "a listing that ends in an entry": (long_listing, "lib", "longer than its inode says"),
    "a listing of two directories": (shared_listing, None, "where another directory has it"),
    "a number twice": (same_number, None, "two inodes have the number"),
    "a block outside the data": (block_outside, None, "stands outside the data"),
    "a block that is too long": (long_block, None, "impossible length of 4097"),
    "bytes in holes": (other_holes, None, "1 bytes are in holes"),
    "a fragment of impossible length": (lost_fragment, None, "fragment 1: leads to 5000 bytes"),
    "a target with a NUL": (nul_in_target, None, "has a NUL"),
    "something behind the inodes": (trailing_inode, None, "follows the last inode"),
    "a count of inodes": (fewer_inodes, None, "follows the last inode"),
    "no export table": (no_exports, None, "there is no export table"),
    "attributes without a table": (extended_attribute, None, "extended attributes 0 of 0"),
    "a prefix of an attribute": (bad_xattr_prefix, None, "has the prefix 9"),
    "a long attribute": (long_xattr, None, "a value of 70000 bytes"),
    "an attribute outside": (xattr_outside, None, "metadata:"),
    "the superblock's time": (time_of_another, None, "superblock: time"),
    "the compressor's level": (other_level, None, "compressor options: level 21"),
    "a count of the manifest": (manifest(b"symlinks: 1", b"symlinks: 2"), None,
                                "says 2 symlinks, the tree has 1"),
    "a path of the manifest": (manifest(b"name: \"", b"bound: [lib/gone]\nname: \""), "lib/gone",
                               "manifest: bound"),
    "a digest": (other_digest, None, "SHA-256"),
}


@pytest.mark.parametrize("what", WRONG)
def test_contradictions_are_found(firn, image, directory, what):
    change, path, message = WRONG[what]
    mutant = Mutant(image)
    change(mutant)
    written = mutant.write(directory / "mutant.firn")
    code, report = verify(firn, written, "--deep")
    assert code == DAMAGED and not report["ok"]
    found = [finding for finding in report["findings"]
             if message in finding["message"] and path in (None, finding.get("path"))]
    assert found, report["findings"]
    if path is not None:
        assert path in report["paths"]


def test_attributes_that_are_right_are_taken(firn, image, directory):
    mutant = Mutant(image)
    elsewhere = struct.pack("<HH", 0x101, 1) + b"x" + struct.pack("<IQ", 8, 8)
    mutant.xattrs = xattr_table(PAIR + elsewhere, [(0, 2, 30), (len(PAIR), 1, 10)])
    mutant.pack("inodes", mutant.inode(b"holes") + 52, "I", 1)
    written = mutant.write(directory / "mutant.firn")
    assert verify(firn, written, "--deep")[1]["findings"] == []
    listed = subprocess.run(["unsquashfs", "-dest", directory / "out", "-xattrs", written],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert "xattr" not in listed.stdout.lower() or os.geteuid() != 0, listed.stdout


def test_it_goes_on_after_the_first_finding(firn, image, directory):
    mutant = Mutant(image)
    for change in (other_links, other_type, time_of_another, other_holes,
                   manifest(b"symlinks: 1", b"symlinks: 2")):
        change(mutant)
    code, report = verify(firn, mutant.write(directory / "mutant.firn"), "--deep")
    text = "\n".join(finding["message"] for finding in report["findings"])
    assert code == DAMAGED and set(report["paths"]) >= {"lib", "symlink"}
    for message in ("link count", "another type", "superblock: time", "in holes", "2 symlinks"):
        assert message in text
    # What makes the difference: each checksum is right, files have their bytes, and of all this only
    # an entry of another type cannot be served.
    code, report = verify(firn, directory / "mutant.firn")
    assert code == DAMAGED
    assert {finding.get("path") for finding in report["findings"]} == {"symlink"}


def test_a_profile_of_another_tree_is_noted_only(firn, tree, image, directory):
    profile = directory / "profile"
    profile.write_text("firn-profile 1\nlookup lib/module.py\nmiss lib/gone\n")
    profiled = firn.build(tree, directory / "profiled.firn", "--prefix", "/opt/deep",
                          "--block-size", "4K", "--profile", profile)
    assert verify(firn, profiled, "--deep")[1]["notes"] == []
    mutant = Mutant(profiled)
    mutant.sections["profile"] += b"lookup lib/gone\nmiss noise\n"
    written = mutant.write(directory / "mutant.firn")
    code, report = verify(firn, written, "--deep")
    assert code == 0 and report["findings"] == []
    assert report["notes"] == ["section profile: 2 of 4 lines are not about this tree, the first "
                               "about lib/gone"]
    assert "note: section profile" in firn.run("verify", "--deep", written).stdout


def test_every_path_that_damage_touches_is_named(firn, scratch, directory):
    """One fragment block with many files, and a piece of the inode table."""
    tree = directory / "tree"
    tree.mkdir()
    for number in range(300):
        (tree / f"file-{number:03}").write_text(f"{number}\n")
    image = firn.build(tree, directory / "i.firn", "--prefix", "/opt/many")
    data = image.read_bytes()
    damaged = directory / "damaged.firn"
    damaged.write_bytes(data[:170] + bytes([data[170] ^ 4]) + data[171:])
    code, report = verify(firn, damaged, "--deep")
    assert code == DAMAGED
    assert report["paths"] == [f"file-{number:03}" for number in range(300)]
    assert {finding["offset"] for finding in report["findings"]} == {160}
    text = firn.run("verify", "--deep", damaged, check=False).stdout
    assert "300 paths are touched:\n  file-000\n" in text
    assert len(verify(firn, damaged)[1]["findings"]) < 20


def test_damaged_inodes_are_named_by_their_paths(firn, directory):
    """In tables of many pieces: what stands in the others is told by its path."""
    tree = directory / "tree"
    for number in range(40):
        (tree / f"d{number:02}").mkdir(parents=True)
        for entry in range(60):
            name = os.urandom(90).hex()
            (tree / f"d{number:02}" / f"{entry:02}-{name}").symlink_to(os.urandom(100).hex())
    image = firn.build(tree, directory / "i.firn", "--prefix", "/opt/many")
    whole = Image(image.read_bytes())
    start, end = (whole.superblock[name] for name in ("inode_table", "directory_table"))
    table = [extent for extent in whole.extents() if start <= extent.offset < end]
    assert len(table) > 6
    at = table[3].offset + 5000
    damaged = directory / "damaged.firn"
    damaged.write_bytes(whole.data[:at] + bytes([whole.data[at] ^ 1]) + whole.data[at + 1:])
    code, report = verify(firn, damaged, "--deep")
    unreadable = [finding["path"] for finding in report["findings"]
                  if "cannot be read" in finding["message"]]
    # Of a directory whose inode is gone nothing below is known.
    assert code == DAMAGED and 10 < len(unreadable) < 1000
    with firn.mounted(damaged) as mount:
        for path in unreadable[::20]:
            with pytest.raises(OSError):
                os.readlink(mount / path)
        readable = set(os.listdir(mount / "d39")) - {path.removeprefix("d39/")
                                                     for path in unreadable}
        assert readable and all(os.readlink(mount / "d39" / name) for name in readable)


def test_hostile_tables_are_answered_with_findings(firn, image, directory):
    """Any numbers in the tables, all checksums right: an end is reached, by no crash."""
    codes = set()
    for seed in range(12):
        numbers = random.Random(seed)
        mutant = Mutant(image)
        for _ in range(numbers.choice([1, 2, 6])):
            table = getattr(mutant, numbers.choice(["inodes", "listings"]))
            at = numbers.randrange(len(table))
            table[at] = numbers.choice([0, 1, 127, 128, 255])
        if numbers.random() < 0.3:
            mutant.head["inode_count"] = numbers.choice([0, 2**31, 2**32 - 1])
        if numbers.random() < 0.3:
            mutant.head["fragment_count"] = numbers.choice([3000, 2**32 - 1])
        written = mutant.write(directory / "mutant.firn")
        result = firn.run("verify", "--deep", written, check=False, timeout=60)
        assert result.returncode in (0, DAMAGED), (seed, result)
        codes.add(result.returncode)
    assert DAMAGED in codes
