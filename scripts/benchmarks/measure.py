"""One sample: a peer does a piece of work, from an empty page cache or from a full one.

A sample is a dictionary: `value` in the workload's unit, and what else was seen: seconds that
mounting took, processor time of the work and of the serving processes, and the peer's own counts.
"""

import resource
import time

from benchmarks import machine, residency
from benchmarks.programs import BenchError

ATTEMPTS = 5       # of a sample during which somebody else drops the page cache
WARMING_RUNS = 2   # the first fills the caches; the second what only a second visit fills
SAMPLES_OF_A_MOUNT = 3


def children_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def count_differences(before, after):
    """What was counted between two statuses: numbers subtracted, key by key."""
    difference = {}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, dict):
            difference[key] = count_differences(old if isinstance(old, dict) else {}, value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            difference[key] = value - (old if isinstance(old, (int, float)) else 0)
    return difference


COUNTS = ("requests", "requests_total", "decoded", "bytes_read", "errors", "prefetch", "ring")


def _counts(status, before=None):
    if status is None:
        return None
    return {key: value for key, value in count_differences(before or {}, status).items()
            if key in COUNTS}


def undisturbed(take):
    """take(), again where another process dropped the page cache meanwhile. take() gives samples
    and how often the cache had been dropped when its own dropping was done."""
    for _ in range(ATTEMPTS):
        samples, dropped = take()
        if machine.times_dropped() == dropped:
            return samples
    raise BenchError(f"another process dropped the page cache during each of {ATTEMPTS} attempts")


def cold(peer, action, detailed):
    return undisturbed(lambda: _cold(peer, action, detailed))


def warm(peer, action, _detailed):
    return undisturbed(lambda: _warm(peer, action))


def _cold(peer, action, detailed):
    """The work on a fresh mount while nothing of tree, image and serving program is cached. It
    starts as soon as mounting has ended: work that a peer does ahead gets no start."""
    machine.drop_caches()
    dropped = machine.times_dropped()
    action.host_files.read()
    peer.read_tools()
    children = children_seconds()
    start = time.perf_counter()
    peer.mount()
    try:
        mounted = time.perf_counter()
        mounting = children_seconds()
        sample = {"value": action.run(peer.root), "mount_seconds": mounted - start}
        sample["processor_seconds"] = children_seconds() - mounting
        sample["mount_processor_seconds"] = mounting - children
        sample["serving_processor_seconds"] = machine.processor_seconds_of(peer.processes())
        sample["counts"] = _counts(peer.counts())
        if detailed:
            if peer.image is not None:
                sample["resident_image"] = residency.resident_bytes(peer.image.path)
            sample["resident_tree"] = residency.resident_bytes_below(peer.root)
    finally:
        peer.unmount()
    return [sample], dropped


def _warm(peer, action):
    """The work on a mount that has done it before."""
    dropped = machine.times_dropped()
    action.host_files.read()
    peer.mount()
    samples = []
    try:
        for _ in range(WARMING_RUNS):
            action.run(peer.root)
        for _ in range(SAMPLES_OF_A_MOUNT):
            processes = peer.processes()
            before, serving = peer.counts(), machine.processor_seconds_of(processes)
            children = children_seconds()
            sample = {"value": action.run(peer.root)}
            sample["processor_seconds"] = children_seconds() - children
            sample["serving_processor_seconds"] = (
                machine.processor_seconds_of(processes) - serving)
            sample["counts"] = _counts(peer.counts(), before)
            samples.append(sample)
    finally:
        peer.unmount()
    return samples, dropped
