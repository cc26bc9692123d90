"""What images can be wrong in while every checksum is right: one change of a Mutant each.

Of each kind: the paths that it makes unusable (nothing else may be), what the log says, and what
`firn verify --deep` finds.
"""

import dataclasses
import os
import random
import struct
from collections.abc import Callable

from harness.mutator import METADATA_BLOCK, block_of, reference_to

NOWHERE_32, NOWHERE_64 = 2**32 - 1, 2**64 - 1
# Where fields stand in inodes, from the inode's start: of all, of directories, of symlinks, of
# files, of extended files.
TYPE, OWNER, NUMBER, LINKS = 0, 4, 12, 16
LISTING, DIRECTORY_LINKS, LISTING_LENGTH, PARENT = 16, 20, 24, 28
TARGET_LENGTH = 20
START, FRAGMENT, FRAGMENT_OFFSET, SIZE, WORDS = 16, 20, 24, 28, 32
EXTENDED_SIZE, EXTENDED_LINKS, EXTENDED_XATTR = 24, 40, 52
# Of an entry, from its start; and of an extended directory's index.
DIFFERENCE, ENTRY_TYPE, NAME_LENGTH, NAME = 2, 4, 6, 8
EXTENDED_DIRECTORY_LENGTH, INDEX = 20, 40


def make_tree(root, many=260):
    """One of each; with the default its directory `many` is so large that it has an index."""
    numbers = random.Random(4)
    for directory in ("lib/below", "many", "twin-1", "twin-2", "p"):
        (root / directory).mkdir(parents=True)
    for name in ("x", "xy", "same-1", "same-2", "plain", "lib/module", "lib/below/other",
                 "twin-1/inside-1", "twin-2/inside-2", "p/only"):
        (root / name).write_text(f"this is {name}\n")
    (root / "noise").write_bytes(numbers.randbytes(3 * 4096 + 100))
    with open(root / "holes", "wb") as file:
        file.seek(2 * 4096)
        file.write(numbers.randbytes(5000))
    (root / "one-name").write_text("linked\n")
    os.link(root / "one-name", root / "other-name")
    (root / "symlink").symlink_to("lib/module")
    for number in range(many):
        (root / "many" / f"{number:03}-{'n' * 245}").write_text(f"{number}\n")
    return root


@dataclasses.dataclass
class Kind:
    change: Callable
    damaged: tuple  # paths; what is below them goes with them
    log: str | None = None  # a regular expression that one line of the log has
    finding: str = ""  # what a finding has


def renamed(old, new):
    def change(mutant):
        at = mutant.entry(old) + NAME
        assert len(old) == len(new)
        mutant.listings[at:at + len(new)] = new
    return change


def packed(path, field, form, *values):
    """Sets a field of an inode."""
    return lambda mutant: mutant.pack("inodes", mutant.inode(path) + field, form, *values)


def entry_packed(name, field, form, value):
    return lambda mutant: mutant.pack("listings", mutant.entry(name) + field, form, value)


def leading(name, path):
    """An entry that leads to the inode of another path."""
    return lambda mutant: mutant.lead(name, mutant.paths[path].number)


def numbered(name, number):
    return lambda mutant: mutant.lead(
        name, number if number >= 0 else len(mutant.exports) - number)


def exported(path, reference):
    def change(mutant):
        mutant.exports[mutant.paths[path].number - 1] = (
            reference(mutant) if callable(reference) else reference)
    return change


def both(*changes):
    def change(mutant):
        for one in changes:
            one(mutant)
    return change


def cycle(mutant):
    """A directory in itself that says so: nobody comes to it any more."""
    mutant.lead(b"below", mutant.paths[b"lib"].number)
    mutant.pack("inodes", mutant.inode(b"lib") + PARENT, "I", mutant.paths[b"lib"].number)


