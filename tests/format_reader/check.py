"""Checks an image against FORMAT.md: everything that its bytes can show."""

import hashlib
import json
import pathlib
import struct
import subprocess
import tempfile

from format_reader.errors import FormatError
from format_reader.image import page_tree_root, xxh3
from format_reader.squashfs import DIRECTORY, FILE, NONE_64, SYMLINK, SquashFS

# What stands before the 32 bytes of an Ed25519 key in DER (RFC 8410).
ED25519_DER = bytes.fromhex("302a300506032b6570032100")


def check(image):
    """FormatErrors for all that is wrong with an Image, whose sections have their digests."""
    problems = check_appendix(image)
    # With an extent damaged, what is decoded from it says nothing.
    if not problems:
        problems = check_tree(image)
    return problems


def _collect(*steps):
    problems = []
    for step, *arguments in steps:
        try:
            problems += [FormatError(*found) for found in step(*arguments)]
        except FormatError as error:
            problems.append(error)
        except (struct.error, KeyError, TypeError, ValueError) as error:
            problems.append(FormatError(0, f"{step.__name__.strip('_')}: {error!r}"))
    return problems


# The appendix -------------------------------------------------------------------------------------


def check_appendix(image):
    return _collect((_padding, image), (_sections, image), (_extents, image), (_digests, image),
                    (_signatures, image))


def _padding(image):
    """Bytes that no table names are zero."""
    gaps = [(102 if image.superblock["flags"] & 0x0400 else 96, 128)]
    at = image.squashfs_length
    for section in image.sections.values():
        gaps.append((at, section.offset))
        upper = page_tree_root(image.content(section.name))[1]
        at = section.offset + section.length + len(upper)
    gaps.append((at, image.core_offset))
    at = image.core_offset + image.core_length
    if image.signatures_length:
        gaps.append((at, image.signatures_offset))
        at = image.signatures_offset + image.signatures_length
    gaps.append((at, image.footer_offset))
    for start, end in gaps:
        if start > end:
            yield start, "parts of the file overlap"
        elif image.data[start:end].strip(b"\0"):
            yield start, f"the bytes up to {end} are not all zero"


def _sections(image):
    for name in ("manifest", "extents", "digests"):
        if name not in image.sections:
            yield image.core_offset, f"section {name} is missing"
    manifest = image.manifest()
    if manifest["format"] != 1 or not manifest["prefix"].startswith("/") or not manifest["name"]:
        yield image.sections["manifest"].offset, "the manifest is not as specified"
    for name in ("packages", "needs"):
        if name in image.sections and json.loads(image.content(name))["format"] != 1:
            yield image.sections[name].offset, f"section {name} is not of format 1"
    if "sbom" in image.sections and json.loads(image.content("sbom"))["bomFormat"] != "CycloneDX":
        yield image.sections["sbom"].offset, "section sbom is not CycloneDX"
    if "profile" in image.sections and not image.content("profile").startswith(b"firn-profile 1\n"):
        yield image.sections["profile"].offset, "section profile is not a profile"


def _extents(image):
    at = 0
    table = image.sections["extents"].offset
    for number, extent in enumerate(image.extents()):
        if extent.offset != at or not 1 <= extent.length <= 1 << 20:
            yield table + 56 * number, f"extent {number} does not begin where the last one ends"
            return
        stored = image.data[at:at + extent.length]
        if xxh3(stored) != extent.xxh3:
            yield at, f"an extent of {extent.length} bytes does not have its XXH3-64"
        if hashlib.sha256(stored).digest() != extent.sha256:
            yield at, f"an extent of {extent.length} bytes does not have its SHA-256"
        at += extent.length
    if at != image.squashfs_length:
        yield table, "the last extent does not end with the SquashFS part"


def _digests(image):
    content, table = image.content("digests"), image.sections["digests"].offset
    count, zero = struct.unpack_from("<II", content)
    if zero or len(content) != 8 + 36 * count:
        yield table, "section digests does not have the length of its count"
        return
    digests = image.file_digests()
    index = struct.unpack_from(f"<{count}I", content, 8 + 32 * count)
    if list(index) != sorted(range(1, count + 1), key=lambda number: (digests[number - 1], number)):
        yield table + 8 + 32 * count, "section digests: the index is not ordered by digest"


def _signatures(image):
    found = image.signatures()
    if found is None:
        return
    image_id, entries = found
    if image_id != image.image_id:
        yield image.signatures_offset + 16, "the signatures are over another image"
    if len({key for key, _ in entries}) != len(entries):
        yield image.signatures_offset, "two signatures of one key"
    for key, signature in entries:
        if not is_right(key, signature, image_id):
            yield image.signatures_offset, f"the signature of ed25519:{key.hex()} is wrong"


