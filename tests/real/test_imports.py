"""What an interpreter opens when it imports from an image, as strace sees it."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

PYTHON = "/usr/bin/python3"
PREFIX = "/opt/firn-real/imports"
# 300 modules of the environment, by name, without those that need a display or end the process.
CODE = """\
import importlib, os, sys, warnings
warnings.simplefilter("ignore")
warnings.showwarning = lambda *ignored, **options: None  # it would show a line of the source
names = open(sys.argv[1]).read().split()
for name in names:
    importlib.import_module(name)
print(len(names), len(sys.modules))
"""
FIND = """\
import importlib, pathlib, sys, sysconfig, warnings
warnings.simplefilter("ignore")
roots = [pathlib.Path(path) for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
found = []
names = sorted(str(path.relative_to(root)).removesuffix(".py").replace("/", ".")
               for root in roots for path in root.glob("sympy/**/*.py")
               if path.name != "__init__.py" and "tests" not in path.parts)
for name in names:
    try:
        importlib.import_module(name)
    except BaseException:
        continue
    found.append(name)
    if len(found) == 300: break
print("\\n".join(found))
"""


def opened(trace):
    """Paths of openat(2) that succeeded."""
    return [match[1] for line in trace.read_text().splitlines()
            if (match := re.search(r'openat\(AT_FDCWD, "([^"]+)".*\) = \d+', line))]


def test_300_imports_open_no_source_file(firn, uv, directory):
    if not shutil.which("strace"):
        pytest.skip("no strace on this machine")
    root = directory / "venv"
    uv.run("venv", "-q", "--python", PYTHON, os.fspath(root), cwd=directory)
    uv.run("pip", "install", "-q", "--python", os.fspath(root), "sympy==1.14.0", cwd=directory)
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    listed = subprocess.run([root / "bin/python", "-c", FIND], env=environment, check=True,
                            stdout=subprocess.PIPE, text=True).stdout
    assert len(listed.split()) == 300
    (directory / "names").write_text(listed)
    (directory / "code.py").write_text(CODE)
    image = firn.build(root, directory / "i.firn", "--prefix", PREFIX, "--no-check", "--level", "1")

    trace = directory / "trace"
    result = firn.run("run", image, "--", "strace", "-f", "-e", "trace=openat", "-o", trace,
                      f"{PREFIX}/bin/python", directory / "code.py", directory / "names",
                      env=environment)
    assert result.stdout.split()[0] == "300"
    paths = [pathlib.Path(path) for path in opened(trace) if path.startswith(PREFIX + "/")]
    code = [path for path in paths if path.suffix == ".pyc"]
    assert len(code) >= 300
    assert [str(path) for path in paths if path.suffix == ".py"] == []
    # The same in the venv opens them: the trace would have shown it.
    subprocess.run(["strace", "-f", "-e", "trace=openat", "-o", trace, root / "bin/python",
                    directory / "code.py", directory / "names"], env=environment, check=True,
                   stdout=subprocess.DEVNULL)
    assert sum(path.endswith(".py") and path.startswith(os.fspath(root))
               for path in opened(trace)) >= 300
