"""SquashFS 4.0: inodes, directories, contents."""

import ctypes
import dataclasses
import hashlib
import lzma
import os
import stat
import struct
import zlib

from format_reader.errors import FormatError, expect
from format_reader.superblock import read_superblock

METADATA_BLOCK = 8192
NONE_32 = 0xFFFFFFFF
NONE_64 = 0xFFFFFFFFFFFFFFFF
DIRECTORY, FILE, SYMLINK, BLOCK, CHARACTER, FIFO, SOCKET = range(1, 8)
EXTENDED = 7
TYPE_BITS = {DIRECTORY: stat.S_IFDIR, FILE: stat.S_IFREG, SYMLINK: stat.S_IFLNK,
             BLOCK: stat.S_IFBLK, CHARACTER: stat.S_IFCHR, FIFO: stat.S_IFIFO,
             SOCKET: stat.S_IFSOCK}


def _library_function(library, name):
    function = getattr(ctypes.CDLL(library), name)
    function.restype = ctypes.c_size_t
    return function


def _unzstd(data, limit):
    if not hasattr(_unzstd, "function"):
        _unzstd.function = _library_function("libzstd.so.1", "ZSTD_decompress")
    buffer = ctypes.create_string_buffer(limit)
    length = _unzstd.function(buffer, ctypes.c_size_t(limit), data, ctypes.c_size_t(len(data)))
    if length > limit:
        raise ValueError("not a zstd frame")
    return buffer.raw[:length]


def _unlz4(data, limit):
    if not hasattr(_unlz4, "function"):
        _unlz4.function = ctypes.CDLL("liblz4.so.1").LZ4_decompress_safe
    buffer = ctypes.create_string_buffer(limit)
    length = _unlz4.function(data, buffer, len(data), limit)
    if length < 0:
        raise ValueError("not an LZ4 block")
    return buffer.raw[:length]


def _unzlib(data, limit):
    return zlib.decompressobj().decompress(data, limit + 1)


def _unlzma(data, limit):
    return lzma.LZMADecompressor().decompress(data, limit + 1)


DECOMPRESSORS = {1: _unzlib, 2: _unlzma, 4: _unlzma, 5: _unlz4, 6: _unzstd}


class Cursor:
    """A place in a table's decoded stream, that moves as it is read."""

    def __init__(self, squashfs, start, block, offset):
        self._squashfs, self._next, self._left = squashfs, start + block, b""
        self.take(offset)

    def take(self, length):
        taken = b""
        while len(taken) < length:
            if not self._left:
                self._left, self._next = self._squashfs.metadata_block(self._next)
            piece = self._left[:length - len(taken)]
            self._left = self._left[len(piece):]
            taken += piece
        return taken

    def unpack(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))


@dataclasses.dataclass
class Inode:
    type: int
    number: int
    mode: int
    uid: int
    gid: int
    mtime: int
    nlink: int = 1
    size: int = 0
    device: int = 0
    target: bytes = b""
    xattr: int = NONE_32
    # Of a directory: where its listing stands, its parent's number, its index.
    listing: tuple = (0, 0)
    parent: int = 0
    index: tuple = ()
    # Of a file: where its blocks stand, their size words, its tail's place.
    start: int = 0
    sparse: int = 0
    words: tuple = ()
    fragment: int = NONE_32
    fragment_offset: int = 0

    @property
    def st_mode(self):
        return TYPE_BITS[self.type] | self.mode

    @property
    def device_numbers(self):
        """(major, minor)"""
        return (self.device >> 8 & 0xFFF,
                self.device & 0xFF | self.device >> 12 & 0xFFF00)


