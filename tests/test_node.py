"""The firnd of a node: one slot an image, leases, views for other users, nothing left behind."""

import contextlib
import hashlib
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import time

import pytest

from harness.jobs import DEADLINE, RANK, children_of
from harness.node import (  # noqa: F401 (fixtures)
    Node, ask, attach, connect, descriptors_of, images, own_run_directory, serving, slot_of, trees)

USAGE, SYSTEM, NO_REPLY = 2, 7, 9
RUN_FAILED = 125


def is_shared(number):
    return number % 5 != 0


@pytest.fixture
def node(firnd, firn, fuse):
    with serving(firnd, firn, "--linger", "0") as running:
        yield running


# Slots and leases.

def test_an_image_has_one_slot_by_whatever_path(firn, node, images, directory):
    copy = directory / "copy.firn"
    copy.write_bytes(images[0].read_bytes())
    link = directory / "link.firn"
    link.symlink_to(images[0])
    slots = {slot_of(attach(firn, path, "job-1")) for path in (images[0], copy, link)}
    assert len(slots) == 1
    assert slot_of(attach(firn, images[1], "job-1")) not in slots
    node.wait_for(lambda: len(node.images()) == 2, "the copy has a slot of its own")


def test_the_last_lease_gone_an_image_is_detached(firn, node, images):
    attach(firn, images[0], "job-1")
    attach(firn, images[0], "job-2")
    firn.run("detach", "--lease", "job-1")
    assert [lease["name"] for lease in node.images()[0]["leases"]] == ["job-2"]
    firn.run("detach", "--lease", "job-2")
    node.wait_for(lambda: not node.images(), "the image is still attached")
    result = firn.run("detach", "--lease", "job-2", check=False)
    assert result.returncode == USAGE and "there is no lease 'job-2'" in result.stderr


def test_an_image_lingers(firn, firnd, images, fuse):
    with serving(firnd, firn, "--linger", "600") as node:
        first = slot_of(attach(firn, images[0], "job-1"))
        firn.run("detach", "--lease", "job-1")
        assert [image["leases"] for image in node.images()] == [[]]
        assert slot_of(attach(firn, images[0], "job-2")) == first


def test_a_mount_is_a_lease_until_it_is_unmounted(firn, node, images, trees, directory):
    firn.run("mount", images[0], directory)
    (lease,) = node.images()[0]["leases"]
    assert (lease["kind"], lease["name"]) == ("mount", str(directory))
    subprocess.run(["diff", "-r", trees[0], directory], check=True)
    subprocess.run(["umount", directory], check=True)
    node.wait_for(lambda: not node.images(), "the image is still attached")


def test_an_image_in_use_stays_for_its_users(firn, node, images, trees, directory):
    """Unmounted lazily, it has no lease any more, but somebody has a file open."""
    firn.run("mount", images[0], directory)
    with open(directory / "file-1", "rb") as used:
        subprocess.run(["umount", "--lazy", directory], check=True)
        node.wait_for(lambda: node.images()[0]["stage"] == "unleased", "it has a lease")
        assert used.read() == (trees[0] / "file-1").read_bytes()
        (image,) = node.images()
        # Who comes now finds it there, and goes again.
        assert slot_of(attach(firn, images[0], "late")) == image["slot"]
        firn.run("detach", "--lease", "late")
        assert os.pread(used.fileno(), 10, 50_000)
        assert [image["stage"] for image in node.images()] == ["unleased"]
    node.wait_for(lambda: not node.images(), "the image is still there")


