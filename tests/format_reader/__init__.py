"""Reads Firn images by FORMAT.md alone, without Firn: python3 tests/format_reader --help.

Needs Debian's python3, python3-xxhash and python3-yaml, libzstd1 (liblz4-1 for other SquashFS
files) and, for signatures, openssl. It is short rather than quick, and holds the whole image in
memory.
"""