def long_target(length):
    def change(mutant):
        number = mutant.paths[b"symlink"].number
        mutant.add_inode(b"symlink", struct.pack("<HHHHIIII", 3, 0o777, 0, 0, 0, number, 1, length)
                         + b"t" * length)
    return change


def other_fragment(offset, word):
    """`plain` has its tail in a fragment block of its own, which is not there."""
    def change(mutant):
        mutant.fragments.append((offset, word, 0))
        mutant.head["fragment_count"] += 1
        packed(b"plain", FRAGMENT, "I", len(mutant.fragments) - 1)(mutant)
    return change


def behind_fragment(mutant):
    """Within a block's size, behind what the fragment block decodes to."""
    packed(b"plain", FRAGMENT_OFFSET, "I", 4090)(mutant)


def zstd_bomb(blocks, declared=None):
    """A zstd frame of zeros, 128 KiB for each 4 bytes."""
    head = (struct.pack("<IBB", 0xFD2FB528, 0x00, 0x38) if declared is None
            else struct.pack("<IBQ", 0xFD2FB528, 0xE0, declared))
    body = b"".join(struct.pack("<I", (131072 << 3 | 2 | (number == blocks - 1)))[:3] + b"\0"
                    for number in range(blocks))
    return head + body


def data_bomb(declared):
    """The first block of `noise` is a bomb, filled up to where the next one stands."""
    def change(mutant):
        bomb = zstd_bomb(800, declared)
        bomb += struct.pack("<II", 0x184D2A50, 4096 - len(bomb) - 8)
        bomb += bytes(4096 - len(bomb))
        (start,) = struct.unpack_from("<I", mutant.inodes, mutant.inode(b"noise") + START)
        mutant.data[start - 160:start - 160 + 4096] = bomb
        mutant.pack("inodes", mutant.inode(b"noise") + WORDS, "I", 4096)
    return change


def metadata_bomb(mutant):
    """A metadata block behind the inode table's, to which `noise` is said to lead."""
    bomb = zstd_bomb(1000)
    mutant.inode_tail = struct.pack("<H", len(bomb)) + bomb
    last = len(mutant.inodes) % METADATA_BLOCK
    place = block_of(len(mutant.inodes)) + (2 + last if last else 0)
    exported(b"noise", place << 16)(mutant)


def listing_length(path, difference):
    def change(mutant):
        at = mutant.inode(path) + LISTING_LENGTH
        (length,) = struct.unpack_from("<H", mutant.inodes, at)
        mutant.pack("inodes", at, "H", min(max(length + difference, 0), 0xFFFF))
    return change


def index_entry(field, form, value):
    """`many`'s index, whose inode is an extended one."""
    def change(mutant):
        inode = mutant.inode(b"many")
        assert struct.unpack_from("<H", mutant.inodes, inode)[0] == 8
        assert struct.unpack_from("<H", mutant.inodes, inode + 32)[0] > 0
        mutant.pack("inodes", inode + INDEX + field, form, value)
    return change


def cut_off(mutant):
    """An inode that begins in the last bytes of the table."""
    exported(b"plain", reference_to(len(mutant.inodes) - 4))(mutant)


def across_blocks(mutant):
    """An inode that begins in one metadata block and ends in the next is as good as any."""
    place = mutant.inode(b"plain")
    inode = bytes(mutant.inodes[place:place + WORDS])
    filler = METADATA_BLOCK - len(mutant.inodes) % METADATA_BLOCK - 10
    mutant.inodes += bytes(filler % METADATA_BLOCK)
    mutant.add_inode(b"plain", inode)


ENTRY = r"fails: .*{}: (at offset \d+: )?"
OF_LIST = ENTRY + r"directory table: entry '{}' of inode \d+ {}"
OF_ENTRY = ENTRY + r"entry '{}' of inode \d+: {}"


def left_out(name, why):
    return OF_LIST.format("{}", name, why)


def refused(name, why):
    return OF_ENTRY.format("{}", name, why)


