"""What an interpreter opens when it imports from an image, as strace sees it."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

# pygments has 300 modules, each of which can be imported wherever the others can, but for one.
CODE = """\
import importlib, pkgutil, pygments, sys, warnings
warnings.simplefilter("ignore")
names = [module.name for module in pkgutil.walk_packages(pygments.__path__, "pygments.")
         if module.name not in ("pygments.sphinxext", "pygments.__main__")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def opened(trace):
    """Paths of openat(2) that succeeded."""
    return [match[1] for line in trace.read_text().splitlines()
            if (match := re.search(r'openat\(AT_FDCWD, "([^"]+)".*\) = \d+', line))]


def test_300_imports_open_no_source_file(firn, debian_venv, directory):
    if not shutil.which("strace"):
        pytest.skip("no strace on this machine")
    trace, prefix = directory / "trace", debian_venv.PREFIX
    strace = ["strace", "-f", "-e", "trace=openat", "-o", trace]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    result = firn.run("run", debian_venv.image, "--", *strace, f"{prefix}/bin/python", "-c", CODE,
                      env=environment)
    assert int(result.stdout) >= 300
    paths = [pathlib.Path(path) for path in opened(trace) if path.startswith(prefix + "/")]
    assert len([path for path in paths if path.suffix == ".pyc"]) >= 300
    assert [str(path) for path in paths if path.suffix == ".py"] == []
    # The same in the venv opens them: the trace would have shown it.
    subprocess.run([*strace, debian_venv.root / "bin/python", "-c", CODE], env=environment,
                   check=True, stdout=subprocess.DEVNULL)
    assert sum(path.endswith(".py") and path.startswith(os.fspath(debian_venv.root))
               for path in opened(trace)) >= 300
