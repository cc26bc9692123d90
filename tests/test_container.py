"""firnd as process 1 of a process namespace, as containers run it."""

import contextlib
import os
import pathlib
import signal
import subprocess
import time

import pytest

from harness.jobs import DEADLINE, children_of
from harness.node import own_run_directory  # noqa: F401 (a fixture)


UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def wait_for(condition, what):
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


class Container:
    """firnd in process and mount namespaces of its own. Process ids are those outside."""

    def __init__(self, firnd, *arguments):
        self.outer = subprocess.Popen([*UNSHARE, firnd, "--foreground", *arguments],
                                      stderr=subprocess.PIPE, text=True)
        self.first_line = self.outer.stderr.readline()
        (self.init,) = children_of(self.outer.pid)
        self.mounts = os.open(f"/proc/{self.init}/ns/mnt", os.O_RDONLY)

    def firnd(self):
        """What process 1 started."""
        (pid,) = [child for child in children_of(self.init)
                  if pathlib.Path(f"/proc/{child}/comm").read_text() == "firnd\n"]
        return pid

    def run(self, *command):
        return subprocess.run(["nsenter", f"--target={self.init}", "--pid", "--mount", "--",
                               *command],
                              capture_output=True, text=True, check=True, timeout=DEADLINE).stdout

    def device_of(self, directory):
        """Also when no process is left inside."""
        return subprocess.run(["nsenter", f"--mount=/proc/{os.getpid()}/fd/{self.mounts}",
                               "stat", "--format=%d", directory],
                              capture_output=True, text=True, check=True, timeout=DEADLINE).stdout

    def end(self, number=signal.SIGTERM):
        os.kill(self.init, number)
        _, errors = self.outer.communicate(timeout=DEADLINE)
        return self.outer.returncode, errors


def state_of(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return stat.rpartition(")")[2].split()[0]


@pytest.fixture(scope="module")
def image(firn, scratch):
    tree = scratch / "container-tree"
    tree.mkdir()
    (tree / "file").write_text("inside\n")
    image = firn.build(tree, scratch / "container.firn", "--prefix", "/opt/container")
    image.chmod(0o644)
    return image


@contextlib.contextmanager
def container(firnd, *arguments):
    running = Container(firnd, *arguments)
    try:
        assert "serving" in running.first_line, running.first_line
        yield running
    finally:
        running.outer.kill()
        running.outer.communicate()
        os.close(running.mounts)


def reaps_orphans(running):
    before = set(children_of(running.init))
    # The shell ends at once and leaves these two to process 1.
    running.run("sh", "-c", "sleep 1000 </dev/null >/dev/null 2>&1 & "
                "sleep 0 </dev/null >/dev/null 2>&1 &")
    wait_for(lambda: any(pathlib.Path(f"/proc/{child}/comm").read_text() == "sleep\n"
                         for child in set(children_of(running.init)) - before),
             "the orphan was not left to process 1")
    for orphan in set(children_of(running.init)) - before:
        with contextlib.suppress(ProcessLookupError):
            os.kill(orphan, signal.SIGKILL)
    wait_for(lambda: set(children_of(running.init)) == before, "an orphan was not reaped")
    assert all(state_of(child) != "Z" for child in before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_image_is_served_by_a_containers_first_process(firn, firnd, root_user, fuse, image,
                                                          directory, number):
    outside = f"{directory.stat().st_dev}\n"
    with container(firnd, image, directory) as running:
        assert running.run("cat", directory / "file") == "inside\n"
        reaps_orphans(running)
        # Its own children are not taken away from firnd.
        (worker,) = [child for child in children_of(running.firnd())]
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: [child for child in children_of(running.firnd())
                          if child != worker and state_of(child) != "Z"], "no other worker")
        wait_for(lambda: state_of(worker) is None, "the dead worker is a zombie")
        assert running.run("ls", directory) == "file\n"
        assert running.device_of(directory) != outside
        code, errors = running.end(number)
        assert code == 0, errors
        assert running.device_of(directory) == outside


def test_the_node_is_served_by_a_containers_first_process(firn, firnd, root_user, fuse, image,
                                                          directory):
    outside = f"{directory.stat().st_dev}\n"
    with container(firnd, "--node") as running:
        running.run(firn.path, "attach", "--lease", "job-1", image)
        running.run(firn.path, "mount", image, directory)
        assert running.run("cat", directory / "file") == "inside\n"
        reaps_orphans(running)
        assert running.device_of(directory) != outside
        code, errors = running.end()
        assert code == 0, errors
        # Nobody would answer at the mount any more.
        assert running.device_of(directory) == outside
    assert not os.path.exists("/run/firn/firnd.sock")


def test_how_firnd_ends_is_how_the_container_ends(firn, firnd, root_user, fuse, image, directory):
    with container(firnd, "--node") as running:
        os.kill(running.firnd(), signal.SIGKILL)
        running.outer.communicate(timeout=DEADLINE)
        assert running.outer.returncode == 128 + signal.SIGKILL
    wrong = subprocess.run([*UNSHARE, firnd, "--foreground", directory / "missing", directory],
                           capture_output=True, text=True, timeout=DEADLINE)
    assert wrong.returncode == 3 and str(directory / "missing") in wrong.stderr