IMPOSSIBLE, UNORDERED = "has a name that no file may have", "stands out of the order of names"
TWICE, ELSEWHERE = "leads to a directory that has another name already", "leads to the directory"
NO_NAME, NO_ORDER = "no file may have", "order of names"
NO_DECODE = r"fails: .*{}: at offset \d+: a block cannot be decompressed"

KINDS = {
    "a name with a slash": Kind(
        renamed(b"noise", b"noi/e"), ("noise",), left_out("noi/e", IMPOSSIBLE), NO_NAME),
    "the name .": Kind(renamed(b"x", b"."), ("x",), left_out(r"\.", IMPOSSIBLE), NO_NAME),
    "the name ..": Kind(renamed(b"xy", b".."), ("xy",), left_out(r"\.\.", IMPOSSIBLE), NO_NAME),
    "a name with NUL": Kind(
        renamed(b"noise", b"no\0se"), ("noise",), left_out(r"no\\x00se", IMPOSSIBLE), NO_NAME),
    "an empty name": Kind(renamed(b"x", b"\0"), ("x",), left_out(r"\\x00", IMPOSSIBLE), NO_NAME),
    "a name that is too long": Kind(
        entry_packed(b"other", NAME_LENGTH, "H", 300), ("lib/below",),
        r"fails: .*{}: at offset \d+: directory table: a listing is longer", "a name is too long"),
    "a name of two files": Kind(
        renamed(b"same-2", b"same-1"), ("same-2",), left_out("same-1", UNORDERED), NO_ORDER),
    "a name of two directories": Kind(
        renamed(b"twin-2", b"twin-1"), ("twin-2",), left_out("twin-1", UNORDERED), NO_ORDER),
    "names out of order": Kind(
        renamed(b"twin-2", b"aaaaaa"), ("twin-2",), left_out("aaaaaa", UNORDERED), NO_ORDER),
    "two names of a directory in one": Kind(
        leading(b"twin-2", b"twin-1"), ("twin-2",), left_out("twin-2", TWICE), "has two names"),
    "two parents of a directory": Kind(
        leading(b"below", b"twin-1"), ("lib/below",), refused("below", ELSEWHERE),
        "has two names"),
    "a directory in itself": Kind(
        leading(b"below", b"lib"), ("lib/below",), refused("below", ELSEWHERE), "has two names"),
    "a directory in itself that says so": Kind(
        cycle, ("lib",), refused("lib", ELSEWHERE), "names another directory as its parent"),
    "the root in a directory": Kind(
        leading(b"below", b""), ("lib/below",), refused("below", "leads to the root"),
        "has two names"),
    "a parent that is not there": Kind(
        packed(b"lib", PARENT, "I", 4000), ("lib",), refused("lib", ELSEWHERE),
        "names another directory as its parent"),
    "a symlink's length": Kind(
        packed(b"symlink", TARGET_LENGTH, "I", NOWHERE_32), ("symlink",),
        refused("symlink", "inode table: a symlink has an impossible length of 4294967295"),
        "impossible length of 4294967295"),
    "a symlink that is as long": Kind(
        long_target(65_000), ("symlink",),
        refused("symlink", "inode table: a symlink has an impossible length of 65000"),
        "impossible length of 65000"),
    "a symlink of 4096 bytes": Kind(
        long_target(4096), ("symlink",),
        refused("symlink", "inode table: a symlink has an impossible length of 4096"),
        "impossible length of 4096"),
    "a size near 2^64": Kind(
        packed(b"holes", EXTENDED_SIZE, "Q", NOWHERE_64), ("holes",),
        refused("holes", "inode table: a file has an impossible size of 18446744073709551615"),
        "impossible size of 18446744073709551615"),
    "a size near 2^63": Kind(
        packed(b"holes", EXTENDED_SIZE, "Q", 2**63 - 1), ("holes",),
        refused("holes", "inode table: a file of 9223372036854775807 bytes has more blocks"),
        "bytes has more blocks"),
    "a list of blocks behind the table": Kind(
        packed(b"holes", EXTENDED_SIZE, "Q", 2**28), ("holes",), r"read of inode \d+ fails: .*{}",
        "metadata:"),
    "blocks of other things": Kind(
        packed(b"noise", SIZE, "I", 2**16), ("noise",), r"read of inode \d+ fails: .*{}",
        "inode"),
    "blocks behind the file": Kind(
        packed(b"noise", START, "I", 2**32 - 4096), ("noise",),
        r"read of inode \d+ fails: .*{}: at offset \d+: a table points to", "outside the data"),
    "a block that is too long": Kind(
        packed(b"noise", WORDS, "I", 1 << 24 | 5000), ("noise",),
        r"read of inode \d+ fails: .*{}: at offset \d+: a block has an impossible length of 5000",
        "impossible length of 5000"),
    "a fragment that is not there": Kind(
        packed(b"plain", FRAGMENT, "I", 9999), ("plain",),
        r"read of inode \d+ fails: .*{}: .*entry 9999 asked of", "entry 9999"),
    "a tail behind its fragment": Kind(
        packed(b"plain", FRAGMENT_OFFSET, "I", NOWHERE_32 - 3), ("plain",),
        r"read of inode \d+ fails: .*{}: .*tail lies outside", "tail lies outside"),
    "a tail behind what its fragment decodes to": Kind(
        behind_fragment, ("plain",), r"read of inode \d+ fails: .*{}: .*tail lies outside",
        "tail lies outside"),
    "a fragment outside the file": Kind(
        other_fragment(2**60, 100), ("plain",), r"read of inode \d+ fails: .*{}: .*points to",
        "leads to 100 bytes at 1152921504606846976"),
    "a fragment that wraps around": Kind(
        other_fragment(NOWHERE_64 - 10, 100), ("plain",),
        r"read of inode \d+ fails: .*{}: .*points to", "leads to 100 bytes"),
    "an empty fragment": Kind(
        other_fragment(200, 0), ("plain",), r"read of inode \d+ fails: .*{}: .*block is empty",
        "leads to 0 bytes"),
    "an inode number out of range": Kind(
        numbered(b"symlink", -500), ("symlink",), refused("symlink", "inode table: inode"),
        "which is not there"),
    "inode number 0": Kind(
        numbered(b"x", 0), ("x",), refused("x", "inode table: inode 0 of"), "which is not there"),
    "an inode number twice": Kind(
        lambda mutant: packed(b"symlink", NUMBER, "I", mutant.paths[b"lib"].number)(mutant),
        ("symlink",), refused("symlink", r"inode table: inode \d+ asked for"),
        "two inodes have the number"),
    "an export of another inode": Kind(
        exported(b"noise", lambda mutant: mutant.exports[mutant.paths[b"lib"].number - 1]),
        ("noise",), refused("noise", r"inode table: inode \d+ asked for"), "export table: inode"),
    "an export outside the table": Kind(
        exported(b"noise", 2**44 << 16), ("noise",), refused("noise", "metadata: a reference"),
        "export table: inode"),
    "an export behind its block": Kind(
        exported(b"noise", 0xFFFF), ("noise",), refused("noise", "metadata: a reference"),
        "export table: inode"),
    "an export of the middle of an inode": Kind(
        exported(b"noise", lambda mutant: reference_to(mutant.inode(b"noise") + 2)), ("noise",),
        refused("noise", ""), "export table: inode"),
    "a block that is a bomb": Kind(data_bomb(None), ("noise",), NO_DECODE, "decompressed"),
    "a block that says that it is a bomb": Kind(
        data_bomb(800 * 131072), ("noise",), NO_DECODE, "decompressed"),
    "a metadata block that is a bomb": Kind(
        metadata_bomb, ("noise",), refused("noise", "a block cannot be decompressed"),
        "export table: inode"),
    "a listing that is too long": Kind(
        listing_length(b"p", 60_000), ("p",), r"fails: .*{}: at offset \d+: ", ""),
    "a listing that ends in an entry": Kind(
        listing_length(b"p", -2), ("p",),
        r"fails: .*{}: at offset \d+: directory table: a listing is longer",
        "longer than its inode says"),
    "a listing outside the table": Kind(
        packed(b"p", LISTING, "I", 2**31), ("p",), r"fails: .*{}: at offset \d+: metadata",
        "metadata:"),
    "an index that leads elsewhere": Kind(
        index_entry(0, "I", 20), (), None, "of its index leads to no run"),
    "an index that leads to another block": Kind(
        index_entry(4, "I", 3), (), None, "metadata:"),
    "an index of other names": Kind(
        index_entry(12, "B", 0x21), (), None, "of its index leads to no run"),
    "an index whose names are too long": Kind(
        index_entry(8, "I", 70_000), ("many",),
        r"fails: .*{}: .*an index has a name that is too long", "cannot be read"),
    "a link count": Kind(packed(b"lib", DIRECTORY_LINKS, "I", 77), (), None, "link count of 77"),
    "no links": Kind(
        packed(b"one-name", EXTENDED_LINKS, "I", 0), ("one-name", "other-name"),
        refused("one-name", r"leads to inode \d+, which has no links"), "link count of 0"),
    "an owner that is not there": Kind(
        packed(b"plain", OWNER, "H", 900), ("plain",),
        refused("plain", "inode table: an owner has number 900"), "an owner has number 900"),
    "attributes that are not there": Kind(
        packed(b"holes", EXTENDED_XATTR, "I", 12), (), None, "extended attributes 12 of 0"),
    "an inode that the table's end cuts off": Kind(
        cut_off, ("plain",), refused("plain", ""), "export table: inode"),
    "an inode across two blocks": Kind(across_blocks, (), None, ""),
    "an inode of no type": Kind(
        packed(b"plain", TYPE, "H", 15), ("plain",), refused("plain", "inode table: type 15"),
        "type 15"),
    "an entry of another type": Kind(
        entry_packed(b"symlink", ENTRY_TYPE, "H", 2), ("symlink",),
        refused("symlink", r"leads to inode \d+, which is of another type"), "of another type"),
    "an entry of no type": Kind(
        entry_packed(b"symlink", ENTRY_TYPE, "H", 700), ("symlink",),
        refused("symlink", r"leads to inode \d+, which is of another type"), "of another type"),
}


