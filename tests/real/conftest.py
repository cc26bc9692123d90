"""Fixtures of the tests that take real packages from PyPI (scripts/test --real)."""

import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"
PYTHON = "/usr/bin/python3"
VALIDATE = """\
import json, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
validator = JsonStrictValidator(SchemaVersion.V1_5)
found = [validator.validate_str(text) for text in json.load(sys.stdin)]
print(json.dumps([error and str(error) for error in found]))
"""


def pytest_configure(config):
    config.addinivalue_line("markers", "big: takes hundreds of megabytes; -m 'not big' leaves it out")


@pytest.fixture(scope="session")
def in_memory():
    """Ten thousands of small files are made and removed, in memory in a fourth of the time."""
    return True


@pytest.fixture(scope="session", autouse=True)
def temporary_files(scratch):
    """The tools' and firn's own stand there too."""
    directory = scratch / "tmp"
    directory.mkdir()
    directory.chmod(0o1777)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(directory))
        yield


def install_tools(venv):
    """What pip or uv says where one of them fails, else None. uv takes a fourth of pip's time."""
    (uv,) = [line for line in REQUIREMENTS.read_text().splitlines() if line.startswith("uv==")]
    for command in ([PYTHON, "-m", "venv", "--without-pip", venv],
                    [PYTHON, "-m", "pip", "--python", venv / "bin/python", "install", "-q", uv],
                    [venv / "bin/uv", "pip", "install", "-q", "--no-cache", "--python",
                     venv / "bin/python", "-r", REQUIREMENTS]):
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, check=False)
        if result.returncode != 0:
            return result.stdout.strip()[-300:]
    return None


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
            if trouble := install_tools(store / "venv"):
                pytest.skip(f"the tools cannot be installed: {trouble}")
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

    def run(self, *arguments, cwd, **more):
        return subprocess.run([self.program, *arguments], cwd=cwd, env=self.environment(**more),
                              check=True, stdout=subprocess.PIPE, text=True, timeout=300).stdout


@pytest.fixture(scope="session")
def uv(tools, scratch):
    directory = scratch / "uv"
    (directory / "bin").mkdir(parents=True)
    shutil.copy(tools / "uv", directory / "bin" / "uv")
    return Uv(directory / "bin" / "uv", directory / "cache")


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def run_alone(firn_alone):
    """A command in an image, with `firn run`, in the same way."""
    return lambda image, *command, hidden=(): firn_alone("run", image, "--", *command,
                                                         hidden=hidden)


@pytest.fixture(scope="session")
def check_alone(firn_alone):
    """The checks of an image, all of which must pass in the same way; gives what is printed.

    packages: how many of them have modules that are to be imported.
    """

    def check(image, packages, hidden=()):
        result = firn_alone("check", image, hidden=hidden)
        printed = result.stdout + result.stderr
        assert result.returncode == 0, printed
        (line,) = [line for line in printed.splitlines() if line.endswith(" imported")]
        found, total, of = [int(word) for word in line.split() if word.isdigit()]
        assert (found, of) == (total, packages), line
        return printed

    return check


@pytest.fixture(scope="session")
def other_day():
    """Variables with which firn, and what it starts, take it for another day.

    A day of the past, on which the certificates of PyPI's are valid already.
    """
    libraries = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not libraries:
        pytest.skip("faketime is not installed")
    # Not for times of files: it changes those of stat(2) and not those of fstat(2).
    environment = {"LD_PRELOAD": str(libraries[0]), "FAKETIME": "-40h", "NO_FAKE_STAT": "1"}
    days = [subprocess.run(["date", "+%F"], check=True, stdout=subprocess.PIPE,
                           env=os.environ | more).stdout for more in ({}, environment)]
    assert days[0] != days[1]
    return environment


class Venv:
    """A venv of Debian's Python with pip and compiled wheels, and its image.

    Its ctest test is of several files, which share it.
    """

    PREFIX = "/opt/firn-real/fixed"

    def __init__(self, firn, uv, place):
        self.root = place / "venv"
        subprocess.run([PYTHON, "-m", "venv", self.root], check=True)
        uv.run("pip", "install", "-q", "--python", self.root, "six==1.17.0", "numpy==2.2.6",
               "pygments==2.19.2", cwd=place)
        self.image = firn.build(self.root, place / "fixed.firn", "--name", "fixed", "--prefix",
                                self.PREFIX, "--level", "1", "--no-check")


@pytest.fixture(scope="session")
def debian_venv(firn, uv, scratch):
    place = scratch / "debian-venv"
    place.mkdir()
    return Venv(firn, uv, place)


@pytest.fixture(scope="session")
def schema_errors(tools):
    """What the validator of cyclonedx-python-lib says of bills of materials, None where nothing."""

    def validate(*texts):
        result = subprocess.run([tools / "python", "-c", VALIDATE], input=json.dumps(texts),
                                text=True, stdout=subprocess.PIPE, check=True)
        return json.loads(result.stdout)

    return validate
