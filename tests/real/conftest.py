"""Fixtures of the tests that take real packages from PyPI (scripts/test --real)."""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"
PYTHON = "/usr/bin/python3"


def pytest_configure(config):
    config.addinivalue_line("markers", "big: takes hundreds of megabytes; -m 'not big' leaves it out")


@pytest.fixture(scope="session")
def tools():
    """bin/ of a venv with the tools of requirements.txt, made once in build/real-tools."""
    store = HERE.parent.parent / "build" / "real-tools"
    store.mkdir(parents=True, exist_ok=True)
    made_of = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    with open(store / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        mark = store / "made-of"
        if not mark.exists() or mark.read_text() != made_of:
            shutil.rmtree(store / "venv", ignore_errors=True)
            subprocess.run([PYTHON, "-m", "venv", store / "venv"], check=True)
            result = subprocess.run(
                [store / "venv/bin/pip", "install", "-q", "-r", REQUIREMENTS],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            if result.returncode != 0:
                pytest.skip(f"pip cannot install the tools: {result.stdout.strip()[-300:]}")
            mark.write_text(made_of)
    return store / "venv" / "bin"


class Uv:
    """uv, where every user can run it, with a cache of its own."""

    def __init__(self, program, cache):
        self.program = program
        self.cache = cache

    def environment(self, **more):
        """What firn and uv get: no Python but Debian's, uv in PATH."""
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith(("UV_", "VIRTUAL_ENV", "PYENV"))}
        environment.update(PATH=f"{self.program.parent}:/usr/bin:/bin:/usr/sbin:/sbin",
                           UV_CACHE_DIR=str(self.cache))
        if "PIP_FIND_LINKS" in os.environ:
            environment["UV_FIND_LINKS"] = os.environ["PIP_FIND_LINKS"]
        return environment | more

    def run(self, *arguments, cwd):
        subprocess.run([self.program, *arguments], cwd=cwd, env=self.environment(), check=True,
                       stdout=subprocess.DEVNULL, timeout=300)


@pytest.fixture(scope="session")
def uv(tools, scratch):
    directory = scratch / "uv"
    (directory / "bin").mkdir(parents=True)
    shutil.copy(tools / "uv", directory / "bin" / "uv")
    return Uv(directory / "bin" / "uv", directory / "cache")


@pytest.fixture
def firn_alone(firn, uv):
    """Runs firn where what an image was made of is out of reach: caches, Debian's Python, `hidden`."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to hide the base interpreter")
    base = os.path.realpath(PYTHON)

    def run(*arguments, hidden=()):
        directories = [uv.cache, f"/usr/lib/{pathlib.Path(base).name}", *hidden]
        script = "set -e; " + "; ".join(
            [f"mount -t tmpfs none '{path}'" for path in directories if os.path.exists(path)]
            + [f"mount --bind /dev/null '{base}'", 'exec "$@"'])
        return subprocess.run(
            ["unshare", "-m", "sh", "-c", script, "sh", os.fspath(firn.path), *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=300, env=uv.environment(HOME="/nonexistent"), check=False)

    return run


@pytest.fixture
def run_alone(firn_alone):
    """A command in an image, with `firn run`, in the same way."""
    return lambda image, *command, hidden=(): firn_alone("run", image, "--", *command,
                                                         hidden=hidden)
