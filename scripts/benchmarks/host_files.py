"""What a command uses outside of the measured tree: read before each cold run.

A start of Python reads its standard library and shared libraries from the host where the tree is
a venv. They are the same for every peer and no part of what is compared.
"""

import os
import re
import stat
import tempfile

from benchmarks import programs

_QUOTED_PATH = re.compile(r'"(/[^"\\]+)"')
_NO_FILES = ("/proc/", "/sys/", "/dev/")


class HostFiles:
    def __init__(self, paths=()):
        self.paths = sorted({os.fspath(path) for path in paths})

    @classmethod
    def of_command(cls, command, tree, cwd="/"):
        """Runs the command once under strace on the plain tree."""
        strace = programs.find("strace")
        if strace is None:
            raise programs.BenchError("strace is missing, which finds what a command reads outside "
                                      "of the tree: apt-get install strace, or scripts/setup")
        with tempfile.NamedTemporaryFile("r", errors="replace") as log:
            programs.seconds_of_processes(
                [strace, "-f", "-qq", "--seccomp-bpf", "-e", "trace=%file", "-o", log.name, "--",
                 *command], cwd=cwd)
            paths = set(_QUOTED_PATH.findall(log.read()))
        return cls(path for path in map(_outside(tree), paths) if path)

    @classmethod
    def of_programs(cls, names):
        """Programs and the shared libraries that they are linked with."""
        paths = set()
        for program in filter(None, map(programs.find, names)):
            paths.add(os.path.realpath(program))
            try:
                libraries = programs.output_of(["ldd", program])
            except programs.BenchError:
                continue  # a script, or linked statically
            paths.update(re.findall(r"(/\S+) \(0x", libraries))
        return cls(paths)

    def __add__(self, other):
        return HostFiles([*self.paths, *other.paths])

    def read(self):
        """Asks for every path, so that names that are not there are known too, and reads files."""
        for path in self.paths:
            try:
                mode = os.stat(path).st_mode
                if stat.S_ISDIR(mode):
                    os.listdir(path)
                elif stat.S_ISREG(mode):
                    with open(path, "rb", buffering=0) as file:
                        while file.read(1 << 20):
                            pass
            except OSError:
                pass  # asking was the point


def _outside(tree):
    """Maps a path to what of it lies outside of the tree: a link in the tree may lead out."""
    inside = os.path.realpath(tree)

    def outside(path):
        for place in (path, os.path.realpath(path)):
            if place.startswith(_NO_FILES) or place == "/":
                return None
            if place != inside and not place.startswith(inside + "/"):
                return place
        return None

    return outside
