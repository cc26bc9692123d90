"""Projects that images are made of, by uv, and what images say of their packages."""

import json
import os
import pathlib
import re
import sys

PYTHON = "/usr/bin/python3"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"  # pytest runs by PYTHON
PROJECT = """\
[project]
name = "{name}"
version = "1.2"
requires-python = "=={python}.*"
dependencies = [{dependencies}]
[tool.uv]
environments = ["sys_platform == 'linux' and platform_machine == 'x86_64'"]
"""
INSTALLED = """\
[project.scripts]
{name} = "{name}:main"
[build-system]
requires = ["setuptools==80.9.0"]
build-backend = "setuptools.build_meta"
"""


def pyenv_pythons():
    """[((major, minor), path of python3)], the oldest first."""
    root = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv")) / "versions"
    found = {}
    for python in sorted(root.glob("3.*/bin/python3")):
        version = tuple(map(int, python.parent.parent.name.split(".")[:2]))
        if version >= (3, 9):
            found[version] = python
    return sorted(found.items())


def make_project(uv, directory, name, *dependencies, code=None, lock=True, python=VERSION):
    """A project, with its lock; with code it is itself installed, and has an entry point."""
    directory.mkdir()
    quoted = ", ".join(f'"{dependency}"' for dependency in dependencies)
    text = PROJECT + (INSTALLED if code else "")
    (directory / "pyproject.toml").write_text(
        text.format(name=name, dependencies=quoted, python=python))
    if code:
        (directory / "src" / name).mkdir(parents=True)
        (directory / "src" / name / "__init__.py").write_text(code)
    if lock:
        uv.run("lock", "-q", "--python", PYTHON, cwd=directory)
    return directory


def make_lock(uv, path, *requirements):
    """requirements with hashes, or a pylock.toml, as the name of `path` has it."""
    source = path.with_suffix(".in")
    source.write_text("".join(f"{requirement}\n" for requirement in requirements))
    hashes = [] if path.suffix == ".toml" else ["--generate-hashes"]
    uv.run("pip", "compile", "-q", "--python", PYTHON, *hashes, source.name, "-o", path.name,
           cwd=path.parent)
    return path


def names_of(firn, image):
    """{name as PEP 503 has it: version} of the packages that an image says it has."""
    packages = json.loads(firn.run("inspect", "--packages", "--json", image).stdout)["packages"]
    return by_name(packages)


def by_name(packages):
    return {re.sub("[-_.]+", "-", package["name"]).lower(): package["version"]
            for package in packages}


def pip_list(firn, image, python):
    """The same by Debian's pip, run by the image's interpreter `python`."""
    listed = firn.run("run", image, "--", PYTHON, "-m", "pip", "--disable-pip-version-check",
                      "--python", python, "list", "--format=json").stdout
    return by_name(json.loads(listed))


def log_of(image):
    """What uv says that it installed."""
    lines = pathlib.Path(f"{image}.log").read_text().splitlines()
    return [line.split("==")[0].split()[-1] for line in lines if line.startswith(" + ")]
