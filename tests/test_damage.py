"""Damaged images: a clear message or EIO, never wrong bytes, never taken for something else."""

import concurrent.futures
import errno
import hashlib
import os
import random
import re
import shutil
import struct

import pytest

from harness import layout as layouts
from harness.layout import Layout
from harness.mounts import is_mounted, mksquashfs

DAMAGED, UNSUPPORTED = 5, 6

# At how many places a file is cut; format/damage_test.cpp cuts a small one everywhere.
CUTS = 40


@pytest.fixture(scope="module")
def image(firn, scratch):
    """A signed image with several blocks of every kind: data, fragments, inodes, directories."""
    random_bytes = random.Random(5)
    tree = scratch / "whole"
    tree.mkdir()
    for number in range(4):
        (tree / f"data-{number}").write_bytes(random_bytes.randbytes(300_000 + number))
    (tree / "text").write_bytes(b"".join(b"line %d\n" % line for line in range(60_000)))
    for directory in range(30):
        (tree / f"directory-{directory}").mkdir()
        for number in range(40):
            path = tree / f"directory-{directory}" / f"file-{number}-{random_bytes.random()}"
            path.write_bytes(random_bytes.randbytes(random_bytes.randrange(500)))
    (tree / "symlink").symlink_to("directory-7")
    image = firn.build(tree, scratch / "whole.firn", "--block-size", "64K", "--prefix", "/whole")
    firn.run("keygen", scratch / "whole-key")
    firn.run("sign", image, "--key", scratch / "whole-key")
    return image


@pytest.fixture(scope="module")
def data(image):
    return image.read_bytes()


@pytest.fixture(scope="module")
def layout(data):
    return Layout(data)


def read_all(root):
    """What a program gets to see, without stopping at errors: {path: answer}."""
    answers = {}

    def walk(directory, prefix):
        try:
            names = sorted(os.listdir(directory))
        except OSError as error:
            answers[prefix + "/"] = error.errno
            return
        answers[prefix + "/"] = tuple(names)
        for name in names:
            path = os.path.join(directory, name)
            try:
                if os.path.islink(path):
                    answers[prefix + "/" + name] = os.readlink(path)
                elif os.path.isdir(path):
                    walk(path, prefix + "/" + name)
                else:
                    with open(path, "rb") as file:
                        answers[prefix + "/" + name] = hashlib.sha256(file.read()).hexdigest()
            except OSError as error:
                answers[prefix + "/" + name] = error.errno

    walk(root, "")
    return answers


@pytest.fixture(scope="module")
def original(firn, fuse, image):
    with firn.mounted(image) as place:
        answers = read_all(place)
    assert len(answers) > 1200 and not any(isinstance(answer, int) for answer in answers.values())
    return answers


def assert_never_wrong(original, answers):
    """Whatever could be read is what was put in; all else is EIO. Returns the number of errors."""
    errors = 0
    for path, answer in answers.items():
        if isinstance(answer, int):
            assert answer == errno.EIO, (path, errno.errorcode[answer])
            errors += 1
        else:
            assert answer == original[path], path
    return errors


class Bench:
    """Tries damaged images, each under a name of its own, several at a time."""

    def __init__(self, firn, directory):
        self.firn = firn
        self.directory = directory

    def write(self, name, data):
        path = self.directory / f"{name}.firn"
        path.write_bytes(data)
        return path

    def mount(self, path, *options):
        """The result of `firn mount`, and what could be read where it mounted."""
        place = path.with_suffix(".mount")
        place.mkdir(exist_ok=True)
        result = self.firn.run("mount", *options, path, place, check=False)
        if result.returncode != 0:
            assert not is_mounted(place)
            return result, None
        answers = read_all(place)
        self.firn.run("unmount", place)
        return result, answers

    def verify(self, path):
        return self.firn.run("verify", path, check=False)

    def for_all(self, trial, cases):
        """trial(case) for every case; all failures are reported together."""
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            trials = [(case, pool.submit(trial, case)) for case in cases]
        failures = [f"{case}: {done.exception()!r}" for case, done in trials if done.exception()]
        assert not failures, f"{len(failures)} of {len(trials)}:\n" + "\n".join(failures[:20])


