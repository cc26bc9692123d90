"""What ordinary users may have of root's firnd: mounts for everybody, and nothing of others."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess

import pytest

from harness.node import (  # noqa: F401  (fixtures)
    ask, attach, connect, images, own_run_directory, serving, slot_of, trees)
from harness.users import User

USAGE = 2
MOUNT_POINT = 8
OTHER = 65533


@pytest.fixture
def node(firnd, firn, fuse):
    with serving(firnd, firn, "--linger", "0") as running:
        yield running


@pytest.fixture(scope="module")
def other_user(scratch, ordinary_user):
    home = scratch / "other-user"
    home.mkdir()
    return User(OTHER, home)


@pytest.fixture
def place(ordinary_user, directory):
    """A directory of the user's, as nobody else's."""
    path = directory / "place"
    path.mkdir()
    os.chown(path, ordinary_user.uid, ordinary_user.uid)
    return path


def mounts_at(path):
    return [line.split() for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
            if line.split()[4] == str(path)]


# Mounts.

def test_an_ordinary_users_mount_is_for_everybody(firn, node, ordinary_user, other_user, images,
                                                  trees, place):
    shown = json.loads(firn.run("mount", "--json", images[0], place, user=ordinary_user).stdout)
    assert (shown["pid"], shown["view"]) == (node.pid, "overlay")
    for user in (ordinary_user, other_user):
        user.run("diff", "-r", trees[0], place, check=True)
    subprocess.run(["diff", "-r", trees[0], place], check=True)
    (mounted,) = mounts_at(place)
    assert {"ro", "nosuid", "nodev"} <= set(mounted[5].split(","))
    (lease,) = node.images()[0]["leases"]
    assert (lease["kind"], lease["name"], lease["uid"]) == ("mount", str(place), ordinary_user.uid)
    text = firn.run("status", user=ordinary_user).stdout
    assert f"leased by mount {place} (uid {ordinary_user.uid}" in text
    # Nobody else ends it.
    for lazy in ([], ["--lazy"]):
        result = firn.run("unmount", *lazy, place, user=other_user, check=False)
        assert result.returncode == MOUNT_POINT and "not yours to unmount" in result.stderr
    with open(place / "file-1", "rb"):
        result = firn.run("unmount", place, user=ordinary_user, check=False)
        assert result.returncode == MOUNT_POINT and "in use" in result.stderr
        assert mounts_at(place)
        firn.run("unmount", "--lazy", place, user=ordinary_user)
        assert mounts_at(place) == []
    node.wait_for(lambda: not node.images(), "the image is still attached")
    firn.run("mount", images[0], place, user=ordinary_user)
    firn.run("unmount", place, user=ordinary_user)
    assert mounts_at(place) == []
    node.wait_for(lambda: not node.images(), "the image is still attached")


def test_root_unmounts_what_a_user_mounted(firn, node, ordinary_user, images, place):
    firn.run("mount", images[0], place, user=ordinary_user)
    firn.run("unmount", place)
    assert mounts_at(place) == []
    node.wait_for(lambda: not node.images(), "the image is still attached")


def test_a_mount_stays_its_users_when_firnd_is_upgraded(firn, firnd, node, ordinary_user,
                                                        other_user, images, trees, place):
    firn.run("mount", images[0], place, user=ordinary_user)
    subprocess.run([firnd, "--upgrade"], check=True, stdout=subprocess.DEVNULL)
    other_user.run("diff", "-r", trees[0], place, check=True)
    result = firn.run("unmount", place, user=other_user, check=False)
    assert result.returncode == MOUNT_POINT and "not yours to unmount" in result.stderr
    firn.run("unmount", place, user=ordinary_user)
    node.wait_for(lambda: not node.images(), "the image is still attached")


def place_image(image, target, flags=os.O_PATH, user=None):
    """What `firn mount` asks, without what it looks at itself; as that user."""
    code = ("import json, os, socket, sys\n"
            "client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
            "client.connect('/run/firn/firnd.sock')\n"
            "request = {'op': 'attach', 'path': sys.argv[1], 'lease': 'mount', 'place': True,\n"
            "           'name': '/claimed'}\n"
            "fds = [os.open(sys.argv[1], os.O_RDONLY), os.open(sys.argv[2], int(sys.argv[3]))]\n"
            "socket.send_fds(client, [json.dumps(request).encode()], fds)\n"
            "print(client.recv(65536).decode())\n")
    result = user.run("/usr/bin/python3", "-c", code, image, target, str(flags), check=True)
    return json.loads(result.stdout)


def test_where_a_user_may_not_mount(firn, node, ordinary_user, images, directory):
    """By the rules of fusermount3, each of which root would pass."""
    others = directory / "others"
    others.mkdir()
    sticky = directory / "sticky"
    sticky.mkdir()
    sticky.chmod(0o1777)
    file = directory / "file"
    file.touch()
    file.chmod(0o666)
    (directory / "link").symlink_to("others")
    terminals = directory / "terminals"
    terminals.mkdir()
    subprocess.run(["mount", "-t", "devpts", "devpts", terminals], check=True)
    os.chown(terminals, ordinary_user.uid, ordinary_user.uid)
    for target, flags, words in (
            (others, os.O_PATH, "may not write"),
            (others, os.O_RDONLY, "may not write"),
            (sticky, os.O_PATH, "sticky"),
            (file, os.O_PATH, "expected a directory"),
            (file, os.O_RDONLY, "expected a directory"),
            (directory / "link", os.O_PATH | os.O_NOFOLLOW, "expected a directory"),
            ("/proc/self", os.O_PATH, "may not write"),
            (terminals, os.O_PATH, "file system on which"),
            ("/dev/null", os.O_PATH, "expected a directory")):
        answer = place_image(images[0], target, flags, ordinary_user)
        assert words in answer["error"]["message"], (target, answer)
    subprocess.run(["umount", terminals], check=True)
    for target in (others, sticky):
        assert mounts_at(target) == []
        result = firn.run("mount", images[0], target, user=ordinary_user, check=False)
        assert result.returncode == MOUNT_POINT, result.stderr
        assert str(target) in result.stderr and mounts_at(target) == []
    node.wait_for(lambda: not node.images(), "an image is still attached")


def test_the_groups_of_a_user_count(firn, node, ordinary_user, images, directory):
    shared = directory / "shared"
    shared.mkdir()
    os.chown(shared, 0, 4711)
    shared.chmod(0o775)
    assert "may not write" in place_image(images[0], shared,
                                          user=ordinary_user)["error"]["message"]
    options = ordinary_user.popen_arguments() | {"extra_groups": [4710, 4711]}
    subprocess.run([firn.path, "mount", images[0], shared], check=True, **options)
    assert len(mounts_at(shared)) == 1
    subprocess.run([firn.path, "unmount", shared], check=True, **options)
    assert mounts_at(shared) == []


def test_a_directory_of_another_mount_namespace_is_refused(firn, node, ordinary_user, images,
                                                           place):
    """Nothing is mounted there by root's firnd; a session of the user's own may be."""
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-c",
         f'mount --bind "$1" "$1" && exec setpriv --reuid={ordinary_user.uid} '
         f'--regid={ordinary_user.uid} --clear-groups "$0" mount "$2" "$1"',
         firn.path, place, images[0]], capture_output=True, text=True,
        env=ordinary_user.environment(), cwd="/", check=False)
    assert "not mounted for everybody" in result.stderr
    assert mounts_at(place) == []
    node.wait_for(lambda: not node.images(), "the image is still attached")


def test_no_daemon_mounts_for_the_user_alone(firn, node, ordinary_user, other_user, images, place):
    with firn.mounted(images[0], "--no-daemon", directory=place, user=ordinary_user):
        assert node.images() == []
        assert other_user.run("ls", place).returncode != 0


# What is others'.

def test_a_mount_that_firnd_did_not_make_is_not_unmounted(firn, node, ordinary_user, images,
                                                          directory):
    """Neither root's nor one that a user only claims, by whatever number."""
    firn.run("mount", images[0], directory)
    (mounted,) = mounts_at(directory)
    code = ("import json, os, socket, sys\n"
            "client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
            "client.connect('/run/firn/firnd.sock')\n"
            "def ask(request, *fds):\n"
            "    socket.send_fds(client, [json.dumps(request).encode()], fds)\n"
            "    print(client.recv(65536).decode())\n"
            "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
            "ask({'op': 'unmount', 'mount_id': int(sys.argv[2])})\n"
            "ask({'op': 'attach', 'path': 'x', 'lease': 'mount', 'name': sys.argv[3]}, fd)\n"
            "ask({'op': 'placed', 'mount_id': int(sys.argv[2])})\n"
            "ask({'op': 'unmount', 'mount_id': int(sys.argv[2])})\n")
    result = ordinary_user.run("/usr/bin/python3", "-c", code, images[1], mounted[0], directory,
                               check=True)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert ["error" in answer for answer in answers] == [True, False, True, True], answers
    assert mounts_at(directory) == [mounted]
    (lease,) = [lease for image in node.images() for lease in image["leases"]]
    assert lease["uid"] == 0
    firn.run("unmount", directory)


