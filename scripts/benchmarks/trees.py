"""Trees to measure with: the default one, one of many files, and what is known of any."""

import os
import pathlib
import shutil
import stat
import subprocess

from benchmarks.programs import BenchError

FILES_IN_A_DIRECTORY = 200
LARGEST_FILES = 64
DEFAULT_COMMAND = ("{root}/bin/python3 -c 'import numpy, scipy, scipy.linalg, scipy.optimize, "
                   "scipy.sparse, scipy.stats, scipy.signal, scipy.interpolate'")


def make_default(root):
    """A venv with Debian's numpy and scipy: what every machine that builds Firn has."""
    subprocess.run(["/usr/bin/python3", "-m", "venv", root], check=True)
    (site,) = root.glob("lib/python3*/site-packages")
    for name in ("numpy", "scipy"):
        source = pathlib.Path("/usr/lib/python3/dist-packages") / name
        if not source.exists():
            raise BenchError(f"no {source}: apt-get install python3-{name}, or scripts/setup")
        shutil.copytree(source, site / name, symlinks=True)
    # As pip leaves an environment: byte code for every module, so that no peer compiles any.
    subprocess.run(["/usr/bin/python3", "-m", "compileall", "-q", site], check=False,
                   stdout=subprocess.DEVNULL)
    return root


def make_many_files(root, count):
    for number in range(count):
        directory = root / f"{number // FILES_IN_A_DIRECTORY:05}"
        if number % FILES_IN_A_DIRECTORY == 0:
            directory.mkdir(parents=True)
        (directory / f"file-{number:06}").write_text(f"content of file {number}\n")
    return root


def regular_files(root):
    """[(path below root, bytes)] of each regular file, by path."""
    found = []
    for directory, _, names in os.walk(root):
        for name in names:
            path = os.path.join(directory, name)
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode):
                found.append((os.path.relpath(path, root), status.st_size))
    return sorted(found)


def largest_files(root, total):
    """The largest files of a tree, [(path below root, bytes)], until they hold `total` bytes. No
    more than LARGEST_FILES: a tree of small files would be read whole, which is another work."""
    chosen, size = [], 0
    for path, length in sorted(regular_files(root), key=lambda file: (-file[1], file[0])):
        if size >= total or length == 0 or len(chosen) == LARGEST_FILES:
            break
        chosen.append((path, length))
        size += length
    if not chosen:
        raise BenchError(f"{root} holds no file that could be read")
    return chosen


def all_paths(root):
    """Everything below root, relative to it, in the order of a walk by name."""
    found = []
    for directory, subdirectories, names in os.walk(root):
        subdirectories.sort()
        place = os.path.relpath(directory, root)
        found.extend(os.path.normpath(os.path.join(place, name))
                     for name in sorted(names + subdirectories))
    return found


def fingerprint(root):
    """Changes where the tree does: number of files, their bytes, the newest change."""
    count, size, newest = 0, 0, 0
    for directory, _, names in os.walk(root):
        for path in [directory, *(os.path.join(directory, name) for name in names)]:
            status = os.lstat(path)
            count, size = count + 1, size + status.st_size
            newest = max(newest, status.st_mtime_ns)
    return [count, size, newest]


def summary(root, read_bytes):
    """What tables tell of a tree; read_bytes: as for largest_files()."""
    files, largest = regular_files(root), largest_files(root, read_bytes)
    return {"path": str(root), "files": len(files), "bytes": sum(size for _, size in files),
            "largest_files": len(largest), "largest_bytes": sum(size for _, size in largest)}