@pytest.fixture
def bench(firn, fuse, directory):
    return Bench(firn, directory)


def assert_message(path, result, *codes):
    """What went wrong with which file, and what to do about it; `verify` prints findings."""
    text = result.stdout + result.stderr
    assert result.returncode in codes, (result.returncode, text)
    assert str(path) in text, text
    assert "firn: error: " in result.stderr or "verify" in result.args, text
    assert len(text.strip().splitlines()) >= 2, text


def assert_refused(bench, path, *codes, readers=("verify", "inspect")):
    """Neither mounted nor, where everything is allowed, taken for a foreign image."""
    for options in ((), ("--foreign",)):
        result, _ = bench.mount(path, *options)
        assert_message(path, result, *codes)
    for command in readers:
        assert_message(path, bench.firn.run(command, path, check=False), *codes)


def structures(layout):
    """Where each structure of the image starts and ends, by name."""
    superblock = layout.superblock
    tables = [superblock[name] for name in ("inode_table", "directory_table", "fragment_table",
                                            "export_table", "id_table")]
    places = {
        "superblock": (0, 96),
        "mark": (128, 160),
        "inode table": (superblock["inode_table"], superblock["directory_table"]),
        "directory table": (superblock["directory_table"],
                            min(at for at in tables if at > superblock["directory_table"])),
        "core table": (layout.core_offset, layout.core_offset + layout.core_length),
        "signature area": (layout.signatures_offset,
                           layout.signatures_offset + layout.signatures_length),
        "footer": (layout.footer_offset, len(layout.data)),
        "SquashFS part": (0, layout.squashfs_length),
    }
    for section in layout.sections.values():
        places[section.name] = (section.offset, section.offset + section.length)
    return places


def test_layout_is_as_specified(layout, data, image, firn):
    """The image read by the tests' own means: extents tile the SquashFS part, digests are true."""
    at = 0
    for extent in layout.extents():
        assert extent.offset == at
        content = data[extent.offset:extent.offset + extent.length]
        assert layouts.xxh3(content) == extent.xxh3
        assert hashlib.sha256(content).digest() == extent.sha256
        at += extent.length
    assert at == layout.squashfs_length
    assert f"sha256:{layout.image_id.hex()}" in firn.run("inspect", image).stdout
    for between in ((96, 128), (layout.squashfs_length, layout.sections["manifest"].offset)):
        assert not any(data[slice(*between)][8:])


def test_whole_image_passes(bench, image):
    assert bench.verify(image).returncode == 0


