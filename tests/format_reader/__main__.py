"""The command line of the reader."""

import argparse
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from format_reader.check import check, is_right  # noqa: E402
from format_reader.errors import FormatError  # noqa: E402
from format_reader.image import Image, signatures_of  # noqa: E402
from format_reader.listing import list_image  # noqa: E402
from format_reader.squashfs import FILE, SquashFS  # noqa: E402


def public_key(path):
    """The 32 bytes in a public key's file, firn-key(5)."""
    lines = [line for line in pathlib.Path(path).read_text("ascii").splitlines()
             if line and not line.startswith("#")]
    if len(lines) != 3 or lines[0] != "firn-public-key 1" or not lines[2].startswith(
            "public ed25519:"):
        raise SystemExit(f"{path}: not a public key")
    return bytes.fromhex(lines[2].removeprefix("public ed25519:"))


def check_image(path, data, key, detached):
    """Prints what is wrong, or the image id; whether all is right."""
    image = Image(data)
    problems = check(image)
    found = [image.signatures()] if not problems else []
    if detached is None and os.path.exists(path + ".sig"):
        detached = path + ".sig"
    if detached is not None:
        found.append(signatures_of(pathlib.Path(detached).read_bytes()))
    if key is not None:
        wanted = public_key(key)
        signed = any(image_id == image.image_id and name == wanted
                     and is_right(name, signature, image_id)
                     for image_id, entries in filter(None, found) for name, signature in entries)
        if not signed:
            problems.append(f"the key of {key} did not sign it")
    for problem in problems:
        print(f"{path}: {problem}")
    if not problems:
        print(f"sha256:{image.image_id.hex()}")
    return not problems


def main():
    parser = argparse.ArgumentParser(prog="format_reader", description="Reads Firn images.")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("list", help="a line for each path")
    one.add_argument("--digests", action="store_true", help="with the SHA-256 of every file")
    one.add_argument("image")
    one = commands.add_parser("check", help="every checksum and structure; prints the image id")
    one.add_argument("--key", metavar="FILE", help="this public key must have signed it")
    one.add_argument("--signature", metavar="FILE", help="detached signatures [IMAGE.sig]")
    one.add_argument("image")
    one = commands.add_parser("extract", help="a file's bytes, to standard output")
    one.add_argument("image")
    one.add_argument("path")
    arguments = parser.parse_args()
    try:
        data = pathlib.Path(arguments.image).read_bytes()
        if arguments.command == "list":
            for text in list_image(data, arguments.digests):
                print(text)
        elif arguments.command == "extract":
            squashfs = SquashFS(data)
            inode = squashfs.lookup(os.fsencode(arguments.path))
            if inode.type != FILE:
                return f"{arguments.path}: not a regular file"
            for block in squashfs.contents(inode):
                sys.stdout.buffer.write(block)
        elif not check_image(arguments.image, data, arguments.key, arguments.signature):
            return 1
    except FormatError as error:
        print(f"{arguments.image}: {error}")
        return 1
    except OSError as error:
        return f"{error.filename or 'no such path'}: {error.strerror or error}"
    return 0


if __name__ == "__main__":
    sys.exit(main())
