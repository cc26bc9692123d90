"""Memory of the processes that serve a mount, at rest and under load."""

import threading

from benchmarks import actions, machine

MIB = 1 << 20
PROCESSES = 8
INTERVAL = 0.005  # seconds between two looks


class ServingMemory:
    """MiB of anonymous memory, at its highest while several starts of the command and then readers
    of the largest files are served; a file system of the kernel has no process to look at."""

    name = "memory"
    title = f"memory of the serving processes: {PROCESSES} starts at once, then reading"
    unit, higher_is_better, limit, most_rounds = "MiB", False, None, 3

    def __init__(self, settings):
        self._work = [actions.Command(settings.command_at, PROCESSES),
                      actions.SequentialRead(2, settings.read_bytes)]

    def prepare(self, tree, _peers):
        for action in self._work:
            action.prepare(tree)

    def take(self, peer, _detailed):
        machine.drop_caches()
        peer.mount()
        try:
            processes = peer.processes()
            if not processes:
                return []
            rest = machine.memory_of(processes)
            with _Watch(peer) as watch:
                for action in self._work:
                    action.run(peer.root)
            load = machine.memory_of(peer.processes())
        finally:
            peer.unmount()
        return [{"value": max(watch.anonymous, load["RssAnon"]) / MIB,
                 "rest_anonymous": rest["RssAnon"], "rest_resident": rest["VmRSS"],
                 "load_anonymous": max(watch.anonymous, load["RssAnon"]),
                 "load_resident": max(watch.resident, load["VmRSS"]),
                 "sum_of_peaks": load["VmHWM"]}]


class _Watch:
    """Looks at the processes every few milliseconds, as the kernel keeps no peak of what is
    anonymous. Those that the serving process starts meanwhile are not seen before its end."""

    def __init__(self, peer):
        self._processes = peer.processes()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.anonymous = self.resident = 0

    def _look(self):
        while not self._ended.wait(INTERVAL):
            memory = machine.memory_of(self._processes)
            self.anonymous = max(self.anonymous, memory["RssAnon"])
            self.resident = max(self.resident, memory["VmRSS"])

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()
