"""What `--verify proof` costs a cold start: the ratio to `--verify checksum`, in turn.

A start is a command on a fresh mount; the image file is not in the page cache where --cold says so.
"""

import json
import os
import pathlib
import shlex
import statistics
import subprocess
import tempfile
import time

from benchmarks import machine
from benchmarks.programs import BenchError

KINDS = ("checksum", "proof")
READ_ALL = "find {root} -type f -exec cat {{}} +"


def firn_program():
    default = pathlib.Path(__file__).parents[2] / "build" / "release"
    path = pathlib.Path(os.environ.get("FIRN_BUILD_DIR", default)) / "cli" / "firn"
    if not path.exists():
        raise BenchError(f"there is no {path}: build it, or set FIRN_BUILD_DIR")
    return path


def forget(image):
    with open(image, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def start(firn, image, kind, command, place, cold):
    """(seconds of the command, processor seconds of what served it)"""
    if cold:
        forget(image)
    mounted = json.loads(subprocess.run(
        [firn, "mount", "--json", "--no-daemon", "--no-prefetch", "--verify", kind, image, place],
        check=True, stdout=subprocess.PIPE).stdout)
    try:
        serving = machine.with_descendants(mounted["pid"])
        before = machine.processor_seconds_of(serving)
        begin = time.perf_counter()
        subprocess.run(["sh", "-c", command.format(root=shlex.quote(str(place)))], check=True,
                       stdout=subprocess.DEVNULL)
        return (time.perf_counter() - begin,
                machine.processor_seconds_of(serving) - before)
    finally:
        subprocess.run([firn, "unmount", place], check=True, stdout=subprocess.DEVNULL)


def bench(arguments):
    firn = firn_program()
    image = arguments.image.resolve(strict=True)
    samples = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory(prefix="firn-bench-") as place:
        for _ in range(arguments.rounds):
            for kind in KINDS:
                samples[kind].append(start(firn, image, kind, arguments.command or READ_ALL,
                                           place, arguments.cold))
    medians = {kind: [statistics.median(values) for values in zip(*samples[kind])]
               for kind in KINDS}
    if arguments.json:
        print(json.dumps({"image": str(image), "rounds": arguments.rounds, "samples": samples}))
        return 0
    for kind in KINDS:
        seconds, processor = medians[kind]
        print(f"{kind:>8}: {seconds:.3f} s, processor of firnd {processor:.3f} s "
              f"(medians of {arguments.rounds})")
    ratio = [proof / max(checksum, 1e-9)
             for checksum, proof in zip(medians["checksum"], medians["proof"])]
    print(f"   ratio: {ratio[0]:.2f}, processor of firnd {ratio[1]:.2f}")
    return 0
