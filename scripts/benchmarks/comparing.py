"""scripts/bench: Firn and its peers, prepared and run."""

import pathlib
import shutil

from benchmarks import firn_peer, machine, peers, programs, trees, workloads
from benchmarks.images import ImageStore
from benchmarks.runner import Runner


def peer_kinds(with_profile):
    """All there are. Firn comes early, as the peers' images follow its blocks and level."""
    return [peers.PEERS[0], *firn_peer.firn_peers(with_profile), *peers.PEERS[1:]]


def listing(settings):
    lines = ["workloads:"]
    lines += [f"  {workload.name:<22} {workload.title}"
              for workload in workloads.all_workloads(settings, pathlib.Path("."))]
    lines.append("peers:")
    lines += [f"  {kind.slug:<22} {kind.name}" for kind in peer_kinds(True)]
    return "\n".join(lines)


def chosen_peers(names, with_profile):
    kinds = peer_kinds(with_profile)
    if names is None:
        return kinds
    known = [kind.slug for kind in peer_kinds(True)]
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise programs.BenchError(f"no peer is called {', '.join(unknown)}; there are: "
                                  + ", ".join(known))
    return [kind for kind in kinds if kind.slug in names]


def compare(arguments, settings, work):
    """(results, whether all of Firn's workloads were measured in all rounds)."""
    machine.require_root()
    with_profile = (firn_peer.can_build_with_profile() if arguments.profile is None
                    else arguments.profile == "on")
    kinds = chosen_peers(arguments.peers, with_profile)
    wanted, unknown = workloads.chosen(workloads.all_workloads(settings, work), arguments.only)
    if unknown:
        raise programs.BenchError(f"no workload is called {', '.join(unknown)}; see "
                                  "scripts/bench --list")
    work.mkdir(parents=True, exist_ok=True)
    kind, device = machine.file_system_of(work)
    if kind in ("tmpfs", "ramfs"):
        raise programs.BenchError(f"{work} lies on {kind} ({device}), where nothing is ever cold: "
                                  "give --work DIR on a disk, or set TMPDIR")
    tree = arguments.tree
    if tree is None:
        tree = default_tree(work)
    run = Runner(settings, tree, work, arguments.json)
    run.results["title"] = arguments.title or ("numpy and scipy" if arguments.tree is None
                                               else tree.name)
    run.results["tree"] = {**trees.summary(tree, settings.read_bytes),
                           "on": " on ".join(machine.file_system_of(tree))}
    _add_peers(run, kinds, settings, arguments, ImageStore(work, trees.fingerprint(tree)))
    for workload in wanted:
        run.add_workload(workload)
    finished = run.run()
    return run.results, finished and not _firn_failed(run.results)


def default_tree(work):
    tree, made = work / "environment", work / "environment.made"
    if not made.exists():
        shutil.rmtree(tree, ignore_errors=True)
        trees.make_default(tree)
        made.touch()
    return tree


def _add_peers(run, kinds, settings, arguments, store):
    for kind in kinds:
        peer = kind(settings)
        if run.add_peer(peer, store) and isinstance(peer, firn_peer.Firn):
            block_size, level = peer.compression()
            settings.block_size = arguments.block_size or block_size
            settings.level = arguments.level or level


def _firn_failed(results):
    return (any(name.startswith("firn") for name in results["missing"])
            or any(name.startswith("firn") for workload in results["workloads"].values()
                   for name in workload["failed"]))