def test_an_image_that_a_user_cannot_read_is_not_attached(firn, node, ordinary_user, images,
                                                          directory):
    """Nor by a descriptor that does not read, nor by its path, though root has attached it."""
    secret = directory / "secret.firn"
    secret.write_bytes(images[0].read_bytes())
    secret.chmod(0o600)
    attach(firn, secret, "roots")
    for command in (["attach", "--lease", "mine", secret], ["run", secret, "--", "true"],
                    ["mount", secret, ordinary_user.home]):
        result = firn.run(*command, user=ordinary_user, check=False)
        assert result.returncode != 0 and "Permission denied" in result.stderr, command
    code = ("import json, os, socket, sys\n"
            "for fds in ([], [os.open(sys.argv[1], os.O_PATH)], [0]):\n"
            "    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
            "    client.connect('/run/firn/firnd.sock')\n"
            "    request = {'op': 'attach', 'path': sys.argv[1], 'lease': 'process'}\n"
            "    socket.send_fds(client, [json.dumps(request).encode()], fds)\n"
            "    answer, views, _, _ = socket.recv_fds(client, 65536, 4)\n"
            "    assert 'error' in json.loads(answer) and not views, answer\n")
    ordinary_user.run("/usr/bin/python3", "-c", code, secret, check=True)
    (image,) = node.images()
    assert [lease["name"] for lease in image["leases"]] == ["roots"]


