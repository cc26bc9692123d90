"""How much of files the page cache holds, by mincore(2)."""

import ctypes
import mmap
import os
import stat

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                       ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
_FAILED = ctypes.c_void_p(-1).value


def resident_bytes(path):
    """Bytes of a regular file in the page cache; 0 for what is none or cannot be mapped."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
            return 0
        address = _libc.mmap(None, status.st_size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
    finally:
        os.close(descriptor)
    if address == _FAILED:
        return 0
    pages = -(-status.st_size // mmap.PAGESIZE)
    present = ctypes.create_string_buffer(pages)
    result = _libc.mincore(address, status.st_size, present)
    _libc.munmap(address, status.st_size)
    if result != 0:
        return 0
    # Only the lowest bit of each byte has a meaning.
    return sum(byte & 1 for byte in present.raw[:pages]) * mmap.PAGESIZE


def resident_bytes_below(root):
    """The same for all files of a tree. Looks each of them up, so it comes after the counting."""
    return sum(resident_bytes(os.path.join(directory, name))
               for directory, _, files in os.walk(root) for name in files)
