"""Fixtures that the end-to-end tests share; what they do stands in harness/."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

TESTS = pathlib.Path(__file__).parent
sys.path.insert(0, str(TESTS))

from harness import environment as environments  # noqa: E402
from harness import users  # noqa: E402
from harness.mounts import enter_private_namespace, unmount  # noqa: E402
from harness.programs import Firn  # noqa: E402


def build_directory():
    default = TESTS.parent / "build" / "release"
    return pathlib.Path(os.environ.get("FIRN_BUILD_DIR", default)).resolve()


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "concurrent: about concurrency; runs under ThreadSanitizer too")
    # A shell ignores Ctrl-C in what it starts in the background; programs under test must not.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.geteuid() == 0:
        enter_private_namespace()


def pytest_runtest_logreport(report):
    """Skipped tests are collected for scripts/test, which names them at its end."""
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        directory = build_directory() / "tests"
        directory.mkdir(parents=True, exist_ok=True)
        with open(directory / "skipped.txt", "a", encoding="utf-8") as skipped:
            skipped.write(f"{report.nodeid}: {reason.removeprefix('Skipped: ')}\n")


def is_memory_free(size):
    with open("/proc/meminfo", encoding="ascii") as lines:
        (kilobytes,) = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(kilobytes) * 1024 >= size


@pytest.fixture(scope="session")
def in_memory():
    """Whether `scratch` lies in memory, where root runs the tests and there is enough of it.

    So it does for sanitized programs, so that the slow ones need not wait for a disk as well;
    others are tested with images and trees as users have them."""
    return bool(os.environ.get("FIRN_SANITIZE"))


@pytest.fixture(scope="session")
def scratch(in_memory):
    """A directory that every user can reach and that is gone, with its mounts, at the end."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="firn-test-")).resolve()
    if in_memory and os.geteuid() == 0 and is_memory_free(8 << 30):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8g", "firn-test", path], check=True)
    path.chmod(0o755)
    yield path
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        places = [line.split()[4] for line in mounts]
    for place in reversed(places):
        if pathlib.Path(place).is_relative_to(path):
            unmount(place)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def sanitizer_reports(scratch):
    """Where sanitized programs write what they find, daemons too, whose stderr nobody reads."""
    directory = scratch / "sanitizer"
    directory.mkdir()
    directory.chmod(0o1777)
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"):
        given = os.environ.get(name, "")
        os.environ[name] = f"{given}:" * bool(given) + f"log_path={directory}/report"
    return directory


@pytest.fixture(autouse=True)
def no_sanitizer_report(sanitizer_reports):
    """A test fails when a sanitizer found something while it ran."""
    yield
    reports = sorted(sanitizer_reports.iterdir())
    if reports:
        text = "\n".join(report.read_text(errors="replace")[:6000] for report in reports)
        for report in reports:
            report.unlink()
        pytest.fail(f"sanitizer report:\n{text}", pytrace=False)


@pytest.fixture(scope="session")
def firn(scratch):
    """The command line under test (harness.programs.Firn)."""
    programs = Firn(build_directory(), scratch)
    if not programs.path.exists():
        pytest.fail(f"no firn in {programs.build_directory}/cli: build it, or set FIRN_BUILD_DIR",
                    pytrace=False)
    return programs


@pytest.fixture(scope="session")
def firnd(firn):
    """Path of the daemon under test."""
    return firn.firnd


@pytest.fixture(scope="session")
def fuse():
    """/dev/fuse as an ordinary machine has it: there, and open to everybody."""
    if not os.path.exists(users.FUSE_DEVICE):
        pytest.skip("this machine has no /dev/fuse")
    directory = "/run" if os.geteuid() == 0 else tempfile.gettempdir()
    with users.fuse_device_for_everybody(f"{directory}/firn-tests.lock"):
        yield


@pytest.fixture
def directory(scratch, request):
    """An empty directory for one test, which every user can reach; removed after it."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="t-", dir=scratch))
    path.chmod(0o755)
    yield path
    subprocess.run(["rm", "-rf", "--one-file-system", str(path)], check=False)


@pytest.fixture(scope="session")
def ordinary_user(scratch, fuse, firn):
    """Somebody without privileges: nobody, or who runs the tests where that is not root.

    Each of his sessions has a firnd of its own, as where a job can have none.
    """
    home = scratch / "ordinary-user"
    home.mkdir()
    return users.User(users.NOBODY if os.geteuid() == 0 else None, home,
                      firn.firnd_for_jobs("firnd-alone", "exit 1"))


@pytest.fixture(scope="session")
def job_user(scratch, fuse, firn):
    """The same, with a firnd that serves all that runs in his job, and ends soon."""
    home = scratch / "job-user"
    home.mkdir()
    return users.User(users.NOBODY if os.geteuid() == 0 else None, home,
                      firn.firnd_for_jobs("firnd-of-jobs",
                                          'exec {firnd} --linger 0 --idle-exit 2 "$@"'))


@pytest.fixture(scope="session")
def root_user(scratch, fuse):
    """Who runs the tests, where that is root."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    home = scratch / "root"
    home.mkdir()
    return users.User(None, home)


@pytest.fixture(params=["root", "ordinary"])
def user(request):
    """Each test once as root and once as an ordinary user."""
    return request.getfixturevalue(f"{request.param}_user")


@pytest.fixture(scope="session")
def environment_tree(firn):
    """The tree of a real Python environment: a venv with numpy and scipy."""
    return environments.cached_environment(firn)[0]


@pytest.fixture(scope="session")
def environment_image(firn, scratch):
    """Its image, where every user can read it; the prefix is harness.environment.PREFIX."""
    image = scratch / "environment.firn"
    shutil.copyfile(environments.cached_environment(firn)[1], image)
    image.chmod(0o644)
    return image
