"""Runs the workloads: in each round every peer has its turn at every workload, so that what else
the machine does meets all alike."""

import dataclasses
import pathlib
import sys
import time

from benchmarks import machine, results
from benchmarks.programs import BenchError


class Progress:
    """What is being done, on one line of standard error where that is a terminal."""

    def __init__(self, stream=sys.stderr):
        self._stream, self._terminal = stream, stream.isatty()
        self._said = time.monotonic()

    def say(self, text):
        if self._terminal:
            self._stream.write(f"\r\x1b[K{text}")
        elif time.monotonic() - self._said > 60:  # a log is told now and then that it goes on
            self._stream.write(text + "\n")
            self._said = time.monotonic()
        self._stream.flush()

    def clear(self):
        if self._terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


class Runner:
    def __init__(self, settings, tree, work, json_path=None):
        self._settings, self._tree, self._work = settings, tree, pathlib.Path(work)
        self._json_path = json_path
        self._progress = Progress()
        self._peers, self._workloads = [], []
        self.results = results.empty(settings, machine.description(work))

    def add_peer(self, peer, store):
        """Takes the peer, or notes why it cannot be had. Whether it could."""
        self._progress.say(f"preparing {peer.name}")
        try:
            peer.prepare(self._tree, store, self._work / "mounts")
            version = peer.version()
        except BenchError as error:
            self.results["missing"][peer.name] = str(error)
            return False
        self._peers.append(peer)
        self.results["peers"][peer.name] = {
            "slug": peer.slug, "version": version,
            "image": _image_record(peer.image) if peer.image else None}
        return True

    def add_workload(self, workload):
        self._progress.say(f"preparing {workload.name}")
        try:
            workload.prepare(self._tree, self._peers)
        except BenchError as error:
            self.results["not_measured"][workload.name] = str(error)
            return
        self._workloads.append(workload)
        results.add_workload(self.results, workload)

    def run(self):
        """All rounds. Interrupted, what was measured until then stays; then it gives False."""
        self.results["settings"] = dataclasses.asdict(self._settings)
        try:
            for number in range(self._settings.rounds):
                self._round(number)
                self.results["rounds_done"] = number + 1
                self._save()
        except KeyboardInterrupt:
            self.results["interrupted"] = True
            self._save()
            return False
        finally:
            self._progress.clear()
        return True

    def _round(self, number):
        # Each starts at another peer, so that nobody is always behind the same neighbour.
        turn = number % max(len(self._peers), 1)
        order = self._peers[turn:] + self._peers[:turn]
        for workload in self._workloads:
            if workload.most_rounds is not None and number >= workload.most_rounds:
                continue
            for peer in order:
                self._progress.say(f"round {number + 1} of {self._settings.rounds}: "
                                   f"{workload.name}, {peer.name}")
                self._take(workload, peer, detailed=number == 0)

    def _take(self, workload, peer, detailed):
        measured = self.results["workloads"][workload.name]
        if peer.name in measured["failed"]:
            return
        try:
            samples = workload.take(peer, detailed)
        except BenchError as error:
            measured["failed"][peer.name] = str(error)
            return
        if samples:
            measured["peers"].setdefault(peer.name, []).extend(samples)

    def _save(self):
        if self._json_path is not None:
            results.save(self.results, self._json_path)


def _image_record(image):
    return {key: str(value) if isinstance(value, pathlib.Path) else value
            for key, value in dataclasses.asdict(image).items()}


