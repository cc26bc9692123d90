"""Venvs of Debian's Python and of pyenv's, each with the original out of reach."""

import json
import pathlib
import subprocess

import pytest

from projects import by_name, names_of, pyenv_pythons

PREFIX = pathlib.Path("/opt/firn-real/pyenv")
CODE = ("import ssl, sqlite3, ctypes, venv, json, sys, sysconfig, lzma, bz2, hashlib, numpy\n"
        "numpy.ones((2, 2)) @ numpy.ones((2, 2))\n"
        "print(json.dumps([sys.prefix, sys.base_prefix, sysconfig.get_path('stdlib'),\n"
        "                  numpy.__file__, *filter(None, sys.path)]))")


def test_a_venv_of_debian(debian_venv, check_alone, run_alone):
    check_alone(debian_venv.image, 5, hidden=[debian_venv.root])
    result = run_alone(debian_venv.image, "python", "-c", CODE, hidden=[debian_venv.root])
    assert result.returncode == 0, result.stderr
    assert all(path == debian_venv.PREFIX or path.startswith(f"{debian_venv.PREFIX}/")
               for path in json.loads(result.stdout)), result.stdout


def test_its_packages_are_those_of_pip(firn, debian_venv):
    words = ("--disable-pip-version-check", "list", "--format=json")
    before = by_name(json.loads(subprocess.run([debian_venv.root / "bin" / "pip", *words],
                                               check=True, stdout=subprocess.PIPE).stdout))
    assert before["numpy"] == "2.2.6" and len(before) == 5
    assert names_of(firn, debian_venv.image) == before
    assert by_name(json.loads(firn.run("run", debian_venv.image, "--", "pip",
                                       *words).stdout)) == before


@pytest.mark.parametrize("version, numpy", [(0, "2.0.2"), (-1, "2.2.6")], ids=["oldest", "newest"])
def test_a_venv_of_pyenv(firn, uv, directory, firn_alone, check_alone, version, numpy):
    pythons = pyenv_pythons()
    if not pythons:
        pytest.skip("no Python of pyenv is here")
    root, image = directory / "venv", directory / "i.firn"
    subprocess.run([pythons[version][1], "-m", "venv", "--without-pip", root], check=True)
    uv.run("pip", "install", "-q", "--python", root, f"numpy=={numpy}", "pip==25.3", cwd=directory)
    base = subprocess.run([root / "bin" / "python3", "-c", "import sys; print(sys.base_prefix)"],
                          check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    firn.build(root, image, "--name", "venv", "--prefix", PREFIX, "--no-compile", "--level", "1",
               "--no-check")
    hidden = [base, root]
    check_alone(image, len(names_of(firn, image)), hidden=hidden)

    for place in (PREFIX / "one", PREFIX / "two" / "deeper", pathlib.Path("/opt/three")):
        result = firn_alone("run", "--prefix", place, image, "--", place / "bin" / "python3", "-c",
                            CODE, hidden=hidden)
        assert result.returncode == 0, result.stderr
        assert all(path == str(place) or path.startswith(f"{place}/")
                   for path in json.loads(result.stdout)), result.stdout
    result = firn_alone("run", "--prefix", place, image, "--", place / "bin" / "pip", "install",
                        "--no-index", "x", hidden=hidden)
    assert result.returncode != 0 and "'venv'" in result.stderr, result.stderr

    with firn.mounted(image) as tree:
        names = subprocess.run(["grep", "-rlaF", base, tree], check=False, stdout=subprocess.PIPE,
                               text=True).stdout.splitlines()
    # What the interpreter was configured with stands in it; its prefix it finds by itself.
    assert all("/lib/libpython" in name or "/bin/python3." in name for name in names), names
