"""The rules on Pythons that Debian has not: pyenv's and uv's, each with the original out of reach."""

import json
import os
import pathlib
import subprocess

import pytest

from harness.mounts import unsquash

CODE = ("import ssl, sqlite3, ctypes, venv, json, sys, sysconfig, lzma, bz2, hashlib\n"
        "print(json.dumps([sys.prefix, sys.base_prefix, sysconfig.get_path('stdlib'),\n"
        "                  *filter(None, sys.path)]))")


def pyenv_pythons():
    root = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv")) / "versions"
    found = {}
    for python in sorted(root.glob("3.*/bin/python3")):
        version = tuple(map(int, python.parent.parent.name.split(".")[:2]))
        if version >= (3, 9):
            found[version] = python
    return sorted(found.items())


def check_self_contained(firn, python, directory):
    root = directory / "venv"
    subprocess.run([python, "-m", "venv", root], check=True)
    base = subprocess.run([root / "bin" / "python3", "-c", "import sys; print(sys.base_prefix)"],
                          check=True, capture_output=True, text=True).stdout.strip()
    tree = unsquash(firn.build(root, directory / "i.firn", "--no-compile", "--level", "1"), directory / "out")
    for place in (directory / "one", directory / "two" / "deeper"):
        place.mkdir(parents=True)
        script = ('mount --bind "$1" "$2"; mount -t tmpfs none "$3"; mount -t tmpfs none "$4"; '
                  'shift 4; exec "$@"')
        run = ["unshare", "--mount", *(["-Ur"] if os.geteuid() != 0 else []), "sh", "-ec", script,
               "sh", tree, place, base, root]
        result = subprocess.run([*run, place / "bin" / "python3", "-c", CODE], text=True,
                                capture_output=True, check=False)
        assert result.returncode == 0, result.stderr
        assert all(path == str(place) or path.startswith(f"{place}/")
                   for path in json.loads(result.stdout)), result.stdout
        pip = subprocess.run([*run, place / "bin" / "pip", "install", "--no-index", "x"], text=True,
                             capture_output=True, check=False)
        assert pip.returncode != 0 and "'venv'" in pip.stderr, pip.stderr
    names = subprocess.run(["grep", "-rlaF", "--exclude=*.pyc", base, tree], check=False,
                           capture_output=True, text=True).stdout.splitlines()
    # What the interpreter was configured with stands in it; its prefix it finds by itself.
    assert all("/lib/libpython" in name or "/bin/python3." in name for name in names), names


@pytest.mark.parametrize("version", ["oldest", "newest"])
def test_pyenv(firn, directory, version):
    pythons = pyenv_pythons()
    if not pythons:
        pytest.skip("no Python of pyenv is here")
    check_self_contained(firn, pythons[0 if version == "oldest" else -1][1], directory)
