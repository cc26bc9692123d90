"""Where an image stores its files, read from its tables as FORMAT.md has them, without Firn."""

import ctypes
import struct

from harness.layout import Layout

NO_FRAGMENT = 0xFFFFFFFF
METADATA_BLOCK = 8192

_zstd = ctypes.CDLL("libzstd.so.1")
_zstd.ZSTD_decompress.restype = ctypes.c_size_t


def _decompress(data):
    buffer = ctypes.create_string_buffer(METADATA_BLOCK)
    length = _zstd.ZSTD_decompress(buffer, ctypes.c_size_t(METADATA_BLOCK), data,
                                   ctypes.c_size_t(len(data)))
    assert length <= METADATA_BLOCK, "not a zstd frame"
    return buffer.raw[:length]


def _metadata_block(data, at):
    """(decoded bytes, where the next one stands)"""
    (header,) = struct.unpack_from("<H", data, at)
    end = at + 2 + (header & 0x7FFF)
    stored = data[at + 2:end]
    return (stored if header & 0x8000 else _decompress(stored)), end


class _Table:
    """A stream of metadata blocks."""

    def __init__(self, data, start, end):
        self.decoded, self._place = b"", {}
        at = start
        while at < end:
            self._place[at - start] = len(self.decoded)
            block, at = _metadata_block(data, at)
            self.decoded += block

    def position(self, block, offset):
        return self._place[block] + offset


def places(path):
    """{path of a regular file: (offset of its first data block, offset of its fragment block)}

    None stands for what the file has not.
    """
    with open(path, "rb") as file:
        data = file.read()
    head = Layout(data).superblock
    inodes = _Table(data, head["inode_table"], head["directory_table"])
    (first_of_fragments,) = struct.unpack_from("<Q", data, head["fragment_table"])
    listings = _Table(data, head["directory_table"], first_of_fragments)
    fragments = _fragment_offsets(data, head)
    found = {}

    def file_place(kind, at):
        if kind == 2:
            start, fragment, _, size = struct.unpack_from("<IIII", inodes.decoded, at + 16)
            sizes = at + 32
        else:
            start, size, _, _, fragment = struct.unpack_from("<QQQII", inodes.decoded, at + 16)
            sizes = at + 56
        whole, rest = divmod(size, head["block_size"])
        count = whole + (rest > 0 and fragment == NO_FRAGMENT)
        stored = any(struct.unpack_from(f"<{count}I", inodes.decoded, sizes))
        return (start if stored else None,
                None if fragment == NO_FRAGMENT else fragments[fragment])

    def walk(prefix, kind, at):
        if kind == 1:
            block, _, length, offset = struct.unpack_from("<IIHH", inodes.decoded, at + 16)
        else:
            _, length, block, _, _, offset = struct.unpack_from("<IIIIHH", inodes.decoded, at + 16)
        if length <= 3:
            return
        at = listings.position(block, offset)
        end = at + length - 3
        while at < end:
            count, inode_block, _ = struct.unpack_from("<III", listings.decoded, at)
            at += 12
            for _ in range(count + 1):
                inode_offset, _, _, name = struct.unpack_from("<HhHH", listings.decoded, at)
                visit(prefix + listings.decoded[at + 8:at + 9 + name].decode(), inode_block,
                      inode_offset)
                at += 9 + name

    def visit(path, block, offset):
        at = inodes.position(block, offset)
        (kind,) = struct.unpack_from("<H", inodes.decoded, at)
        if kind in (2, 9):
            found[path] = file_place(kind, at)
        elif kind in (1, 8):
            walk(path + "/", kind, at)

    root = head["root_inode"]
    at = inodes.position(root >> 16, root & 0xFFFF)
    walk("", *struct.unpack_from("<H", inodes.decoded, at), at)
    return found


def _fragment_offsets(data, head):
    blocks = -(-head["fragment_count"] // 512)
    decoded = b"".join(
        _metadata_block(data, at)[0]
        for at in struct.unpack_from(f"<{blocks}Q", data, head["fragment_table"]))
    return [offset for offset, _, _ in struct.iter_unpack("<QII", decoded)]