def test_a_process_is_a_lease(firn, node, images):
    job = subprocess.Popen([firn.path, "run", images[0], "--", "sh", "-c", "echo up; read x"],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert job.stdout.readline() == "up\n"
    (lease,) = node.images()[0]["leases"]
    assert (lease["kind"], lease["pid"]) == ("process", job.pid)
    job.communicate("go\n", timeout=DEADLINE)
    node.wait_for(lambda: not node.images(), "the image is still attached")


def test_no_daemon_keeps_a_session_of_its_own(firn, node, images, directory):
    with firn.mounted(images[0], "--no-daemon", directory=directory):
        assert node.images() == []
    assert firn.run("run", "--no-daemon", images[0], "--", "cat", "/proc/self/mounts").stdout


# One page cache.

def test_equal_files_are_read_once(firn, node, images, trees, directory):
    places = [directory / name for name in "ab"]
    for place, image in zip(places, images):
        place.mkdir()
        attach(firn, image, f"before-{place.name}")
    node.wait_until_proved()
    for place, image in zip(places, images):
        firn.run("mount", image, place)

    def reads():
        return sum(pool["requests"].get("READ", 0) for pool in node.status()["pools"])

    for number in range(20):
        name = f"file-{number}"
        contents = [(tree / name).read_bytes() for tree in trees]
        assert (places[0] / name).read_bytes() == contents[0]
        before = reads()
        assert (places[1] / name).read_bytes() == contents[1]
        assert (reads() == before) == is_shared(number), name
        inodes = {(place / name).stat().st_ino & 0xffffffffffff for place in places}
        assert (len(inodes) == 1) == is_shared(number), name
    for place in places:
        subprocess.run(["umount", place], check=True)


def test_a_proof_is_remembered_as_long_as_the_file_is_the_same(firn, firnd, images, directory,
                                                               fuse):
    image = directory / "proved.firn"
    image.write_bytes(images[0].read_bytes())
    image.chmod(0o644)

    def attached():
        """(is it proved at once, bytes read from images) of a firnd that has just started."""
        with serving(firnd, firn, "--linger", "0", "--no-prefetch") as node:
            attach(firn, image, "job")
            (seen,) = node.images()
            read = node.status()["pools"][0]["bytes_read"]
            node.wait_until_proved()
            return seen["shares_pages"], read

    attached()
    store = pathlib.Path("/var/lib/firn/proofs.json")
    assert store.stat().st_mode & 0o777 == 0o600
    proved, read = attached()
    assert proved and read < image.stat().st_size / 2
    os.utime(image)  # whoever wrote to it would have changed its times as well
    before = store.read_text()
    attached()
    assert store.read_text() != before
    # What somebody else may have written is not believed.
    store.chmod(0o622)
    firnd_process = Node(firnd, firn, "--linger", "0")
    attach(firn, image, "job")
    firnd_process.wait_until_proved()
    assert "images are proved anew" in firnd_process.end() + firnd_process.first_line


def test_images_of_different_owners_share_nothing(firn, node, images, directory):
    theirs = directory / "theirs.firn"
    theirs.write_bytes(images[0].read_bytes())
    os.chown(theirs, 65534, 65534)
    attach(firn, images[0], "ours")
    attach(firn, theirs, "theirs")
    pools = node.status()["pools"]
    assert sorted(pool["domain"] for pool in pools) == [0, 65534]
    assert len({pool["worker"] for pool in pools}) == 2


def test_an_image_that_others_may_write_shares_nothing(firn, node, images, directory):
    open_to_all = directory / "open.firn"
    open_to_all.write_bytes(images[0].read_bytes())
    open_to_all.chmod(0o666)
    attach(firn, open_to_all, "open")
    attach(firn, images[1], "other")
    node.wait_for(lambda: any(image["shares_pages"] for image in node.images()),
                  "the other image is not proved")
    shares = {image["image"]: image["shares_pages"] for image in node.images()}
    assert shares == {str(open_to_all): False, str(images[1]): True}


def test_a_damaged_image_is_served_and_shares_nothing(firn, node, images, trees, directory):
    damaged = directory / "damaged.firn"
    contents = bytearray(images[0].read_bytes())
    contents[len(contents) // 3] ^= 1
    damaged.write_bytes(contents)
    place = directory / "place"
    place.mkdir()
    firn.run("mount", damaged, place)
    names = sorted(entry.name for entry in trees[0].iterdir())
    right = 0
    for name in names:
        with contextlib.suppress(OSError):
            assert (place / name).read_bytes() == (trees[0] / name).read_bytes()
            right += 1
    assert 0 < right < len(names)
    assert [image["shares_pages"] for image in node.images()] == [False]
    subprocess.run(["umount", place], check=True)


# Other users.

def test_an_ordinary_user_runs_what_it_may_read(firn, node, ordinary_user, images, trees):
    result = firn.run("run", images[0], "--", "sh", "-c",
                      "cat /opt/tree-a/file-1; touch /opt/tree-a/new", user=ordinary_user,
                      check=False, text=False)
    assert result.stdout == (trees[0] / "file-1").read_bytes()
    assert b"Read-only file system" in result.stderr


def test_nobody_sees_what_only_others_attached(firn, node, ordinary_user, images, directory):
    secret = directory / "secret.firn"
    secret.write_bytes(images[0].read_bytes())
    secret.chmod(0o600)
    attach(firn, secret, "job-1")
    assert firn.status(user=ordinary_user)["node"]["pools"] == []
    result = firn.run("run", secret, "--", "true", user=ordinary_user, check=False)
    assert result.returncode == RUN_FAILED and "Permission denied" in result.stderr
    result = firn.run("detach", "--lease", "job-1", user=ordinary_user, check=False)
    assert result.returncode == USAGE and "another user's" in result.stderr
    result = attach(firn, images[1], "job-1", user=ordinary_user, check=False)
    assert result.returncode == USAGE and "another user's" in result.stderr
    assert len(node.images()) >= 1
    # Its slot stands in a mount namespace of firnd's, which no path leads to.
    assert "firn-pool" not in pathlib.Path("/proc/self/mountinfo").read_text()


def test_a_descriptor_must_be_one_to_read_from(node, images, directory):
    for name, flags in (("path only", os.O_PATH), ("to write", os.O_WRONLY)):
        fd = os.open(images[0], flags)
        answer = ask(node, {"op": "attach", "path": "x", "lease": "name", "name": "n"}, [fd])
        os.close(fd)
        assert "open for reading" in answer["error"]["message"], name
    fd = os.open(directory, os.O_RDONLY)
    answer = ask(node, {"op": "attach", "path": "x", "lease": "name", "name": "n"}, [fd])
    os.close(fd)
    assert "expected a regular file" in answer["error"]["message"]
    answer = ask(node, {"op": "attach", "path": str(images[0])}, [])
    assert "descriptor" in answer["error"]["message"], "no path is opened for anybody"


# The socket.

def test_bad_requests_get_a_message(node):
    for request in ({"op": "nonsense"}, {}, {"op": 5}, {"op": "detach", "lease": []},
                    {"op": "placed", "mount_id": "x"}):
        assert "message" in ask(node, request, [])["error"], request
    with connect() as client:  # what is no message ends the connection
        client.send(b"\xff" * 100)
        assert client.recv(1 << 16) == b""


def test_silent_clients_hinder_nobody(firn, node, images):
    silent = [connect() for _ in range(200)]
    attach(firn, images[0], "job-1")
    assert node.images()
    for client in silent:
        client.close()


def test_a_second_firnd_leaves_and_a_stale_socket_is_taken(firn, firnd, node, images):
    second = Node(firnd, firn)
    _, errors = second.process.communicate(timeout=DEADLINE)
    assert second.process.returncode == SYSTEM
    assert "another firnd serves this node already" in second.first_line + errors
    workers = children_of(node.pid)
    os.kill(node.pid, signal.SIGKILL)
    for pid in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    node.process.wait()
    assert os.path.exists("/run/firn/firnd.sock")
    with serving(firnd, firn) as third:
        attach(firn, images[0], "job-1")
        assert len(third.images()) == 1
    node.process = subprocess.Popen(["sleep", "600"], stderr=subprocess.PIPE)  # for its end
    node.end()
    node.process.returncode = 0


@pytest.mark.concurrent
def test_many_clients_at_once(firn, firnd, fuse, images, scratch, directory):
    """200 clients attach the same ten images: ten slots, nothing left after they leave."""
    several = []
    for number in range(10):
        tree = directory / f"tree-{number}"
        tree.mkdir()
        (tree / "file").write_text(f"{number}\n")
        several.append(firn.build(tree, directory / f"{number}.firn", "--prefix", f"/opt/{number}"))
    with serving(firnd, firn, "--linger", "0") as node:
        attach(firn, several[0], "first")
        firn.run("detach", "--lease", "first")
        node.wait_for(lambda: not node.images(), "the first image is still attached")
        before = descriptors_of(node.pid)
        clients = []
        for number in range(200):
            client = connect()
            fd = os.open(several[number % 10], os.O_RDONLY)
            socket.send_fds(client, [json.dumps({
                "op": "attach", "path": str(several[number % 10]), "view": True,
                "lease": "name", "name": f"lease-{number}"}).encode()], [fd])
            os.close(fd)
            clients.append(client)
        slots = set()
        for client in clients:
            answer, fds, _, _ = socket.recv_fds(client, 1 << 16, 4)
            answer = json.loads(answer)
            assert "error" not in answer, answer
            slots.add(answer["slot"])
            for fd in fds:
                os.close(fd)
        assert len(slots) == 10
        assert len(node.images()) == 10
        for number in range(200):
            assert ask(node, {"op": "detach", "lease": f"lease-{number}"}, [])["ended"] == 1
        for client in clients:
            client.close()
        node.wait_for(lambda: not node.images(), "images are still attached")
        node.wait_for(lambda: descriptors_of(node.pid) <= before, "descriptors are left")


# A user's own.

@pytest.fixture
def users_node(firnd, firn, ordinary_user):
    with serving(firnd, firn, "--linger", "0", user=ordinary_user) as running:
        yield running


def test_the_ranks_of_a_user_are_one_superblock_and_one_user_namespace(firn, users_node, images,
                                                                      ordinary_user):
    ranks = [subprocess.Popen(
        [firn.path, "run", images[0], "--", "/usr/bin/python3", "-c", RANK, str(number),
         "/opt/tree-a/file-1"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        **ordinary_user.popen_arguments()) for number in range(2)]
    told = [rank.stdout.readline().split() for rank in ranks]
    assert told[0][2] == told[1][2] != os.readlink("/proc/self/ns/user")
    for rank, other in zip(ranks, reversed(told)):
        rank.stdin.write(" ".join(other) + "\n")
        rank.stdin.flush()
    assert [rank.stdout.readline().strip() for rank in ranks] == ["rank of 1", "rank of 0"]
    (image,) = users_node.images()
    assert len(image["leases"]) == 2
    for rank in ranks:
        rank.communicate("end\n", timeout=DEADLINE)
        assert rank.returncode == 0
    users_node.wait_for(lambda: not users_node.images(), "the image is still attached")


def test_a_users_firnd_ends_when_it_is_idle(firn, firnd, ordinary_user, images):
    node = Node(firnd, firn, "--linger", "0", "--idle-exit", "1", user=ordinary_user)
    assert "serving the node" in node.first_line
    assert firn.run("run", images[0], "--", "cat", "/opt/tree-a/file-1", user=ordinary_user,
                    text=False).stdout
    node.process.communicate(timeout=DEADLINE)
    assert node.process.returncode == 0
    assert not (ordinary_user.runtime / "firn" / "firnd.sock").exists()


def test_a_users_service_manager_starts_it(firn, firnd, ordinary_user, images):
    """With a stand-in for systemctl, which does what the unit says."""
    programs = ordinary_user.make_directory("programs")
    stand_in = programs / "systemctl"
    stand_in.write_text(f"#!/bin/sh\necho \"$@\" > {programs}/asked\n"
                        f"exec {firnd} --node --linger 0 --idle-exit 1\n")
    stand_in.chmod(0o755)
    manager = ordinary_user.runtime / "systemd"
    manager.mkdir()
    (manager / "private").touch()
    environment = ordinary_user.environment()
    environment["PATH"] = f"{programs}:{environment['PATH']}"
    result = firn.run("run", images[0], "--", "true", user=ordinary_user, env=environment)
    assert (programs / "asked").read_text() == "--user --quiet start firnd.service\n"
    (manager / "private").unlink()
    status = firn.status(user=ordinary_user)["node"]
    assert status is not None and result.returncode == 0
    end = time.monotonic() + DEADLINE
    while (ordinary_user.runtime / "firn" / "firnd.sock").exists():
        assert time.monotonic() < end, "it does not end when it is idle"
        time.sleep(0.05)


# Keepers and workers come and go.

def test_who_has_an_image_keeps_it_when_firnd_is_restarted(firn, firnd, images, trees, directory,
                                                           fuse):
    with serving(firnd, firn) as first:
        firn.run("mount", images[0], directory)
        (pool,) = first.status()["pools"]
        worker = os.pidfd_open(pool["worker"])
    subprocess.run(["diff", "-r", trees[0], directory], check=True)
    with serving(firnd, firn) as second:
        assert second.images() == []
        assert firn.run("run", images[0], "--", "cat", "/opt/tree-a/file-1", text=False).stdout
        subprocess.run(["diff", "-r", trees[0], directory], check=True)
        assert not select.select([worker], [], [], 0)[0]
    subprocess.run(["umount", directory], check=True)
    assert select.select([worker], [], [], DEADLINE)[0], "the worker is still there"
    os.close(worker)


def test_a_service_manager_is_told(firn, firnd, fuse, directory):
    """By what speaks sd_notify: ready, alive, stopping."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(directory / "notify"))
        manager.settimeout(DEADLINE)

        def heard():
            while (told := manager.recv(1000)).startswith((b"FDSTORE", b"BARRIER")):
                pass  # what it is to keep: test_keeper.py
            return told

        environment = os.environ | {"NOTIFY_SOCKET": str(directory / "notify"),
                                    "WATCHDOG_USEC": "200000"}
        with subprocess.Popen([firnd, "--node", "--foreground"], env=environment,
                              stderr=subprocess.PIPE) as service:
            assert b"READY=1" in heard()
            for _ in range(3):
                assert heard() == b"WATCHDOG=1"
            service.send_signal(signal.SIGTERM)
            while (told := heard()) != b"STOPPING=1":
                assert told == b"WATCHDOG=1"
            service.communicate(timeout=DEADLINE)
        assert service.returncode == 0


# Health.

def health(firn, *options, check=True):
    result = firn.run("health", "--json", *options, check=check)
    return result.returncode, json.loads(result.stdout)


def test_health_reads_through_each_mount(firn, node, images, directory):
    firn.run("mount", images[0], directory)
    before = node.status()["pools"][0]["requests"].get("READ", 0)
    code, told = health(firn)
    assert (code, told["ok"]) == (0, True)
    assert [(check["place"], check["state"]) for check in told["checks"]] == [
        (str(directory), "ok"), ("slot 1", "ok")]
    assert node.status()["pools"][0]["requests"]["READ"] > before
    subprocess.run(["umount", directory], check=True)


def test_health_of_a_session_of_its_own(firn, images, directory, fuse):
    with firn.mounted(images[0], directory=directory):
        code, told = health(firn, directory)
        assert (code, [check["state"] for check in told["checks"]]) == (0, ["ok"])
        (mounted,) = firn.status(directory)["mounts"]
        # The fake alive: its processes are there, and none of them answers.
        for pid in (mounted["pid"], mounted["worker"]):
            os.kill(pid, signal.SIGSTOP)
        result = firn.run("health", "--timeout", "300", directory, check=False)
        for pid in (mounted["pid"], mounted["worker"]):
            os.kill(pid, signal.SIGCONT)
        assert result.returncode == NO_REPLY
        assert "failed" in result.stdout and "no answer within 300 ms" in result.stdout


def test_health_finds_wrong_bytes(firn, images, directory, fuse):
    """What is mounted is not what the image file holds any more."""
    image = directory / "image.firn"
    image.write_bytes(images[0].read_bytes())
    place = directory / "place"
    place.mkdir()
    with firn.mounted(image, directory=place):
        image.unlink()
        image.write_bytes(images[1].read_bytes())
        result = firn.run("health", place, check=False)
        assert result.returncode == NO_REPLY
        assert "reads otherwise than the image has it" in result.stdout
        image.unlink()
        image.write_bytes(images[0].read_bytes())


# Workers under load.

@pytest.mark.concurrent
def test_jobs_do_not_notice_that_workers_are_replaced(firn, firnd, node, images, trees, directory):
    firn.run("mount", images[0], directory)
    sums = {name: hashlib.sha256((trees[0] / name).read_bytes()).hexdigest()
            for name in os.listdir(trees[0])}
    code = ("import hashlib, mmap, os, select, sys\n"
            "buffer = mmap.mmap(-1, 1 << 20)\n"
            "rounds = 0\n"
            "while not select.select([0], [], [], 0)[0]:\n"
            "    for name in sorted(os.listdir(sys.argv[1])):\n"
            "        digest = hashlib.sha256()\n"
            "        file = os.open(sys.argv[1] + '/' + name, os.O_RDONLY | os.O_DIRECT)\n"
            "        while count := os.readv(file, [buffer]):\n"
            "            digest.update(memoryview(buffer)[:count])\n"
            "        os.close(file)\n"
            "        if sys.argv[2 + sorted(os.listdir(sys.argv[1])).index(name)] != "
            "digest.hexdigest(): sys.exit(name)\n"
            "    rounds += 1\n"
            "print(rounds)\n")
    readers = [subprocess.Popen(
        ["/usr/bin/python3", "-c", code, directory, *(sums[name] for name in sorted(sums))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(8)]

    def worker():
        (pool,) = node.status()["pools"]
        return pool["worker"], pool["restarts"]

    for turn in range(6):
        pid, restarts = worker()
        if turn % 2:
            result = subprocess.run([firnd, "--upgrade"], capture_output=True, text=True)
            assert result.returncode == 0, result.stderr
            assert worker()[0] != pid
        else:
            os.kill(pid, signal.SIGKILL)
            node.wait_for(lambda: worker()[1] > restarts and worker()[0] > 0, "no other worker")
    for reader in readers:
        out, errors = reader.communicate("", timeout=DEADLINE)
        assert reader.returncode == 0, errors
        assert int(out) >= 0
    # New images can be attached to the worker that is there now.
    attach(firn, images[1], "later")
    assert len(node.images()) == 2
    subprocess.run(["umount", directory], check=True)
    firn.run("detach", "--lease", "later")
    node.wait_for(lambda: not node.images(), "images are still attached")


@pytest.fixture
def small_node(firnd, firn, fuse):
    with serving(firnd, firn, "--linger", "0", "--cache-size", "2M") as running:
        yield running


def test_memory_and_descriptors_are_flat(firn, small_node, images):
    """A day in small: attach, use, detach, again and again."""
    node = small_node

    def rounds(count):
        for number in range(count):
            fd = os.open(images[number % 2], os.O_RDONLY)
            with connect() as client:
                socket.send_fds(client, [json.dumps({
                    "op": "attach", "path": str(images[number % 2]), "view": True,
                    "lease": "name", "name": "round"}).encode()], [fd])
                os.close(fd)
                answer, fds, _, _ = socket.recv_fds(client, 1 << 16, 4)
                assert "error" not in json.loads(answer), answer
                file = os.open(f"file-{number % 20}", os.O_RDONLY, dir_fd=fds[0])
                assert os.read(file, 10)
                os.close(file)
                os.close(fds[0])
            assert ask(node, {"op": "detach", "lease": "round"}, [])["ended"] == 1

    def resident(pid):
        words = pathlib.Path(f"/proc/{pid}/statm").read_text().split()
        return int(words[1]) * 4096

    rounds(50)
    node.wait_for(lambda: not node.images(), "images are still attached")
    processes = [node.pid, *children_of(node.pid)]
    before = [(descriptors_of(pid), resident(pid)) for pid in processes]
    rounds(200)
    node.wait_for(lambda: not node.images(), "images are still attached")
    for pid, (descriptors, memory) in zip(processes, before):
        node.wait_for(lambda: descriptors_of(pid) <= descriptors, "descriptors are left")
        if not os.environ.get("FIRN_SANITIZE"):  # which keeps what was freed, for a while
            assert resident(pid) < memory + (16 << 20)
