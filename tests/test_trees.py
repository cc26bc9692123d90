"""One tree through every reader: Firn, the kernel's squashfs, squashfuse and unsquashfs."""

import os
import random
import re
import stat
import subprocess

import pytest

from harness.environment import PREFIX
from harness.mounts import kernel_mount, mksquashfs, squashfuse_mount, unsquash
from harness.tree import (assert_same_tree, hard_link_groups, sha256_of, tree_listing,
                          tree_listing_as)

FIELDS = ("type", "mode", "nlink", "size", "target", "sha256")
WITH_TIMES_AND_OWNERS = FIELDS + ("mtime", "uid", "gid", "rdev")


def without_directory_links(listing):
    """unsquashfs leaves the link count of directories to the file system it writes to."""
    return {path: entry for path, entry in listing.items() if entry.type != "directory"}


@pytest.fixture(scope="module")
def environment_through_kernel(environment_image, scratch):
    with kernel_mount(environment_image, scratch / "environment-kernel") as place:
        return tree_listing(place)


def test_environment_has_what_it_was_built_from(environment_tree, environment_through_kernel):
    """But for what the rules change in a venv: test_rules.py has that."""
    source = tree_listing(environment_tree)
    assert len(source) > 4000
    assert b"pyvenv.cfg" not in environment_through_kernel
    (base,) = {path for path in environment_through_kernel if re.fullmatch(rb"lib/python3\.\d+",
                                                                           path)}
    changed = re.compile(rb"pyvenv\.cfg|bin/.*|.*/pip-[^/]*\.dist-info/RECORD")
    kept = {path: entry for path, entry in source.items() if not changed.fullmatch(path)}
    assert len(source) - len(kept) < 20
    for path, entry in kept.items():
        image_entry = environment_through_kernel[path]
        assert image_entry.type == entry.type, path
        assert image_entry.target == entry.target, path
        if entry.type == "file" and not path.endswith(b".pyc"):
            assert image_entry.sha256 == entry.sha256, path
    added = environment_through_kernel.keys() - source.keys()
    site = base + b"/site-packages/"
    assert all(path.endswith((b".pyc", b"__pycache__")) for path in added if path.startswith(site))
    ours = (base + b"/", b"local", b"include/", b"bin/python3.", b"pip.conf")
    assert all(path.startswith(ours) for path in added)


def test_environment_is_normalised(environment_through_kernel):
    for path, entry in environment_through_kernel.items():
        assert (entry.uid, entry.gid) == (0, 0), path
        if entry.type != "symlink":
            assert entry.mode in (0o644, 0o755), path
    assert len({entry.mtime for entry in environment_through_kernel.values()}) == 1


def test_environment_through_firn(firn, fuse, environment_image, environment_through_kernel):
    with firn.mounted(environment_image) as place:
        listing = tree_listing(place)
    assert_same_tree(environment_through_kernel, listing, WITH_TIMES_AND_OWNERS)
    assert hard_link_groups(environment_through_kernel) == hard_link_groups(listing)


def test_environment_through_firn_as_ordinary_user(firn, ordinary_user, environment_image,
                                                   environment_through_kernel):
    with firn.mounted(environment_image, user=ordinary_user) as place:
        listing = tree_listing_as(ordinary_user, place)
    assert_same_tree(environment_through_kernel, listing, WITH_TIMES_AND_OWNERS)


def test_environment_through_squashfuse(fuse, environment_image, environment_through_kernel,
                                        directory):
    with squashfuse_mount(environment_image, directory / "squashfuse") as place:
        assert_same_tree(environment_through_kernel, tree_listing(place))


def test_environment_through_unsquashfs(environment_image, environment_through_kernel, directory):
    listing = tree_listing(unsquash(environment_image, directory / "unsquashed"))
    assert_same_tree(without_directory_links(environment_through_kernel),
                     without_directory_links(listing))


def test_environment_works_at_its_prefix(firn, user, environment_image):
    script = "import numpy, scipy.linalg as l; print(l.det(numpy.eye(3) * 2), numpy.__file__)"
    result = firn.run("run", environment_image, "--", f"{PREFIX}/bin/python3", "-c", script,
                      user=user)
    value, path = result.stdout.split()
    assert float(value) == 8.0
    assert path.startswith(PREFIX + "/")


# Odd trees ---------------------------------------------------------------------------------------


