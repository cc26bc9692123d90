"""Run by firn in an image, with its Python: imports every top-level module of its packages.

Each in a process of its own, so that one cannot help or hurt another, and one that crashes is
named. sys.argv[1] is the prefix: packages elsewhere are the host's.

Of a layer, sys.argv[2] and [3] name the packages that it installs and those of the base that it
replaces: theirs and those that depend on a replaced one are imported, the rest is as in the base.
"""
import importlib
import importlib.metadata
import os
import re
import sys
import tempfile
import traceback

# Not what a package is for, though some install it beside their own.
SKIPPED = {"test", "tests", "testing", "doc", "docs", "example", "examples", "benchmarks",
           "conftest", "setup", "bin", "lib", "share", "include", "etc"}
MODULE = re.compile(r"([A-Za-z_]\w*)(\.py|(\.[\w-]+)?\.so)$")
# Of the host's graphics driver: whether they are there says nothing of the image.
DRIVER = re.compile(r"lib(cuda|nvidia-[\w-]+|nvcuvid|nvoptix)\.so[.\d]*: cannot open shared object")
JOBS = min(8, len(os.sched_getaffinity(0)))


def names_of_files(files):
    """Modules and packages; of a namespace, the packages that are in it."""
    packages = {path[:-1] for path in files if path[-1] in ("__init__.py", "__init__.pyi")
                or path[-1].startswith("__init__.cpython")}
    names = set()
    for path in files:
        if path[0] == ".." or path[0].endswith((".dist-info", ".egg-info", ".data")):
            continue
        for depth in range(1, len(path)):
            if path[:depth] in packages:
                names.add(".".join(path[:depth]))
                break
        else:
            match = MODULE.match(path[-1])
            if match and len(path) == 1:
                names.add(match.group(1))
    return names


def top_level_names(distribution):
    files = distribution.files
    if files:
        return names_of_files([file.parts for file in files])
    return set((distribution.read_text("top_level.txt") or "").split())


def importable(name):
    parts = name.split(".")
    return all(part.isidentifier() for part in parts) and parts[0] not in SKIPPED \
        and not parts[0].startswith("__")


def normal(name):
    return re.sub("[-_.]+", "-", name).lower()


def name_of(distribution):
    return normal(distribution.metadata["Name"] or "")


def required_names(distribution):
    """What it requires, whatever the markers and extras."""
    found = (re.match(r"[A-Za-z0-9][\w.-]*", text) for text in distribution.requires or ())
    return {normal(match.group()) for match in found if match}


def concerned(distributions, installed, replaced):
    """Names of the packages that a layer may have broken."""
    requires = {name_of(d): required_names(d) for d in distributions}
    broken, more = set(replaced), True
    while more:
        more = {name for name, names in requires.items() if names & broken} - broken
        broken |= more
    return broken | set(installed)


def modules(prefix, layer):
    distributions = []
    for distribution in importlib.metadata.distributions():
        place = os.path.realpath(distribution.locate_file(""))
        if place == prefix or place.startswith(prefix + os.sep):
            distributions.append(distribution)
    if layer:
        wanted = concerned(distributions, *(map(normal, names.split()) for names in layer))
        distributions = [d for d in distributions if name_of(d) in wanted]
    names = {name for d in distributions for name in filter(importable, top_level_names(d))}
    return len(distributions), sorted(names)


def start(name):
    """A process that imports the module: its pid, and the file with what it prints."""
    output = tempfile.TemporaryFile()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            importlib.import_module(name)
            status = 0
        except SystemExit as error:
            print(f"SystemExit: it ended the program with {error.code!r}", file=sys.stderr)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    return pid, output


def report(name, status, output):
    """True where the module is as it must be."""
    if status == 0:
        return True
    output.seek(0)
    text = output.read().decode(errors="replace")
    missing = DRIVER.search(text)
    if missing:
        print(f"not checked: {name} needs the graphics driver ({missing.group(0).split(':')[0]})")
        return True
    code = os.waitstatus_to_exitcode(status)
    how = f"signal {-code}" if code < 0 else "an error"
    lines = text.strip().splitlines()
    print(f"import {name} fails with {how}" + (f": {lines[-1]}" if lines else ""))
    for line in lines[-12:]:
        print(f"    {line}")
    return False


def main():
    packages, names = modules(os.path.realpath(sys.argv[1]), sys.argv[2:])
    waiting, running, failed = list(reversed(names)), {}, []
    while waiting or running:
        while waiting and len(running) < JOBS:
            name = waiting.pop()
            pid, output = start(name)
            running[pid] = name, output
        pid, status = os.wait()
        if pid not in running:
            continue
        name, output = running.pop(pid)
        with output:
            if not report(name, status, output):
                failed.append(name)
    print(f"{len(names) - len(failed)} of {len(names)} modules of {packages} packages imported")
    if failed:
        print("these cannot be imported: " + ", ".join(sorted(failed)))
    return 1 if failed else 0


sys.exit(main())