def is_right(key, signature, image_id):
    """Does openssl(1) take it for a signature of the image by the key?"""
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        (directory / "key.der").write_bytes(ED25519_DER + key)
        (directory / "signature").write_bytes(signature)
        (directory / "message").write_bytes(
            b"firn image signature" + struct.pack("<I", 1) + image_id)
        result = subprocess.run(
            ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey",
             directory / "key.der", "-rawin", "-in", directory / "message", "-sigfile",
             directory / "signature"], capture_output=True)
    return result.returncode == 0 and b"Verified Successfully" in result.stdout


# The SquashFS part and what the appendix says of it -----------------------------------------------


def check_tree(image):
    """Every structure of the file system, and whether the appendix is true to it."""
    try:
        squashfs = SquashFS(image.data)
        tree = list(squashfs.walk())
    except (FormatError, struct.error) as error:
        return [error if isinstance(error, FormatError) else FormatError(0, str(error))]
    return _collect((_export_table, squashfs, tree), (_links, squashfs, tree),
                    (_listings, squashfs, tree), (_file_digests, image, squashfs, tree),
                    (_contents, image, tree))


def _inodes(tree):
    return {inode.number: inode for _, inode in tree}


def _export_table(squashfs, tree):
    head = squashfs.head
    if head["export_table"] == NONE_64:
        yield 88, "no export table"
        return
    if sorted(_inodes(tree)) != list(range(1, head["inode_count"] + 1)):
        yield 4, "the tree does not have the inodes 1 to the superblock's count"
    for number, reference in enumerate(squashfs.exports, start=1):
        if squashfs.inode(reference).number != number:
            yield head["export_table"], f"the export table leads elsewhere for inode {number}"


def _links(squashfs, tree):
    names, subdirectories = {}, {}
    parents = {b"": squashfs.head["inode_count"] + 1}
    numbers = {path: inode.number for path, inode in tree}
    for path, inode in tree:
        names[inode.number] = names.get(inode.number, 0) + 1
        if path:
            parents[path] = numbers[path.rpartition(b"/")[0]]
            if inode.type == DIRECTORY:
                subdirectories[parents[path]] = subdirectories.get(parents[path], 0) + 1
    for path, inode in tree:
        place = squashfs.head["inode_table"]
        if inode.type == DIRECTORY:
            if inode.parent != parents[path]:
                yield place, f"{path!r} says that its parent is inode {inode.parent}"
            if names[inode.number] != 1:
                yield place, f"directory {path!r} has another name"
            if inode.nlink != 2 + subdirectories.get(inode.number, 0):
                yield place, f"{path!r} has a link count of {inode.nlink}"
        elif inode.nlink != names[inode.number]:
            yield place, f"{path!r} has a link count of {inode.nlink}"


def _listings(squashfs, tree):
    place = squashfs.head["directory_table"]
    for path, directory in tree:
        if directory.type != DIRECTORY:
            continue
        starts, previous = {}, b""
        for start, entries in squashfs.runs(directory):
            starts[start] = entries[0][0]
            for name, reference, number, kind in entries:
                if name <= previous:
                    yield place, f"{path!r}: {name!r} is not sorted"
                previous = name
                inode = squashfs.inode(reference)
                if inode.number != number or inode.type != kind:
                    yield place, f"{path!r}: {name!r} is listed as something else than it is"
        for in_listing, _, name in directory.index:
            if starts.get(in_listing) != name:
                yield place, f"{path!r}: its index leads elsewhere for {name!r}"


def _file_digests(image, squashfs, tree):
    digests = image.file_digests()
    files = {inode.number: (path, inode) for path, inode in tree if inode.type == FILE}
    if sorted(files) != list(range(1, len(digests) + 1)):
        yield image.sections["digests"].offset, "section digests is about other files"
        return
    for number, (path, inode) in files.items():
        if squashfs.sha256(inode) != digests[number - 1]:
            yield inode.start, f"{path!r} does not have its SHA-256"


def _contents(image, tree):
    """The manifest's counts."""
    inodes = _inodes(tree)
    types = [inode.type for inode in inodes.values()]
    found = {
        "files": types.count(FILE),
        "directories": types.count(DIRECTORY),
        "symlinks": types.count(SYMLINK),
        "others": sum(kind > SYMLINK for kind in types),
        "hard_links": sum(inode.type != DIRECTORY for _, inode in tree)
                      - sum(kind != DIRECTORY for kind in types),
        "bytes": sum(inode.size for inode in inodes.values() if inode.type == FILE),
    }
    said = image.manifest()["contents"]
    if said != found:
        yield image.sections["manifest"].offset, f"the manifest speaks of {said}, found {found}"
