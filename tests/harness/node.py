"""A firnd that serves the node, in a mount namespace of the test's own."""

import contextlib
import fcntl
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import time

import pytest

from harness import mounts
from harness.jobs import DEADLINE


def hold(path):
    """A descriptor of a directory that sessions which end leave alone, as somebody holds it."""
    while True:
        os.makedirs(path, mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(fd, fcntl.LOCK_SH)
            if os.path.exists(path) and os.path.samestat(os.fstat(fd), os.stat(path)):
                return fd
            os.close(fd)


@pytest.fixture(scope="module", autouse=True)
def own_run_directory(root_user):
    """A /run/firn of its own: sessions of other tests go on without this node's firnd."""
    if not mounts.enter_private_namespace():
        pytest.skip("no private mount namespace can be made here")
    # Removed outside of the namespace, the directory would take the mount on it along.
    held = hold("/run/firn")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0700", "firn-tests", "/run/firn"],
                   check=True)
    # What firnd remembers of images must not outlive the tests.
    subprocess.run(["mount", "-t", "tmpfs", "firn-tests", "/var/lib"], check=True)
    yield
    os.close(held)


@pytest.fixture(scope="module")
def trees(scratch):
    """Two trees of the same names, of whose bytes four fifths are equal."""
    source = random.Random(3)
    roots = [scratch / "tree-a", scratch / "tree-b"]
    for root in roots:
        root.mkdir(exist_ok=True)  # made by another file of tests, in the same way
    for number in range(20):
        contents = source.randbytes(100_000)
        for root in roots:
            if number % 5 == 0:
                contents = source.randbytes(100_000)
            (root / f"file-{number}").write_bytes(contents)
    return roots


@pytest.fixture(scope="module")
def images(firn, scratch, trees):
    built = [firn.build(tree, scratch / f"{tree.name}.firn", "--prefix", f"/opt/{tree.name}",
                        "--force") for tree in trees]
    for image in built:
        image.chmod(0o644)
    return built


@pytest.fixture
def start_job(firn):
    """Starts a job that stays; gives the place where its view of `prefix` is seen from outside."""
    jobs = []

    def start(image, prefix):
        process = subprocess.Popen([firn, "run", image, "--", "sh", "-c", "echo up; read line"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        jobs.append(process)
        assert process.stdout.readline() == "up\n"
        return pathlib.Path(f"/proc/{process.pid}/root{prefix}")

    yield start
    for process in jobs:
        process.communicate("\n", timeout=DEADLINE)


def node_status(firn, user=None):
    """What `firn status` says of the node's firnd, which is there but may be busy or be replaced."""
    end = time.monotonic() + DEADLINE
    while (status := firn.status(user=user)["node"]) is None:
        assert time.monotonic() < end, "the node's firnd does not answer"
        time.sleep(0.05)
    return status


class ServedNode:
    """A node's firnd as its clients see it; who starts one says how."""

    def __init__(self, firn, user=None):
        self.firn = firn
        self.user = user

    def status(self):
        return node_status(self.firn, self.user)

    def pool(self):
        """The only one."""
        (pool,) = self.status()["pools"]
        return pool

    def answered(self):
        """Requests for contents, over all pools."""
        return sum(pool["requests"].get("READ", 0) for pool in self.status()["pools"])

    def decoded(self):
        """Blocks, over all pools."""
        return sum(sum(pool["decoded"].values()) for pool in self.status()["pools"])

    def images(self):
        return [image for pool in self.status()["pools"] for image in pool["images"]]

    def log(self):
        """What is told where a wait was in vain."""
        return ""

    def wait_for(self, condition, what):
        end = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < end, f"{what}\n{self.log()}"
            time.sleep(0.02)

    def wait_until_proved(self):
        self.wait_for(lambda: all(image["shares_pages"] for image in self.images()),
                      "the digests were not proved")


class Node(ServedNode):
    """A firnd that serves the node, in the foreground."""

    def __init__(self, firnd, firn, *options, user=None):
        super().__init__(firn, user)
        arguments = user.popen_arguments() if user else {}
        self.process = subprocess.Popen(
            [firnd, "--node", "--foreground", *options], stderr=subprocess.PIPE, text=True,
            **arguments)
        self.first_line = self.process.stderr.readline()

    @property
    def pid(self):
        return self.process.pid

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=DEADLINE)
        return errors


@contextlib.contextmanager
def serving(firnd, firn, *options, user=None):
    node = Node(firnd, firn, *options, user=user)
    try:
        assert "serving the node" in node.first_line, node.first_line
        yield node
    finally:
        errors = node.end()
    assert node.process.returncode == 0, errors


def attach(firn, image, lease, user=None, check=True):
    return firn.run("attach", "--lease", lease, image, user=user, check=check)


def slot_of(printed):
    return int(re.search(r"slot (\d+)", printed.stdout).group(1))


def connect(path="/run/firn/firnd.sock"):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.connect(path)
    client.settimeout(DEADLINE)
    return client


def ask(node, request, fds):
    with connect() as client:
        message = request if isinstance(request, bytes) else json.dumps(request).encode()
        socket.send_fds(client, [message], fds)
        return json.loads(client.recv(1 << 16))


def ask_status():
    """What `firn status` asks, which itself also looks at mounts."""
    with connect() as client:
        client.send(json.dumps({"op": "status"}).encode())
        _, fds, _, _ = socket.recv_fds(client, 1 << 16, 1)
        with open(fds[0], "rb") as file:
            file.seek(0)
            return json.load(file)


def descriptors_of(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
