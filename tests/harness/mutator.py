"""Images changed in their structures, every checksum and the id right again.

Tables are written anew, uncompressed, so that whoever changes a number in them need not care what
it compresses to. For images whose inode and directory table fit into one metadata block each.
"""

import hashlib
import struct

from format_reader.image import (CORE_HEAD, CORE_SECTION, EXTENT, FOOTER, Image, page_tree_root,
                                 xxh3)
from format_reader.squashfs import METADATA_BLOCK, NONE_64, SquashFS
from format_reader.superblock import SUPERBLOCK, SUPERBLOCK_FIELDS

FIRST_DATA = 160
STORED_AS_IS = 0x8000


class Mutant:
    """An image taken apart. Change what you like, then write()."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.original = Image(file.read())
        squashfs = SquashFS(self.original.data)
        head = squashfs.head
        self.head = dict(head)
        self.front = bytearray(self.original.data[96:FIRST_DATA])
        self.data = bytearray(self.original.data[FIRST_DATA:head["inode_table"]])
        self.inodes = self._only_block(squashfs, "inode_table")
        self.listings = self._only_block(squashfs, "directory_table")
        self.fragments = list(squashfs.fragments)
        self.exports = list(squashfs.exports)
        self.ids = list(squashfs.ids)
        self.xattrs = None  # called with the table's offset, gives its bytes and where it starts
        self.sections = {name: self.original.content(name) for name in self.original.sections
                         if name != "extents"}
        self.paths = {path: inode for path, inode in squashfs.walk()}

    @staticmethod
    def _only_block(squashfs, table):
        decoded, _ = squashfs.metadata_block(squashfs.head[table])
        return bytearray(decoded)

    def inode(self, path):
        """Where in `inodes` the inode of a path (bytes) stands."""
        return self.exports[self.paths[path].number - 1] & 0xFFFF

    def entry(self, name):
        """Where in `listings` the entry of a name (bytes, nothing else contains it) stands."""
        return self.listings.index(struct.pack("<H", len(name) - 1) + name) - 6

    def listing(self, path):
        """Where in `listings` that of a directory stands."""
        return self.paths[path].listing[1]

    def pack(self, table, at, form, *values):
        struct.pack_into("<" + form, getattr(self, table), at, *values)

    def write(self, path):
        squashfs = self._squashfs()
        sections = dict(self.sections)
        sections["extents"] = self._extents(squashfs)
        order = ["manifest", "extents", *(name for name in sections
                                          if name not in ("manifest", "extents"))]
        data = squashfs + bytes(-len(squashfs) % 4096)
        core = b""
        for name in order:
            root, upper = page_tree_root(sections[name])
            core += CORE_SECTION.pack(name.encode(), len(data), len(sections[name]), root)
            data += sections[name] + upper
            data += bytes(-len(data) % 8)
        core = CORE_HEAD.pack(b"FIRNCORE", 1, len(order), len(squashfs)) + core
        footer = FOOTER.pack(b"FIRNFOOT", 1, 128, len(data), len(core), 0, 0,
                             hashlib.sha256(core).digest(), len(data) + len(core) + 128, bytes(32),
                             0)[:-8]
        path.write_bytes(data + core + footer + struct.pack("<Q", xxh3(footer)))
        return path

    def _squashfs(self):
        head = dict(self.head)
        out = bytearray(96) + self.front + self.data

        def place(field, data):
            # What a test has set to another place stays there.
            if head[field] == self.original.superblock[field]:
                head[field] = len(out)
            out.extend(data)

        place("inode_table", _block(self.inodes))
        place("directory_table", _block(self.listings))
        for field, entries in (
                ("fragment_table",
                 b"".join(struct.pack("<QII", *entry) for entry in self.fragments)),
                ("export_table", struct.pack(f"<{len(self.exports)}Q", *self.exports)),
                ("id_table", struct.pack(f"<{len(self.ids)}I", *self.ids))):
            if head[field] == NONE_64:
                continue
            places = []
            for at in range(0, len(entries), METADATA_BLOCK):
                places.append(len(out))
                out.extend(_block(entries[at:at + METADATA_BLOCK]))
            place(field, struct.pack(f"<{len(places)}Q", *places))
        if self.xattrs:
            table, start = self.xattrs(len(out))
            head["xattr_table"] = start
            out.extend(table)
        if head["bytes_used"] == self.original.squashfs_length:
            head["bytes_used"] = len(out)
        out[:96] = SUPERBLOCK.pack(*(head[field] for field in SUPERBLOCK_FIELDS))
        return bytes(out)

    def _extents(self, squashfs):
        """One for each old extent of data, and the rest in pieces."""
        ends = [extent.offset + extent.length for extent in self.original.extents()
                if extent.offset < self.original.superblock["inode_table"]]
        ends += range(ends[-1] + 16384, len(squashfs), 16384)
        start, table = 0, b""
        for end in [*ends, len(squashfs)]:
            piece = squashfs[start:end]
            table += EXTENT.pack(start, len(piece), xxh3(piece), hashlib.sha256(piece).digest())
            start = end
        return table


def _block(decoded):
    assert 0 < len(decoded) <= METADATA_BLOCK
    return struct.pack("<H", len(decoded) | STORED_AS_IS) + bytes(decoded)


def xattr_table(pairs, entries):
    """For Mutant.xattrs: the bytes of the pairs, and (position, pairs, size) of each entry."""
    def make(offset):
        block = _block(pairs)
        table = _block(b"".join(struct.pack("<QII", *entry) for entry in entries))
        start = offset + len(block) + len(table)
        return (block + table + struct.pack("<QIIQ", offset, len(entries), 0, offset + len(block)),
                start)
    return make
