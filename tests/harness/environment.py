"""A real Python environment, built once for each build of Firn."""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess

DIST_PACKAGES = pathlib.Path("/usr/lib/python3/dist-packages")
# A prefix that no host has: an image must work at a place that its environment never was at.
PREFIX = "/opt/firn-tests/environment"


def make_environment(directory):
    """A venv at `directory` with Debian's numpy and scipy copied in: several thousand files."""
    subprocess.run(["/usr/bin/python3", "-m", "venv", os.fspath(directory)], check=True)
    (site_packages,) = pathlib.Path(directory).glob("lib/python3*/site-packages")
    for pattern in ("numpy", "numpy-*", "scipy", "scipy-*", "decorator.py", "decorator-*"):
        for source in DIST_PACKAGES.glob(pattern):
            if source.is_dir():
                shutil.copytree(source, site_packages / source.name, symlinks=True)
            else:
                shutil.copy2(source, site_packages)


def cached_environment(firn):
    """(tree, image) of the environment, made by the first test program that asks for them.

    They stay in the build tree; an image made by another firn than this one is made anew.
    """
    store = firn.build_directory / "tests" / "environment"
    store.mkdir(parents=True, exist_ok=True)
    tree, image, made_by = store / "tree", store / "environment.firn", store / "made-by"
    fingerprint = hashlib.sha256(firn.path.read_bytes()).hexdigest()
    with open(store / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.exists():
            half_done = store / "half-done"
            shutil.rmtree(half_done, ignore_errors=True)
            make_environment(half_done)
            half_done.rename(tree)
        if not made_by.exists() or made_by.read_text() != fingerprint:
            firn.build(tree, image, "--prefix", PREFIX, "--name", "environment", "--force")
            made_by.write_text(fingerprint)
    return tree, image