def root_is_a_file(mutant):
    mutant.head["root_inode"] = mutant.exports[mutant.paths[b"x"].number - 1]


def head_is(field, value):
    return lambda mutant: mutant.head.__setitem__(field, value)


# With these nothing of the image can be shown, and what the message says.
REFUSED = {
    "a root that is a file": (root_is_a_file, "the root is not a directory"),
    "a root of number 0": (packed(b"", NUMBER, "I", 0), "the root has inode number 0"),
    "a root outside": (head_is("root_inode", 2**48), "metadata: a reference leads"),
    "tables in each other": (head_is("directory_table", 200), "superblock: "),
    "an inode table outside": (head_is("inode_table", 2**62), "superblock: "),
    "a block size": (head_is("block_size", 2**31), "superblock: block size"),
    "no ids": (head_is("id_count", 0), "superblock: no ids"),
    "ids behind the file": (head_is("id_count", 65_535), ""),
}


# Random changes of any field of any structure.

NUMBERS_8 = [0, 1, 2, 3, 5, 127, 128, 255]
NUMBERS_16 = [0, 1, 2, 7, 8, 255, 256, 0x7FFF, 0x8000, 0xFFFF]
NUMBERS_32 = [0, 1, 3, 255, 4096, 8192, 65_536, 2**20, 2**24, 2**31 - 1,
              2**31, 2**32 - 2, 2**32 - 1]
