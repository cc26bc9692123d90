"""scripts/bench build: `firn build` and mksquashfs in turn, with the same blocks and level."""

import json
import pathlib
import statistics
import tempfile

from benchmarks import programs, trees

MIB = 1 << 20
MAX_PEAK = 256 * MIB  # for a tree of over a gigabyte
MAX_APPENDIX = 0.005


class Samples:
    def __init__(self, name):
        self.name, self.runs = name, []

    def add(self, command):
        self.runs.append(programs.run_measured(command))
        return self.runs[-1].output

    def seconds(self):
        return statistics.median(run.seconds for run in self.runs)

    def peak(self):
        return max(run.peak for run in self.runs)

    def line(self):
        processor = statistics.median(run.processor_seconds for run in self.runs)
        return (f"  {self.name:<11} {self.seconds():8.2f} s   {processor:8.2f} s of processors   "
                f"{self.peak() / MIB:7.0f} MiB peak   "
                f"(runs: {', '.join(f'{run.seconds:.2f}' for run in self.runs)})")


def squashfs_length(image):
    with open(image, "rb") as file:
        file.seek(40)
        return int.from_bytes(file.read(8), "little")


def bench(arguments):
    """0 where every bound is kept, else 1."""
    firn = programs.firn_program()
    with tempfile.TemporaryDirectory(prefix="firn-bench-") as work:
        work = pathlib.Path(work)
        tree = (pathlib.Path(arguments.directory).resolve() if arguments.directory
                else trees.make_default(work / "environment"))
        size = sum(length for _, length in trees.regular_files(tree))
        print(f"{tree}: {size / MIB:.0f} MiB; block size {arguments.block_size}, "
              f"zstd level {arguments.level}, {arguments.jobs} jobs, {arguments.rounds} rounds")
        ours, theirs = Samples("firn build"), Samples("mksquashfs")
        image, other = work / "bench.firn", work / "bench.sqfs"
        for _ in range(arguments.rounds):
            other.unlink(missing_ok=True)
            summary = json.loads(ours.add(
                [firn, "build", tree, "-o", image, "--no-compile", "--force", "--json",
                 "--prefix", "/opt/bench", "--block-size", arguments.block_size,
                 "--level", arguments.level, "--jobs", arguments.jobs]))
            theirs.add(["mksquashfs", tree, other, "-quiet", "-no-progress", "-comp", "zstd",
                        "-Xcompression-level", arguments.level, "-b", arguments.block_size,
                        "-processors", arguments.jobs, "-all-root", "-no-xattrs"])
        return _judge(ours, theirs, summary, squashfs_length(other), size)


def _judge(ours, theirs, summary, their_length, size):
    print(ours.line())
    print(theirs.line())
    ratio = ours.seconds() / theirs.seconds()
    length, appendix = summary["squashfs_bytes"], summary["bytes_out"] - summary["squashfs_bytes"]
    share = appendix / summary["bytes_out"]
    checks = [
        (ratio <= 1, f"time: {ratio:.3f} of mksquashfs'"),
        (length <= their_length, f"SquashFS part: {length} bytes, mksquashfs makes {their_length} "
                                 f"({100 * (length / their_length - 1):+.3f} %)"),
        (share <= MAX_APPENDIX, f"appendix: {appendix} bytes, {100 * share:.3f} % of the image"),
    ]
    if size > 1 << 30:
        checks.append((ours.peak() <= MAX_PEAK,
                       f"peak memory: {ours.peak() / MIB:.0f} MiB, at most "
                       f"{MAX_PEAK // MIB} are allowed"))
    for good, text in checks:
        print(f"  {'ok  ' if good else 'FAIL'} {text}")
    return 0 if all(good for good, _ in checks) else 1
