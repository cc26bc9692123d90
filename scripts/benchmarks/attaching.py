"""How long it takes until an image can be used, for images of few files and of many."""

import json
import os
import pathlib
import shutil
import statistics
import tempfile
import time

from benchmarks import programs, trees
from benchmarks.firn_peer import Firn
from benchmarks.images import ImageStore
from benchmarks.programs import BenchError
from benchmarks.settings import Settings

SAMPLES_OF_A_ROUND = 3


class Attach:
    """Milliseconds from the start of the mounting command until the root of the tree answers."""

    unit, higher_is_better, limit, most_rounds = "ms", False, None, None

    def __init__(self, count, work):
        self.count = count
        self.name = f"attach-{count}"
        self.title = f"mounting an image of {count:,} files, image cached"
        self._directory = pathlib.Path(work) / self.name
        self._peers, self._failed = {}, {}

    def prepare(self, _tree, peers):
        """Packs a tree of so many small files for each peer; only images are kept of it."""
        self._directory.mkdir(exist_ok=True)
        tree = self._directory / "tree"
        store = ImageStore(self._directory, self.count,
                           lambda: tree.exists() or trees.make_many_files(tree, self.count))
        try:
            for peer in peers:
                other = peer.for_other_tree()
                if other is None:
                    continue
                try:
                    other.prepare(tree, store, self._directory)
                    self._peers[peer.slug] = other
                except BenchError as error:
                    self._failed[peer.slug] = error
        finally:
            shutil.rmtree(tree, ignore_errors=True)

    def take(self, peer, _detailed):
        if peer.slug in self._failed:
            raise self._failed[peer.slug]
        mine = self._peers.get(peer.slug)
        if mine is None:
            return []
        return [{"value": milliseconds_to_attach(mine)} for _ in range(SAMPLES_OF_A_ROUND)]

    def image_bytes(self, peer):
        return self._peers[peer.slug].image.bytes


def milliseconds_to_attach(peer):
    start = time.perf_counter()
    peer.mount()
    try:
        os.stat(peer.root)
        return (time.perf_counter() - start) * 1000
    finally:
        peer.unmount()


def bench(arguments):
    """scripts/bench attach: Firn alone; takes no root where an ordinary user may mount."""
    if arguments.build_dir is not None:
        os.environ["FIRN_BUILD_DIR"] = str(arguments.build_dir.resolve())
    firn = Firn(Settings(firn_mount_options=("--view", arguments.view)))
    work = pathlib.Path(tempfile.mkdtemp(prefix="firn-bench-"))
    try:
        workloads = [Attach(count, work) for count in arguments.files]
        for workload in workloads:
            workload.prepare(None, [firn])
        times = {workload.count: [] for workload in workloads}
        for _ in range(arguments.rounds):
            for workload in workloads:
                times[workload.count] += [sample["value"] for sample in workload.take(firn, False)]
        results = [{"files": workload.count, "image_bytes": workload.image_bytes(firn),
                    "median_ms": statistics.median(times[workload.count]),
                    "fastest_ms": min(times[workload.count]),
                    "slowest_ms": max(times[workload.count])} for workload in workloads]
    finally:
        shutil.rmtree(work, ignore_errors=True)
    mounts = arguments.rounds * SAMPLES_OF_A_ROUND
    if arguments.json:
        print(json.dumps({"mounts": mounts, "images": results}, indent=2))
        return 0
    for result in results:
        print(f"{result['files']:>9,} files: median {result['median_ms']:.1f} ms "
              f"({result['fastest_ms']:.1f} to {result['slowest_ms']:.1f} ms, {mounts} mounts, "
              f"image of {result['image_bytes'] / programs.MIB:.1f} MiB)")
    return 0
