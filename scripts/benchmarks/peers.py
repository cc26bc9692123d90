"""What Firn is compared with: ways to have a tree at a path.

A peer packs a tree into an image, shows it at a directory and takes it away again. Those that this
machine has not are named with the reason. What they need:
apt-get install squashfs-tools squashfuse erofs-utils; erofsfuse and DwarFS are not in Debian 12 and
are used where they are on PATH.
"""

import contextlib
import os
import pathlib
import re
import select
import subprocess

from benchmarks import machine, programs
from benchmarks.host_files import HostFiles

END_OF_DAEMON = 60  # seconds; one that reads or writes for longer hangs


def is_mounted(place):
    wanted = os.path.realpath(place)
    with open("/proc/self/mountinfo", "rb") as mounts:
        return any(line.split()[4].decode("unicode_escape") == wanted for line in mounts)


class Peer:
    """One way. prepare() first; then mount() and unmount() in turn, `root` in between."""

    name = ""    # in tables
    slug = ""    # in options and file names
    tools = ()   # programs without which it cannot be had

    def __init__(self, settings):
        self.settings = settings
        self.image = None    # images.Image, once prepared
        self.root = None     # where the tree is seen
        self._tools_files = HostFiles()

    def prepare(self, tree, store, places):
        """Packs the tree and tries the mount. Throws BenchError where this cannot be had."""
        for tool in self.tools:
            if programs.find(tool) is None:
                raise programs.BenchError(f"{tool} is not on PATH")
        self.image = self.make_image(tree, store)
        self.root = pathlib.Path(places) / self.slug
        self.root.mkdir(parents=True, exist_ok=True)
        self._tools_files = HostFiles.of_programs(self.tools)
        self.mount()
        try:
            if not os.listdir(self.root):
                raise programs.BenchError("mounted, but nothing is in it")
        finally:
            self.unmount()

    def for_other_tree(self):
        """Another of its kind, not prepared yet; None for one that needs no mounting."""
        return type(self)(self.settings)

    def make_image(self, tree, store):
        raise NotImplementedError

    def read_tools(self):
        """Brings the programs that mount and serve into the page cache."""
        self._tools_files.read()

    def mount(self):
        raise NotImplementedError

    def unmount(self):
        """Returns when the serving process has ended, so that the next peer has the machine."""
        if not is_mounted(self.root):
            return
        with contextlib.ExitStack() as open_descriptors:
            waited = []
            for process in self.processes():
                try:
                    descriptor = os.pidfd_open(process)
                except ProcessLookupError:
                    continue
                open_descriptors.callback(os.close, descriptor)
                waited.append(descriptor)
            self.detach()
            for descriptor in waited:
                if not select.select([descriptor], [], [], END_OF_DAEMON)[0]:
                    raise programs.BenchError(f"the process that served {self.root} does not end")

    def detach(self):
        programs.output_of(["umount", self.root])

    def processes(self):
        """Ids of the processes that serve the mount; none where the kernel does."""
        return []

    def counts(self):
        """What the peer tells of its work since it was mounted; None where it tells nothing."""
        return None

    def version(self):
        return ""


class PlainDirectory(Peer):
    name, slug = "plain directory", "plain"

    def prepare(self, tree, store, places):
        self.root = pathlib.Path(tree)

    def for_other_tree(self):
        return None

    def mount(self):
        pass

    def unmount(self):
        pass


def version_line(command):
    """What a program tells of its version, whichever way it ends and wherever it says so. Libraries
    tell theirs too: the line that has the program's name is preferred."""
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False,
                            stdin=subprocess.DEVNULL, env=programs.environment())
    lines = [line.strip() for line in (result.stderr + result.stdout).splitlines()]
    versions = [line for line in lines if re.search(r"\d+\.\d+", line)]
    own = [line for line in versions if command[0].removesuffix("_ll") in line]
    return (own or versions or [""])[0]


def squashfs_image(tree, store, settings):
    return store.get("tree.sqfs", [
        programs.find("mksquashfs"), tree, store.path("tree.sqfs"), "-noappend", "-quiet",
        "-no-progress", "-comp", "zstd", "-Xcompression-level", settings.level,
        "-b", settings.block_size, "-all-root", "-no-xattrs"])


class KernelMount(Peer):
    """A file system of the kernel on a loop device."""

    kind = ""

    def mount(self):
        programs.output_of(["mount", "-t", self.kind, "-o", "loop,ro", self.image.path, self.root])


class UserSpaceMount(Peer):
    """A FUSE program that puts itself into the background once it is mounted."""

    program = ""

    def mount(self):
        programs.output_of([self.program, *self.mount_options(), self.image.path, self.root])
        if not is_mounted(self.root):
            raise programs.BenchError(f"{self.program} ended well, but {self.root} is no mount")

    def mount_options(self):
        return []

    def processes(self):
        return machine.processes_with_argument(self.root)


class KernelSquashfs(KernelMount):
    name, slug, kind = "kernel squashfs", "squashfs", "squashfs"
    tools = ("mksquashfs", "mount")

    def make_image(self, tree, store):
        return squashfs_image(tree, store, self.settings)

    def version(self):
        return "decompressor: " + machine.squashfs_decompressor()


class SquashfuseLl(UserSpaceMount):
    name, slug, program = "squashfuse_ll", "squashfuse", "squashfuse_ll"
    tools = ("mksquashfs", "squashfuse_ll")

    def make_image(self, tree, store):
        return squashfs_image(tree, store, self.settings)

    def version(self):
        return version_line([self.program, "--help"])


def erofs_compression(level):
    """The option of mkfs.erofs that is nearest to zstd at this level."""
    result = subprocess.run(["mkfs.erofs", "--help"], capture_output=True, text=True, check=False,
                            env=programs.environment())
    if "zstd" in result.stdout + result.stderr:
        return f"-zzstd,{level}"
    return f"-zlz4hc,{min(level, 12)}"


def erofs_image(tree, store, settings):
    return store.get("tree.erofs", [
        programs.find("mkfs.erofs"), "--quiet", "--all-root", "-x-1",
        erofs_compression(settings.level), f"-C{settings.block_size}",
        store.path("tree.erofs"), tree])


def erofs_version(settings):
    return f"{version_line(['mkfs.erofs', '--version'])}, {erofs_compression(settings.level)}"


class KernelErofs(KernelMount):
    name, slug, kind = "kernel EROFS", "erofs", "erofs"
    tools = ("mkfs.erofs", "mount")

    def make_image(self, tree, store):
        return erofs_image(tree, store, self.settings)

    def version(self):
        return erofs_version(self.settings)


class Erofsfuse(UserSpaceMount):
    name, slug, program = "erofsfuse", "erofsfuse", "erofsfuse"
    tools = ("mkfs.erofs", "erofsfuse")

    def make_image(self, tree, store):
        return erofs_image(tree, store, self.settings)

    def version(self):
        return erofs_version(self.settings)


class Dwarfs(UserSpaceMount):
    name, slug, program = "DwarFS", "dwarfs", "dwarfs"
    tools = ("mkdwarfs", "dwarfs")

    def make_image(self, tree, store):
        return store.get("tree.dwarfs", [
            programs.find("mkdwarfs"), "-i", tree, "-o", store.path("tree.dwarfs"), "--force",
            "--no-progress", "-l", self.settings.dwarfs_level])

    def version(self):
        return version_line(["mkdwarfs", "--help"])


PEERS = [PlainDirectory, KernelSquashfs, SquashfuseLl, KernelErofs, Erofsfuse, Dwarfs]