def test_no_slot_is_reached_from_another_ones_view(firn, node, ordinary_user, images, directory):
    """Neither through "..", nor through the processes of firnd."""
    secret = directory / "secret.firn"
    secret.write_bytes(images[1].read_bytes())
    secret.chmod(0o600)
    attach(firn, secret, "roots")
    script = ("cd /opt/tree-a && ls -a .. && ls -a /opt/tree-a/../../ >/dev/null; "
              "cat /proc/self/mountinfo; "
              f"for pid in {node.pid} {' '.join(str(pool['worker']) for pool in node.status()['pools'])}; do "
              "ls /proc/$pid/fd /proc/$pid/root/ && echo REACHED; "
              "nsenter --mount=/proc/$pid/ns/mnt true && echo REACHED; done; "
              "ls /run/firn && echo REACHED; true")
    result = firn.run("run", images[0], "--", "sh", "-c", script, user=ordinary_user)
    assert "REACHED" not in result.stdout, result.stdout
    assert "firn-pool" not in result.stdout
    # Told by a view's descriptor: what is mounted is the slot, and nothing above it.
    with connect() as client:
        fd = os.open(images[0], os.O_RDONLY)
        socket.send_fds(client, [json.dumps({"op": "attach", "path": "x"}).encode()], [fd])
        _, (view,), _, _ = socket.recv_fds(client, 1 << 16, 4)
        os.close(fd)
        assert os.path.samestat(os.stat("..", dir_fd=view), os.fstat(view))
        os.close(view)


def test_leases_of_others_are_neither_seen_nor_ended_nor_renamed(firn, node, ordinary_user,
                                                                 other_user, images):
    attach(firn, images[0], "mine", user=ordinary_user)
    attach(firn, images[0], "others", user=other_user)
    (image,) = firn.status(user=other_user)["node"]["pools"][0]["images"]
    assert [lease["name"] for lease in image["leases"]] == ["others"]
    result = firn.run("detach", "--lease", "mine", user=other_user, check=False)
    assert result.returncode == USAGE and "another user's" in result.stderr
    result = attach(firn, images[1], "mine", user=other_user, check=False)
    assert result.returncode == USAGE and "another user's" in result.stderr
    names = sorted(lease["name"] for image in node.images() for lease in image["leases"])
    assert names == ["mine", "others"]
    firn.run("detach", "--lease", "mine", user=ordinary_user)
    firn.run("detach", "--lease", "others")  # root may


# Clients that say half of it.

def test_half_a_request_blocks_nobody(firn, node, images, ordinary_user):
    halves = []
    for number in range(60):
        client = connect()
        if number % 3 == 0:
            fd = os.open(images[0], os.O_RDONLY)
            socket.send_fds(client, [b'{"op": "attach", "path": "'], [fd])
            os.close(fd)
        elif number % 3 == 1:
            # A view that is asked for and never taken; its socket is not read from.
            fd = os.open(images[0], os.O_RDONLY)
            socket.send_fds(client, [json.dumps({
                "op": "attach", "path": "x", "lease": "mount", "name": "never"}).encode()], [fd])
            os.close(fd)
        halves.append(client)
    assert attach(firn, images[1], "job-1", user=ordinary_user).returncode == 0
    assert firn.run("run", images[1], "--", "true", user=ordinary_user).returncode == 0
    assert "message" in ask(node, {"op": "nonsense"}, [])["error"]
    for client in halves:
        client.close()
    firn.run("detach", "--lease", "job-1", user=ordinary_user)
    node.wait_for(lambda: not node.images(), "images are still attached")


def test_a_longer_message_than_any_ends_its_connection_alone(node, images, firn):
    with connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        client.send(json.dumps({"op": "detach", "lease": "x" * 100_000}).encode())
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1 << 16) == b""
    assert slot_of(attach(firn, images[0], "job-1")) >= 1
