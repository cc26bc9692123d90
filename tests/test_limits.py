"""What one user may have of a node's firnd, and that others do not suffer from it."""

import contextlib
import json
import os
import shutil
import socket
import subprocess

import pytest

from harness.config import write_config
from harness.jobs import DEADLINE
from harness.node import (ask_status, attach, connect, own_run_directory,  # noqa: F401
                          serving)

SYSTEM = 7


@pytest.fixture(scope="module")
def images(firn, scratch):
    built = []
    for number in range(4):
        tree = scratch / f"limits-tree-{number}"
        tree.mkdir()
        (tree / "file").write_text(f"{number}\n")
        image = firn.build(tree, scratch / f"limits-{number}.firn", "--prefix", "/opt/limits")
        image.chmod(0o644)
        built.append(image)
    return built


@contextlib.contextmanager
def limited(firnd, firn, directory, limits, linger=0):
    config = write_config(directory, f"limits: {{{limits}}}\nlinger: {linger}\n")
    with serving(firnd, firn, "--config", config) as node:
        yield node


def refused(firn, key, image, lease, user):
    result = attach(firn, image, lease, user=user, check=False)
    assert result.returncode == SYSTEM
    assert f"limits: {key} in firnd.yaml" in result.stderr
    assert f"uid {user.uid} " in result.stderr


def test_images(firn, firnd, fuse, ordinary_user, images, directory):
    with limited(firnd, firn, directory, "images_per_user: 2") as node:
        attach(firn, images[0], "job-1", user=ordinary_user)
        attach(firn, images[1], "job-1", user=ordinary_user)
        refused(firn, "images_per_user", images[2], "job-1", ordinary_user)
        # What the user has can be leased again; root has no such limit.
        attach(firn, images[0], "job-2", user=ordinary_user)
        for number, image in enumerate(images):
            attach(firn, image, f"root-{number}")
        refused(firn, "images_per_user", images[2], "job-1", ordinary_user)
        firn.run("detach", "--lease", "job-1", user=ordinary_user)
        attach(firn, images[2], "job-3", user=ordinary_user)
        assert len(node.images()) == 4


def test_what_lingers_goes_earlier(firn, firnd, fuse, ordinary_user, images, directory):
    with limited(firnd, firn, directory, "images_per_user: 2", linger=600) as node:
        attach(firn, images[3], "root")
        firn.run("detach", "--lease", "root")
        for number in range(3):
            attach(firn, images[number], "job", user=ordinary_user)
            firn.run("detach", "--lease", "job", user=ordinary_user)
        node.wait_for(lambda: {image["image"] for image in node.images()}
                      == {str(image) for image in (images[1], images[2], images[3])},
                      "something else lingers")


def test_owners(firn, firnd, fuse, ordinary_user, images, directory):
    with limited(firnd, firn, directory, "owners_per_user: 2") as node:
        copies = []
        for number in range(3):
            copies.append(directory / f"{number}.firn")
            shutil.copyfile(images[number], copies[-1])
            copies[-1].chmod(0o644)
            os.chown(copies[-1], 60_000 + number, 60_000)
        directory.chmod(0o755)
        attach(firn, copies[0], "job", user=ordinary_user)
        attach(firn, copies[1], "job", user=ordinary_user)
        refused(firn, "owners_per_user", copies[2], "job", ordinary_user)
        attach(firn, copies[2], "root")
        assert len(node.status()["pools"]) == 3


def test_leases_and_a_status_of_many(firn, firnd, fuse, ordinary_user, images, directory):
    with limited(firnd, firn, directory, "leases_per_user: 600") as node:
        def lease(name):
            with open(images[0], "rb") as file:
                socket.send_fds(client, [json.dumps({
                    "op": "attach", "path": str(images[0]), "view": False, "lease": "name",
                    "name": name}).encode()], [file.fileno()])
            return json.loads(client.recv(1 << 16))

        # A lease's holder is who connected.
        code = ("import json, socket, sys\n"
                "file = open(sys.argv[1], 'rb')\n"
                "client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
                "client.connect('/run/firn/firnd.sock')\n"
                "for number in range(601):\n"
                "    socket.send_fds(client, [json.dumps({'op': 'attach', 'path': sys.argv[1],\n"
                "        'view': False, 'lease': 'name', 'name': f'{number:0240}'}).encode()],\n"
                "        [file.fileno()])\n"
                "    answer = json.loads(client.recv(1 << 16))\n"
                "    if 'error' in answer:\n"
                "        sys.exit(f\"{number} {answer['error']['message']}\")\n")
        result = ordinary_user.run("/usr/bin/python3", "-c", code, images[0])
        assert result.stderr.startswith("600 uid ")
        assert "leases_per_user" in result.stderr
        with connect() as client:
            assert "slot" in lease("roots")
            assert "1 to 255 bytes" in lease("x" * 5000)["error"]["message"]
        # Far longer than what a message takes.
        assert len(json.dumps(ask_status())) > 1 << 17
        (image,) = node.images()
        assert len(image["leases"]) == 601


def test_a_message_that_nests_without_end(firn, firnd, fuse, images, directory):
    """Copied, it would take all of the keeper's stack: its client is let go."""
    with limited(firnd, firn, directory, "clients: 30"):
        deep = b"[" * 30_000 + b"]" * 30_000
        for message in (b'{"op": "attach", "below": ' + deep + b"}", deep):
            with connect() as client:
                client.send(message)
                assert client.recv(1 << 16) == b""
        attach(firn, images[0], "root")


def test_connections(firn, firnd, fuse, ordinary_user, images, directory):
    with limited(firnd, firn, directory, "clients_per_user: 20, clients: 30"):
        # Each says something often enough to stay.
        code = ("import socket, sys, time\n"
                "clients = []\n"
                "for _ in range(20):\n"
                "    clients.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))\n"
                "    clients[-1].connect('/run/firn/firnd.sock')\n"
                "    clients[-1].send(b'{\"op\": \"status\"}')\n"
                "    clients[-1].recv(1 << 16)\n"
                "print('up', flush=True)\n"
                "sys.stdin.readline()\n")

        def hold():
            holder = subprocess.Popen(["/usr/bin/python3", "-c", code], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True,
                                      **ordinary_user.popen_arguments())
            assert holder.stdout.readline() == "up\n"
            return holder

        holder = hold()
        refused(firn, "clients_per_user", images[0], "job", ordinary_user)
        attach(firn, images[0], "root")  # others are not hurt
        holder.communicate("\n", timeout=DEADLINE)
        attach(firn, images[0], "job", user=ordinary_user)
        # All together.
        with contextlib.ExitStack() as stack:
            for _ in range(30):
                client = stack.enter_context(connect())
                client.send(b'{"op": "status"}')
                client.recv(1 << 16)
            with connect() as last:
                assert ("limits: clients in firnd.yaml"
                        in json.loads(last.recv(1 << 16))["error"]["message"])


def test_without_descriptors_nothing_spins(firn, firnd, fuse, images, directory):
    """A firnd that can take no more clients waits, and takes them when it can again."""
    config = write_config(directory, "linger: 0\n")
    wrapper = directory / "firnd"
    wrapper.write_text(f"#!/bin/sh\nulimit -n 64\nexec {firnd} \"$@\"\n")
    wrapper.chmod(0o755)
    with serving(wrapper, firn, "--config", config) as node:
        attach(firn, images[0], "before")
        clients = [connect() for _ in range(100)]
        line = node.process.stderr.readline()
        while "cannot take a client" not in line:
            assert line
            line = node.process.stderr.readline()
        for client in clients:
            client.close()
        attach(firn, images[1], "after")