NUMBERS_64 = [0, 1, 96, 2**20, 2**31, 2**32, 2**48, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1]
NUMBERS = {"B": NUMBERS_8, "H": NUMBERS_16, "I": NUMBERS_32, "Q": NUMBERS_64}


def any_number(numbers, form, before):
    """One that is likely to matter, one near the one before, or any."""
    bits = 8 * struct.calcsize(form)
    choice = numbers.randrange(3)
    if choice == 0:
        return numbers.choice(NUMBERS[form])
    if choice == 1:
        return (before + numbers.choice([-4096, -16, -2, -1, 1, 2, 16, 4096])) % 2**bits
    return numbers.getrandbits(bits)


def change_table(numbers, table):
    """Somewhere in the table: so each field of each inode and each entry is met."""
    form = numbers.choice("BHIIHHQ")
    at = numbers.randrange(len(table) - struct.calcsize(form) + 1)
    (before,) = struct.unpack_from("<" + form, table, at)
    struct.pack_into("<" + form, table, at, any_number(numbers, form, before))


def change_inode(numbers, mutant):
    place = mutant.inode(numbers.choice(sorted(mutant.paths)))
    form = numbers.choice("HIIQ")
    at = place + numbers.choice([0, 2, 4, 6, 8, 12, 16, 20, 24, 26, 28, 32, 36, 40, 44, 48, 52, 56])
    if at + struct.calcsize(form) <= len(mutant.inodes):
        (before,) = struct.unpack_from("<" + form, mutant.inodes, at)
        struct.pack_into("<" + form, mutant.inodes, at, any_number(numbers, form, before))


