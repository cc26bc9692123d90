"""The work that workloads have a peer do. Each has run(root), which gives the figure, and
host_files, what it reads outside of the tree."""

import json
import os
import threading
import time

from benchmarks import programs, trees
from benchmarks.host_files import HostFiles

MIB = 1 << 20
LONGEST_NAMES = 4000


class Command:
    """Seconds of a command, or of many of them at once."""

    def __init__(self, command_at, count=1, in_root=False):
        self._command_at, self._count, self._in_root = command_at, count, in_root
        self.host_files = HostFiles()

    def prepare(self, tree):
        self.host_files = HostFiles.of_command(self._command_at(tree), tree, self._directory(tree))

    def run(self, root):
        return programs.seconds_of_processes(self._command_at(root), self._count,
                                             self._directory(root))

    def _directory(self, root):
        return root if self._in_root else "/"


class StatOfEveryFile(Command):
    """Seconds that stat(1) takes for all names of the tree, from a list outside of it."""

    def __init__(self, list_file):
        super().__init__(lambda _: ["xargs", "-0", "-a", list_file, "stat", "--format=%s"],
                         in_root=True)
        self._list_file = list_file

    def prepare(self, tree):
        with open(self._list_file, "wb") as file:
            for path in trees.all_paths(tree):
                file.write(os.fsencode(path) + b"\0")
        super().prepare(tree)


class SequentialRead:
    """MiB a second of reading the largest files in steps of 1 MiB. Threads have equal shares, each
    a run of files, the first and last of it cut where need be."""

    def __init__(self, threads, total):
        self._threads, self._total = threads, total
        self._shares = []
        self.host_files = HostFiles()

    def prepare(self, tree):
        files = trees.largest_files(tree, self._total)
        self._total = sum(size for _, size in files)
        self._shares = shares(files, self._threads)

    def run(self, root):
        errors = []
        workers = [threading.Thread(target=_read_share, args=(root, share, errors))
                   for share in self._shares]
        start = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        seconds = time.perf_counter() - start
        if errors:
            raise programs.BenchError(f"reading failed: {errors[0]}")
        return self._total / MIB / seconds


def shares(files, count):
    """Cuts [(path, size)], one after the other, into `count` lists of (path, offset, length) that
    hold as many bytes each, to one."""
    total = sum(size for _, size in files)
    cuts = [total * part // count for part in range(count + 1)]
    result = []
    for begin, end in zip(cuts, cuts[1:]):
        share, place = [], 0
        for path, size in files:
            first, last = max(begin, place), min(end, place + size)
            if first < last:
                share.append((path, first - place, last - first))
            place += size
        result.append(share)
    return result


def _read_share(root, share, errors):
    buffer = memoryview(bytearray(MIB))
    try:
        for path, offset, length in share:
            with open(os.path.join(root, path), "rb", buffering=0) as file:
                while length > 0:
                    count = os.preadv(file.fileno(), [buffer[:min(length, MIB)]], offset)
                    if count == 0:
                        raise OSError(f"{path} ends at {offset}")
                    offset, length = offset + count, length - count
    except OSError as error:
        errors.append(error)


class RandomRead:
    """Reads a second at random places of the largest files, by fio; the same places for each."""

    def __init__(self, block, threads, operations, total):
        self._block, self._threads, self._total = block, threads, total
        self._operations = operations
        self._files = []
        self.host_files = HostFiles()

    def prepare(self, tree):
        if programs.find("fio") is None:
            raise programs.BenchError("fio is not on PATH: apt-get install fio")
        # fio takes a colon for the end of a name, and 4 KiB of names at most.
        for path, size in trees.largest_files(tree, self._total):
            if (size >= self._block and ":" not in path
                    and len(":".join([*self._files, path])) < LONGEST_NAMES):
                self._files.append(path)
        if not self._files:
            raise programs.BenchError(f"no file in {tree} is as large as {self._block} bytes")
        self.host_files = HostFiles.of_command(self._command(tree), tree)

    def _command(self, root):
        names = ":".join(self._files)
        share = -(-self._operations // self._threads) * self._block
        return ["fio", "--name=random", f"--directory={root}", f"--filename={names}",
                "--rw=randread", "--readonly", "--thread", f"--bs={self._block}",
                f"--numjobs={self._threads}", f"--io_size={share}", "--ioengine=psync",
                "--invalidate=0", "--fadvise_hint=0",
                "--norandommap", "--randrepeat=1", "--randseed=1", "--file_service_type=random",
                "--output-format=json"]

    def run(self, root):
        text = programs.output_of(self._command(root))
        # fio may say something before its JSON.
        jobs = json.loads(text[text.index("{"):])["jobs"]
        operations = sum(job["read"]["total_ios"] for job in jobs)
        milliseconds = max(job["read"]["runtime"] for job in jobs)
        return operations / max(milliseconds, 1) * 1000


class Replay:
    """Seconds in which processes, all at once, do what a profile says; no interpreter's time is in
    it. record(): makes the profile, gives its path."""

    def __init__(self, count, record):
        self._count, self._record = count, record
        self._program = programs.build_directory() / "scripts/benchmarks/firn_replay_profile"
        self._profile = None
        self.host_files = HostFiles()

    def prepare(self, tree):
        if not self._program.exists():
            raise programs.BenchError(f"no {self._program}: build it (target firn_replay_profile)")
        self._profile = self._record(tree)
        self.host_files = HostFiles.of_programs([self._program]) + HostFiles([self._profile])

    def run(self, root):
        text = programs.output_of([self._program, self._profile, root, self._count])
        done = json.loads(text)
        # A tree that lacks what was recorded would be quicker than the others.
        if done["not_as_recorded"] > 0.01 * done["entries"]:
            raise programs.BenchError(f"{done['not_as_recorded']} of {done['entries']} entries of "
                                      "the profile are not as they were recorded")
        return done["seconds"]
