"""The node's firnd over many rounds; tests/run_long runs this and has the sizes as options."""

import json
import os
import random
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness.jobs import DEADLINE
from harness.node import (  # noqa: F401 (fixtures)
    ServedNode, connect, descriptors_of, images, own_run_directory, serving, trees)
from harness.readers import Readers, make_contents
from harness.service_manager import ServiceManager


def size(name, default):
    return int(os.environ.get(f"FIRN_LONG_{name}", default))


READERS = size("READERS", 64)
KILLS = size("KILLS", 100)
UPGRADES = size("UPGRADES", 10)
RESTARTS = size("RESTARTS", 10)
ROUNDS = size("ROUNDS", 20_000)
CLIENTS = size("CLIENTS", 8)
# In seconds; of a read that had to wait for another worker.
LONGEST_WAIT = float(os.environ.get("FIRN_LONG_WAIT", 2.0))


@pytest.fixture(scope="module")
def contents(scratch):
    return make_contents(scratch / "long", scratch / "long.sums", seed=7, count=60)


@pytest.fixture(scope="module")
def image(firn, scratch, contents):
    """With a profile of every file, so that a prefetch runs."""
    profile = scratch / "long.profile"
    lines = [f"read {path.name} 0 {path.stat().st_size}\n"
             for path in sorted(contents[0].iterdir()) if path.stat().st_size]
    profile.write_text("firn-profile 1\n" + "".join(lines))
    return firn.build(contents[0], scratch / "long.firn", "--prefix", "/opt/long", "--block-size",
                      "128K", "--profile", profile)


class KeptNode(ServedNode):
    def __init__(self, firn, firnd, directory):
        super().__init__(firn)
        self.manager = ServiceManager(directory, [firnd, "--node", "--foreground"])
        self.manager.start()

    def wait_for_worker(self, other_than):
        worker = 0

        def is_there():
            nonlocal worker
            worker = self.pool()["worker"]
            return worker > 0 and worker != other_than

        self.wait_for(is_there, "no other worker was started")
        return worker


def test_readers_notice_nothing(firn, firnd, fuse, image, contents, directory):
    """Workers killed at random moments, two in a row among them, stopped, upgraded; the keeper
    restarted, killed and upgraded."""
    chance = random.Random(13)
    (directory / "service").mkdir()
    (directory / "mnt").mkdir()
    node = KeptNode(firn, firnd, directory / "service")
    try:
        firn.run("mount", image, directory / "mnt")
        readers = Readers(directory / "mnt", contents[1], READERS)
        events = (["kill"] * KILLS + ["stop"] * (KILLS // 10) + ["upgrade"] * UPGRADES
                  + ["restart"] * RESTARTS + ["kill keeper"] * RESTARTS)
        chance.shuffle(events)
        for number, event in enumerate(events):
            time.sleep(chance.random() / 5)  # a random moment
            worker = node.pool()["worker"]
            if event in ("kill", "stop") and worker > 0:
                os.kill(worker, signal.SIGKILL if event == "kill" else signal.SIGSTOP)
                following = node.wait_for_worker(worker)
                if number % 5 == 0:
                    os.kill(following, signal.SIGKILL)
                    node.wait_for_worker(following)
            elif event == "upgrade":
                subprocess.run([firnd, "--upgrade"], check=True, timeout=DEADLINE)
            elif event.startswith("restart"):
                node.manager.end(signal.SIGTERM)
                node.manager.start()
            elif event == "kill keeper":
                node.manager.end(signal.SIGKILL)
                node.manager.start()
        rounds, longest = readers.finish()
        print(f"{len(events)} events, {rounds} rounds of {READERS} readers, longest wait "
              f"{longest:.2f} s")
        assert set(node.pool()["errors"].values()) == {0}
        assert longest < LONGEST_WAIT
        firn.run("unmount", directory / "mnt")
    finally:
        node.manager.close()


def memory_of(pid):
    """Private resident bytes."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        fields = dict(line.split(":", 1) for line in rollup if line.count(":") == 1)
    return sum(int(fields[name].split()[0]) for name in ("Private_Clean", "Private_Dirty")) * 1024


def request(client, message, fds=()):
    socket.send_fds(client, [json.dumps(message).encode()], list(fds))
    body, received, _, _ = socket.recv_fds(client, 1 << 16, 4)
    return json.loads(body), received


class Client(threading.Thread):
    """Attaches, reads from and detaches images in turn, on a connection of its own each time."""

    def __init__(self, number, files, rounds):
        super().__init__()
        self.number, self.files, self.rounds = number, files, rounds
        self.error = None

    def run(self):
        chance = random.Random(self.number)
        try:
            for _ in range(self.rounds):
                self.use(*chance.choice(self.files))
        except Exception as error:  # told by the test
            self.error = error

    def use(self, image, expected):
        lease = f"client-{self.number}"
        with connect() as client, open(image, "rb") as file:
            answer, fds = request(client, {"op": "attach", "path": str(image), "lease": "name",
                                           "name": lease, "view": True}, [file.fileno()])
            assert "error" not in answer, answer
            (view,) = fds
            try:
                name, content = expected
                with open(os.open(name, os.O_RDONLY, dir_fd=view), "rb") as shown:
                    assert shown.read() == content
            finally:
                os.close(view)
            answer, _ = request(client, {"op": "detach", "lease": lease})
            assert "error" not in answer, answer


def test_a_day_in_small(firn, firnd, fuse, images, trees):  # noqa: F811
    files = [(image, ("file-3", (tree / "file-3").read_bytes()))
             for image, tree in zip(images, trees)]
    # A small cache of decoded blocks, so that it is full long before the end.
    with serving(firnd, firn, "--linger", "0", "--cache-size", "4MiB") as node:
        # Who does not read what it logs would have it wait.
        threading.Thread(target=node.process.stderr.read, daemon=True).start()

        def go(rounds):
            clients = [Client(number, files, rounds // CLIENTS) for number in range(CLIENTS)]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
            assert [client.error for client in clients] == [None] * CLIENTS
            node.wait_for(lambda: not node.images(), "images are still attached")

        def state():
            pids = [node.pid] + [pool["worker"] for pool in node.status()["pools"]]
            return [(descriptors_of(pid), memory_of(pid)) for pid in pids]

        go(max(ROUNDS // 5, 2000))
        before = state()
        start = time.monotonic()
        go(ROUNDS)
        seconds = time.monotonic() - start
        after = state()
        print(f"{ROUNDS} rounds by {CLIENTS} clients in {seconds:.0f} s; descriptors and private "
              f"bytes of keeper and worker before {before}, after {after}")
        for (fds_before, bytes_before), (fds_after, bytes_after) in zip(before, after):
            assert fds_after <= fds_before + 1
            # What an allocator keeps: not a growth with the rounds.
            assert bytes_after < bytes_before + (4 << 20)
