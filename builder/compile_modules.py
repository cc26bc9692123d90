"""Compiles Python modules to unchecked-hash .pyc files, for firn build.

Run by the Python that will import them:  compile_modules.py LIST TARGET_DIRECTORY JOBS
LIST holds, each ended by a NUL, pairs of a file to read and the path that the code is to carry.
The .pyc of pair N is TARGET_DIRECTORY/N. First line printed: version and cache tag, or "unable"
and why. Then, in any order, one line a pair: "N ok", "N failed" (it is no Python of this
version), "N full" (no space for the result) or "N error".

The same modules give the same bytes, however many jobs there are:
- What the compiler and marshal make of a module depends in places on what the interpreter did
  before. So modules are compiled in batches, each the same in every run, by a process forked from
  this one, which compiles nothing itself.
- Before Python 3.11 marshal marks a name as shared if anything in the interpreter holds it, so
  all of them are held while a module is written: its bytes then do not depend on its batch.
"""

import sys

del sys.path[0]  # this script's own directory

import errno  # noqa: E402
import gc  # noqa: E402
import importlib.util  # noqa: E402
import marshal  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
import types  # noqa: E402
import warnings  # noqa: E402

OK, FAILED, FULL, ERROR = range(4)
WORDS = (b"ok", b"failed", b"full", b"error")
UNCHECKED_HASH = 1
CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL)
BATCH = 32
NAME_TUPLES = ("co_consts", "co_names", "co_varnames", "co_cellvars", "co_freevars")
SINGLE_PARTS = ("co_filename", "co_name", "co_qualname", "co_linetable", "co_lnotab")


def hold(value, held):
    """Adds the value and what it is made of to the list `held`."""
    held.append(value)
    if isinstance(value, types.CodeType):
        for name in NAME_TUPLES:
            for part in getattr(value, name):
                hold(part, held)
        if sys.version_info < (3, 12):  # later names are never freed; co_lnotab warns there
            held.extend(getattr(value, name, None) for name in SINGLE_PARTS)
    elif isinstance(value, (tuple, frozenset)):
        for part in value:
            hold(part, held)


def compile_module(source, shown, target):
    with open(source, "rb") as file:
        text = file.read()
    held = []
    try:
        code = compile(text, shown, "exec", dont_inherit=True)
        hold(code, held)
        body = marshal.dumps(code)
    except (SyntaxError, ValueError, RecursionError, OverflowError):
        return FAILED
    with open(target, "wb") as file:
        file.write(importlib.util.MAGIC_NUMBER)
        file.write(UNCHECKED_HASH.to_bytes(4, "little"))
        file.write(importlib.util.source_hash(text))
        file.write(body)
    return OK


def complain(source, error):
    try:
        print(os.fsdecode(source), repr(error), sep=": ", file=sys.stderr, flush=True)
    except OSError:
        pass  # the log lies where the results do, on a disk that may be full; the status tells


def run_child(batch, results):
    try:
        for source, shown, target in batch:
            status = ERROR
            try:
                status = compile_module(os.fsdecode(source), os.fsdecode(shown), target)
            except BaseException as error:
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                    status = FULL
                complain(source, error)
            os.write(results, bytes([status]))
    finally:
        os._exit(0)


def start(batch):
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        run_child(batch, write_end)
    os.close(write_end)
    return pid, read_end


def collect(read_end, size):
    """The statuses of a batch whose child has ended."""
    statuses = os.read(read_end, size)
    os.close(read_end)
    return statuses


def report(first, statuses):
    lines = [b"%d %s\n" % (first + i, WORDS[status]) for i, status in enumerate(statuses)]
    os.write(1, b"".join(lines))


def main():
    list_path, directory, jobs = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with open(list_path, "rb") as file:
        words = file.read().split(b"\0")
    modules = [(words[2 * i], words[2 * i + 1], "%s/%d" % (directory, i))
               for i in range(len(words) // 2)]
    waiting = [(first, modules[first:first + BATCH])
               for first in range(0, len(modules), BATCH)]
    waiting.reverse()
    running = {}
    while waiting or running:
        if waiting and len(running) < jobs:
            first, batch = waiting.pop()
            pid, read_end = start(batch)
            running[pid] = (first, batch, read_end)
            continue
        pid, ended = os.wait()
        first, batch, read_end = running.pop(pid)
        statuses = collect(read_end, len(batch))
        done = len(statuses)
        if done < len(batch):
            # A module at which the compiler crashes is none of this version. Any other end, as by
            # the killer of a machine without memory, says nothing of the module.
            crashed = os.WIFSIGNALED(ended) and os.WTERMSIG(ended) in CRASHES
            statuses += bytes([FAILED if crashed else ERROR])
            if batch[done + 1:]:
                waiting.append((first + done + 1, batch[done + 1:]))
        report(first, statuses)


tag = sys.implementation.cache_tag
if sys.version_info < (3, 7):
    print("unable it is older than Python 3.7, the first with hash-based .pyc files", flush=True)
elif not tag:
    print("unable it has no cache tag, and so no .pyc files", flush=True)
else:
    print("%d.%d.%d" % sys.version_info[:3], tag, flush=True)
    warnings.simplefilter("ignore")
    gc.disable()
    main()
