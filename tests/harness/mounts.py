"""Mounting images by Firn and by programs that Firn's are compared with."""

import contextlib
import ctypes
import os
import re
import subprocess

import pytest

CLONE_NEWNS = 0x20000


def enter_private_namespace():
    """Whether this process and what it starts have a mount namespace of their own now.

    Nobody else's namespace copies its mounts, and none of its own copies theirs: somebody who
    looks at a copy asks the mount's daemon, whose requests tests count, and keeps it mounted.
    """
    if ctypes.CDLL(None).unshare(CLONE_NEWNS) != 0:
        return False
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    return True


def unmount(directory):
    """Unmounts for certain; what is still mounted after a failed test would block the next."""
    result = subprocess.run(["umount", os.fspath(directory)], capture_output=True, text=True)
    if result.returncode != 0:
        subprocess.run(["umount", "-l", os.fspath(directory)], capture_output=True)
    return result


def mount_points():
    """Where something is mounted, in the order in which it was."""
    with open("/proc/self/mountinfo", "rb") as mounts:
        escaped = [line.split()[4] for line in mounts]
    # Blanks and backslashes in it are octal numbers.
    return [os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda digits: bytes([int(digits[1], 8)]), place))
            for place in escaped]


def is_mounted(directory):
    """Whether something is mounted exactly there, as the kernel has it."""
    return os.path.realpath(directory) in mount_points()


@contextlib.contextmanager
def kernel_mount(image, directory):
    """The kernel's own squashfs, through a loop device. Skips the test where root is missing."""
    if os.geteuid() != 0:
        pytest.skip("the kernel's squashfs is mounted by root only")
    os.makedirs(directory, exist_ok=True)
    result = subprocess.run(
        ["mount", "-t", "squashfs", "-o", "loop,ro", os.fspath(image), os.fspath(directory)],
        capture_output=True, text=True)
    if result.returncode != 0:
        if not os.path.exists("/dev/loop-control") or not _kernel_has("squashfs"):
            pytest.skip("this machine has no loop devices or no squashfs in its kernel")
        pytest.fail(f"the kernel does not mount {image}: {result.stderr}")
    try:
        yield directory
    finally:
        unmount(directory)


def _kernel_has(file_system):
    with open("/proc/filesystems", encoding="ascii") as systems:
        return any(line.split()[-1] == file_system for line in systems)


@contextlib.contextmanager
def squashfuse_mount(image, directory):
    """squashfuse; it returns when its mount is there."""
    os.makedirs(directory, exist_ok=True)
    result = subprocess.run(["squashfuse", os.fspath(image), os.fspath(directory)],
                            capture_output=True, text=True)
    if result.returncode != 0:
        pytest.fail(f"squashfuse does not mount {image}: {result.stderr}")
    try:
        yield directory
    finally:
        unmount(directory)


def unsquash(image, directory):
    """The tree that unsquashfs makes at `directory`, which must not be there yet."""
    subprocess.run(["unsquashfs", "-quiet", "-no-progress", "-dest", os.fspath(directory),
                    os.fspath(image)], check=True, stdout=subprocess.DEVNULL)
    return directory


def mksquashfs(tree, image, *options):
    subprocess.run(["mksquashfs", os.fspath(tree), os.fspath(image), "-noappend", "-quiet",
                    "-no-progress", *options], check=True, stdout=subprocess.DEVNULL)
    return image
