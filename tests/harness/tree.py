"""What a directory tree looks like to a program: the means by which readers are compared.

Run as a program, it prints the listing of its argument as a pickle, so that a test can list a tree
as another user: a FUSE mount of an ordinary user is closed even to root.
"""

import dataclasses
import hashlib
import os
import pickle
import stat
import subprocess
import sys

CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True)
class Entry:
    type: str  # "directory", "file", "symlink", "block", "character", "fifo", "socket"
    mode: int  # permission bits
    nlink: int
    size: int
    mtime: int
    uid: int
    gid: int
    inode: int
    rdev: int
    target: bytes | None  # of a symlink
    sha256: str | None  # of a file that was read


TYPES = {
    stat.S_IFDIR: "directory",
    stat.S_IFREG: "file",
    stat.S_IFLNK: "symlink",
    stat.S_IFBLK: "block",
    stat.S_IFCHR: "character",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


def sha256_of(fd):
    digest = hashlib.sha256()
    while chunk := os.read(fd, CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def tree_listing(root, contents=lambda path: True):
    """Entry by path (bytes, relative, b"" for the root), following no symlink.

    contents: whether to read and digest the file at a path. Works by directory descriptors, so
    that paths may be longer than PATH_MAX. Errors are raised, as a reader must give everything.
    """
    listing = {}

    def describe(info, path, name, directory):
        kind = TYPES[stat.S_IFMT(info.st_mode)]
        target = os.readlink(name, dir_fd=directory) if kind == "symlink" else None
        digest = None
        if kind == "file" and contents(path):
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=directory)
            try:
                digest = sha256_of(fd)
            finally:
                os.close(fd)
        return Entry(kind, stat.S_IMODE(info.st_mode), info.st_nlink, info.st_size,
                     int(info.st_mtime), info.st_uid, info.st_gid, info.st_ino, info.st_rdev,
                     target, digest)

    def walk(directory, prefix):
        for name in sorted(os.fsencode(entry) for entry in os.listdir(directory)):
            path = prefix + name
            info = os.lstat(name, dir_fd=directory)
            listing[path] = describe(info, path, name, directory)
            if stat.S_ISDIR(info.st_mode):
                below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW,
                                dir_fd=directory)
                try:
                    walk(below, path + b"/")
                finally:
                    os.close(below)

    top = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        listing[b""] = describe(os.fstat(top), b"", None, None)
        walk(top, b"")
    finally:
        os.close(top)
    return listing


def tree_listing_as(user, root):
    """tree_listing as seen by another user (harness.users.User)."""
    result = subprocess.run(
        ["/usr/bin/python3", "-B", "-", os.fspath(root)], input=_own_source(),
        stdout=subprocess.PIPE, check=True, **user.popen_arguments())
    return {path: Entry(**fields) for path, fields in pickle.loads(result.stdout).items()}


def _own_source():
    with open(__file__, "rb") as source:
        return source.read()


def differences(expected, found, fields=("type", "mode", "nlink", "size", "target", "sha256")):
    """Lines that say in what two listings differ; none where they agree.

    The size of a directory means something else in each file system and is left out.
    """
    lines = []
    for path in sorted(expected.keys() | found.keys()):
        if path not in found:
            lines.append(f"missing: {path!r}")
        elif path not in expected:
            lines.append(f"not expected: {path!r}")
        else:
            for field in fields:
                one, other = getattr(expected[path], field), getattr(found[path], field)
                if field == "size" and expected[path].type == "directory":
                    continue
                if one != other:
                    lines.append(f"{path!r}: {field}: expected {one!r}, found {other!r}")
    return lines


def assert_same_tree(expected, found, fields=("type", "mode", "nlink", "size", "target", "sha256")):
    lines = differences(expected, found, fields)
    assert not lines, f"{len(lines)} differences:\n" + "\n".join(lines[:30])


def hard_link_groups(listing):
    """The sets of paths that are names of one file, of more than one name each."""
    groups = {}
    for path, entry in listing.items():
        if entry.type == "file" and entry.nlink > 1:
            groups.setdefault(entry.inode, set()).add(path)
    return {frozenset(paths) for paths in groups.values()}


if __name__ == "__main__":
    plain = {path: dataclasses.asdict(entry) for path, entry in tree_listing(sys.argv[1]).items()}
    sys.stdout.buffer.write(pickle.dumps(plain))