def test_truncated_anywhere(bench, data, layout):
    lengths = {0, 1, 4, 95, 96, 97} | {len(data) * part // CUTS for part in range(CUTS)}
    for start, end in structures(layout).values():
        lengths |= {start - 1, start, start + 1, end - 1, end, end + 1}

    def trial(length):
        path = bench.write(f"cut-at-{length}", data[:length])
        assert_refused(bench, path, DAMAGED)
        path.unlink()

    bench.for_all(trial, sorted(length for length in lengths if 0 <= length < len(data)))


def test_bytes_after_the_end(bench, data):
    tails = {"one": b"\0", "page": bytes(4096), "text": b"appended", "footer": data[-128:],
             "itself": data}

    def trial(name):
        assert_refused(bench, bench.write(name, data + tails[name]), DAMAGED)

    bench.for_all(trial, tails)


def test_zeros_in_the_middle(bench, data, layout, original):
    """A copy that stopped and went on elsewhere: right length, right ends, zeros between."""
    for name, (start, length) in {
            "data": (len(data) // 8 // 4096 * 4096, 65536),
            "tables": (layout.superblock["inode_table"] // 4096 * 4096, 8192)}.items():
        path = bench.write(f"zeros-in-{name}", data[:start] + bytes(length) + data[start + length:])
        result, answers = bench.mount(path)
        if answers is None:
            assert_message(path, result, DAMAGED)
        else:
            assert assert_never_wrong(original, answers) > 0
        assert_message(path, bench.verify(path), DAMAGED)


def test_another_format(bench, data, directory):
    squashfs = mksquashfs(directory, directory.with_suffix(".sqfs"), "-quiet").read_bytes()
    directory.with_suffix(".sqfs").unlink()
    older = bytearray(squashfs)
    struct.pack_into("<H", older, 28, 3)
    others = {
        "program": open("/usr/bin/env", "rb").read(),
        "text": b"#!/bin/sh\necho hello\n" * 1000,
        "zeros": bytes(1 << 20),
        "archive": b"PK\x03\x04" + random.Random(6).randbytes(100_000),
        "big-endian": b"sqsh" + squashfs[4:],
        "squashfs-3": bytes(older),
    }

    def trial(name):
        assert_refused(bench, bench.write(name, others[name]), DAMAGED, UNSUPPORTED)

    bench.for_all(trial, others)


def test_not_a_file(bench, directory):
    (directory / "a-directory.firn").mkdir()
    os.mkfifo(directory / "a-fifo.firn")
    for name in ("a-directory.firn", "a-fifo.firn", "absent.firn"):
        result = bench.firn.run("verify", directory / name, check=False, timeout=60)
        assert result.returncode not in (0, 1, 2) and name in result.stderr


def test_newer_version(bench, data):
    def newer_core(core):
        struct.pack_into("<I", core, 8, 2)

    newer = {
        "footer": layouts.with_footer_version(data, 2),
        "mark": layouts.with_mark_version(data, 2),
        "core": layouts.with_core(data, newer_core),
        "far-footer": layouts.with_footer_version(data, 4_000_000_000),
    }

    def trial(name):
        path = bench.write(name, newer[name])
        assert_refused(bench, path, UNSUPPORTED)
        result = bench.verify(path)
        assert "version" in result.stdout + result.stderr

    bench.for_all(trial, newer)


def flip(data, offset, bit=0):
    return data[:offset] + bytes([data[offset] ^ (1 << bit)]) + data[offset + 1:]


def places_to_flip(data, layout):
    """Offsets, by what stands there."""
    superblock = layout.superblock
    places = {}
    for name, (start, end) in structures(layout).items():
        count = {"superblock": 24, "footer": 16, "core table": 12}.get(name, 6)
        places |= {f"{name} +{at - start}": at
                   for at in range(start, end, max(1, (end - start) // count))}
    data_extents = [extent for extent in layout.extents()
                    if extent.offset >= 160 and extent.offset < superblock["inode_table"]]
    for extent in data_extents[::max(1, len(data_extents) // 8)] + data_extents[-2:]:
        places[f"block at {extent.offset}"] = extent.offset + extent.length // 2
    for name in ("fragment_table", "export_table", "id_table"):
        places[name] = superblock[name]
        places[f"{name} block"] = struct.unpack_from("<Q", data, superblock[name])[0] + 3
    for name, section in layout.sections.items():
        root, upper = layouts.page_tree_root(layout.content(name))
        if upper:
            places[f"upper level of {name}"] = section.offset + section.length + 5
    places["compressor options"] = 96
    places["before the mark"] = 127
    places["padding"] = layout.squashfs_length + 1
    anywhere = random.Random(9)
    places |= {f"anywhere {number}": anywhere.randrange(len(data)) for number in range(12)}
    return places


def test_flipped_bits(bench, data, layout, original):
    places = places_to_flip(data, layout)
    assert len(places) > 80

    def trial(name):
        offset = places[name]
        path = bench.write(f"flipped-{offset}-{len(name)}", flip(data, offset, offset % 8))

        found = bench.verify(path)
        assert_message(path, found, DAMAGED, UNSUPPORTED)
        named = [int(number) for number in re.findall(r"offset (\d+)", found.stdout + found.stderr)]
        assert named, found.stderr
        if offset < layout.squashfs_length and not 128 <= offset < 160:
            extent = layout.extent_at(offset)
            assert any(extent.offset <= at < extent.offset + extent.length for at in named), named

        result, answers = bench.mount(path)
        if answers is None:
            assert_message(path, result, DAMAGED, UNSUPPORTED)
        else:
            errors = assert_never_wrong(original, answers)
            if name.startswith("block at"):
                assert errors > 0
        path.unlink()

    bench.for_all(trial, places)


def test_flipped_bits_are_not_foreign(bench, data, layout):
    """A damaged image stays one of Firn's: the checks are not to be got around by --foreign."""
    def trial(offset):
        path = bench.write(f"not-foreign-{offset}", flip(data, offset))
        result, answers = bench.mount(path, "--foreign")
        assert answers is None
        assert_message(path, result, DAMAGED, UNSUPPORTED)

    bench.for_all(trial, [layout.footer_offset, layout.footer_offset + 3, layout.core_offset,
                          128, 135, layout.footer_offset + 50])


def test_verify_names_the_files_of_a_damaged_block(bench, data, layout):
    """Offsets say little to people; the paths of all files that are lost stand in the message."""
    block = next(extent for extent in layout.extents() if extent.offset >= 160 and extent.length > 60_000)
    path = bench.write("named", flip(data, block.offset + 100))
    found = bench.verify(path)
    assert re.search(r"data-\d", found.stdout + found.stderr), found.stderr
    _, answers = bench.mount(path)
    broken = [name.lstrip("/") for name, answer in answers.items() if answer == errno.EIO]
    assert broken and all(name in found.stdout + found.stderr for name in broken)


def test_damage_while_mounted(firn, fuse, image, directory, original):
    """Storage that goes bad under a mount: EIO for what is gone, and the daemon lives on."""
    path = directory / "going-bad.firn"
    shutil.copyfile(image, path)
    with firn.mounted(path) as place:
        os.truncate(path, path.stat().st_size // 2)
        errors = assert_never_wrong(original, read_all(place))
        assert errors > 0
        shutil.copyfile(image, path.with_suffix(".whole"))
        with open(path, "r+b") as file, open(path.with_suffix(".whole"), "rb") as whole:
            shutil.copyfileobj(whole, file)
        # Nothing of the failure is remembered.
        assert assert_never_wrong(original, read_all(place)) == 0


# Hostile images ----------------------------------------------------------------------------------


def walk_bounded(place, limit=3000):
    """Touches what it finds, in bounded work: a hostile tree may lead back to itself."""
    visited = 0
    stack = [(os.fspath(place), 0)]
    while stack and visited < limit:
        directory, depth = stack.pop()
        try:
            entries = list(os.scandir(directory))
        except OSError:
            continue
        for entry in entries[:limit]:
            visited += 1
            try:
                if entry.is_symlink():
                    os.readlink(entry.path)
                elif entry.is_dir() and depth < 40:
                    stack.append((entry.path, depth + 1))
                elif entry.is_file():
                    with open(entry.path, "rb") as file:
                        file.read(1 << 16)
                        size = entry.stat().st_size
                        os.pread(file.fileno(), 1 << 16, max(0, size - 4096))
                        os.pread(file.fileno(), 1 << 16, size // 2)
            except (OSError, ValueError, OverflowError):
                pass


@pytest.fixture(scope="module")
def naked_squashfs(scratch):
    """A foreign image without checksums or compression: changed bytes reach the parser as such."""
    random_bytes = random.Random(7)
    tree = scratch / "naked"
    tree.mkdir()
    for number in range(30):
        (tree / f"directory-{number % 5}").mkdir(exist_ok=True)
        (tree / f"directory-{number % 5}" / f"file-{number}").write_bytes(
            random_bytes.randbytes(random_bytes.randrange(30_000)))
    (tree / "many").mkdir()
    for number in range(600):
        (tree / "many" / f"{'name' * 5}-{number:05}").touch()
    with open(tree / "holes", "wb") as file:
        file.truncate(1 << 20)
    (tree / "symlink").symlink_to("many")
    os.link(tree / "holes", tree / "hard-link")
    return mksquashfs(tree, scratch / "naked.sqfs", "-b", "4096", "-noI", "-noId", "-noD", "-noF",
                      "-noX", "-no-xattrs").read_bytes()


def test_hostile_metadata(bench, naked_squashfs):
    """Numbers that lie, in every table: refused or answered with an error, and nobody crashes."""
    superblock = dict(zip(layouts.SUPERBLOCK_FIELDS,
                          layouts.SUPERBLOCK.unpack_from(naked_squashfs)))
    tables_start = superblock["inode_table"]
    values = [0, 1, 0x7f, 0x80, 0xff]

    def damaged(seed):
        numbers = random.Random(seed)
        data = bytearray(naked_squashfs)
        for _ in range(numbers.choice([1, 1, 2, 8])):
            if numbers.random() < 0.2:
                at = numbers.randrange(4, 96)
            else:
                at = numbers.randrange(tables_start, len(data))
            for step in range(numbers.choice([1, 1, 2, 4, 8])):
                if at + step < len(data):
                    data[at + step] = numbers.choice([*values, numbers.randrange(256)])
        return bytes(data)

    def trial(seed):
        path = bench.write(f"hostile-{seed}", damaged(seed))
        place = path.with_suffix(".mount")
        place.mkdir()
        result = bench.firn.run("mount", "--foreign", path, place, check=False)
        if result.returncode != 0:
            assert_message(path, result, DAMAGED, UNSUPPORTED)
        else:
            walk_bounded(place)
            # Still there, and still able to say so.
            assert is_mounted(place)
            os.statvfs(place)
            unmounted = bench.firn.run("unmount", place, check=False)
            assert unmounted.returncode == 0, unmounted.stderr
        path.unlink()

    bench.for_all(trial, range(120))


def test_hostile_core_table(bench, data, layout):
    """A core table whose checksums are right and whose contents are not."""
    section_field = 24  # of the first section

    def change(offset, value):
        return layouts.with_core(data, lambda core: struct.pack_into("<Q", core, offset, value))

    hostile = {
        "squashfs-length-0": change(16, 0),
        "squashfs-length-beyond": change(16, len(data) * 2),
        "squashfs-length-other": change(16, layout.squashfs_length - 4096),
        "section-beyond": change(section_field + 16, len(data)),
        "section-overflow": change(section_field + 24, (1 << 64) - 8),
        "section-unaligned": change(section_field + 16, layout.sections["manifest"].offset + 1),
        "section-in-squashfs": change(section_field + 16, 0),
        "section-name": change(section_field, 0),
    }

    def trial(name):
        # What the SquashFS part says of itself is nothing that `inspect` reads.
        readers = ("verify",) if name == "squashfs-length-other" else ("verify", "inspect")
        assert_refused(bench, bench.write(name, hostile[name]), DAMAGED, readers=readers)

    bench.for_all(trial, hostile)


def test_hostile_footer(bench, data):
    """A footer with a right checksum that points anywhere."""
    def change(offset, value):
        footer = bytearray(data[-128:])
        struct.pack_into("<Q", footer, offset, value)
        struct.pack_into("<Q", footer, 120, layouts.xxh3(bytes(footer[:120])))
        return data[:-128] + bytes(footer)

    hostile = {
        "core-at-0": change(16, 0),
        "core-beyond": change(16, len(data)),
        "core-overflow": change(16, (1 << 64) - 1),
        "core-empty": change(24, 0),
        "core-huge": change(24, 1 << 63),
        "signatures-beyond": change(40, 1 << 62),
        "other-id": change(48, 1),
        "other-length": change(80, len(data) - 1),
    }

    def trial(name):
        assert_refused(bench, bench.write(name, hostile[name]), DAMAGED)

    bench.for_all(trial, hostile)

