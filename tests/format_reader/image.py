"""The appendix of an image: mark, footer, core table, sections, signature area."""

import dataclasses
import hashlib
import struct

import xxhash
import yaml

from format_reader.errors import expect
from format_reader.superblock import read_superblock

MARK_OFFSET = 128
MARK = struct.Struct("<8sIIQQ")
FOOTER = struct.Struct("<8sIIQQQQ32sQ32sQ")
FOOTER_LENGTH = 128
CORE_HEAD = struct.Struct("<8sIIQ")
CORE_SECTION = struct.Struct("<16sQQ32s")
AREA_HEAD = struct.Struct("<8sII32s")
EXTENT = struct.Struct("<QQQ32s")
SIGNATURE_LENGTH = 96
PAGE = 65536


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


def signatures_of(area, offset=0):
    """(image id, [(public key, signature)]) of a signature area that stands at `offset`."""
    expect(len(area) >= AREA_HEAD.size + 8, offset, "the signature area is cut short")
    magic, version, count, image_id = AREA_HEAD.unpack_from(area)
    expect(magic == b"FIRNSIGN", offset, "no signature area")
    expect(version == 1, offset + 8, f"signature area of version {version}")
    expect(count <= 64 and len(area) == AREA_HEAD.size + SIGNATURE_LENGTH * count + 8, offset + 12,
           f"{count} signatures do not fit their area")
    expect(struct.unpack("<Q", area[-8:])[0] == xxh3(area[:-8]), offset,
           "the signature area does not have its checksum")
    entries = [area[at:at + SIGNATURE_LENGTH]
               for at in range(AREA_HEAD.size, len(area) - 8, SIGNATURE_LENGTH)]
    return image_id, [(entry[:32], entry[32:]) for entry in entries]


class Image:
    """The appendix of a whole image, whose structures and digests are right, or FormatError."""

    def __init__(self, data):
        self.data = data
        self.superblock = read_superblock(data)
        self._read_mark()
        self._read_footer()
        self._read_core()
        for section in self.sections.values():
            root, upper = page_tree_root(self.content(section.name))
            at = section.offset + section.length
            expect(root == section.digest and data[at:at + len(upper)] == upper, section.offset,
                   f"section {section.name} does not have its digest")

    def _read_mark(self):
        mark = self.data[MARK_OFFSET:MARK_OFFSET + MARK.size]
        expect(mark.startswith(b"FIRNMARK"), MARK_OFFSET, "no mark: not an image of Firn")
        _, version, zero, zeros, checksum = MARK.unpack(mark)
        expect(version == 1, MARK_OFFSET + 8, f"mark of version {version}")
        expect(zero == 0 and zeros == 0 and checksum == xxh3(mark[:24]), MARK_OFFSET,
               "the mark is damaged")

    def _read_footer(self):
        self.footer_offset = len(self.data) - FOOTER_LENGTH
        at = self.footer_offset
        footer = self.data[at:]
        (magic, self.version, length, self.core_offset, self.core_length, self.signatures_offset,
         self.signatures_length, self.image_id, file_length, zeros,
         checksum) = FOOTER.unpack(footer)
        expect(magic == b"FIRNFOOT", at, "no footer: the file was cut short or appended to")
        expect(self.version == 1, at + 8, f"footer of version {self.version}")
        expect(checksum == xxh3(footer[:120]), at + 120, "the footer does not have its checksum")
        expect(length == FOOTER_LENGTH and zeros == bytes(32), at, "the footer is not as specified")
        expect(file_length == len(self.data), at + 80, f"the file had {file_length} bytes")
        expect(self.core_offset + self.core_length <= at, at + 16, "no room for the core table")

    def _read_core(self):
        at = self.core_offset
        core = self.data[at:at + self.core_length]
        expect(hashlib.sha256(core).digest() == self.image_id, at,
               "the core table does not have the image id as SHA-256")
        magic, version, count, self.squashfs_length = CORE_HEAD.unpack_from(core)
        expect(magic == b"FIRNCORE" and version == 1, at, "no core table of version 1")
        expect(count <= 64 and len(core) == CORE_HEAD.size + CORE_SECTION.size * count, at + 12,
               f"{count} sections do not fit the core table")
        expect(self.squashfs_length == self.superblock["bytes_used"], at + 16,
               "core table and superblock disagree on the SquashFS part")
        self.sections, end = {}, self.squashfs_length
        for entry in range(at + CORE_HEAD.size, at + len(core), CORE_SECTION.size):
            name, offset, length, digest = CORE_SECTION.unpack_from(self.data, entry)
            name = name.rstrip(b"\0").decode("ascii", "replace")
            expect(name and name.isascii() and name not in self.sections, entry,
                   f"a section has the name {name!r}")
            expect(offset % 8 == 0 and end <= offset <= self.core_offset
                   and length <= self.core_offset - offset, entry + 16,
                   f"section {name} is out of its place")
            self.sections[name] = Section(name, offset, length, digest)
            end = offset + length

    def content(self, name):
        section = self.sections[name]
        return self.data[section.offset:section.offset + section.length]

    def manifest(self):
        return yaml.safe_load(self.content("manifest"))

    def extents(self):
        return [Extent(*fields) for fields in EXTENT.iter_unpack(self.content("extents"))]

    def extent_at(self, offset):
        """The extent that covers a byte of the SquashFS part."""
        (found,) = [extent for extent in self.extents()
                    if extent.offset <= offset < extent.offset + extent.length]
        return found

    def file_digests(self):
        """The SHA-256 of the file with inode number 1, 2, …"""
        content = self.content("digests")
        (count,) = struct.unpack_from("<I", content)
        return [content[8 + 32 * number:40 + 32 * number] for number in range(count)]

    def signatures(self):
        """(image id, [(public key, signature)]), or None where the image has none."""
        at = self.signatures_offset
        if at == 0 and self.signatures_length == 0:
            return None
        expect(self.core_offset + self.core_length <= at
               and at + self.signatures_length <= self.footer_offset, self.footer_offset + 32,
               "no room for the signature area")
        return signatures_of(self.data[at:at + self.signatures_length], at)