class SquashFS:
    """Bytes 0 to S of an image, or another SquashFS 4.0 file; its checksums are not looked at."""

    def __init__(self, data):
        self.data = data
        self.head = read_superblock(data)
        expect(self.head["compressor"] in DECOMPRESSORS, 20, "a compression that is not known here")
        self._decompress = DECOMPRESSORS[self.head["compressor"]]
        self._decoded = {}  # (metadata block, where the next one stands), by its offset
        self._tails = {}  # the fragment blocks that were used last, by their offsets
        head = self.head
        self.ids = self._table(head["id_table"], head["id_count"], "<I")
        self.fragments = self._table(head["fragment_table"], head["fragment_count"], "<QII")
        self.exports = self._table(head["export_table"], head["inode_count"], "<Q")

    def _stored(self, offset, length):
        expect(offset + length <= self.head["bytes_used"], offset, "behind the end of SquashFS")
        return self.data[offset:offset + length]

    def _decode(self, offset, stored, limit):
        try:
            decoded = self._decompress(stored, limit)
        except (ValueError, zlib.error, lzma.LZMAError) as error:
            raise FormatError(offset, f"a block cannot be decompressed: {error}") from error
        expect(0 < len(decoded) <= limit, offset, "a block has an impossible length")
        return decoded

    def metadata_block(self, at):
        """(decoded bytes, where the next block stands)"""
        if at not in self._decoded:
            (header,) = struct.unpack("<H", self._stored(at, 2))
            length = header & 0x7FFF
            expect(0 < length <= METADATA_BLOCK, at, "a metadata block of impossible length")
            stored = self._stored(at + 2, length)
            decoded = stored if header & 0x8000 else self._decode(at, stored, METADATA_BLOCK)
            self._decoded[at] = decoded, at + 2 + length
        return self._decoded[at]

    def data_block(self, offset, word, limit):
        """The bytes of a data or fragment block, of at most `limit`, by its size word."""
        stored = self._stored(offset, word & 0xFFFFFF)
        if word & 1 << 24:
            expect(len(stored) <= limit, offset, "a block is too long")
            return stored
        return self._decode(offset, stored, limit)

    def _table(self, start, count, form):
        """The entries of a fragment, export or id table."""
        if start == NONE_64 or count == 0:
            return []
        size = struct.calcsize(form)
        blocks = -(-count * size // METADATA_BLOCK)
        places = struct.unpack(f"<{blocks}Q", self._stored(start, 8 * blocks))
        decoded = b"".join(self.metadata_block(at)[0] for at in places)
        expect(len(decoded) == count * size, start, "a table does not have the length of its count")
        entries = struct.iter_unpack(form, decoded)
        return list(entries) if len(form) > 2 else [entry for (entry,) in entries]

    def inode(self, reference):
        cursor = Cursor(self, self.head["inode_table"], reference >> 16, reference & 0xFFFF)
        kind, mode, uid, gid, mtime, number = cursor.unpack("HHHHII")
        place = self.head["inode_table"] + (reference >> 16)
        expect(1 <= kind <= 14, place, f"an inode of type {kind}")
        expect(max(uid, gid) < len(self.ids), place, "an owner that is in no id table")
        extended = kind > EXTENDED
        inode = Inode(kind - EXTENDED if extended else kind, number, mode, self.ids[uid],
                      self.ids[gid], mtime)
        if inode.type == DIRECTORY:
            self._read_directory(cursor, extended, inode)
        elif inode.type == FILE:
            self._read_file(cursor, extended, inode, place)
        else:
            (inode.nlink,) = cursor.unpack("I")
            if inode.type == SYMLINK:
                (inode.size,) = cursor.unpack("I")
                inode.target = cursor.take(inode.size)
            elif inode.type in (BLOCK, CHARACTER):
                (inode.device,) = cursor.unpack("I")
            if extended:
                (inode.xattr,) = cursor.unpack("I")
        return inode

    @staticmethod
    def _read_directory(cursor, extended, inode):
        if not extended:
            block, inode.nlink, inode.size, offset, inode.parent = cursor.unpack("IIHHI")
        else:
            (inode.nlink, inode.size, block, inode.parent, entries, offset,
             inode.xattr) = cursor.unpack("IIIIHHI")
            index = []
            for _ in range(entries):
                in_listing, run_block, length = cursor.unpack("III")
                index.append((in_listing, run_block, cursor.take(length + 1)))
            inode.index = tuple(index)
        inode.listing = block, offset

    def _read_file(self, cursor, extended, inode, place):
        if not extended:
            inode.start, inode.fragment, inode.fragment_offset, inode.size = cursor.unpack("IIII")
        else:
            (inode.start, inode.size, inode.sparse, inode.nlink, inode.fragment,
             inode.fragment_offset, inode.xattr) = cursor.unpack("QQQIIII")
        whole, rest = divmod(inode.size, self.head["block_size"])
        count = whole + (rest > 0 and inode.fragment == NONE_32)
        expect(count * 4 <= self.head["bytes_used"] * 2048, place, "a file of impossible size")
        inode.words = cursor.unpack(f"{count}I")

    def root(self):
        return self.inode(self.head["root_inode"])

    def runs(self, directory):
        """A listing's runs: (offset in the listing, [(name, inode reference, number, type)])."""
        length = max(0, directory.size - 3)
        if length == 0:
            return
        place = self.head["directory_table"] + directory.listing[0]
        cursor, at = Cursor(self, self.head["directory_table"], *directory.listing), 0
        while at < length:
            start = at
            count, block, base = cursor.unpack("III")
            expect(count < 256, place, "a run of too many entries")
            at, entries = at + 12, []
            for _ in range(count + 1):
                offset, difference, kind, name_length = cursor.unpack("HhHH")
                entries.append((cursor.take(name_length + 1), block << 16 | offset,
                                base + difference, kind))
                at += 9 + name_length
            expect(at <= length, place, "a listing is longer than its directory says")
            yield start, entries

    def entries(self, directory):
        for _, entries in self.runs(directory):
            yield from entries

    def walk(self):
        """(path, inode) of everything, the root as b"" first, each directory before its entries."""
        def below(directory, prefix, ancestors):
            for name, reference, _, _ in self.entries(directory):
                expect(name not in (b".", b"..") and b"/" not in name and b"\0" not in name,
                       self.head["directory_table"], f"an entry has the name {name!r}")
                inode = self.inode(reference)
                yield prefix + name, inode
                if inode.type == DIRECTORY:
                    expect(inode.number not in ancestors, self.head["directory_table"],
                           "a directory is its own ancestor")
                    yield from below(inode, prefix + name + b"/", ancestors | {inode.number})

        root = self.root()
        yield b"", root
        yield from below(root, b"", {root.number})

    def lookup(self, path):
        inode = self.root()
        for name in filter(None, path.split(b"/")):
            found = inode.type == DIRECTORY and [
                reference for entry, reference, _, _ in self.entries(inode) if entry == name]
            if not found:
                raise FileNotFoundError(os.fsdecode(path))
            inode = self.inode(found[0])
        return inode

    def contents(self, inode):
        """The bytes of a regular file, block by block."""
        at, left, block_size = inode.start, inode.size, self.head["block_size"]
        for word in inode.words:
            length = min(left, block_size)
            if word == 0:
                yield bytes(length)
            else:
                block = self.data_block(at, word, block_size)
                expect(len(block) == length, at, "a block has another length than its file needs")
                yield block
                at += word & 0xFFFFFF
            left -= length
        if inode.fragment != NONE_32:
            yield self._tail(inode, left)

    def _tail(self, inode, length):
        expect(inode.fragment < len(self.fragments), self.head["fragment_table"],
               f"a file is in fragment {inode.fragment}, which is not there")
        offset, word, _ = self.fragments[inode.fragment]
        if offset not in self._tails:
            if len(self._tails) == 32:
                self._tails.pop(next(iter(self._tails)))
            self._tails[offset] = self.data_block(offset, word, self.head["block_size"])
        tail = self._tails[offset][inode.fragment_offset:inode.fragment_offset + length]
        expect(len(tail) == length, offset, "a file's tail ends behind its fragment block")
        return tail

    def sha256(self, inode):
        digest = hashlib.sha256()
        for block in self.contents(inode):
            digest.update(block)
        return digest.digest()
