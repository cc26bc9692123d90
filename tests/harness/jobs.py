"""Fixtures and helpers of the tests of `firn run`."""

import contextlib
import os
import pathlib
import select
import tempfile
import time

import pytest

DEADLINE = 60  # seconds; for what must happen soon and has no event to wait for

# What env(1) and its like end with, and so does firn run.
FAILED = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127

# Tells where it runs, then reads the memory of another one, whose address its standard input gives.
RANK = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
class Part(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
text = ctypes.create_string_buffer(b"rank of " + sys.argv[1].encode().ljust(8))
print(os.getpid(), ctypes.addressof(text), os.readlink("/proc/self/ns/user"),
      os.stat(sys.argv[2]).st_dev, flush=True)
other = sys.stdin.readline().split()
got = ctypes.create_string_buffer(16)
count = libc.process_vm_readv(int(other[0]), ctypes.byref(Part(ctypes.addressof(got), 16)), 1,
                              ctypes.byref(Part(int(other[1]), 16)), 1, 0)
print(got.raw.decode() if count == 16 else os.strerror(ctypes.get_errno()), flush=True)
sys.stdin.readline()
"""


# Each test file that imports these fixtures gets instances of its own.
@pytest.fixture(scope="module")
def job_directory(scratch):
    path = pathlib.Path(tempfile.mkdtemp(prefix="job-", dir=scratch))
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def job_tree(job_directory):
    root = job_directory / "tree"
    (root / "bin").mkdir(parents=True)
    (root / "data").write_text("from the image\n")
    (root / "bin" / "hello").write_text("#!/bin/sh\necho hello \"$@\"\n")
    (root / "bin" / "hello").chmod(0o755)
    (root / "bin" / "plain").write_text("no program\n")
    (root / "bin" / "lost").write_text("#!/no/such/interpreter\n")
    (root / "bin" / "lost").chmod(0o755)
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "sub" / "deep" / "file").write_text("deep\n")
    return root


@pytest.fixture(scope="module")
def image(firn, job_directory, job_tree):
    """Its prefix is never used: each test gives --prefix, or asks for it."""
    return firn.build(job_tree, job_directory / "image.firn", "--prefix",
                      "/opt/firn-run-test/default")


@pytest.fixture(scope="module")
def other_image(firn, job_directory):
    root = job_directory / "other"
    root.mkdir()
    (root / "data").write_text("from the other\n")
    return firn.build(root, job_directory / "other.firn", "--prefix", "/opt/firn-run-test/other")


@pytest.fixture
def place(user, directory):
    """A directory of the user's for one test."""
    if user.uid is not None:
        os.chown(directory, user.uid, user.uid)
    return directory


@pytest.fixture
def locked(directory):
    """A directory of root's, in which an ordinary user may make nothing."""
    path = directory / "locked"
    path.mkdir()
    path.chmod(0o755)
    (path / "directory").mkdir()
    (path / "directory" / "inner").write_text("inner\n")
    (path / "file").write_text("file\n")
    (path / "link").symlink_to("directory/inner")
    (path / "dangling").symlink_to("nowhere")
    os.mkfifo(path / "fifo")
    return path


def run(firn, user, *arguments, prefix=None, **options):
    given = [] if prefix is None else ["--prefix", prefix]
    return firn.run("run", *given, *arguments, user=user, **({"check": False} | options))


def sessions(image):
    """Process ids of the firnds that serve the image."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if words[0].endswith(b"/firnd") and b"--image-name=" + os.fsencode(image) in words:
                found.append(int(entry.name))
    return found


def children_of(pid):
    """Process ids."""
    threads = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for thread in threads for child in thread.read_text().split()]


def wait_until_gone(pids):
    """Until the processes have ended, by their pidfds."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            pidfd = os.pidfd_open(pid)
            try:
                ready, _, _ = select.select([pidfd], [], [], DEADLINE)
                assert ready, f"firnd {pid} is still there"
            finally:
                os.close(pidfd)


@pytest.fixture(autouse=True)
def nothing_left(image, user_files):
    """Each session ends with its job, and takes its files with it."""
    yield
    wait_until_gone(sessions(image))
    deadline = time.monotonic() + DEADLINE
    while left := user_files():
        assert time.monotonic() < deadline, f"left behind: {left}"


@pytest.fixture
def user_files(request):
    """Lists what firnd keeps for the test's ordinary user."""
    ordinary = request.getfixturevalue("ordinary_user")

    def list_files():
        try:
            return sorted((ordinary.runtime / "firn").iterdir())
        except FileNotFoundError:  # firnd may remove it at any moment
            return []

    return list_files
