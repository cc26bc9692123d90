"""Checks a whole image against FORMAT.md, without Firn: what `firn verify` should say, in Python.

As a program: image_format.py IMAGE prints the image id, or fails with what is wrong.
"""

import hashlib
import struct
import sys

from harness.layout import FOOTER_LENGTH, Layout, page_tree_root, xxh3
from harness.signatures import signatures

FIRST_DATA = 160
METADATA_EXTENT = 16 * 1024
SECTIONS = ["manifest", "extents", "digests"]


def check_image(path, *more):
    """The Layout of the image at `path`, every rule of FORMAT.md that bytes can show asserted.

    more: names of the optional sections that it has.
    """
    with open(path, "rb") as file:
        image = Layout(file.read())
    check_gaps(image, more)
    check_extents(image)
    check_digests(image)
    return image


def check_gaps(image, more):
    """Bytes that no table names are zero, and sections stand where they should."""
    assert list(image.sections) == SECTIONS + list(more)
    head = 102 if image.superblock["flags"] & 0x0400 else 96
    assert image.data[head:128] == bytes(128 - head)
    at = image.squashfs_length
    first = True
    for section in image.sections.values():
        step = 4096 if first else 8
        expected = (at + step - 1) // step * step
        assert section.offset == expected, section
        assert image.data[at:section.offset] == bytes(section.offset - at)
        content = image.content(section.name)
        at = section.offset + len(content) + len(page_tree_root(content)[1])
        first = False
    assert image.core_offset == (at + 7) // 8 * 8
    assert image.data[at:image.core_offset] == bytes(image.core_offset - at)
    at = image.core_offset + image.core_length
    if image.signatures_length == 0:
        assert image.signatures_offset == 0
    else:
        assert image.signatures_offset == at
        image_id, entries = signatures(image.data[at:at + image.signatures_length])
        assert image_id == image.image_id
        assert len({key for key, _ in entries}) == len(entries)
    assert at + image.signatures_length == len(image.data) - FOOTER_LENGTH


def check_extents(image):
    at = 0
    inode_table = image.superblock["inode_table"]
    for extent in image.extents():
        assert extent.offset == at and 1 <= extent.length <= 1 << 20
        data = image.data[at:at + extent.length]
        assert len(data) == extent.length
        assert xxh3(data) == extent.xxh3
        assert hashlib.sha256(data).digest() == extent.sha256
        at += extent.length
        if extent.offset == 0:
            assert extent.length == FIRST_DATA
        elif extent.offset >= inode_table:
            assert extent.length <= METADATA_EXTENT
        else:
            assert at <= inode_table
    assert at == image.squashfs_length


def check_digests(image):
    content = image.content("digests")
    count, zero = struct.unpack_from("<II", content)
    assert zero == 0 and len(content) == 8 + 36 * count
    digests = image.file_digests()
    index = struct.unpack_from(f"<{count}I", content, 8 + 32 * count)
    assert list(index) == sorted(range(1, count + 1), key=lambda n: (digests[n - 1], n))


def check_digests_of_tree(image, listing):
    """The digests are those of the files; `listing` is harness.tree's, of the mounted image."""
    files = {entry.inode: entry.sha256 for entry in listing.values() if entry.type == "file"}
    digests = [digest.hex() for digest in image.file_digests()]
    assert files == dict(enumerate(digests, start=1))
    inodes = {entry.inode for entry in listing.values()}
    assert inodes == set(range(1, image.superblock["inode_count"] + 1))


if __name__ == "__main__":
    print("sha256:" + check_image(sys.argv[1]).image_id.hex())
