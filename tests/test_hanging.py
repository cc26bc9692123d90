"""An image on a file system that stops answering: readers of other images do not notice."""

import hashlib
import json
import os
import pathlib
import random
import re
import select
import signal
import socket
import subprocess
import sys
import time

import pytest

from harness.jobs import DEADLINE
from harness.mounts import mksquashfs, unmount
from harness.node import attach, connect, own_run_directory, serving  # noqa: F401

NO_REPLY = 9
READERS = 48  # more than threads, and than one file system gets
SIZE = 200_000

# Reads files given by their names past the page cache; prints their SHA-256 as one.
READER = """
import hashlib, mmap, os, sys
buffer = mmap.mmap(-1, 1 << 20)
digest = hashlib.sha256()
print("ready", flush=True)
sys.stdin.readline()
for path in sys.argv[1:]:
    file = os.open(path, os.O_RDONLY | os.O_DIRECT)
    while count := os.readv(file, [buffer]):
        digest.update(memoryview(buffer)[:count])
    os.close(file)
print(digest.hexdigest(), flush=True)
"""


class Source:
    """A FUSE file system that stops answering when it is told to: squashfuse in the foreground."""

    def __init__(self, squashfs, directory):
        self.directory = directory
        self.process = subprocess.Popen(
            ["squashfuse", "-f", "-o", "allow_other", squashfs, directory],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        end = time.monotonic() + DEADLINE
        while not os.path.ismount(directory):
            assert self.process.poll() is None, self.process.stderr.read()
            assert time.monotonic() < end, "squashfuse does not mount"
            time.sleep(0.02)

    def stop(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def end(self):
        self.go_on()
        unmount(self.directory)
        self.process.communicate(timeout=DEADLINE)


def forget_pages(path):
    """The kernel has no page of the file any more: what reads it must ask its file system."""
    with open(path, "rb") as file:
        end = time.monotonic() + DEADLINE
        while True:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            if resident_pages(file) == 0:
                return
            assert time.monotonic() < end, "the pages stay"
            time.sleep(0.05)


def resident_pages(file):
    line = subprocess.run(["fincore", "--bytes", "--noheadings", "--output", "PAGES",
                           f"/proc/self/fd/{file.fileno()}"], pass_fds=[file.fileno()],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    return int(line)


@pytest.fixture(scope="module")
def trees(scratch):
    chance = random.Random(17)
    roots = {}
    for name in ("hung", "well", "third", "fourth"):
        root = scratch / f"tree-{name}"
        root.mkdir()
        for number in range(READERS):
            (root / f"file-{number}").write_bytes(chance.randbytes(SIZE))
        roots[name] = root
    return roots


@pytest.fixture(scope="module")
def images(firn, scratch, trees):
    return {name: firn.build(tree, scratch / f"{name}.firn", "--prefix", f"/opt/{name}",
                             "--block-size", "128K") for name, tree in trees.items()}


@pytest.fixture
def source(scratch, images, directory, fuse, root_user):
    """The file system that holds the image "hung.firn"; stopped by the test."""
    held = directory / "held"
    held.mkdir()
    os.link(images["hung"], held / "hung.firn")
    os.link(images["fourth"], held / "fourth.firn")
    packed = mksquashfs(held, directory / "held.squashfs", "-noI", "-noD", "-noF")
    place = directory / "source"
    place.mkdir()
    running = Source(packed, place)
    yield running
    running.end()


@pytest.fixture
def node(firnd, firn, fuse):
    with serving(firnd, firn, "--linger", "0", "--cache-size", "2M") as running:
        yield running


def start_reader(*paths):
    reader = subprocess.Popen([sys.executable, "-c", READER, *paths], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert reader.stdout.readline() == "ready\n"
    return reader


def digest_of(*paths):
    digest = hashlib.sha256()
    for path in paths:
        digest.update(pathlib.Path(path).read_bytes())
    return digest.hexdigest()


def go(reader):
    reader.stdin.write("go\n")
    reader.stdin.flush()


def read_all(place, tree):
    """Everything, past the page cache."""
    names = sorted(os.listdir(tree))
    reader = start_reader(*(place / name for name in names))
    out, errors = reader.communicate("go\n", timeout=DEADLINE)
    assert reader.returncode == 0, errors
    assert out.strip() == digest_of(*(tree / name for name in names))


def has_answered(reader):
    return bool(select.select([reader.stdout], [], [], 0)[0])


def use_others(firn, node, images, trees, place, turn):
    """What must go on although one image hangs."""
    read_all(place, trees["well"])
    attach(firn, images["third"], f"job-{turn}")
    result = firn.run("run", images["third"], "--", "sha256sum", "/opt/third/file-1")
    assert result.stdout.split()[0] == digest_of(trees["third"] / "file-1")
    firn.run("detach", "--lease", f"job-{turn}")
    node.wait_for(lambda: all(image["name"] != "tree-third" for image in node.images()),
                  "the third image is still attached")


@pytest.mark.concurrent
def test_readers_of_other_images_do_not_notice(firn, source, node, images, trees, directory):
    hung, well = directory / "hung", directory / "well"
    for place in (hung, well):
        place.mkdir()
    image = source.directory / "hung.firn"
    firn.run("mount", "--no-prefetch", image, hung)
    firn.run("mount", "--no-prefetch", images["well"], well)
    names = [f"file-{number}" for number in range(READERS)]
    for name in names:  # known by name, so that each reader hangs in a read of its own
        assert os.stat(hung / name).st_size == SIZE
    readers = [start_reader(hung / name) for name in names]
    fourth = source.directory / "fourth.firn"
    opened = os.open(fourth, os.O_RDONLY)
    forget_pages(image)
    forget_pages(fourth)
    source.stop()
    for reader in readers:
        go(reader)
    use_others(firn, node, images, trees, well, 1)

    # A worker that is killed with all of that in hand leaves it to the next.
    (pool,) = node.status()["pools"]
    os.kill(pool["worker"], signal.SIGKILL)
    node.wait_for(lambda: node.status()["pools"][0]["restarts"] > pool["restarts"]
                  and node.status()["pools"][0]["worker"] > 0, "no other worker")
    use_others(firn, node, images, trees, well, 2)
    assert not any(has_answered(reader) for reader in readers)

    # Who attaches another one from there waits, and hinders nobody.
    late = connect()
    socket.send_fds(late, [json.dumps({"op": "attach", "path": str(fourth), "view": True,
                                       "lease": "process"}).encode()], [opened])
    use_others(firn, node, images, trees, well, 3)
    assert not select.select([late], [], [], 0)[0]
    result = firn.run("health", "--timeout", "500", check=False)
    assert result.returncode == NO_REPLY
    assert re.search(rf"failed\s.*{hung}", result.stdout) and re.search(rf"ok\s.*{well}",
                                                                       result.stdout)

    source.go_on()
    for name, reader in zip(names, readers):
        out, errors = reader.communicate(timeout=DEADLINE)
        assert reader.returncode == 0, errors
        assert out.strip() == digest_of(trees["hung"] / name), name
    answer, fds, _, _ = socket.recv_fds(late, 1 << 16, 4)
    assert json.loads(answer)["name"] == "tree-fourth"
    for fd in (*fds, opened):
        os.close(fd)
    late.close()
    read_all(hung, trees["hung"])
    assert set(node.status()["pools"][0]["errors"].values()) == {0}
    for place in (hung, well):
        subprocess.run(["umount", place], check=True)
