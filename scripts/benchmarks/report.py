"""Tables of the figures of a run."""

from benchmarks import results as figures
from benchmarks.results import FIRN, PLAIN
from benchmarks.table import Table

MIB = 1 << 20
NOTHING = "-"


def tables(results):
    """All tables of a run, those first that most look for."""
    made = [workload_table(results, name) for name in results["workloads"] if name != "memory"]
    made += [memory_table(results), image_table(results), counts_table(results)]
    return [table for table in made if table is not None and table.rows]


def number(value, unit=""):
    """With as many digits as say something."""
    if value is None:
        return NOTHING
    if value >= 1000:
        text = f"{value:,.0f}"
    elif value >= 100:
        text = f"{value:.0f}"
    elif value >= 10:
        text = f"{value:.1f}"
    else:
        text = f"{value:.3f}" if unit == "s" else f"{value:.2f}"
    return f"{text} {unit}".strip()


def share(value):
    return NOTHING if value is None else f"{value:.2f}"


def milliseconds(seconds):
    return NOTHING if seconds is None else f"{seconds * 1000:.0f} ms"


def mebibytes(size):
    return NOTHING if size is None else f"{size / MIB:.1f} MiB"


def workload_table(results, name):
    workload = results["workloads"][name]
    unit = workload["unit"]
    measured = workload["peers"]
    plain, firn = (figures.peer_median(results, name, peer) for peer in (PLAIN, FIRN))
    limit = figures.peer_median(results, workload["limit"], PLAIN) if workload["limit"] else None
    columns = ["", "median", "lowest", "highest", "/ plain", "firn / it"]
    if limit:
        columns.insert(5, "/ plain warm")
    mounting = any(figures.values(samples, "mount_seconds") for samples in measured.values())
    working = any(figures.values(samples, "processor_seconds") for samples in measured.values())
    columns += ["mounting"] * mounting + ["CPU", "server's CPU"] * working
    rows = []
    for peer in _ordered(results, measured):
        samples = measured[peer]
        values, middle = figures.values(samples), figures.median(samples)
        row = [peer, number(middle, unit), number(min(values), unit), number(max(values), unit),
               share(figures.ratio(middle, plain)), share(figures.ratio(firn, middle))]
        if limit:
            row.insert(5, share(figures.ratio(middle, limit)))
        if mounting:
            row.append(milliseconds(figures.median(samples, "mount_seconds"))
                       if peer != PLAIN else NOTHING)
        if working:
            row += [number(figures.median(samples, "processor_seconds"), "s"),
                    number(figures.median(samples, "serving_processor_seconds") or None, "s")]
        rows.append(row)
    direction = "higher is better" if workload["higher_is_better"] else "lower is better"
    notes = [f"{peer}: {reason}" for peer, reason in workload["failed"].items()]
    return Table(f"{name}: {workload['title']} ({direction})", columns, rows, notes)


def _ordered(results, measured):
    return [peer for peer in results["peers"] if peer in measured]


def memory_table(results):
    workload = results["workloads"].get("memory")
    if workload is None:
        return None
    rows = []
    for peer in _ordered(results, workload["peers"]):
        samples = workload["peers"][peer]
        rows.append([peer] + [mebibytes(figures.median(samples, key)) for key in
                              ("rest_anonymous", "rest_resident", "load_anonymous",
                               "load_resident")])
    return Table(f"memory: {workload['title']}",
                 ["", "own, at rest", "resident, at rest", "own, highest", "resident, highest"],
                 rows, ["own: anonymous memory; resident: with pages of programs and libraries, "
                        "which processes share"]
                 + [f"{peer}: {reason}" for peer, reason in workload["failed"].items()])


def image_table(results):
    images = {peer: about["image"] for peer, about in results["peers"].items() if about["image"]}
    reference = images.get(FIRN, {}).get("bytes")
    rows = [[peer, f"{image['bytes']:,}", mebibytes(image["bytes"]),
             share(figures.ratio(reference, image["bytes"])), number(image["seconds"], "s"),
             number(image["processor_seconds"], "s"), mebibytes(image["peak"])]
            for peer, image in images.items()]
    return Table("images: size, and what packing took once",
                 ["", "bytes", "size", "firn / it", "time", "CPU", "peak memory"], rows,
                 [f"{peer}: {image['command']}" for peer, image in images.items()]
                 + ["firn compiles Python modules too unless it is built with --no-compile; "
                    "scripts/bench build compares packing alone, several rounds in turn"]
                 * (FIRN in images))


def counts_table(results):
    """What was asked of the peers that count, and what the page cache held in the end."""
    rows = []
    for name, workload in results["workloads"].items():
        for peer in _ordered(results, workload["peers"]):
            samples = workload["peers"][peer]
            counts = figures.median_counts(samples)
            tree = figures.median(samples, "resident_tree")
            if counts is None and tree is None:
                continue
            counts = counts or {}
            rows.append([f"{name}, {peer}", _count(counts.get("requests_total")),
                         _count(_sum(counts.get("decoded"))), mebibytes(counts.get("bytes_read")),
                         mebibytes(tree), mebibytes(figures.median(samples, "resident_image")),
                         _listed(counts.get("requests")), _listed(counts.get("decoded"))])
    return Table("counts: a median run, and what the page cache held after the first",
                 ["", "requests", "decoded", "read", "tree cached", "image cached",
                  "requests by opcode", "blocks decoded by kind"], rows,
                 wide=("requests by opcode", "blocks decoded by kind"))


def _sum(counts):
    return None if counts is None else sum(counts.values())


def _count(value):
    return NOTHING if value is None else f"{value:,.0f}"


def _listed(counts):
    if counts is None:
        return NOTHING
    return ", ".join(f"{name} {value:,.0f}" for name, value in counts.items() if value) or "none"


def notes(results):
    """What the tables do not say: how it was measured, where, and what could not be."""
    machine, settings, tree = results["machine"], results["settings"], results["tree"]
    lines = [
        f"tree: {tree['path']}: {tree['files']:,} files, {mebibytes(tree['bytes'])}, on "
        f"{tree['on']}; its {tree['largest_files']} largest, {mebibytes(tree['largest_bytes'])}, "
        "are what sequential and random reads are of",
        f"command: {settings['command']}",
        f"rounds: {results['rounds_done']} of {settings['rounds']}, every peer in turn in each"
        + (" (interrupted)" if results.get("interrupted") else ""),
        f"machine: {machine['processors']} x {machine['processor']}, {machine['memory']}, Linux "
        f"{machine['kernel']}; images on {machine['images_on']}, read ahead "
        f"{machine['images_read_ahead_kb']} KiB",
        f"kernel's squashfs: {machine['squashfs_decompressor']}",
        "cold: page cache, names and inodes dropped and a fresh mount before each sample; then "
        "what the command reads outside of the tree (standard library, shared libraries, found "
        "by strace) and the programs that mount were read, and the work began when mounting had "
        "ended",
        "warm: on a mount that did the work twice before; "
        "/ plain: this median by that of the plain directory; firn / it: Firn's by this one",
    ]
    lines += [f"{peer}: {about['version']}" for peer, about in results["peers"].items()
              if about["version"]]
    lines += [f"not measured: {peer}: {reason}" for peer, reason in results["missing"].items()]
    lines += [f"not measured: {name}: {reason}"
              for name, reason in results["not_measured"].items()]
    return lines
