"""Environments on a Python that uv installed: one of pyenv's, packed as those that uv downloads."""

import hashlib
import io
import json
import tarfile

import pytest

from projects import make_project, names_of, pyenv_pythons

PREFIX = "/opt/firn-real/managed"
OPTIONS = ("--prefix", PREFIX, "--no-compile", "--level", "1", "--no-check")
CODE = "import sys, six\ndef main(): print('sunny at', sys.prefix, sys.base_prefix, six.__file__)\n"
# As install_only archives of python-build-standalone have it, and less of the tests and tools.
LEFT_OUT = {"__pycache__", "test", "tests", "site-packages", "idlelib", "lib2to3", "tkinter",
            "turtledemo", "ensurepip", "share"}


def wanted(entry):
    parts = entry.name.split("/")
    is_other_program = parts[1:2] == ["bin"] and len(parts) > 2 and "python" not in parts[2]
    is_static = entry.name.endswith(".a") or any(part.startswith("config-3") for part in parts)
    return None if LEFT_OUT & set(parts) or is_other_program or is_static else entry


def pack(root, archive):
    """Those archives are of a Python that was built for /install; uv makes of that where it is."""
    with tarfile.open(archive, "w:gz", compresslevel=1) as packed:
        packed.add(root, "python", filter=wanted)
        (data,) = root.glob("lib/python3.*/_sysconfigdata*.py")
        content = data.read_bytes().replace(bytes(root), b"/install")
        entry = packed.gettarinfo(data, f"python/{data.relative_to(root)}")
        entry.size = len(content)
        packed.addfile(entry, io.BytesIO(content))


class ManagedPython:
    """A directory in which uv has one Python, under a name and in a place of its own."""

    def __init__(self, uv, place, full, root):
        self.directory = place / "pythons"
        archive = place / "install_only.tar.gz"
        pack(root, archive)
        self.version, _, patch = full.rpartition(".")
        major, _, minor = self.version.partition(".")
        name = f"cpython-{full}-linux-x86_64-gnu"
        known = {name: {
            "name": "cpython", "arch": {"family": "x86_64", "variant": None}, "os": "linux",
            "libc": "gnu", "major": int(major), "minor": int(minor), "patch": int(patch),
            "prerelease": "", "variant": None, "build": "20261101", "url": archive.as_uri(),
            "sha256": hashlib.sha256(archive.read_bytes()).hexdigest()}}
        (place / "downloads.json").write_text(json.dumps(known))
        self.environment = {"UV_PYTHON_INSTALL_DIR": str(self.directory), "UV_MANAGED_PYTHON": "1"}
        uv.run("python", "install", "-q", "--no-bin", "--python-downloads-json-url",
               place / "downloads.json", self.version, cwd=place, **self.environment)
        archive.unlink()
        assert (self.directory / name / "bin" / "python3").exists()
        self.environment["UV_PYTHON_DOWNLOADS"] = "never"


@pytest.fixture(scope="module")
def managed(uv, scratch):
    pythons = pyenv_pythons()
    if not pythons:
        pytest.skip("no Python of pyenv is here to be packed for uv")
    root = pythons[-1][1].parent.parent
    place = scratch / "managed"
    place.mkdir()
    return ManagedPython(uv, place, root.name, root)


def check_stands_alone(image, packages, hidden, managed, check_alone, run_alone):
    check_alone(image, packages, hidden=hidden)
    code = ("import ssl, sqlite3, ctypes, lzma, sys, sysconfig; print(*sys.version_info[:2], "
            "sys.base_prefix, sysconfig.get_config_var('prefix'), sep='\\n')")
    result = run_alone(image, "python", "-c", code, hidden=hidden)
    assert (result.returncode, result.stdout.split()) == (
        0, [*managed.version.split("."), PREFIX, PREFIX]), result


def test_a_venv(firn, uv, managed, directory, check_alone, run_alone):
    uv.run("venv", "-q", "venv", cwd=directory, **managed.environment)
    uv.run("pip", "install", "-q", "--python", directory / "venv", "markupsafe==3.0.3",
           cwd=directory, **managed.environment)
    config = (directory / "venv" / "pyvenv.cfg").read_text()
    assert f"home = {managed.directory}" in config
    image = firn.build(directory / "venv", directory / "i.firn", *OPTIONS)
    hidden = [directory / "venv", managed.directory]
    check_stands_alone(image, 1, hidden, managed, check_alone, run_alone)


def test_a_project(firn, uv, managed, directory, check_alone, run_alone):
    project = make_project(uv, directory / "project", "weather", "six==1.17.0", code=CODE,
                           lock=False, python=managed.version)
    uv.run("lock", "-q", cwd=project, **managed.environment)
    image = firn.build(project, directory / "i.firn", *OPTIONS,
                       env=uv.environment(**managed.environment))
    assert names_of(firn, image) == {"six": "1.17.0", "weather": "1.2"}
    hidden = [project, managed.directory]
    check_stands_alone(image, 2, hidden, managed, check_alone, run_alone)
    result = run_alone(image, "weather", hidden=hidden)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"sunny at {PREFIX} {PREFIX} {PREFIX}/lib/"), result
