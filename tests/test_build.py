"""firn build: what it makes, judged by programs that Firn did not write, and what it refuses."""

import contextlib
import functools
import importlib.util
import json
import os
import pathlib
import pty
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from harness import layout as layouts
from harness import tree as trees
from harness.mounts import kernel_mount, mksquashfs, unsquash

MIB = 1 << 20
USAGE, INPUT, OUTPUT, INTERRUPTED = 2, 3, 4, 130
DEFAULT_TIME = 315532800

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def random_bytes(length, seed=0):
    return random.Random(seed).randbytes(length)


def text_bytes(length, seed):
    """Bytes that compress as text does."""
    words = [bytes(random.Random(seed + i).choices(b"abcdefgh", k=6)) for i in range(500)]
    return b" ".join(random.Random(seed).choices(words, k=length // 7 + 1))[:length]


def make_tree(root):
    """A tree with something of everything that an environment holds."""
    root.mkdir()
    (root / "bin").mkdir()
    (root / "bin" / "tool").write_bytes(b"#!/bin/sh\nexit 0\n")
    (root / "bin" / "tool").chmod(0o750)
    (root / "empty").mkdir()
    (root / "empty-file").touch()
    data = root / "share" / "data"
    data.mkdir(parents=True)
    for i in range(300):
        (data / f"part-{i:03}").write_bytes(text_bytes(4000 + 37 * i, i))
    (data / "large").write_bytes(text_bytes(2 * MIB, 7) + random_bytes(MIB + 12345))
    shutil.copy(data / "large", root / "large-again")
    shutil.copy(data / "part-001", root / "small-again")
    (data / "one-block").write_bytes(random_bytes(MIB, 5))
    os.link(data / "large", data / "large-linked")
    os.link(data / "part-002", root / "linked")
    os.link(data / "part-002", root / "bin" / "linked")
    (root / "absolute").symlink_to("/nowhere/at/all")
    (root / "bin" / "relative").symlink_to("tool")
    with open(root / "sparse", "wb") as file:
        file.seek(5 * MIB)
        file.write(b"end")
    with open(root / "zeros", "wb") as file:
        file.truncate(3 * MIB + 5)
    (root / "private").write_text("secret")
    (root / "private").chmod(0o600)
    os.mkdir(os.fsencode(root) + b"/\xff\xfe name with\nnewline")
    return root


def copy_otherwise(source, target):
    """The same tree with its entries made in another order, with other owners, times and modes.

    Modes change only in what the build does not keep.
    """
    listing = trees.tree_listing(source)
    target.mkdir()
    made = {}
    entries = sorted(listing.items(), reverse=True)
    for path, entry in reversed(entries):
        if entry.type == "directory" and path:
            os.mkdir(os.path.join(os.fsencode(target), path))
    for path, entry in entries:
        there = os.path.join(os.fsencode(target), path)
        if entry.type == "symlink":
            os.symlink(entry.target, there)
        elif entry.type == "file" and entry.inode in made:
            os.link(made[entry.inode], there)
        elif entry.type == "file":
            shutil.copyfile(os.path.join(os.fsencode(source), path), there)
            os.chmod(there, 0o700 if entry.mode & 0o111 else 0o664)
            if entry.nlink > 1:
                made[entry.inode] = there
    for number, (path, entry) in enumerate(entries):
        there = os.path.join(os.fsencode(target), path)
        if os.geteuid() == 0:
            os.chown(there, 1000 + number % 7, 1000, follow_symlinks=False)
        os.utime(there, (1e9 + number, 1e9 + number), follow_symlinks=False)
    return target


@pytest.fixture(scope="module")
def tree(scratch):
    return make_tree(scratch / "build-tree")


@pytest.fixture(scope="module")
def image(firn, tree, scratch):
    return firn.build(tree, scratch / "build-tree.firn", "--prefix", "/opt/tree")


def normalised(listing):
    """A listing as the image is to show it."""
    changed = {}
    for path, entry in listing.items():
        mode = 0o755 if entry.type == "directory" or entry.mode & 0o111 else 0o644
        mode = 0o777 if entry.type == "symlink" else mode
        changed[path] = trees.dataclasses.replace(
            entry, mode=mode, uid=0, gid=0, mtime=DEFAULT_TIME)
    return changed


# What an image is

def test_every_rule_of_the_format(image):
    layout = layouts.check_image(image)
    assert layout.superblock["major"] == 4 and layout.superblock["minor"] == 0
    assert layout.superblock["mtime"] == DEFAULT_TIME
    assert layout.superblock["export_table"] != 2**64 - 1


def test_the_kernel_reads_the_tree(tree, image, directory):
    with kernel_mount(image, directory / "mount") as mount:
        listing = trees.tree_listing(mount)
        subprocess.run(["diff", "-r", "--no-dereference", tree, mount], check=True)
    fields = ("type", "mode", "nlink", "size", "target", "sha256", "uid", "gid", "mtime")
    trees.assert_same_tree(normalised(trees.tree_listing(tree)), listing, fields)
    assert trees.hard_link_groups(listing) == trees.hard_link_groups(trees.tree_listing(tree))
    layouts.check_digests_of_tree(layouts.check_image(image), listing)


def test_unsquashfs_reads_the_tree(tree, image, directory):
    report = subprocess.run(["unsquashfs", "-s", image], check=True, capture_output=True,
                            text=True).stdout
    assert "Compression zstd" in report and "Block size 1048576" in report
    assert "exportable" in report and "Xattrs are not stored" in report
    unsquash(image, directory / "out")
    trees.assert_same_tree(normalised(trees.tree_listing(tree)),
                           trees.tree_listing(directory / "out"))


def test_same_bytes_at_any_job_count(firn, tree, image, directory):
    other = copy_otherwise(tree, directory / "copy")
    for jobs in ("1", "8"):
        built = firn.build(other, directory / f"{jobs}.firn", "--prefix", "/opt/tree",
                           "--name", "build-tree", "--jobs", jobs)
        assert built.read_bytes() == image.read_bytes()


@pytest.mark.concurrent
def test_small_blocks_on_many_threads(firn, tree, directory):
    image = firn.build(tree, directory / "small.firn", "--block-size", "4K", "--level", "1",
                       "--jobs", "8", "--no-compile")
    layouts.check_image(image)
    unsquash(image, directory / "out")
    trees.assert_same_tree(normalised(trees.tree_listing(tree)),
                           trees.tree_listing(directory / "out"))


def test_equal_contents_are_stored_once(firn, directory):
    root = directory / "tree"
    root.mkdir()
    content = random_bytes(3 * MIB + 100)
    (root / "a").write_bytes(content)
    small = random_bytes(50_000, 1)
    (root / "small").write_bytes(small)
    single = firn.build(root, directory / "single.firn").stat().st_size
    for i in range(5):
        (root / f"copy-{i}").write_bytes(content)
        (root / f"small-copy-{i}").write_bytes(small)
        os.link(root / "a", root / f"link-{i}")
    summary = json.loads(firn.run("build", root, "-o", directory / "many.firn", "--json").stdout)
    assert summary["duplicate_files"] == 10 and summary["hard_links"] == 5
    assert summary["files"] == 12
    assert summary["bytes_out"] < single + 16384
    unsquash(directory / "many.firn", directory / "out")
    subprocess.run(["diff", "-r", root, directory / "out"], check=True)


def test_holes_take_no_space(firn, directory):
    root = directory / "tree"
    root.mkdir()
    with open(root / "holes", "wb") as file:
        file.truncate(300 * MIB)
        file.seek(123 * MIB + 17)
        file.write(b"something")
    image = firn.build(root, directory / "holes.firn", "--block-size", "128K")
    assert image.stat().st_size < 65536
    with kernel_mount(image, directory / "mount") as mount:
        assert (mount / "holes").stat().st_blocks < 1000
        subprocess.run(["cmp", root / "holes", mount / "holes"], check=True)


def test_thousands_of_entries_in_a_directory(firn, directory):
    """Enough for a directory index."""
    root = directory / "tree"
    (root / "many").mkdir(parents=True)
    for i in range(3000):
        if i % 2:
            (root / "many" / f"{i:05}-{'x' * 200}").mkdir()
        else:
            (root / "many" / f"{i:05}-{'y' * 200}").write_text(str(i))
    image = firn.build(root, directory / "many.firn", "--level", "1")
    with kernel_mount(image, directory / "mount") as mount:
        listing = trees.tree_listing(mount)
        trees.assert_same_tree(normalised(trees.tree_listing(root)), listing)
        layouts.check_digests_of_tree(layouts.check_image(image), listing)


def test_paths_longer_than_the_system_takes(firn, directory):
    root = directory / "tree"
    root.mkdir()
    fd = os.open(root, os.O_RDONLY)
    for _ in range(40):
        os.mkdir("d" * 250, dir_fd=fd)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    file = os.open("file", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd)
    os.write(file, b"deep down")
    os.close(file)
    os.close(fd)
    image = firn.build(root, directory / "deep.firn")
    with kernel_mount(image, directory / "mount") as mount:
        trees.assert_same_tree(normalised(trees.tree_listing(root)), trees.tree_listing(mount))


def test_squashfs_part_is_not_larger_than_mksquashfs_makes_it(firn, environment_tree, directory):
    summary = json.loads(firn.run("build", environment_tree, "-o", directory / "e.firn",
                                  "--no-compile", "--no-rules", "--level", "3",
                                  "--json").stdout)
    other = mksquashfs(environment_tree, directory / "e.sqfs", "-comp", "zstd",
                       "-Xcompression-level", "3", "-b", "1M", "-all-root", "-no-xattrs")
    with open(other, "rb") as file:
        file.seek(40)
        used = int.from_bytes(file.read(8), "little")
    assert summary["squashfs_bytes"] <= used
    assert summary["bytes_out"] - summary["squashfs_bytes"] <= 0.005 * summary["bytes_out"] + 4096


# Options

def test_modes_are_kept_on_request(firn, tree, directory):
    (directory / "tree").mkdir()
    for mode in (0o600, 0o640, 0o755, 0o4755, 0o444, 0o1777):
        (directory / "tree" / oct(mode)).touch()
        (directory / "tree" / oct(mode)).chmod(mode)
    image = firn.build(directory / "tree", directory / "modes.firn", "--keep-modes")
    unsquash(image, directory / "out")
    for entry in (directory / "tree").iterdir():
        assert (directory / "out" / entry.name).stat().st_mode == entry.stat().st_mode


def test_time_is_that_of_source_date_epoch(firn, tree, directory):
    environment = dict(os.environ, SOURCE_DATE_EPOCH="1700000000")
    image = firn.build(tree, directory / "i.firn", env=environment)
    assert layouts.check_image(image).superblock["mtime"] == 1700000000
    unsquash(image, directory / "out")
    assert (directory / "out" / "bin" / "tool").stat().st_mtime == 1700000000


@pytest.mark.parametrize("epoch", ["yesterday", "-1", "4294967296", "1.5", " 7"])
def test_a_strange_source_date_epoch_is_refused(firn, tree, directory, epoch):
    environment = dict(os.environ, SOURCE_DATE_EPOCH=epoch)
    fails(firn, USAGE, "SOURCE_DATE_EPOCH", "build", tree, "-o", directory / "i.firn",
          env=environment)
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize("options, word", [
    (["--block-size", "3K"], "block size"),
    (["--block-size", "2M"], "block size"),
    (["--block-size", "100000"], "block size"),
    (["--block-size", "-4K"], "block size"),
    (["--block-size", "4294967297K"], "block size"),
    (["--level", "0"], "level"),
    (["--level", "23"], "level"),
    (["--jobs", "0"], "jobs"),
    (["--jobs", "many"], "jobs"),
    (["--jobs", "100000"], "jobs"),
    (["--prefix", "relative/path"], "prefix"),
    (["--prefix", "/"], "prefix"),
    (["--prefix", "//"], "prefix"),
    (["--prefix", "/opt/../etc"], "prefix"),
    (["--prefix", "/opt/\x1b[31m"], "prefix"),
    (["--name", ""], "name"),
    (["--name", "a/b"], "name"),
])
def test_strange_options_are_refused(firn, tree, directory, options, word):
    fails(firn, USAGE, word, "build", tree, "-o", directory / "i.firn", *options)
    assert list(directory.iterdir()) == []


def test_defaults_come_from_the_directory(firn, tree, directory):
    (directory / "link").symlink_to(tree)
    summary = json.loads(firn.run("build", directory / "link", "-o", directory / "i.firn",
                                  "--json").stdout)
    assert summary["name"] == tree.name and summary["prefix"] == str(tree)
    content = layouts.check_image(directory / "i.firn").content("manifest").decode()
    assert f'prefix: "{tree}"\n' in content


def test_the_summary_says_what_was_made(firn, tree, image, directory):
    result = firn.run("build", tree, "-o", directory / "i.firn", "--prefix", "/opt/tree")
    listing = trees.tree_listing(tree)
    files = {entry.inode for entry in listing.values() if entry.type == "file"}
    directories = [entry for entry in listing.values() if entry.type == "directory"]
    assert f"{len(files)} files, {len(directories)} directories, 2 symlinks" in result.stdout
    assert "sha256:" + layouts.check_image(image).image_id.hex() in result.stdout
    assert result.stderr == ""
    quiet = firn.run("build", tree, "-o", directory / "q.firn", "--quiet")
    assert quiet.stdout == "" and quiet.stderr == ""


def test_progress_is_shown_on_a_terminal(firn, directory):
    """A work of over a second shows a line on stderr, and wipes it."""
    root = directory / "tree"
    root.mkdir()
    for i in range(4):
        (root / str(i)).write_bytes(text_bytes(MIB, i))
    ours, theirs = pty.openpty()
    process = subprocess.Popen([firn, "build", root, "-o", directory / "i.firn", "--level", "19",
                                "--jobs", "1"], stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal ends
        while chunk := os.read(ours, 4096):
            shown += chunk
    os.close(ours)
    process.communicate()
    assert process.returncode == 0
    assert b"writing [" in shown and b"% of 4.0 MiB" in shown
    assert shown.endswith(b"\r\x1b[K")


# .pyc files

def make_python_tree(root):
    """A prefix with a Python of its own and modules of all kinds."""
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", root], check=True)
    (site,) = root.glob("lib/python3*/site-packages")
    for package in ("json", "email", "unittest", "xml", "asyncio"):
        shutil.copytree(pathlib.Path(json.__file__).parent.parent / package, site / package,
                        ignore=shutil.ignore_patterns("__pycache__"))
    package = site / "package"
    package.mkdir()
    (package / "__init__.py").write_text(
        "WORDS = {'one', 'two', 'three', None, 4, (5, 6)}\n"
        "def contains(x):\n    return x in {'a', 'b', 'c', None, 1.5, ('d', 'e')}\n")
    (package / "stale.py").write_text("VALUE = 'of the source'\n")
    (package / "kept.py").write_text("VALUE = 1\n")
    (package / "broken.py").write_text("def broken(:\n")
    (package / "latin.py").write_bytes(b"# -*- coding: latin-1 -*-\nWORD = '\xe9'\n")
    (package / "linked.py").symlink_to("kept.py")
    (package / "dangling.py").symlink_to("nowhere.py")
    os.mkfifo(package / "not-a-module.txt")
    os.unlink(package / "not-a-module.txt")
    return root, package


@functools.cache
def tag():
    return subprocess.run(
        ["/usr/bin/python3", "-c", "import sys; print(sys.implementation.cache_tag)"],
        check=True, capture_output=True, text=True).stdout.strip()


def pyc_header(path):
    data = path.read_bytes()
    return data[:4], int.from_bytes(data[4:8], "little"), data[8:16]


@pytest.fixture(scope="module")
def python_tree(scratch):
    return make_python_tree(scratch / "python-tree")


@pytest.fixture(scope="module")
def python_image(firn, python_tree, scratch):
    """Of a prefix at which the tests can put the unpacked image."""
    image = scratch / "python.firn"
    result = firn.run("build", python_tree[0], "-o", image, "--prefix", scratch / "python-prefix",
                      "--level", "1", "--jobs", "1", "--json")
    return image, json.loads(result.stdout)["python"]


@pytest.fixture(scope="module")
def python_prefix(python_image, scratch):
    return unsquash(python_image[0], scratch / "python-prefix")


def test_every_module_has_unchecked_bytecode(python_tree, python_prefix, python_image):
    """Headers and hashes as importlib has them, for every .py but the broken and the dangling."""
    missing = []
    count = 0
    for source in sorted(python_prefix.rglob("*.py")):
        cached = source.parent / "__pycache__" / f"{source.stem}.{tag()}.pyc"
        if not cached.exists():
            missing.append(source.name)
            continue
        magic, flags, source_hash = pyc_header(cached)
        assert magic == magic_number() and flags == 1, cached
        assert source_hash == importlib.util.source_hash(source.read_bytes()) or \
            sys.version_info[:2] != version_of_system_python()
        count += 1
    assert sorted(missing) == ["broken.py", "dangling.py"]
    summary = python_image[1]
    assert summary["compiled"] == count
    (broken,) = summary["not_compiled"]
    assert broken.endswith("/site-packages/package/broken.py")
    # Nothing was written to the tree.
    assert list(python_tree[0].rglob("*.pyc")) == []


def system_python(code):
    return subprocess.run(["/usr/bin/python3", "-c", code], check=True, capture_output=True).stdout


@functools.cache
def magic_number():
    return system_python("import importlib.util, sys;"
                         "sys.stdout.buffer.write(importlib.util.MAGIC_NUMBER)")


@functools.cache
def version_of_system_python():
    return tuple(map(int, system_python("import sys; print(*sys.version_info[:2])").split()))


def test_python_imports_the_bytecode(python_prefix):
    """Python itself says where the code came from, and the code says the path in the image."""
    result = subprocess.run(
        [python_prefix / "bin" / "python3", "-v", "-c",
         "import sys, package.stale, package.latin, package.linked\n"
         "print(*sys.path, sep='\\0')\n"
         "print(package.contains.__code__.co_filename)\n"
         "print(package.stale.VALUE, package.contains(None), package.contains(2))\n"],
        check=True, capture_output=True, text=True)
    (site,) = (place for place in map(pathlib.Path, result.stdout.splitlines()[0].split("\0"))
               if place.name.endswith("-packages"))
    assert site.is_relative_to(python_prefix)
    assert result.stdout.splitlines()[1:] == [
        str(site / "package" / "__init__.py"), "of the source True False"]
    for module in ("package/__pycache__/stale", "package/__pycache__/linked"):
        directory, _, name = module.rpartition("/")
        assert f"code object from '{site / directory / name}.{tag()}.pyc'" in result.stderr \
            or f"# {site / directory / name}.{tag()}.pyc matches" in result.stderr
    assert "wrote" not in result.stderr


def test_bytecode_is_the_same_at_any_job_count(firn, python_tree, python_image, directory, scratch):
    """Also of the copy of the tree, whose files have other inodes, times and an other order."""
    copy = copy_otherwise(python_tree[0], directory / "python-tree")
    image = firn.build(copy, directory / "8.firn", "--jobs", "8", "--level", "1",
                       "--prefix", scratch / "python-prefix")
    assert image.read_bytes() == python_image[0].read_bytes()


def test_old_bytecode(firn, python_tree, directory):
    """What timestamps make stale is replaced or dropped; hashes and sourceless modules stay."""
    root = directory / "tree"
    shutil.copytree(python_tree[0], root, symlinks=True)
    (package,) = root.glob("lib/python3*/site-packages/package")
    cache = package / "__pycache__"
    cache.mkdir()
    timestamp, unchecked = bytes(16), bytes(4) + b"\1\0\0\0" + bytes(8)
    (cache / f"stale.{tag()}.pyc").write_bytes(timestamp)
    (cache / "stale.cpython-27.pyc").write_bytes(timestamp)
    (cache / f"stale.{tag()}.opt-1.pyc").write_bytes(timestamp)
    (cache / "kept.cpython-27.pyc").write_bytes(unchecked)
    (cache / f"gone.{tag()}.pyc").write_bytes(timestamp)
    (cache / "broken.cpython-27.pyc").write_bytes(timestamp)
    (package / "sourceless.pyc").write_bytes(timestamp)
    unsquash(firn.build(root, directory / "i.firn", "--no-rules"), directory / "out")
    (packed,) = (directory / "out").glob("lib/python3*/site-packages/package")
    names = sorted(path.name for path in (packed / "__pycache__").iterdir())
    compiled = [f"{name}.{tag()}.pyc" for name in
                ("__init__", "gone", "kept", "latin", "linked", "stale")]
    assert names == sorted(compiled + ["kept.cpython-27.pyc"])
    assert pyc_header(packed / "__pycache__" / f"stale.{tag()}.pyc")[1] == 1
    assert (packed / "sourceless.pyc").read_bytes() == timestamp
    # On request everything stays as it is.
    unsquash(firn.build(root, directory / "n.firn", "--no-compile", "--no-rules"),
             directory / "as-it-was")
    subprocess.run(["diff", "-r", "--no-dereference", root, directory / "as-it-was"], check=True)


def test_a_python_that_does_not_run_is_an_error(firn, directory):
    root = directory / "tree"
    (root / "bin").mkdir(parents=True)
    (root / "module.py").write_text("pass\n")
    python = root / "bin" / "python3"
    python.write_text("#!/bin/sh\necho it is broken >&2\nexit 1\n")
    python.chmod(0o755)
    image = directory / "i.firn"
    result = fails(firn, INPUT, "bin/python3", "build", root, "-o", image)
    assert "it is broken" in result.stderr and "--no-compile" in result.stderr
    python.write_bytes(b"\x7fELF not at all")
    fails(firn, INPUT, "cannot run it", "build", root, "-o", image)
    assert not image.exists()
    firn.build(root, image, "--no-compile", "--no-check")


def test_no_space_for_bytecode(firn, python_tree, directory, small_disk):
    filler = small_disk / "filler"
    filler.write_bytes(bytes(900 * 1024))
    environment = dict(os.environ, TMPDIR=str(small_disk))
    result = fails(firn, OUTPUT, "no space left", "build", python_tree[0], "-o",
                   directory / "i.firn", "--no-rules", env=environment)
    assert "TMPDIR" in result.stderr
    assert list(directory.iterdir()) == [] and list(small_disk.iterdir()) == [filler]
    # Nor for what rules change.
    result = fails(firn, OUTPUT, "No space left", "build", python_tree[0], "-o",
                   directory / "i.firn", env=environment)
    assert "TMPDIR" in result.stderr
    assert list(directory.iterdir()) == [] and list(small_disk.iterdir()) == [filler]


# What is refused

def fails(firn, code, word, *arguments, **options):
    """Runs firn, which must fail with that exit code and a message that has the word."""
    result = firn.run(*arguments, check=False, **options)
    assert result.returncode == code, result.stderr
    assert result.stderr.startswith("firn: error: ")
    assert str(word) in result.stderr
    assert result.stdout == ""
    return result


def test_directory_is_missing(firn, directory):
    fails(firn, INPUT, "does not exist", "build", directory / "nowhere", "-o", directory / "i.firn")
    assert list(directory.iterdir()) == []


def test_directory_is_a_file(firn, directory):
    (directory / "file").touch()
    fails(firn, INPUT, "found another kind of file", "build", directory / "file", "-o", directory / "i.firn")
    assert not (directory / "i.firn").exists()


def test_unreadable_entries_are_named(firn, ordinary_user):
    root = ordinary_user.make_directory("unreadable")
    (root / "closed").mkdir(mode=0)
    (root / "secret").write_text("x")
    (root / "secret").chmod(0)
    (root / "open").write_text("x")
    output = ordinary_user.make_directory("unreadable-out")
    result = fails(firn, INPUT, root / "secret", "build", root, "-o", output / "i.firn",
                   user=ordinary_user)
    assert str(root / "closed") in result.stderr and str(root / "open") not in result.stderr
    assert list(output.iterdir()) == []
    (root / "closed").chmod(0o755)


@needs_root
def test_special_files_are_named_or_left_out(firn, directory):
    root = directory / "tree"
    root.mkdir()
    (root / "file").write_text("x")
    os.mkfifo(root / "a-fifo")
    os.mknod(root / "a-device", 0o600 | 0o020000, os.makedev(1, 3))
    os.mknod(root / "a-disk", 0o600 | 0o060000, os.makedev(7, 0))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "a-socket"))
    image = directory / "i.firn"
    result = fails(firn, INPUT, "--skip-special", "build", root, "-o", image)
    for name, kind in (("a-fifo", "a fifo"), ("a-device", "a character device"),
                       ("a-disk", "a block device"), ("a-socket", "a socket")):
        assert f"{root / name}: is {kind}" in result.stderr
    assert sorted(directory.iterdir()) == [root]
    summary = json.loads(firn.run("build", root, "-o", image, "--skip-special", "--json").stdout)
    assert summary["skipped_special"] == 4 and summary["files"] == 1


def test_output_exists(firn, tree, directory):
    image = directory / "i.firn"
    image.write_text("precious")
    fails(firn, OUTPUT, "--force", "build", tree, "-o", image)
    assert image.read_text() == "precious"
    firn.build(tree, image, "--force")
    layouts.check_image(image)
    assert list(directory.iterdir()) == [image]


def test_output_is_a_directory(firn, tree, directory):
    (directory / "d").mkdir()
    fails(firn, OUTPUT, "not a regular file", "build", tree, "-o", directory / "d", "--force")
    assert list((directory / "d").iterdir()) == []


def test_output_cannot_be_written(firn, tree, directory, ordinary_user):
    fails(firn, OUTPUT, "No such file", "build", tree, "-o", directory / "nowhere" / "i.firn")
    if os.geteuid() != 0:
        directory.chmod(0o555)
    fails(firn, OUTPUT, "Permission denied", "build", environment_free(ordinary_user), "-o",
          directory / "i.firn", user=ordinary_user)
    directory.chmod(0o755)
    assert list(directory.iterdir()) == []


def environment_free(user):
    """A tree that the user can read."""
    root = user.home / "readable"
    if not root.exists():
        user.make_directory("readable")
        (root / "file").write_text("x")
    return root


def test_output_inside_the_tree_is_not_packed(firn, directory):
    root = directory / "tree"
    root.mkdir()
    (root / "file").write_bytes(random_bytes(MIB))
    image = firn.build(root, root / "i.firn")
    first = image.read_bytes()
    firn.build(root, image, "--force")
    assert image.read_bytes() == first
    unsquash(image, directory / "out")
    assert [path.name for path in (directory / "out").iterdir()] == ["file"]


@pytest.fixture
def small_disk(directory):
    """A file system of one megabyte."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    place = directory.parent / f"{directory.name}-disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)
    place.rmdir()


@pytest.mark.parametrize("jobs", ["1", "4"])
def test_disk_full_in_the_middle(firn, directory, small_disk, jobs):
    root = directory / "tree"
    root.mkdir()
    for i in range(5):
        (root / str(i)).write_bytes(random_bytes(MIB, i))
    result = fails(firn, OUTPUT, "No space left on device", "build", root, "-o",
                   small_disk / "i.firn", "--jobs", jobs)
    assert str(small_disk / "i.firn") in result.stderr and "Free space" in result.stderr
    assert list(small_disk.iterdir()) == []


@contextlib.contextmanager
def running_build(firn, root, image, *options, **keywords):
    """A build that has begun to write file contents: it has walked the tree, and goes on."""
    process = subprocess.Popen([firn, "build", root, "-o", image, *options],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               **keywords)
    try:
        def size():
            return sum(path.stat().st_size for path in image.parent.glob(f"{image.name}.*"))
        wait_until(lambda: size() > 4096 or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.001)


@pytest.fixture
def slow_tree(directory):
    """A tree that takes seconds to compress, but for its begin; `last` is read at the end."""
    root = directory / "tree"
    root.mkdir()
    (root / "0").write_bytes(random_bytes(3 * MIB))
    for i in (1, 2):
        (root / f"{i}").write_bytes(text_bytes(2 * MIB, i))
    (root / "last").write_text("x" * 100)
    return root


SLOW = ("--level", "19", "--jobs", "1", "--block-size", "128K")


def test_a_file_that_vanishes_is_named(firn, directory, slow_tree):
    image = directory / "i.firn"
    with running_build(firn, slow_tree, image, *SLOW) as process:
        (slow_tree / "last").unlink()
        _, errors = process.communicate(timeout=120)
    assert process.returncode == INPUT
    assert f"{slow_tree / 'last'}: vanished" in errors
    assert list(directory.iterdir()) == [slow_tree]


def test_a_file_that_changes_is_named(firn, directory, slow_tree):
    image = directory / "i.firn"
    with running_build(firn, slow_tree, image, *SLOW) as process:
        with open(slow_tree / "last", "r+") as file:
            file.write("y")
        _, errors = process.communicate(timeout=120)
    assert process.returncode == INPUT
    assert f"{slow_tree / 'last'}: changed" in errors
    assert list(directory.iterdir()) == [slow_tree]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_while_writing(firn, directory, slow_tree, number):
    image = directory / "i.firn"
    with running_build(firn, slow_tree, image, *SLOW) as process:
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == INTERRUPTED
    assert "interrupted" in errors
    assert list(directory.iterdir()) == [slow_tree]


def test_interrupted_while_compiling(firn, directory, python_tree):
    """The Python that compiles is ended too, with all that it started."""
    temporary = directory / "tmp"
    temporary.mkdir()
    environment = dict(os.environ, TMPDIR=str(temporary))
    process = subprocess.Popen([firn, "build", python_tree[0], "-o", directory / "i.firn",
                                "--jobs", "1"], stderr=subprocess.PIPE, text=True, env=environment)
    try:
        wait_until(lambda: list(temporary.glob("*/0")) or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == INTERRUPTED and "interrupted" in errors
    assert list(temporary.iterdir()) == []
    assert list(directory.iterdir()) == [temporary]
    assert not [line for line in process_commands() if str(temporary) in line]


def process_commands():
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
