"""The figures of a run, as they go into JSON; and what is derived from them."""

import dataclasses
import json
import os
import pathlib
import statistics

from benchmarks.programs import BenchError

VERSION = 1
PLAIN, FIRN = "plain directory", "firn"


def empty(settings, machine):
    return {"version": VERSION, "title": "", "settings": dataclasses.asdict(settings),
            "machine": machine, "tree": {}, "rounds_done": 0, "peers": {}, "missing": {},
            "not_measured": {}, "workloads": {}}


def add_workload(results, workload):
    results["workloads"][workload.name] = {
        "title": workload.title, "unit": workload.unit,
        "higher_is_better": workload.higher_is_better, "limit": workload.limit,
        "peers": {}, "failed": {}}


def save(results, path):
    """Replaces the file as a whole: a run that ends halfway leaves the last round's."""
    path = pathlib.Path(path)
    unfinished = path.with_name(path.name + ".new")
    unfinished.write_text(json.dumps(results, indent=1) + "\n")
    os.replace(unfinished, path)


def load(path):
    try:
        results = json.loads(pathlib.Path(path).read_text())
    except (OSError, ValueError) as error:
        raise BenchError(f"{path}: {error}") from error
    if not isinstance(results, dict) or results.get("version") != VERSION:
        raise BenchError(f"{path}: expected figures that scripts/bench --json wrote, version "
                         f"{VERSION}")
    return results


def values(samples, key="value"):
    return [sample[key] for sample in samples if sample.get(key) is not None]


def median(samples, key="value"):
    """None where no sample has it."""
    found = values(samples, key)
    return statistics.median(found) if found else None


def peer_median(results, workload, peer):
    measured = results["workloads"].get(workload)
    return median(measured["peers"].get(peer, [])) if measured else None


def ratio(value, reference):
    return value / reference if value is not None and reference else None


def median_counts(samples):
    """The median of each count, key by key; None where the peer counts nothing."""
    counted = [sample["counts"] for sample in samples if sample.get("counts")]
    return _median_of(counted) if counted else None


def _median_of(counted):
    merged = {}
    for key in sorted({key for counts in counted for key in counts}):
        found = [counts[key] for counts in counted if key in counts]
        if isinstance(found[0], dict):
            merged[key] = _median_of([value for value in found if isinstance(value, dict)])
        else:
            # What one sample lacks, it did not do.
            merged[key] = statistics.median(found + [0] * (len(counted) - len(found)))
    return merged
