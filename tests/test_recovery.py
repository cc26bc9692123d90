"""A session whose worker dies, hangs or is replaced: nobody who reads notices."""

import json
import os
import random
import select
import signal
import subprocess
import time

import pytest

from harness.jobs import DEADLINE
from harness.readers import LONGEST_WAIT, Readers, make_contents

READERS = 16


@pytest.fixture(scope="module")
def contents(scratch):
    return make_contents(scratch / "recovery", scratch / "sums", seed=5, count=40)


@pytest.fixture(scope="module")
def image(firn, scratch, contents):
    return firn.build(contents[0], scratch / "recovery.firn", "--prefix", "/opt/r",
                      "--block-size", "128K")


def status_of(firn, place):
    (mounted,) = firn.status(place)["mounts"]
    return mounted


def wait_for_restart(firn, place, restarts):
    """Until another worker serves; its process id."""
    end = time.monotonic() + DEADLINE
    while True:
        status = status_of(firn, place)
        if status["restarts"] > restarts and status["worker"] > 0:
            return status["worker"]
        assert time.monotonic() < end, "no other worker was started"


@pytest.mark.concurrent
def test_readers_do_not_notice_that_workers_are_killed(firn, root_user, image, contents):
    kills = 20
    chance = random.Random(11)
    with firn.mounted(image) as place:
        readers = Readers(place, contents[1], READERS)
        for number in range(kills):
            time.sleep(chance.random() / 10)  # a random moment
            restarts = status_of(firn, place)["restarts"]
            os.kill(status_of(firn, place)["worker"], signal.SIGKILL)
            worker = wait_for_restart(firn, place, restarts)
            if number % 5 == 0:  # two in a row: the second before it has answered anything, maybe
                os.kill(worker, signal.SIGKILL)
                wait_for_restart(firn, place, restarts + 1)
        rounds, longest = readers.finish()
        status = status_of(firn, place)
        assert status["restarts"] >= kills
        assert set(status["errors"].values()) == {0}
        assert rounds >= READERS
        # Nothing came from the page cache: each round asked for each file that has contents.
        assert status["requests"]["READ"] > rounds * 30
        assert longest < LONGEST_WAIT


@pytest.mark.concurrent
def test_a_worker_that_is_stopped_is_replaced(firn, root_user, image, contents):
    with firn.mounted(image) as place:
        readers = Readers(place, contents[1], 4)
        stopped = status_of(firn, place)["worker"]
        os.kill(stopped, signal.SIGSTOP)
        wait_for_restart(firn, place, 0)
        with pytest.raises(ProcessLookupError):
            os.kill(stopped, signal.SIGCONT)
        _, longest = readers.finish()
        assert longest < LONGEST_WAIT


def test_counts_go_on_where_they_were(firn, root_user, image):
    with firn.mounted(image) as place:
        (place / "file-3").read_bytes()
        before = status_of(firn, place)
        os.kill(before["worker"], signal.SIGKILL)
        wait_for_restart(firn, place, 0)
        after = status_of(firn, place)
        assert after["requests"] == before["requests"]
        assert after["decoded"]["data"] >= before["decoded"]["data"]
        (place / "file-4").read_bytes()
        assert status_of(firn, place)["requests_total"] > before["requests_total"]


def test_without_its_keeper_a_worker_serves_on(firn, root_user, image, contents, directory):
    printed = json.loads(firn.run("mount", "--json", image, directory).stdout)
    worker = status_of(firn, directory)["worker"]
    pidfd = os.pidfd_open(worker)
    os.kill(printed["pid"], signal.SIGKILL)
    subprocess.run(["sha256sum", "--quiet", "-c", contents[1]], cwd=directory, check=True)
    firn.run("unmount", directory)
    assert select.select([pidfd], [], [], DEADLINE)[0], "the worker is still there"
    os.close(pidfd)


def test_the_worker_has_nothing_but_what_it_serves(firn, root_user, image):
    with firn.mounted(image) as place:
        worker = status_of(firn, place)["worker"]
        status = dict(line.split(":\t", 1) for line in open(f"/proc/{worker}/status")
                      if ":\t" in line)
        assert status["Uid"].split() == ["65534"] * 4
        assert status["Gid"].split() == ["65534"] * 4
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
        assert status["NoNewPrivs"].strip() == "1"
        if not os.environ.get("FIRN_SANITIZE"):
            assert status["Seccomp"].strip() == "2"
        kinds = sorted(os.readlink(f"/proc/{worker}/fd/{fd}").split(":")[0]
                       for fd in os.listdir(f"/proc/{worker}/fd"))
        allowed = {"/dev/fuse", "/dev/null", "socket", "anon_inode", str(image),
                   "/memfd"}
        assert {kind for kind in kinds if not kind.startswith("/memfd")} <= allowed