def make_odd_tree(root):
    """Everything that a tree may hold and that a reader may stumble over."""
    random_bytes = random.Random(1)
    root = os.fsencode(root)

    def path(*names):
        return os.path.join(root, *names)

    def write(name, content):
        with open(path(name), "wb") as file:
            file.write(content)

    os.makedirs(path(b"empty-directory"))
    write(b"empty-file", b"")
    write(b"one-byte", b"x")
    for size in (4095, 4096, 4097, 131072, 1 << 20, (1 << 20) + 1, 3 * (1 << 20) - 1):
        write(b"random-%d" % size, random_bytes.randbytes(size))
    write(b"zeros", bytes(5 << 20))
    write(b"text", b"the same line\n" * 200000)
    write(b"duplicate-of-text", b"the same line\n" * 200000)
    with open(path(b"holes"), "wb") as file:
        for position in (0, 1 << 20, (7 << 20) + 5):
            file.seek(position)
            file.write(b"data")
        file.truncate(9 << 20)

    write(b"n" * 255, b"a name of 255 bytes")
    os.mkdir(path(b"d" * 255))
    write(b"d" * 255 + b"/" + b"\xff" * 255, b"below it")
    write(b"not-utf-8-\xff\xfe\x80", b"latin")
    write("Ünïcödé-雪".encode(), b"utf-8")
    write(b"new\nline \t\x01\"quoted\" \\back", b"awkward")
    write(b"-rf", b"looks like an option")

    os.symlink(b"nowhere/at/all", path(b"dangling"))
    os.symlink(b"/" + b"long-name/" * 399 + b"end-of-it", path(b"symlink-of-4000-bytes"))
    os.symlink(b"text", path(b"symlink"))
    os.symlink(b".", path(b"symlink-to-directory"))
    os.symlink(b"\xff\xfe", path(b"symlink-not-utf-8"))

    os.mkdir(path(b"links"))
    write(b"links/0", b"one file of 1,000 names\n")
    for number in range(1, 1000):
        os.link(path(b"links/0"), path(b"links", b"%d" % number))

    deep = root
    for level in range(200):
        deep = os.path.join(deep, b"level-%d" % level)
    os.makedirs(deep)
    with open(os.path.join(deep, b"bottom"), "wb") as file:
        file.write(b"200 levels down")

    os.mkdir(path(b"modes"))
    for mode in (0o000, 0o400, 0o640, 0o755, 0o777, 0o4755, 0o2711, 0o1666):
        write(b"modes/%o" % mode, b"x")
        os.chmod(path(b"modes/%o" % mode), mode)
    os.mkdir(path(b"modes/sticky"))
    os.chmod(path(b"modes/sticky"), 0o1777)


@pytest.fixture(scope="module")
def odd_tree(scratch):
    if os.geteuid() != 0:
        pytest.skip("a tree with files of mode 0 is read by root only")
    tree = scratch / "odd"
    tree.mkdir()
    make_odd_tree(tree)
    return tree


@pytest.fixture(scope="module")
def odd_image(firn, odd_tree, scratch):
    return firn.build(odd_tree, scratch / "odd.firn", "--keep-modes", "--prefix", "/odd")


@pytest.fixture(scope="module")
def odd_listing(odd_tree):
    return tree_listing(odd_tree)


def test_odd_tree_through_kernel(odd_image, odd_listing, directory):
    with kernel_mount(odd_image, directory / "kernel") as place:
        listing = tree_listing(place)
    assert_same_tree(odd_listing, listing)
    assert hard_link_groups(odd_listing) == hard_link_groups(listing)


def test_odd_tree_through_firn(firn, fuse, odd_image, odd_listing):
    with firn.mounted(odd_image) as place:
        listing = tree_listing(place)
    assert_same_tree(odd_listing, listing)
    assert hard_link_groups(odd_listing) == hard_link_groups(listing)


def test_odd_tree_through_squashfuse(fuse, odd_image, odd_listing, directory):
    with squashfuse_mount(odd_image, directory / "squashfuse") as place:
        assert_same_tree(odd_listing, tree_listing(place))


def test_odd_tree_through_unsquashfs(odd_image, odd_listing, directory):
    listing = tree_listing(unsquash(odd_image, directory / "unsquashed"))
    assert_same_tree(without_directory_links(odd_listing), without_directory_links(listing))


@pytest.mark.parametrize("block_size", ["4K", "1M"])
def test_odd_tree_at_other_block_sizes(firn, fuse, odd_tree, odd_listing, directory, block_size):
    image = firn.build(odd_tree, directory / "odd.firn", "--keep-modes", "--prefix", "/odd",
                       "--block-size", block_size)
    with firn.mounted(image) as place:
        assert_same_tree(odd_listing, tree_listing(place))
    with kernel_mount(image, directory / "kernel") as place:
        assert_same_tree(odd_listing, tree_listing(place))


