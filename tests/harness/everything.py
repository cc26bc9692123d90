"""A small tree with one of everything that an image can hold."""

import os
import random
import stat

BLOCK = 4096


def make_everything(root, special=False, many=252):
    """Some hundred small files; blocks are meant to be of 4 KiB.

    many: entries of a directory; with the default its listing is so long that it has an index.
    special: also with what Firn takes into no image: a fifo and, where root makes them, devices.
    """
    numbers = random.Random(9)
    root.mkdir()
    (root / "empty").touch()
    (root / "empty-directory").mkdir()
    (root / "text").write_text("".join(f"line {line}\n" for line in range(1200)))
    (root / "noise").write_bytes(numbers.randbytes(2 * BLOCK))
    (root / "blocks-and-tail").write_bytes(numbers.randbytes(BLOCK) + b"tail" * 40)
    (root / "whole-block").write_bytes(b"0123456789abcdef" * (BLOCK // 16))
    with open(root / "sparse", "wb") as file:
        file.seek(5 * BLOCK)
        file.write(b"behind a hole")
    with open(root / "zeros", "wb") as file:
        file.truncate(3 * BLOCK)
    (root / "program").write_text("#!/bin/sh\necho program\n")
    (root / "program").chmod(0o755)
    for name in ("copy-1", "copy-2"):
        (root / name).write_text("a file that is there twice\n" * 3)
    (root / "linked").write_text("a file with three names\n")
    os.link(root / "linked", root / "empty-directory.link")
    (root / "below" / "deep").mkdir(parents=True)
    os.link(root / "linked", root / "below" / "deep" / "link")
    (root / "symlink").symlink_to("below/deep/link")
    (root / "dangling").symlink_to("../" * 40 + "nowhere/" + "long" * 60)
    (root / ("n" * 255)).write_text("the longest name\n")
    for name in ("blank and\ttab", "line\nfeed", "back\\slash", "umlaut-\u00fc", "\u96ea"):
        (root / name).write_text(name)
    with open(os.fsencode(root) + b"/not-utf-8-\xff\xfe", "wb") as file:
        file.write(b"bytes")
    (root / "many").mkdir()
    for number in range(many):
        (root / "many" / f"entry-{number:03}-{'x' * 245}").write_text(str(number // 7))
    if special:
        os.mkfifo(root / "fifo")
    if special and os.geteuid() == 0:
        os.mknod(root / "character", stat.S_IFCHR | 0o640, os.makedev(5, 300))
        os.mknod(root / "block", stat.S_IFBLK | 0o600, os.makedev(259, 70_000))
    return root
