"""SquashFS' superblock, which image and SquashFS part share."""

import struct

from format_reader.errors import expect

SUPERBLOCK = struct.Struct("<IIIIIHHHHHHQQQQQQQQ")
SUPERBLOCK_FIELDS = (
    "magic", "inode_count", "mtime", "block_size", "fragment_count", "compressor", "block_log",
    "flags", "id_count", "major", "minor", "root_inode", "bytes_used", "id_table", "xattr_table",
    "inode_table", "directory_table", "fragment_table", "export_table")


def read_superblock(data):
    expect(len(data) >= SUPERBLOCK.size and data[:4] == b"hsqs", 0, "not a SquashFS file")
    head = dict(zip(SUPERBLOCK_FIELDS, SUPERBLOCK.unpack_from(data)))
    expect((head["major"], head["minor"]) == (4, 0), 28, "not SquashFS 4.0")
    expect(head["block_size"] == 1 << head["block_log"] and 12 <= head["block_log"] <= 20, 12,
           "an impossible block size")
    expect(head["bytes_used"] <= len(data), 40, "the file is cut short")
    return head
