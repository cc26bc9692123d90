"""Every way to write into a tree, tried; prints what each was answered as JSON.

Usage: writes.py DIRECTORY, which must hold a file "file", a non-empty directory "directory" and a
symlink "symlink". Runs as its own program, so that a test can try it as any user and inside of a
`firn run`.
"""

import ctypes
import errno
import json
import mmap
import os
import socket
import stat
import sys

libc = ctypes.CDLL(None, use_errno=True)
RENAME_EXCHANGE = 2
FALLOC_FL_PUNCH_HOLE = 2 | 1


def checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def open_and_close(path, flags):
    os.close(os.open(path, flags, 0o644))


def map_shared_writable(path):
    # The mapping itself is refused: a descriptor open for reading may not be mapped writable.
    fd = os.open(path, os.O_RDONLY)
    try:
        mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    finally:
        os.close(fd)


def bind_socket(directory):
    # Through a descriptor, as the path in a socket's address is short.
    with socket.socket(socket.AF_UNIX) as unix:
        place = os.open(directory, os.O_RDONLY)
        try:
            unix.bind(f"/proc/self/fd/{place}/new")
        finally:
            os.close(place)


def with_descriptor(path, action):
    fd = os.open(path, os.O_RDONLY)
    try:
        action(fd)
    finally:
        os.close(fd)


def attempts(root):
    file, directory, symlink, new = (os.path.join(root, name)
                                     for name in ("file", "directory", "symlink", "new"))
    return {
        "create": lambda: open_and_close(new, os.O_WRONLY | os.O_CREAT),
        "create in a directory": lambda: open_and_close(directory + "/new",
                                                        os.O_WRONLY | os.O_CREAT | os.O_EXCL),
        "temporary file": lambda: open_and_close(root, os.O_WRONLY | os.O_TMPFILE),
        "open for writing": lambda: open_and_close(file, os.O_WRONLY),
        "open for reading and writing": lambda: open_and_close(file, os.O_RDWR),
        "open for appending": lambda: open_and_close(file, os.O_WRONLY | os.O_APPEND),
        "open truncating": lambda: open_and_close(file, os.O_WRONLY | os.O_TRUNC),
        "truncate": lambda: os.truncate(file, 0),
        "extend": lambda: os.truncate(file, 1 << 20),
        "unlink": lambda: os.unlink(file),
        "unlink symlink": lambda: os.unlink(symlink),
        "rename": lambda: os.rename(file, new),
        "rename over": lambda: os.rename(symlink, file),
        "rename directory": lambda: os.rename(directory, new),
        "rename exchange": lambda: checked(libc.renameat2(
            -100, os.fsencode(file), -100, os.fsencode(symlink), RENAME_EXCHANGE)),
        "mkdir": lambda: os.mkdir(new),
        "rmdir": lambda: os.rmdir(directory),
        "chmod": lambda: os.chmod(file, 0o777),
        "chmod root": lambda: os.chmod(root, 0o777),
        "fchmod": lambda: with_descriptor(file, lambda fd: os.fchmod(fd, 0o600)),
        "chown": lambda: os.chown(file, os.getuid(), os.getgid()),
        "lchown": lambda: os.lchown(symlink, os.getuid(), os.getgid()),
        "fchown": lambda: with_descriptor(file, lambda fd: os.fchown(fd, os.getuid(), -1)),
        "utime": lambda: os.utime(file, (0, 0)),
        "utime now": lambda: os.utime(file),
        "utime of symlink": lambda: os.utime(symlink, (0, 0), follow_symlinks=False),
        "setxattr": lambda: os.setxattr(file, "user.x", b"y"),
        "removexattr": lambda: os.removexattr(file, "user.x"),
        "link": lambda: os.link(file, new),
        "symlink": lambda: os.symlink("file", new),
        "mkfifo": lambda: os.mkfifo(new),
        "mknod regular": lambda: os.mknod(new, stat.S_IFREG | 0o644),
        "mknod device": lambda: os.mknod(new, stat.S_IFCHR | 0o644, os.makedev(1, 3)),
        "bind socket": lambda: bind_socket(root),
        "mmap shared writable": lambda: map_shared_writable(file),
    }


def try_all(root):
    answers = {}
    for name, attempt in attempts(root).items():
        try:
            attempt()
            answers[name] = "done"
        except OSError as error:
            answers[name] = errno.errorcode[error.errno]
    return answers


if __name__ == "__main__":
    json.dump(try_all(sys.argv[1]), sys.stdout)
