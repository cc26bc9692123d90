"""Whole images through the independent reader, and changes that keep their checksums right."""

import hashlib
import struct

from format_reader.check import check_appendix
from format_reader.image import FOOTER, FOOTER_LENGTH, PAGE, Image, page_tree_root, xxh3
from format_reader.superblock import SUPERBLOCK, SUPERBLOCK_FIELDS

__all__ = ["FOOTER", "FOOTER_LENGTH", "SUPERBLOCK", "SUPERBLOCK_FIELDS", "Layout", "check_image",
           "check_digests_of_tree", "page_tree_root", "with_core", "with_footer_version",
           "with_manifest", "with_mark_version", "xxh3"]

MARK_OFFSET = 128
FIRST_DATA = 160
METADATA_EXTENT = 16 * 1024
SECTIONS = ["manifest", "extents", "digests"]

# An image taken apart; what FORMAT.md promises of the appendix holds, or FormatError.
Layout = Image


def check_image(path, *more):
    """The Layout of the image at `path`, every rule that its appendix shows asserted.

    more: names of the optional sections that it has. What files hold is not looked at.
    """
    with open(path, "rb") as file:
        image = Layout(file.read())
    assert not check_appendix(image)
    assert list(image.sections) == SECTIONS + list(more)
    _check_places(image)
    _check_cut(image)
    return image


def _check_places(image):
    """Parts stand as close as their alignment lets them."""
    at, step = image.squashfs_length, 4096
    for section in image.sections.values():
        assert section.offset == -(-at // step) * step, section
        content = image.content(section.name)
        at = section.offset + len(content) + len(page_tree_root(content)[1])
        step = 8
    assert image.core_offset == -(-at // 8) * 8
    at = image.core_offset + image.core_length
    if image.signatures_length:
        assert image.signatures_offset == at
    assert at + image.signatures_length == image.footer_offset


def _check_cut(image):
    """Firn's writer cuts extents so."""
    inode_table = image.superblock["inode_table"]
    for extent in image.extents():
        if extent.offset == 0:
            assert extent.length == FIRST_DATA
        elif extent.offset >= inode_table:
            assert extent.length <= METADATA_EXTENT
        else:
            assert extent.offset + extent.length <= inode_table


def check_digests_of_tree(image, listing):
    """The digests are those of the files; `listing` is harness.tree's, of the mounted image."""
    files = {entry.inode: entry.sha256 for entry in listing.values() if entry.type == "file"}
    digests = [digest.hex() for digest in image.file_digests()]
    assert files == dict(enumerate(digests, start=1))
    inodes = {entry.inode for entry in listing.values()}
    assert inodes == set(range(1, image.superblock["inode_count"] + 1))


def with_footer_version(data, version):
    """The image as a later version would end it: the checksum is right."""
    footer = bytearray(data[-FOOTER_LENGTH:])
    struct.pack_into("<I", footer, 8, version)
    struct.pack_into("<Q", footer, 120, xxh3(bytes(footer[:120])))
    return data[:-FOOTER_LENGTH] + bytes(footer)


def with_mark_version(data, version):
    mark = bytearray(data[MARK_OFFSET:MARK_OFFSET + 32])
    struct.pack_into("<I", mark, 8, version)
    struct.pack_into("<Q", mark, 24, xxh3(bytes(mark[:24])))
    return data[:MARK_OFFSET] + bytes(mark) + data[MARK_OFFSET + 32:]


def with_core(data, change):
    """The image with its core table changed in place by `change`, id and checksum right again."""
    return _with_core(data, Layout(data), change)


def _with_core(data, layout, change):
    end = layout.core_offset + layout.core_length
    core = bytearray(data[layout.core_offset:end])
    change(core)
    footer = bytearray(data[-FOOTER_LENGTH:])
    footer[48:80] = hashlib.sha256(core).digest()
    struct.pack_into("<Q", footer, 120, xxh3(bytes(footer[:120])))
    return data[:layout.core_offset] + bytes(core) + data[end:-FOOTER_LENGTH] + bytes(footer)


def with_manifest(data, change):
    """The image with change(text) as its manifest, which may not be longer than the old one."""
    layout = Layout(data)
    section = layout.sections["manifest"]
    end = section.offset + section.length
    new = change(data[section.offset:end].decode()).encode()
    assert len(new) <= section.length <= PAGE, "leave room in the manifest, with a long --name"
    new += b"\n" * (section.length - len(new))

    def change_digest(core):
        at = core.index(section.digest)
        core[at:at + 32] = hashlib.sha256(new).digest()

    return _with_core(data[:section.offset] + new + data[end:], layout, change_digest)
