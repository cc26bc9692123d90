"""The workloads, by name."""

from benchmarks import actions, firn_peer, measure, trees
from benchmarks.attaching import Attach
from benchmarks.images import ImageStore
from benchmarks.memory import ServingMemory
from benchmarks.programs import BenchError

KIB = 1 << 10


class Workload:
    """An action, from an empty cache or a full one, for each peer in turn."""

    def __init__(self, name, title, action, how, unit="s", limit=None):
        self.name, self.title, self.unit = name, title, unit
        self.higher_is_better = unit.endswith("/s")
        self.limit = limit          # the workload whose plain figure is the best to hope for
        self.most_rounds = None     # fewer than asked for, where one takes long
        self._action, self._how = action, how

    def prepare(self, tree, _peers):
        """Throws BenchError where it cannot be measured here."""
        self._action.prepare(tree)

    def take(self, peer, detailed):
        """Samples of one round. detailed: look at the page cache too."""
        return self._how(peer, self._action, detailed)


def _commands(settings, work):
    command = settings.command_at
    yield Workload("import-cold", "one start of the command, cold",
                   actions.Command(command), measure.cold, limit="import-warm")
    yield Workload("import-warm", "one start of the command, warm",
                   actions.Command(command), measure.warm)
    for count in (32, 128):
        yield Workload(f"storm-{count}", f"{count} starts of the command at once, cold",
                       actions.Command(command, count), measure.cold)
    for state, how in (("cold", measure.cold), ("warm", measure.warm)):
        yield Workload(f"metadata-{state}-find", f"find -ls of the tree, {state}",
                       actions.Command(lambda root: ["find", root, "-ls"]), how)
        yield Workload(f"metadata-{state}-stat", f"stat of every name of the tree, {state}",
                       actions.StatOfEveryFile(work / f"names-{state}"), how)


def _replays(settings, work):
    def record(tree):
        if not firn_peer.can_record():
            raise BenchError("this build of Firn records no profiles")
        store = ImageStore(work, trees.fingerprint(tree))
        return firn_peer.Firn(settings).record(tree, store)

    for count in (1, 64):
        yield Workload(f"replay-{count}",
                       f"what the command looks up and reads, by {_processes(count)}, cold",
                       actions.Replay(count, record), measure.cold)


def _reads(settings):
    total = settings.read_bytes
    for threads in (1, 2):
        yield Workload(f"sequential-{threads}",
                       f"the largest files, in steps of 1 MiB, {_threads(threads)}, cold",
                       actions.SequentialRead(threads, total), measure.cold, unit="MiB/s")
    for label, block, operations in (("4k", 4 * KIB, settings.small_reads),
                                     ("128k", 128 * KIB, settings.large_reads)):
        for threads in (1, 8):
            yield Workload(f"random-{label}-{threads}",
                           f"{operations} random reads of {label[:-1]} KiB, {_threads(threads)}, "
                           "cold", actions.RandomRead(block, threads, operations, total),
                           measure.cold, unit="reads/s")


def _threads(count):
    return "1 thread" if count == 1 else f"{count} threads"


def _processes(count):
    return "1 process" if count == 1 else f"{count} processes at once"


def all_workloads(settings, work):
    """Every workload there is, in the order of the tables."""
    yield from _commands(settings, work)
    yield from _replays(settings, work)
    yield from _reads(settings)
    for count in settings.attach_files:
        yield Attach(count, work)
    yield ServingMemory(settings)


def chosen(workloads, names):
    """Those that `names` select, each a name or its beginning up to a hyphen; all for None.
    Gives (workloads, names that select nothing)."""
    workloads = list(workloads)
    if names is None:
        return workloads, []

    def selects(name, workload):
        return workload.name == name or workload.name.startswith(name + "-")

    return ([workload for workload in workloads if any(selects(name, workload) for name in names)],
            [name for name in names if not any(selects(name, workload) for workload in workloads)])