def test_paths_longer_than_path_max(firn, fuse, directory):
    """200 levels whose names together are longer than any path that a system call takes."""
    source = directory / "deep"
    source.mkdir()
    level = os.open(source, os.O_RDONLY)
    for number in range(200):
        name = f"{number:03}-{'x' * 40}"
        os.mkdir(name, dir_fd=level)
        below = os.open(name, os.O_RDONLY, dir_fd=level)
        os.close(level)
        level = below
    bottom = os.open("bottom", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=level)
    os.write(bottom, b"found")
    os.close(bottom)
    os.close(level)
    expected = tree_listing(source)
    assert max(map(len, expected)) > 8000

    image = firn.build(source, directory / "deep.firn", "--keep-modes", "--prefix", "/deep")
    with firn.mounted(image) as place:
        assert_same_tree(expected, tree_listing(place))
    with kernel_mount(image, directory / "kernel") as place:
        assert_same_tree(expected, tree_listing(place))


@pytest.fixture(scope="module")
def huge(firn, scratch):
    """A tree with one file over 4 GiB that is all holes but for some places, and its image."""
    source = scratch / "huge"
    source.mkdir()
    size = (4 << 30) + 12345
    pieces = {0: b"start", (2 << 30) - 3: b"across 2 GiB", 3 << 30: random.Random(2).randbytes(3 << 20),
              (4 << 30) - 6: b"across 4 GiB", size - 3: b"end"}
    with open(source / "huge", "wb") as file:
        file.truncate(size)
        for position, content in pieces.items():
            file.seek(position)
            file.write(content)
    image = firn.build(source, scratch / "huge.firn", "--prefix", "/huge")
    assert image.stat().st_size < 5 << 20
    return source / "huge", image, pieces


def assert_same_around(original, copy, positions):
    assert os.stat(copy).st_size == os.stat(original).st_size
    with open(copy, "rb", buffering=0) as file, open(original, "rb", buffering=0) as source:
        for position in positions:
            start = max(0, position - (1 << 20))
            assert (os.pread(file.fileno(), (2 << 20) + 77, start)
                    == os.pread(source.fileno(), (2 << 20) + 77, start)), position
        assert os.pread(file.fileno(), 10, os.stat(original).st_size) == b""


def test_file_over_4_gib_through_firn(firn, fuse, huge):
    original, image, pieces = huge
    with firn.mounted(image) as place:
        assert_same_around(original, place / "huge", pieces)
        assert os.stat(place / "huge").st_blocks < 16 << 11, "holes are counted as stored"
        if not os.environ.get("FIRN_SANITIZE"):  # takes too long under one
            subprocess.run(["cmp", place / "huge", original], check=True)


def test_file_over_4_gib_through_kernel(huge, directory):
    original, image, pieces = huge
    with kernel_mount(image, directory / "kernel") as place:
        assert_same_around(original, place / "huge", pieces)


def test_100_000_files_in_one_directory(firn, fuse, directory):
    source = directory / "many"
    (source / "files").mkdir(parents=True)
    files = os.open(source / "files", os.O_RDONLY)
    for number in range(100_000):
        fd = os.open(f"file-{number}", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=files)
        if number % 100 == 0:
            os.write(fd, b"content of %d\n" % number)
        os.close(fd)
    os.close(files)

    image = firn.build(source, directory / "many.firn", "--prefix", "/many")
    expected = {f"file-{number}" for number in range(100_000)}
    with firn.mounted(image) as place:
        names = os.listdir(place / "files")
        assert len(names) == 100_000 and set(names) == expected
        for number in range(0, 100_000, 997):
            assert stat.S_ISREG(os.stat(place / f"files/file-{number}").st_mode)
        for number in range(0, 100_000, 5000):
            assert (place / f"files/file-{number}").read_bytes() == b"content of %d\n" % number
        for absent in ("file-100000", "file-", "file-00", "aaa", "zzz"):
            assert not os.path.exists(place / "files" / absent)
    with kernel_mount(image, directory / "kernel") as place:
        assert set(os.listdir(place / "files")) == expected


# Images of others --------------------------------------------------------------------------------

FOREIGN = {
    "gzip": ["-comp", "gzip"],
    "xz": ["-comp", "xz"],
    "lz4": ["-comp", "lz4"],
    "zstd": ["-comp", "zstd"],
    "no-fragments": ["-no-fragments"],
    "always-use-fragments": ["-always-use-fragments"],
    "no-exports": ["-no-exports"],
    "no-exports-lz4": ["-no-exports", "-comp", "lz4"],
    "b-4096": ["-b", "4096"],
    "b-4096-no-fragments-no-exports": ["-b", "4096", "-no-fragments", "-no-exports"],
    "b-1M": ["-b", "1M"],
    "uncompressed-data": ["-noD", "-noF"],
    "uncompressed-everything": ["-noI", "-noId", "-noD", "-noF", "-noX"],
    "no-sparse": ["-no-sparse"],
    "no-duplicates": ["-no-duplicates"],
    "no-tailends": ["-no-tailends"],
    "xz-with-options": ["-comp", "xz", "-Xbcj", "x86", "-Xdict-size", "100%"],
    "lz4-high-compression": ["-comp", "lz4", "-Xhc"],
    "other-owners": ["-force-uid", "1234", "-force-gid", "56789"],
}


