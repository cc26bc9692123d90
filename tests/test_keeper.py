"""The node's firnd is restarted, killed and replaced: no job notices, and it goes on with them."""

import contextlib
import os
import pathlib
import select
import shutil
import signal
import subprocess

import pytest

from harness.jobs import DEADLINE, children_of
from harness.node import (  # noqa: F401 (fixtures)
    ServedNode, attach, descriptors_of, images, own_run_directory, slot_of, trees)
from harness.readers import LONGEST_WAIT, Readers, write_sums
from harness.service_manager import ServiceManager

NO_REPLY = 9
READERS = 4


class KeptNode(ServedNode):
    """A firnd of the node, as a service manager with a descriptor store has it."""

    def __init__(self, firn, firnd, directory, *options, user=None):
        super().__init__(firn, user)
        self.manager = ServiceManager(
            directory, [firnd, "--node", "--foreground", "--linger", "0", *options], user)
        self.manager.start()

    @property
    def pid(self):
        return self.manager.pid

    def log(self):
        return self.manager.log.read_text()

    def worker(self):
        return self.pool()["worker"]

    def restart(self, number=signal.SIGTERM):
        code = self.manager.end(number)
        assert code == (0 if number == signal.SIGTERM else -number)
        self.manager.start()

    def upgrade(self, check=True):
        arguments = self.user.popen_arguments() if self.user else {}
        result = subprocess.run([self.firn.firnd, "--upgrade"], capture_output=True, text=True,
                                timeout=300, **arguments)
        assert not check or result.returncode == 0, result.stderr
        return result


@contextlib.contextmanager
def keeping(firn, firnd, directory, *options, user=None):
    place = directory / "service"
    place.mkdir()
    place.chmod(0o755)
    node = KeptNode(firn, firnd, place, *options, user=user)
    try:
        yield node
    finally:
        node.manager.close()


@pytest.fixture
def node(firn, firnd, directory, fuse):
    with keeping(firn, firnd, directory) as running:
        yield running


@pytest.fixture(scope="module")
def sums(scratch, trees):
    return write_sums(trees[0], scratch / "tree-a.sums")


@pytest.fixture
def place(directory):
    path = directory / "place"
    path.mkdir()
    yield path
    subprocess.run(["umount", "--lazy", path], check=False, capture_output=True)


RESTARTS = {
    "restarted": lambda node: node.restart(signal.SIGTERM),
    "killed": lambda node: node.restart(signal.SIGKILL),
    "upgraded": lambda node: node.upgrade(),
}


# Each is done by whoever follows another firnd: through the manager's store, or by exec.

@pytest.mark.concurrent
@pytest.mark.parametrize("way", RESTARTS)
def test_jobs_do_not_notice(firn, node, images, place, sums, way):
    firn.run("mount", images[0], place)
    pid = node.pid
    readers = Readers(place, sums, READERS)
    for _ in range(4):
        worker = os.pidfd_open(node.worker())
        RESTARTS[way](node)
        assert select.select([worker], [], [], DEADLINE)[0], "the worker before is still there"
        os.close(worker)
    rounds, longest = readers.finish()
    assert rounds >= READERS and longest < LONGEST_WAIT
    assert (node.pid == pid) == (way == "upgraded")
    assert set(node.status()["pools"][0]["errors"].values()) == {0}
    assert node.manager.process.poll() is None, "it is the process that was started"


