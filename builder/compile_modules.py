"""Compiles Python modules to unchecked-hash .pyc files, for firn build.

Run by the Python that will import them:  compile_modules.py LIST TARGET_DIRECTORY JOBS
LIST holds, each ended by a NUL, pairs of a file to read and the path that the code is to carry.
The .pyc of pair N is TARGET_DIRECTORY/N. First line printed: version and cache tag, or "unable"
and why. Then, in any order, one line a pair: "N ok", "N failed" (it is no Python of this
version), "N full" (no space for the result) or "N error".

Each module is compiled in a process of its own, forked from this one: which objects marshal marks
as shared depends on the strings that the interpreter holds at that moment, and so on everything
that it compiled before.
"""

import sys

del sys.path[0]  # this script's own directory

import errno  # noqa: E402
import gc  # noqa: E402
import importlib.util  # noqa: E402
import marshal  # noqa: E402
import os  # noqa: E402
import warnings  # noqa: E402

OK, FAILED, FULL, ERROR = range(4)
WORDS = (b"ok", b"failed", b"full", b"error")
UNCHECKED_HASH = 1


def compile_module(source, shown, target):
    with open(source, "rb") as file:
        text = file.read()
    try:
        code = compile(text, shown, "exec", dont_inherit=True)
        body = marshal.dumps(code)
    except (SyntaxError, ValueError, RecursionError, OverflowError):
        return FAILED
    with open(target, "xb") as file:
        file.write(importlib.util.MAGIC_NUMBER)
        file.write(UNCHECKED_HASH.to_bytes(4, "little"))
        file.write(importlib.util.source_hash(text))
        file.write(body)
    return OK


def run_child(source, shown, target):
    status = ERROR
    try:
        status = compile_module(os.fsdecode(source), os.fsdecode(shown), target)
    except BaseException as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            status = FULL
        print(os.fsdecode(source), ": ", repr(error), sep="", file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def report(running):
    pid, status = os.wait()
    # A module that makes the compiler crash is one that it cannot compile.
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else FAILED
    os.write(1, b"%d %s\n" % (running.pop(pid), WORDS[code]))


def main():
    list_path, directory, jobs = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with open(list_path, "rb") as file:
        words = file.read().split(b"\0")
    warnings.simplefilter("ignore")
    gc.disable()
    running = {}
    for index in range(len(words) // 2):
        if len(running) >= jobs:
            report(running)
        pid = os.fork()
        if pid == 0:
            run_child(words[2 * index], words[2 * index + 1], "%s/%d" % (directory, index))
        running[pid] = index
    while running:
        report(running)


tag = sys.implementation.cache_tag
if sys.version_info < (3, 7):
    print("unable it is older than Python 3.7, the first with hash-based .pyc files", flush=True)
elif not tag:
    print("unable it has no cache tag, and so no .pyc files", flush=True)
else:
    print("%d.%d.%d" % sys.version_info[:3], tag, flush=True)
    main()
