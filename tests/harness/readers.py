"""Programs that read everything again and again, and notice wrong bytes, errors and waits."""

import os
import random
import subprocess
import sys

from harness.jobs import DEADLINE

# Of an open file's read, in seconds: longer is no wait for another worker but a hang, also on a
# machine that has other things to do.
LONGEST_WAIT = 10.0 if not os.environ.get("FIRN_SANITIZE") else 30.0

# Reads all files again and again, past the page cache, until its standard input ends; then prints
# how often, and the longest time that a read took.
READER = """
import hashlib, mmap, os, select, sys, time
root, seed = sys.argv[1], int(sys.argv[2])
expected = dict(line.rstrip("\\n").split("  ", 1)[::-1] for line in open(sys.argv[3]))
names = sorted(expected)
rounds, longest = 0, 0.0
buffer = mmap.mmap(-1, 1 << 20)
print("ready", flush=True)
while not select.select([0], [], [], 0)[0]:
    for name in names[seed % len(names):] + names[:seed % len(names)]:
        digest = hashlib.sha256()
        start = time.monotonic()
        file = os.open(os.path.join(root, name), os.O_RDONLY | os.O_DIRECT)
        while count := os.readv(file, [buffer]):
            now = time.monotonic()
            longest = max(longest, now - start)
            start = now
            digest.update(memoryview(buffer)[:count])
        os.close(file)
        if digest.hexdigest() != expected[name]:
            sys.exit(f"{name}: wrong bytes")
    rounds += 1
print(rounds, longest)
"""


def write_sums(tree, listing):
    """Writes what sha256sum prints of the tree's files, all in one directory; returns `listing`."""
    names = sorted(entry.name for entry in tree.iterdir())
    listing.write_text(subprocess.run(["sha256sum", *names], cwd=tree, check=True,
                                      stdout=subprocess.PIPE, text=True).stdout)
    return listing


def make_contents(root, listing, seed, count):
    """A tree of `count` files of all lengths; (tree, a list as sha256sum prints it)."""
    root.mkdir()
    source = random.Random(seed)
    for number in range(count):
        size = source.choice([0, 1, 4095, 70_000, 300_000, 1_500_000])
        (root / f"file-{number}").write_bytes(source.randbytes(size // 2).ljust(size, b"x"))
    return root, write_sums(root, listing)


class Readers:
    """Processes that read the whole image again and again."""

    def __init__(self, place, sums, count):
        self._processes = [
            subprocess.Popen([sys.executable, "-c", READER, place, str(seed), sums],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
            for seed in range(count)]
        for process in self._processes:
            assert process.stdout.readline() == "ready\n"

    def finish(self):
        """(rounds of all, the longest wait) when each has done its round."""
        rounds, longest = 0, 0.0
        outputs = [process.communicate("", timeout=DEADLINE) for process in self._processes]
        for process, (out, errors) in zip(self._processes, outputs):
            assert process.returncode == 0, errors
            rounds += int(out.split()[0])
            longest = max(longest, float(out.split()[1]))
        return rounds, longest
