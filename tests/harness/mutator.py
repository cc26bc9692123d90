"""Images changed in their structures, every checksum and the id right again.

Tables are written anew, uncompressed, so that whoever changes a number in them need not care what
it compresses to. Inode and directory table are taken as streams: what leads into them by block and
offset leads to their new blocks, which stand one behind the other.
"""

import copy
import hashlib
import struct

from format_reader.image import (CORE_HEAD, CORE_SECTION, EXTENT, FOOTER, Image, page_tree_root,
                                 xxh3)
from format_reader.squashfs import DIRECTORY, EXTENDED, METADATA_BLOCK, NONE_64, SquashFS
from format_reader.superblock import SUPERBLOCK, SUPERBLOCK_FIELDS

FIRST_DATA = 160
STORED_AS_IS = 0x8000
STORED_BLOCK = 2 + METADATA_BLOCK


def block_of(at):
    """Where in the written table the metadata block of a place in its stream stands."""
    return at // METADATA_BLOCK * STORED_BLOCK


def reference_to(at):
    """The inode reference of a place in the stream of inodes."""
    return block_of(at) << 16 | at % METADATA_BLOCK


def place_of(reference):
    """The place in the stream of inodes that a reference leads to."""
    return (reference >> 16) // STORED_BLOCK * METADATA_BLOCK + (reference & 0xFFFF)


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
        self.inodes, inode_blocks = self._stream(squashfs, "inode_table", "directory_table")
        table = head["fragment_table"] if head["fragment_count"] else head["export_table"]
        (first,) = struct.unpack_from("<Q", self.original.data, table)
        self.listings, listing_blocks = self._stream(squashfs, "directory_table", first)
        self.inode_tail = b""  # stored behind the inode table's blocks, as it is
        self.fragments = list(squashfs.fragments)
        self.exports = list(squashfs.exports)
        self.ids = list(squashfs.ids)
        self.xattrs = None  # called with the table's offset, gives its bytes and where it starts
        self.sections = {name: self.original.content(name) for name in self.original.sections
                         if name != "extents"}
        self.paths = {path: inode for path, inode in squashfs.walk()}
        self._listing_blocks = listing_blocks
        self._entries = bytes(self.listings)
        self._move(inode_blocks, listing_blocks)

    @staticmethod
    def _stream(squashfs, table, end):
        """A table's decoded bytes, and the place in them of each of its blocks."""
        start = at = squashfs.head[table]
        end = squashfs.head[end] if isinstance(end, str) else end
        stream, blocks = bytearray(), {}
        while at < end:
            blocks[at - start] = len(stream)
            decoded, at = squashfs.metadata_block(at)
            stream += decoded
        return stream, blocks

    def _move(self, inode_blocks, listing_blocks):
        """Has all that leads into the streams lead to where their blocks will stand."""
        def moved(reference):
            return reference_to(inode_blocks[reference >> 16] + (reference & 0xFFFF))

        self.head["root_inode"] = moved(self.head["root_inode"])
        self.exports = [moved(reference) for reference in self.exports]
        for place in map(place_of, self.exports):
            (kind,) = struct.unpack_from("<H", self.inodes, place)
            if kind not in (DIRECTORY, DIRECTORY + EXTENDED):
                continue
            if kind == DIRECTORY:
                at = place + 16
                size, offset = struct.unpack_from("<HH", self.inodes, place + 24)
            else:
                at = place + 24
                (size,) = struct.unpack_from("<I", self.inodes, place + 20)
                entries, offset = struct.unpack_from("<HH", self.inodes, place + 32)
                index = place + 40
                for _ in range(entries):
                    _, block, length = struct.unpack_from("<III", self.inodes, index)
                    self._repack(self.inodes, index + 4, listing_blocks[block])
                    index += 13 + length
            (block,) = struct.unpack_from("<I", self.inodes, at)
            listing = listing_blocks.get(block, 0) + offset
            self._repack(self.inodes, at, listing_blocks.get(block, 0))
            end = listing + max(0, size - 3)
            while listing < end:
                count, block = struct.unpack_from("<II", self.listings, listing)
                self._repack(self.listings, listing + 4, inode_blocks[block])
                listing += 12
                for _ in range(count + 1):
                    (length,) = struct.unpack_from("<H", self.listings, listing + 6)
                    listing += 9 + length

    @staticmethod
    def _repack(stream, at, place):
        struct.pack_into("<I", stream, at, block_of(place))

    def copy(self):
        """Another one, to be changed by itself."""
        other = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, (bytearray, list, dict)) and name != "paths":
                setattr(other, name, value.copy())
        return other

    def inode(self, path):
        """Where in `inodes` the inode of a path (bytes) stands."""
        return place_of(self.exports[self.paths[path].number - 1])

    def add_inode(self, path, inode):
        """Has the number of a path lead to another inode, of these bytes, behind all others."""
        place = len(self.inodes)
        self.inodes += inode
        self.exports[self.paths[path].number - 1] = reference_to(place)
        return place

    def entry(self, name):
        """Where in `listings` the entry of a name (bytes, nothing else contains it) stood."""
        return self._entries.index(struct.pack("<H", len(name) - 1) + name) - 6

    def lead(self, name, number):
        """Has the entry of a name lead to another inode number."""
        entry = self.entry(name)
        (difference,) = struct.unpack_from("<h", self.listings, entry + 2)
        base = self._number_of(name) - difference
        self.pack("listings", entry + 2, "h", number - base)

    def _number_of(self, name):
        (number,) = [inode.number for path, inode in self.paths.items()
                     if path.rpartition(b"/")[2] == name]
        return number

    def listing(self, path):
        """Where in `listings` that of a directory stands."""
        block, offset = self.paths[path].listing
        return self._listing_blocks[block] + offset

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

        place("inode_table", _blocks(self.inodes) + self.inode_tail)
        place("directory_table", _blocks(self.listings))
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


def _blocks(stream):
    return b"".join(_block(stream[at:at + METADATA_BLOCK])
                    for at in range(0, len(stream), METADATA_BLOCK))


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
