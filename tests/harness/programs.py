"""firn and firnd as the tests call them."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess

from harness import mounts


def installed_version(build_directory):
    """The project's version, as CMake has it."""
    for line in (pathlib.Path(build_directory) / "CMakeCache.txt").read_text().splitlines():
        if line.startswith("CMAKE_PROJECT_VERSION:"):
            return line.partition("=")[2]
    raise LookupError("no CMAKE_PROJECT_VERSION in the build tree")


class Firn:
    """The command line of a build tree.

    firn and firnd are copied side by side into a directory that every user can reach, as a build
    tree may lie in somebody's home.
    """

    def __init__(self, build_directory, scratch):
        self.build_directory = pathlib.Path(build_directory)
        self.directory = scratch / "bin"
        self.directory.mkdir()
        self.path = self._take("cli/firn")
        self.firnd = self._take("mountd/firnd")
        self._scratch = scratch
        self._count = 0

    def _take(self, name):
        source = self.build_directory / name
        target = self.directory / source.name
        if source.exists():
            shutil.copy(source, target)
            target.chmod(0o755)
        return target

    def firnd_for_jobs(self, name, action):
        """A stand-in for firnd that does `action`, of the shell, where it is to serve a job."""
        path = self.directory / name
        path.write_text("#!/bin/sh\ncase \"$*\" in\n"
                        f"*--job=*) {action.format(firnd=self.firnd)} ;;\n"
                        f'esac\nexec {self.firnd} "$@"\n')
        path.chmod(0o755)
        return path

    def __fspath__(self):
        return str(self.path)

    def run(self, *arguments, user=None, check=True, **options):
        """Runs `firn ARGUMENTS`; text output captured. check: fail unless it ends with 0."""
        command = [str(self.path), *(os.fspath(word) for word in arguments)]
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE, "text": True, "timeout": 300} | options
        if user is not None:
            options = user.popen_arguments() | options
        result = subprocess.run(command, **options)
        if check:
            assert result.returncode == 0, (
                f"{' '.join(command)} ended with {result.returncode}\n"
                f"{result.stdout}{result.stderr}")
        return result

    def build(self, tree, image, *options, **keywords):
        self.run("build", tree, "-o", image, *options, **keywords)
        return image

    @contextlib.contextmanager
    def mounted(self, image, *options, directory=None, user=None):
        """A `firn mount` while it lasts; gives the directory."""
        if directory is None:
            self._count += 1
            name = f"mount-{self._count}"
            directory = user.make_directory(name) if user else self._scratch / name
        os.makedirs(directory, exist_ok=True)
        self.run("mount", *options, image, directory, user=user)
        try:
            yield pathlib.Path(directory)
        finally:
            result = self.run("unmount", directory, user=user, check=False)
            if result.returncode != 0:
                mounts.unmount(directory)
                raise AssertionError(f"firn unmount {directory}: {result.stdout}{result.stderr}")

    def status(self, directory=None, user=None):
        """The parsed `firn status --json`."""
        where = [] if directory is None else [directory]
        return json.loads(self.run("status", "--json", *where, user=user).stdout)