@pytest.fixture(scope="module")
def foreign_tree(scratch):
    """An odd tree with xattrs, devices, fifos and sockets, which Firn's own images do not have."""
    if os.geteuid() != 0:
        pytest.skip("a tree with device nodes is made by root only")
    tree = scratch / "foreign"
    tree.mkdir()
    make_odd_tree(tree)
    os.mkfifo(tree / "fifo")
    os.mknod(tree / "character", stat.S_IFCHR | 0o600, os.makedev(5, 300))
    os.mknod(tree / "block", stat.S_IFBLK | 0o660, os.makedev(300, 70000))
    os.mknod(tree / "socket", stat.S_IFSOCK | 0o644)
    for owner, name in ((1000, "text"), (70000, "zeros"), (65534, "one-byte")):
        os.chown(tree / name, owner, owner + 1)
    # A directory large enough for an index.
    (tree / "indexed").mkdir()
    for number in range(3000):
        (tree / "indexed" / f"a-rather-long-file-name-{number:06}").touch()
    try:
        for name in ("text", "empty-file", "indexed", "."):
            os.setxattr(tree / name, "user.comment", b"kept by SquashFS, not shown by Firn")
    except OSError:
        pass  # the scratch file system has no xattrs; everything else still counts
    return tree


@pytest.mark.parametrize("options", FOREIGN.values(), ids=FOREIGN.keys())
def test_foreign_image(firn, fuse, foreign_tree, directory, options):
    image = mksquashfs(foreign_tree, directory / "image.sqfs", *options)
    with kernel_mount(image, directory / "kernel") as place:
        expected = tree_listing(place)
    assert len(expected) > 4000
    with firn.mounted(image, "--foreign") as place:
        listing = tree_listing(place)
    assert_same_tree(expected, listing, WITH_TIMES_AND_OWNERS)
    assert hard_link_groups(expected) == hard_link_groups(listing)


def test_foreign_image_that_is_not_padded(firn, fuse, foreign_tree, directory):
    """Its last table ends where the file does; the kernel cannot mount it by a loop device."""
    image = mksquashfs(foreign_tree, directory / "image.sqfs", "-nopad")
    with firn.mounted(image, "--foreign") as place:
        assert_same_tree(tree_listing(foreign_tree), tree_listing(place))


def test_foreign_image_with_one_file_of_many_blocks(firn, fuse, directory):
    """Block lists that span several metadata blocks, read from any place."""
    source = directory / "source"
    source.mkdir()
    random_bytes = random.Random(3)
    with open(source / "file", "wb") as file:
        for _ in range(24):
            file.write(random_bytes.randbytes(1 << 20))
            file.seek(300_000, os.SEEK_CUR)
    image = mksquashfs(source, directory / "image.sqfs", "-b", "4096")
    original = (source / "file").read_bytes()
    with firn.mounted(image, "--foreign") as place:
        with open(place / "file", "rb", buffering=0) as file:
            for _ in range(500):
                position = random_bytes.randrange(len(original))
                length = random_bytes.randrange(20_000)
                assert (os.pread(file.fileno(), length, position)
                        == original[position:position + length])
            os.lseek(file.fileno(), 0, os.SEEK_SET)
            sha256 = sha256_of(file.fileno())
        with open(source / "file", "rb", buffering=0) as file:
            assert sha256_of(file.fileno()) == sha256


def test_foreign_image_needs_the_option(firn, fuse, directory):
    (directory / "source").mkdir()
    image = mksquashfs(directory / "source", directory / "image.sqfs")
    (directory / "mount").mkdir()
    result = firn.run("mount", image, directory / "mount", check=False)
    assert result.returncode == 6
    assert str(image) in result.stderr and "--foreign" in result.stderr
    assert not os.path.ismount(directory / "mount")


def test_lzo_is_refused_by_name(firn, fuse, directory):
    (directory / "source").mkdir()
    (directory / "source" / "file").write_bytes(b"x" * 100_000)
    image = mksquashfs(directory / "source", directory / "image.sqfs", "-comp", "lzo")
    (directory / "mount").mkdir()
    result = firn.run("mount", "--foreign", image, directory / "mount", check=False)
    assert result.returncode == 6
    assert str(image) in result.stderr and "lzo" in result.stderr
    assert not os.path.ismount(directory / "mount")
