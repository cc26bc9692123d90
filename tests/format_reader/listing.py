"""A tree as lines of text."""

import os
import stat
import time

from format_reader.squashfs import BLOCK, CHARACTER, FILE, SquashFS


def printable(path):
    """A name as text on one line, without loss: \\xHH for a byte that cannot be shown."""
    def escaped(character):
        if character.isprintable() and character != "\\":
            return character
        return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))

    return "".join(map(escaped, os.fsdecode(path)))


def line(path, st_mode, nlink, owner, size, mtime, target, digest):
    """One path: mode, links, owner/group, size or device, time in UTC, digest, path, target.

    owner: of user and group. size: of a directory it means nothing and is left out; of a device
    its numbers. digest: None leaves it out.
    """
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(mtime))
    shown = "-" if stat.S_ISDIR(st_mode) else size
    words = [stat.filemode(st_mode), str(nlink), "/".join(map(str, owner)), str(shown), when]
    if digest is not None:
        words.append(digest)
    words.append(printable(path) or ".")
    return " ".join(words) + (f" -> {printable(target)}" if stat.S_ISLNK(st_mode) else "")


def list_image(data, with_digests):
    """The lines of a whole SquashFS file, in the order of its listings."""
    squashfs = SquashFS(data)
    for path, inode in squashfs.walk():
        size = (",".join(map(str, inode.device_numbers)) if inode.type in (BLOCK, CHARACTER)
                else inode.size)
        digest = None
        if with_digests:
            digest = squashfs.sha256(inode).hex() if inode.type == FILE else "-"
        yield line(path, inode.st_mode, inode.nlink, (inode.uid, inode.gid), size, inode.mtime,
                   inode.target, digest)
