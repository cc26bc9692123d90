"""Firn as one of the peers, with a recorded profile and without."""

import json
import subprocess

from benchmarks import machine, programs
from benchmarks.peers import Peer


def _help_of(command):
    """What firn tells of a command; empty where it has none of that name."""
    result = subprocess.run([programs.firn_program(), command, "--help"], check=False, text=True,
                            capture_output=True, stdin=subprocess.DEVNULL)
    return result.stdout if result.returncode == 0 else ""


def can_record():
    return bool(_help_of("profile"))


def can_build_with_profile():
    return can_record() and "--profile" in _help_of("build")


class Firn(Peer):
    """`firn build` and `firn mount`, with Firn's own defaults where the settings name nothing."""

    name, slug = "firn", "firn"
    image_name = "tree.firn"

    def __init__(self, settings):
        super().__init__(settings)
        self.firn = programs.firn_program()
        self.tools = (str(self.firn), str(self.firn.parent.parent / "mountd" / "firnd"))

    def for_other_tree(self):
        return Firn(self.settings)  # a profile is of one tree

    def make_image(self, tree, store):
        return self._build(tree, store, self.image_name, [])

    def _build(self, tree, store, name, options):
        return store.get(name, [
            self.firn, "build", tree, "-o", store.path(name), "--force", "--quiet",
            *self.settings.firn_build_options, *options], stamp=self._binary())

    def record(self, tree, store):
        """The profile of the settings' command: the path of the file."""
        image = self._build(tree, store, Firn.image_name, [])
        # The image is shown at its prefix while it is recorded, which is the tree's own path.
        profile = store.get("tree.profile", [
            self.firn, "profile", image.path, "-o", store.path("tree.profile"), "--",
            *self.settings.command_at(tree)],
            stamp=[*self._binary(), self.settings.firn_build_options])
        return profile.path

    def _binary(self):
        """Changes where firn is built anew."""
        status = self.firn.stat()
        return [status.st_size, status.st_mtime_ns]

    def compression(self):
        """(block size in bytes, level) of the image."""
        about = json.loads(programs.output_of([self.firn, "inspect", "--json", self.image.path]))
        return about["compression"]["block_size"], about["compression"]["level"]

    def mount(self):
        programs.output_of([self.firn, "mount", *self.settings.firn_mount_options, self.image.path,
                            self.root])

    def detach(self):
        programs.output_of([self.firn, "unmount", self.root])

    def status(self):
        text = programs.output_of([self.firn, "status", "--json", self.root])
        (mount,) = json.loads(text)["mounts"]
        if not mount.get("alive", True):
            raise programs.BenchError(f"the firnd of {self.root} died")
        return mount

    def processes(self):
        try:
            return machine.with_descendants(self.status()["pid"])
        except programs.BenchError:
            return []  # unmounting cleans up behind one that died

    def counts(self):
        return self.status()

    def version(self):
        return programs.output_of([self.firn, "--version"]).strip()


class FirnWithProfile(Firn):
    """An image that was laid out by a profile of the measured command, and holds it."""

    name, slug = "firn", "firn"
    image_name = "tree-profiled.firn"

    def make_image(self, tree, store):
        return self._build(tree, store, self.image_name, ["--profile", self.record(tree, store)])


class FirnWithoutProfile(Firn):
    name, slug = "firn, no profile", "firn-no-profile"


def firn_peers(with_profile):
    return [FirnWithProfile, FirnWithoutProfile] if with_profile else [Firn]
