"""The machine: its page cache, its kernel's settings, and the memory of its processes."""

import gzip
import os
import pathlib
import platform

from benchmarks.programs import BenchError


def require_root():
    if os.geteuid() != 0:
        raise BenchError("dropping the page cache and mounting through loop devices takes root: "
                         "run it with sudo")


def drop_caches():
    """Writes back what is dirty, then empties page cache, names and inodes."""
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")


def times_dropped():
    """How often anybody has dropped the page cache since the machine started."""
    for line in pathlib.Path("/proc/vmstat").read_text().splitlines():
        name, _, value = line.partition(" ")
        if name == "drop_pagecache":
            return int(value)
    return 0


def file_system_of(path):
    """(type, device) of the file system that holds a path."""
    best, found = "", ("unknown", "unknown")
    real = os.path.realpath(path)
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        place = fields.split()[4].encode().decode("unicode_escape")
        inside = real == place or real.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(best):
            best, found = place, tuple(rest.split()[:2])
    return found


def kernel_settings(prefix):
    """Lines CONFIG_{prefix}…=… of the running kernel's configuration; empty where none is kept."""
    for path in ("/proc/config.gz", f"/boot/config-{platform.release()}"):
        try:
            text = pathlib.Path(path).read_bytes()
        except OSError:
            continue
        if path.endswith(".gz"):
            text = gzip.decompress(text)
        return [line for line in text.decode(errors="replace").splitlines()
                if line.startswith(f"CONFIG_{prefix}")]
    return []


def squashfs_decompressor():
    """How the kernel's squashfs decompresses, which bounds what its readers get at once."""
    settings = [line.removeprefix("CONFIG_") for line in kernel_settings("SQUASHFS_")
                if "_DECOMP" in line or "_FILE_" in line]
    return ", ".join(settings) or "not known: no /proc/config.gz and no /boot/config"


def _first_field(path, name):
    try:
        for line in pathlib.Path(path).read_text().splitlines():
            if line.startswith(name):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return "unknown"


def read_ahead(path):
    """read_ahead_kb of the device below a path, None where it has none of its own."""
    device = os.stat(path).st_dev
    try:
        setting = f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb"
        return int(pathlib.Path(setting).read_text())
    except (OSError, ValueError):
        return None


def description(work):
    """What a figure depends on, for the heads of tables."""
    kind, device = file_system_of(work)
    return {
        "kernel": platform.release(),
        "processor": _first_field("/proc/cpuinfo", "model name"),
        "processors": len(os.sched_getaffinity(0)),
        "memory": _first_field("/proc/meminfo", "MemTotal"),
        "images_on": f"{kind} on {device}",
        "images_read_ahead_kb": read_ahead(work),
        "squashfs_decompressor": squashfs_decompressor(),
    }


def memory_of(processes):
    """Bytes of VmRSS, VmHWM and RssAnon, summed over processes; ones that ended count nothing."""
    total = {"VmRSS": 0, "VmHWM": 0, "RssAnon": 0}
    for process in processes:
        try:
            lines = pathlib.Path(f"/proc/{process}/status").read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, value = line.partition(":")
            if name in total:
                total[name] += int(value.split()[0]) * 1024
    return total


def processor_seconds_of(processes):
    """User and system time of processes up to now."""
    ticks = 0
    for process in processes:
        try:
            fields = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _numbered_processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def processes_with_argument(word):
    """Ids of processes that were started with exactly this argument."""
    wanted, found = os.fsencode(word), []
    for process in _numbered_processes():
        try:
            arguments = pathlib.Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if wanted in arguments:
            found.append(process)
    return found


def with_descendants(process):
    """A process and everything that it started and that still runs."""
    parents = {}
    for other in _numbered_processes():
        try:
            fields = pathlib.Path(f"/proc/{other}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(other)
    family = [process]
    for member in family:
        family.extend(parents.get(member, []))
    return family