@pytest.mark.parametrize("way", RESTARTS)
def test_leases_and_slots_are_kept(firn, node, images, place, trees, way):
    job = subprocess.Popen([firn.path, "run", images[1], "--", "sh", "-c", "echo up; read x"],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert job.stdout.readline() == "up\n"
    firn.run("mount", images[0], place)
    slot = slot_of(attach(firn, images[0], "job-1"))

    def leases():
        return sorted((lease["kind"], lease.get("name", ""), lease["pid"], lease["since"])
                      for image in node.images() for lease in image["leases"])

    before = leases()
    assert [kind for kind, *_ in before] == ["mount", "name", "process"]
    RESTARTS[way](node)
    assert leases() == before
    assert slot_of(attach(firn, images[0], "job-2")) == slot
    assert len(node.images()) == 2

    job.communicate("go\n", timeout=DEADLINE)
    assert job.returncode == 0
    node.wait_for(lambda: len(node.images()) == 1, "the job's image is still attached")
    RESTARTS[way](node)
    subprocess.run(["umount", place], check=True)
    for name in ("job-1", "job-2"):
        firn.run("detach", "--lease", name)
    node.wait_for(lambda: not node.images(), "the image is still attached")
    RESTARTS[way](node)
    assert node.images() == []
    assert slot_of(attach(firn, images[0], "job-3")) > slot, "a slot's number was used again"
    firn.run("run", images[1], "--", "cmp", "/opt/tree-b/file-1", trees[1] / "file-1")


@pytest.mark.parametrize("way", RESTARTS)
def test_supervision_goes_on(firn, node, images, place, trees, way):
    firn.run("mount", images[0], place)
    RESTARTS[way](node)
    worker = node.worker()
    os.kill(worker, signal.SIGKILL)
    subprocess.run(["diff", "-r", trees[0], place], check=True)
    node.wait_for(lambda: node.worker() not in (worker, -1), "no other worker was started")


def test_what_happens_while_it_is_away(firn, node, images, place, directory):
    """Leases that end, a view whose last user goes, clients that come."""
    job = subprocess.Popen([firn.path, "run", images[1], "--", "sh", "-c", "echo up; read x"],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert job.stdout.readline() == "up\n"
    firn.run("mount", images[0], place)
    assert node.manager.end(signal.SIGKILL) == -signal.SIGKILL
    job.communicate("go\n", timeout=DEADLINE)
    subprocess.run(["umount", place], check=True)
    waiting = subprocess.Popen([firn.path, "attach", "--lease", "early", images[0]],
                               stdout=subprocess.PIPE, text=True)
    node.manager.start()
    assert "slot" in waiting.communicate(timeout=DEADLINE)[0] and waiting.returncode == 0
    node.wait_for(lambda: [image["image"] for image in node.images()] == [str(images[0])],
                  "an image without lease is still attached")


def test_a_worker_that_died_while_it_was_away_is_replaced(firn, node, images, place, trees):
    firn.run("mount", images[0], place)
    worker = node.worker()
    assert node.manager.end() == 0
    os.kill(worker, signal.SIGKILL)
    reader = subprocess.Popen(["diff", "-r", trees[0], place])  # waits
    node.manager.start()
    assert reader.wait(timeout=DEADLINE) == 0
    assert node.worker() != worker


@pytest.mark.parametrize("way", RESTARTS)
def test_an_image_in_use_without_lease_stays(firn, node, images, place, trees, way):
    firn.run("mount", images[0], place)
    with open(place / "file-1", "rb") as used:
        subprocess.run(["umount", "--lazy", place], check=True)
        node.wait_for(lambda: node.images()[0]["stage"] == "unleased", "it has a lease")
        RESTARTS[way](node)
        assert [image["stage"] for image in node.images()] == ["unleased"]
        assert used.read() == (trees[0] / "file-1").read_bytes()
    node.wait_for(lambda: not node.images(), "the image is still there")
    node.wait_for(lambda: not [name for name in node.manager.names() if name.startswith("image")],
                  "its file is still kept")


@pytest.fixture(scope="module")
def profiled(firn, fuse, scratch, images, trees):
    profile = scratch / "keeper.profile"
    firn.run("profile", images[0], "-o", profile, "--", "sh", "-c", "cat /opt/tree-a/* >/dev/null")
    return firn.build(trees[0], scratch / "profiled.firn", "--prefix", "/opt/p",
                      "--profile", profile)


@pytest.mark.parametrize("way", RESTARTS)
def test_a_prefetch_goes_on(firn, node, profiled, way):
    attach(firn, profiled, "job-1")
    RESTARTS[way](node)

    def prefetch():
        (image,) = node.images()
        return image["prefetch"]

    node.wait_for(lambda: prefetch()["stage"] == "done", "it is not done")
    done = prefetch()
    assert done["done"] == done["steps"] > 0
    RESTARTS[way](node)
    assert prefetch() == done
    firn.run("detach", "--lease", "job-1")
    node.wait_for(lambda: not node.images(), "the image is still attached")


def test_twenty_upgrades_leave_nothing(firn, node, images, place, trees):
    firn.run("mount", images[0], place)
    node.upgrade()
    before, kept, children = descriptors_of(node.pid), node.manager.names(), children_of(node.pid)
    for _ in range(20):
        node.upgrade()
    node.wait_for(lambda: descriptors_of(node.pid) <= before, "descriptors are left")
    assert node.manager.names() == kept
    node.wait_for(lambda: len(children_of(node.pid)) == len(children), "processes are left")
    subprocess.run(["diff", "-r", trees[0], place], check=True)


CLIENTS = {
    "run": '"$firn" run "$image" -- cat /opt/tree-a/file-1 > "$own" && cmp "$own" "$file"',
    "mount": 'mkdir -p "$own" && "$firn" mount "$image" "$own" && cmp "$own/file-1" "$file" '
             '&& umount "$own"',
    "attach": '"$firn" attach --lease "$name" "$image" && "$firn" attach --lease "$name" "$image"',
}


def test_clients_do_not_notice(firn, node, images, trees, directory):
    """Attached, used and detached by clients while firnd is killed and replaced again and again."""
    go = directory / "go"
    go.touch()
    clients = []
    for name, command in CLIENTS.items():
        variables = {"firn": firn.path, "image": images[0], "own": directory / name,
                     "file": trees[0] / "file-1", "name": name, "go": go}
        clients.append(subprocess.Popen(
            ["sh", "-c", f'while [ -e "$go" ]; do {command} || exit 1; echo round; done'],
            env=os.environ | {key: str(value) for key, value in variables.items()},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    for way in ("upgraded", "restarted", "killed") * 3:
        RESTARTS[way](node)
    go.unlink()
    for client in clients:
        out, errors = client.communicate(timeout=DEADLINE)
        assert client.returncode == 0, errors
        assert "round" in out
    firn.run("detach", "--lease", "attach")
    node.wait_for(lambda: not node.images(), "images are still attached")


# A program that cannot take over.

@pytest.fixture
def own_firnd(firnd, directory):
    """A copy of the daemon that may be replaced by something else."""
    programs = directory / "programs"
    programs.mkdir()
    return pathlib.Path(shutil.copy(firnd, programs / "firnd"))


def replace_program(path, text):
    other = path.with_suffix(".new")
    other.write_text(text)
    other.chmod(0o755)
    other.rename(path)


def test_a_program_that_cannot_take_over_does_not(firn, own_firnd, images, place, trees, directory,
                                                  fuse):
    with keeping(firn, own_firnd, directory) as node:
        firn.run("mount", images[0], place)
        pid, worker = node.pid, node.worker()
        replace_program(own_firnd, "#!/bin/sh\necho 'no such option' >&2\nexit 3\n")
        result = node.upgrade(check=False)
        assert result.returncode == NO_REPLY
        assert "cannot take over (exit code 3): no such option" in result.stderr
        assert (node.pid, node.worker(), node.status()["pid"]) == (pid, worker, pid)
        own_firnd.unlink()
        assert node.upgrade(check=False).returncode == NO_REPLY
        assert node.worker() == worker
        subprocess.run(["diff", "-r", trees[0], place], check=True)


def test_the_state_of_another_version_is_refused(firn, node, images, place, trees):
    firn.run("mount", images[0], place)
    worker = os.pidfd_open(node.worker())
    assert node.manager.end() == 0
    node.manager.change_state(lambda state: state | {"version": state["version"] + 1})
    node.manager.start()
    log = node.manager.log.read_text()
    assert "cannot take over: expected a state of version 1, found 2" in log
    assert node.images() == []
    # What was mounted is served on by its worker, and new jobs by another one.
    subprocess.run(["diff", "-r", trees[0], place], check=True)
    attach(firn, images[0], "new")
    assert not select.select([worker], [], [], 0)[0]
    node.restart()
    assert len(node.images()) == 1
    subprocess.run(["umount", place], check=True)
    assert select.select([worker], [], [], DEADLINE)[0], "the worker is still there"
    os.close(worker)


def test_a_pool_whose_descriptors_were_lost_is_left_alone(firn, node, images, place, trees):
    firn.run("mount", images[0], place)
    assert node.manager.end() == 0
    (name,) = [name for name in node.manager.names() if name.startswith("image")]
    node.manager.lose(name)
    node.manager.start()
    assert f"expected the descriptor '{name}'" in node.manager.log.read_text()
    subprocess.run(["diff", "-r", trees[0], place], check=True)
    assert node.images() == []
    attach(firn, images[1], "new")
    assert len(node.images()) == 1


# A user's own.

@pytest.mark.parametrize("way", RESTARTS)
def test_a_users_own_is_replaced(firn, firnd, ordinary_user, images, directory, way):
    with keeping(firn, firnd, directory, user=ordinary_user) as node:
        job = subprocess.Popen(
            [firn.path, "run", images[0], "--", "sh", "-c",
             "readlink /proc/self/ns/user; read x; sha256sum < /opt/tree-a/file-2"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            **ordinary_user.popen_arguments())
        namespace = job.stdout.readline()
        for _ in range(3):
            worker = os.pidfd_open(node.worker())
            RESTARTS[way](node)
            assert select.select([worker], [], [], DEADLINE)[0]
            os.close(worker)
        result = firn.run("run", images[0], "--", "readlink", "/proc/self/ns/user",
                          user=ordinary_user)
        assert result.stdout == namespace, "ranks of one user are in one user namespace"
        assert [len(image["leases"]) for image in node.images()] == [1]
        # Also a view that has to be made.
        firn.run("run", images[1], "--", "test", "-s", "/opt/tree-b/file-1", user=ordinary_user)
        os.kill(node.worker(), signal.SIGKILL)
        out, _ = job.communicate("go\n", timeout=DEADLINE)
        expected = subprocess.run(["sha256sum"], stdin=open(images[0].parent / "tree-a/file-2"),
                                  capture_output=True, text=True, check=True).stdout
        assert (job.returncode, out) == (0, expected)
        node.wait_for(lambda: not node.images(), "the image is still attached")
        worker = node.worker()
        status = dict(line.split(":\t", 1) for line in open(f"/proc/{worker}/status")
                      if ":\t" in line)
        assert int(status["CapPrm"], 16) == int(status["CapAmb"], 16) == 0


def test_in_the_background_too(firn, firnd, images, place, trees, directory, fuse):
    """No service manager: only by exec, which keeps the process."""
    log = directory / "log"
    config = directory / "firnd.yaml"
    config.write_text("")
    subprocess.run([firnd, "--node", "--config", config.name, "--linger", "0", "--log-file", log],
                   check=True, timeout=DEADLINE, cwd=directory)
    pid = firn.status()["node"]["pid"]
    try:
        firn.run("mount", images[0], place)
        for _ in range(2):
            subprocess.run([firnd, "--upgrade"], check=True, timeout=DEADLINE, capture_output=True)
        assert firn.status()["node"]["pid"] == pid
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        assert log.read_text().count("took over") == 2
        subprocess.run(["diff", "-r", trees[0], place], check=True)
        subprocess.run(["umount", place], check=True)
    finally:
        process = os.pidfd_open(pid)
        os.kill(pid, signal.SIGTERM)
        assert select.select([process], [], [], DEADLINE)[0]
        os.close(process)
    assert not os.path.exists("/run/firn/firnd.sock")
