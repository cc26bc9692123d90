"""The structures of an image as FORMAT.md has them, written without a look at Firn's own reader."""

import dataclasses
import hashlib
import struct

import xxhash

FOOTER = struct.Struct("<8sIIQQQQ32sQ32sQ")
FOOTER_LENGTH = 128
MARK_OFFSET = 128
MARK = struct.Struct("<8sIIQQ")
PAGE = 65536
SUPERBLOCK = struct.Struct("<IIIIIHHHHHHQQQQQQQQ")
SUPERBLOCK_FIELDS = (
    "magic", "inode_count", "mtime", "block_size", "fragment_count", "compressor", "block_log",
    "flags", "id_count", "major", "minor", "root_inode", "bytes_used", "id_table", "xattr_table",
    "inode_table", "directory_table", "fragment_table", "export_table")


def xxh3(data):
    return xxhash.xxh3_64_intdigest(data)


@dataclasses.dataclass
class Section:
    name: str
    offset: int
    length: int
    digest: bytes


@dataclasses.dataclass
class Extent:
    offset: int
    length: int
    xxh3: int
    sha256: bytes


def page_tree_root(content):
    """The digest of a section's content, and the upper levels that stand behind it."""
    upper, level = b"", content
    while len(level) > PAGE:
        level = b"".join(hashlib.sha256(level[at:at + PAGE]).digest()
                         for at in range(0, len(level), PAGE))
        upper += level
    return hashlib.sha256(level).digest(), upper


class Layout:
    """A whole image, taken apart; asserts everything that FORMAT.md promises of the appendix."""

    def __init__(self, data):
        self.data = data
        footer = data[-FOOTER_LENGTH:]
        (magic, self.version, footer_length, self.core_offset, self.core_length,
         self.signatures_offset, self.signatures_length, self.image_id, file_length, zeros,
         checksum) = FOOTER.unpack(footer)
        assert magic == b"FIRNFOOT" and self.version == 1 and footer_length == FOOTER_LENGTH
        assert file_length == len(data) and zeros == bytes(32)
        assert checksum == xxh3(footer[:120])
        self.footer_offset = len(data) - FOOTER_LENGTH

        core = data[self.core_offset:self.core_offset + self.core_length]
        assert hashlib.sha256(core).digest() == self.image_id
        magic, version, count, self.squashfs_length = struct.unpack_from("<8sIIQ", core)
        assert magic == b"FIRNCORE" and version == 1 and len(core) == 24 + 64 * count
        self.sections = {}
        for number in range(count):
            name, offset, length, digest = struct.unpack_from("<16sQQ32s", core, 24 + 64 * number)
            name = name.rstrip(b"\0").decode("ascii")
            assert name not in self.sections and offset % 8 == 0
            self.sections[name] = Section(name, offset, length, digest)
        for section in self.sections.values():
            root, upper = page_tree_root(self.content(section.name))
            assert root == section.digest
            at = section.offset + section.length
            assert data[at:at + len(upper)] == upper

        self.superblock = dict(zip(SUPERBLOCK_FIELDS, SUPERBLOCK.unpack_from(data)))
        assert self.superblock["bytes_used"] == self.squashfs_length
        mark = data[MARK_OFFSET:MARK_OFFSET + 32]
        assert MARK.unpack(mark)[:2] == (b"FIRNMARK", 1) and MARK.unpack(mark)[4] == xxh3(mark[:24])

    def content(self, section):
        section = self.sections[section]
        return self.data[section.offset:section.offset + section.length]

    def extents(self):
        return [Extent(*fields) for fields in struct.iter_unpack("<QQQ32s",
                                                                 self.content("extents"))]

    def extent_at(self, offset):
        """The extent that covers a byte of the SquashFS part."""
        (found,) = [extent for extent in self.extents()
                    if extent.offset <= offset < extent.offset + extent.length]
        return found

    def file_digests(self):
        content = self.content("digests")
        (count,) = struct.unpack_from("<I", content)
        return [content[8 + 32 * number:40 + 32 * number] for number in range(count)]


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