def change_entry(numbers, mutant):
    name = numbers.choice(sorted(path for path in mutant.paths if path)).rpartition(b"/")[2]
    entry = mutant.entry(name)
    field, form = numbers.choice([(0, "H"), (2, "H"), (4, "H"), (6, "H"), (8, "B")])
    (before,) = struct.unpack_from("<" + form, mutant.listings, entry + field)
    after = any_number(numbers, form, before)
    if field == 2 and numbers.random() < 0.7:  # to an inode that is there
        after = (before + numbers.randrange(-60, 60)) % 2**16
    struct.pack_into("<" + form, mutant.listings, entry + field, after)


def change_fragment(numbers, mutant):
    number = numbers.randrange(len(mutant.fragments))
    entry = list(mutant.fragments[number])
    field = numbers.randrange(2)
    entry[field] = any_number(numbers, "QI"[field], entry[field])
    mutant.fragments[number] = tuple(entry)


def change_export(numbers, mutant):
    number = numbers.randrange(len(mutant.exports))
    mutant.exports[number] = numbers.choice([
        numbers.choice(mutant.exports), any_number(numbers, "Q", mutant.exports[number])])


def change_data(numbers, mutant):
    at = numbers.randrange(len(mutant.data))
    mutant.data[at] = numbers.randrange(256)


def change_head(numbers, mutant):
    field, form = numbers.choice([
        ("inode_count", "I"), ("fragment_count", "I"), ("id_count", "H"), ("root_inode", "Q"),
        ("fragment_table", "Q"), ("export_table", "Q"), ("id_table", "Q"), ("xattr_table", "Q"),
        ("directory_table", "Q"), ("flags", "H")])
    mutant.head[field] = any_number(numbers, form, mutant.head[field])


def change_randomly(numbers, mutant):
    for _ in range(numbers.choice([1, 1, 1, 2, 4])):
        change = numbers.choices(
            [change_inode, change_entry, change_fragment, change_export, change_data, change_head,
             lambda numbers, mutant: change_table(numbers, mutant.inodes),
             lambda numbers, mutant: change_table(numbers, mutant.listings)],
            weights=[6, 6, 1, 2, 1, 1, 2, 2])[0]
        change(numbers, mutant)
