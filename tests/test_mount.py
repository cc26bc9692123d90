"""firn mount, unmount and status, and the daemon behind them."""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import random
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys

import pytest

from harness.mounts import is_mounted, mksquashfs, unmount
from harness.users import User

INPUT, DAMAGED, SYSTEM, MOUNT_POINT, NO_REPLY, INTERRUPTED = 3, 5, 7, 8, 9, 130
DEADLINE_MS = 60_000
RUNTIME_DIRECTORY = pathlib.Path("/run/firn")


@pytest.fixture(scope="module")
def tree(scratch):
    root = scratch / "mount-tree"
    (root / "bin").mkdir(parents=True)
    (root / "data").write_bytes(random.Random(1).randbytes(3_000_000))
    (root / "bin" / "small").write_text("small\n")
    (root / "link").symlink_to("data")
    return root


@pytest.fixture(scope="module")
def image(firn, scratch, tree):
    image = firn.build(tree, scratch / "mount.firn", "--prefix", "/opt/firn-mount-test")
    image.chmod(0o644)
    return image


@pytest.fixture
def place(user, directory):
    """An empty directory of the user's."""
    if user.uid is not None:
        os.chown(directory, user.uid, user.uid)
    return directory


class Process:
    """A process that is nobody's child here, held by a pidfd."""

    def __init__(self, pid):
        self.pid = pid
        self._fd = os.pidfd_open(pid)

    def wait(self):
        """Until it has ended."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        assert poll.poll(DEADLINE_MS), f"process {self.pid} does not end"

    def is_running(self):
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return not poll.poll(0)

    def send(self, number):
        signal.pidfd_send_signal(self._fd, number)


def mount(firn, image, place, *options, user=None):
    """Mounts for the test to unmount; gives the process of firnd and what `firn mount` printed."""
    printed = json.loads(firn.run("mount", "--json", *options, image, place, user=user).stdout)
    return Process(printed["pid"]), printed


def kill_firnd(firn, place, user=None):
    """Keeper and worker, at once dead: nobody is left who could go on."""
    status = status_of(firn, place, user)
    processes = [Process(status[role]) for role in ("pid", "worker")]
    for process in processes:
        process.send(signal.SIGKILL)
    for process in processes:
        process.wait()


def wait_until_not_mounted(place):
    """Changes of the mount table can be polled for."""
    with open("/proc/self/mountinfo", "rb") as table:
        poll = select.poll()
        poll.register(table, select.POLLPRI)
        while is_mounted(place):
            assert poll.poll(DEADLINE_MS)


def failing(firn, code, *arguments, **options):
    result = firn.run(*arguments, check=False, **options)
    assert (result.returncode, result.stdout) == (code, ""), result.stderr
    assert result.stderr.startswith("firn: error: ")
    return result.stderr


def status_of(firn, place, user=None):
    (mounted,) = firn.status(place, user=user)["mounts"]
    return mounted


def requests_during(firn, place, command):
    """What a command sends to firnd: requests by opcode."""
    before = status_of(firn, place)["requests"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = status_of(firn, place)["requests"]
    return {name: after[name] - before.get(name, 0) for name in after
            if after[name] != before.get(name, 0)}


def reclaimed():
    """Grows when the kernel takes pages of files or its memory of names away: for want of memory, or
    because DAMON found that nobody had used them lately, which /proc/vmstat does not count."""
    lines = pathlib.Path("/proc/vmstat").read_text().splitlines()
    taken = sum(int(line.split()[1]) for line in lines
                if line.startswith(("pgsteal_", "drop_", "slabs_scanned")))
    for daemon in pathlib.Path("/sys/kernel/mm/damon/admin/kdamonds").glob("[0-9]*"):
        try:
            (daemon / "state").write_text("update_schemes_stats")
        except OSError:
            continue  # not running
        taken += sum(int(stat.read_text())
                     for stat in daemon.glob("contexts/*/schemes/*/stats/sz_applied"))
    return taken


def requests_when_warm(firn, place, command):
    """What a command sends that has run before; once more where the kernel forgot meanwhile, and a
    few times where nothing tells that it did: what is asked each time is found all the same."""
    unexplained = 0
    for _ in range(30):
        before = reclaimed()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        sent = requests_during(firn, place, command)
        unexplained += reclaimed() == before
        if unexplained > 3 or not sent.keys() - {"IOCTL", "STATFS"}:
            break
    return sent


def warm_commands(place, reference):
    python = place / "bin" / "python3"
    return [[python, "-c", "import numpy, scipy"],
            ["ls", "-lR", place],
            ["find", place, "-type", "f", "-newer", reference]]


# Warm and cold.

def test_warm_through_an_overlay_the_daemon_is_not_asked(firn, root_user, environment_image,
                                                         scratch):
    with firn.mounted(environment_image, "--view", "overlay") as place:
        for command in warm_commands(place, environment_image):
            assert requests_when_warm(firn, place, command) == {}, command


def test_warm_without_an_overlay_terminal_questions_are_left(firn, root_user, environment_image,
                                                             record_property):
    """What FUSE passes on however often it was answered: ioctl and statfs."""
    with firn.mounted(environment_image, "--view", "direct") as place:
        python, ls, find = warm_commands(place, environment_image)
        sent = requests_when_warm(firn, place, python)
        assert sent.keys() == {"IOCTL"}
        record_property("ioctls", sent["IOCTL"])
        print(f"direct view: import numpy, scipy asks {sent['IOCTL']} files if they are terminals")
        assert requests_when_warm(firn, place, ls) == {}
        assert requests_when_warm(firn, place, find).keys() <= {"STATFS"}


READER = """
import hashlib, os, random, sys
root, seed = sys.argv[1:]
paths = [os.path.join(d, f) for d, _, files in os.walk(root) for f in files]
paths.sort()
order = list(range(len(paths)))
random.Random(int(seed)).shuffle(order)
digests = [None] * len(paths)
print("ready", flush=True)
sys.stdin.read()
for i in order:
    with open(paths[i], "rb") as file:
        digests[i] = hashlib.sha256(file.read()).hexdigest()
print(hashlib.sha256(" ".join(digests).encode()).hexdigest())
"""

BLOCK = 128 << 10


@pytest.fixture(scope="module")
def counted_tree(scratch):
    """Files that are whole blocks or parts of a fragment, no two alike; (tree, data blocks)."""
    root = scratch / "counted"
    root.mkdir()
    blocks = 0
    for number in range(60):
        source = random.Random(number)
        size = (1 + number % 5) * BLOCK if number % 2 else source.randrange(1, BLOCK)
        blocks += size // BLOCK
        # Half of it compresses, so that the blocks are stored compressed.
        (root / f"file-{number}").write_bytes(source.randbytes(size // 2).ljust(size, b"x"))
    return root, blocks


def fragment_blocks(image):
    text = subprocess.run(["unsquashfs", "-stat", image], check=True, capture_output=True,
                          text=True).stdout
    return int(re.search(r"Number of fragments (\d+)", text).group(1))


@pytest.mark.concurrent
@pytest.mark.parametrize("maker", ["firn", "mksquashfs"])
@pytest.mark.parametrize("view", ["overlay", "direct"])
def test_cold_sixteen_readers_decode_each_block_once(firn, root_user, counted_tree, scratch, maker,
                                                     view, directory):
    tree, data_blocks = counted_tree
    image = directory / "counted.image"
    options = ["--view", view]
    if maker == "firn":
        firn.build(tree, image, "--block-size", str(BLOCK), "--prefix", "/opt/counted")
    else:
        mksquashfs(tree, image, "-b", str(BLOCK), "-comp", "zstd")
        options.append("--foreign")
    with firn.mounted(image, *options) as place:
        readers = [subprocess.Popen([sys.executable, "-c", READER, place, str(seed)],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                   for seed in range(16)]
        for reader in readers:
            assert reader.stdout.readline() == "ready\n"
        for reader in readers:
            reader.stdin.close()
        digests = {reader.stdout.read() for reader in readers}
        assert [reader.wait() for reader in readers] == [0] * 16
        expected = subprocess.run([sys.executable, "-c", READER, tree, "0"], input="",
                                  capture_output=True, text=True, check=True).stdout
        assert digests == {expected.removeprefix("ready\n")}
        decoded = status_of(firn, place)["decoded"]
    assert decoded["data"] == data_blocks
    assert decoded["fragment"] == fragment_blocks(image)


def test_a_cache_smaller_than_a_block_serves_the_same(firn, root_user, image, tree):
    with firn.mounted(image, "--cache-size", "4KiB", "--threads", "3") as place:
        assert status_of(firn, place)["threads"] == 3
        assert (place / "data").read_bytes() == (tree / "data").read_bytes()


def test_attaching_reads_as_little_of_a_large_image_as_of_a_small_one(firn, root_user, directory):
    read = []
    for count in (20, 20_000):
        tree = directory / f"tree-{count}"
        for number in range(count):
            parent = tree / f"{number % 100}"
            parent.mkdir(parents=True, exist_ok=True)
            (parent / f"{number}").write_text(f"{number}\n")
        image = firn.build(tree, directory / f"{count}.firn", "--prefix", "/opt/attach")
        with firn.mounted(image) as place:
            mounted = status_of(firn, place)
            read.append((mounted["bytes_read"], mounted["requests_total"]))
    (small_bytes, small_requests), (large_bytes, large_requests) = read
    assert large_requests == small_requests
    # A page of digests and a metadata block more are what may differ.
    assert large_bytes < small_bytes + 4 * 65536


# Mounting and unmounting.

def test_mount_shows_the_tree_and_unmount_takes_it_away(firn, user, image, tree, place):
    firnd, printed = mount(firn, image, place, user=user)
    assert printed["image"] == str(image)
    assert printed["mount_point"] == str(place)
    assert printed["view"] == ("overlay" if user.uid is None else "direct")
    assert user.run("cat", place / "bin" / "small").stdout == "small\n"
    assert user.run("cmp", place / "link", tree / "data").returncode == 0
    firn.run("unmount", place, user=user)
    firnd.wait()
    assert not is_mounted(place)
    assert not os.path.exists(printed["control"])
    assert os.listdir(place) == []


def test_the_mount_is_read_only_nosuid_nodev(firn, user, image, place):
    firnd, _ = mount(firn, image, place, user=user)
    flags = json.loads(user.run(sys.executable, "-c", "import os, sys, json; print(json.dumps("
                                "os.statvfs(sys.argv[1]).f_flag))", place).stdout)
    wanted = os.ST_RDONLY | os.ST_NOSUID | os.ST_NODEV
    assert flags & wanted == wanted
    firn.run("unmount", place, user=user)
    firnd.wait()


@pytest.mark.parametrize("view", ["overlay", "direct"])
def test_roots_mount_is_for_everybody(firn, root_user, ordinary_user, image, directory, view):
    with firn.mounted(image, "--view", view, directory=directory):
        assert ordinary_user.run("cat", directory / "bin" / "small").stdout == "small\n"


def test_an_ordinary_users_mount_is_for_that_user_only(firn, ordinary_user, root_user, image):
    with firn.mounted(image, user=ordinary_user) as place:
        assert ordinary_user.run("cat", place / "bin" / "small").stdout == "small\n"
        with pytest.raises(PermissionError):
            os.listdir(place)


@pytest.mark.parametrize("view", ["overlay", "direct"])
def test_a_plain_umount_ends_firnd(firn, root_user, image, directory, view):
    firnd, printed = mount(firn, image, directory, "--view", view)
    subprocess.run(["umount", directory], check=True)
    firnd.wait()
    assert not is_mounted(directory)
    assert not os.path.exists(printed["control"])


def test_fusermount_ends_the_firnd_of_an_ordinary_user(firn, ordinary_user, image):
    place = ordinary_user.make_directory("plain")
    firnd, printed = mount(firn, image, place, user=ordinary_user)
    assert ordinary_user.run("fusermount3", "-u", place).returncode == 0
    firnd.wait()
    assert not os.path.exists(printed["control"])


def test_nothing_hidden_stays_mounted(firn, root_user, image, directory):
    def mount_count():
        return len(pathlib.Path("/proc/self/mountinfo").read_text().splitlines())
    before = mount_count()
    with firn.mounted(image, directory=directory):
        assert mount_count() == before + 1
    assert mount_count() == before


def test_two_mounts_of_one_image(firn, user, image, tree):
    with firn.mounted(image, user=user) as first, firn.mounted(image, user=user) as second:
        assert status_of(firn, first, user)["pid"] != status_of(firn, second, user)["pid"]
        firn_places = {mounted["mount_point"] for mounted in firn.status(user=user)["mounts"]}
        assert {str(first), str(second)} <= firn_places
        for place in (first, second):
            assert user.run("cmp", place / "data", tree / "data").returncode == 0


@pytest.mark.parametrize("name", ["with space", "comma,colon:", "back\\slash", "#hash",
                                  "tab\tnewline\n", "umläut"])
def test_odd_names(firn, user, image, place, name):
    odd_image = place / f"{name}.firn"
    shutil.copyfile(image, odd_image)
    odd_image.chmod(0o644)
    odd_place = place / name
    odd_place.mkdir()
    if user.uid is not None:
        os.chown(odd_place, user.uid, user.uid)
    firnd, printed = mount(firn, odd_image, odd_place, user=user)
    assert printed["image"] == str(odd_image)
    assert user.run("cat", odd_place / "bin" / "small").stdout == "small\n"
    assert status_of(firn, odd_place, user)["image"] == str(odd_image)
    assert str(odd_image) in failing(firn, MOUNT_POINT, "mount", image, odd_place, user=user)
    firn.run("unmount", odd_place, user=user)
    firnd.wait()


def test_relative_paths_and_symlinks_name_the_same_mount(firn, root_user, image, directory):
    (directory / "real").mkdir()
    (directory / "symlink").symlink_to("real")
    shutil.copyfile(image, directory / "relative.firn")
    firn.run("mount", "relative.firn", "symlink", cwd=directory)
    try:
        assert is_mounted(directory / "real")
        assert status_of(firn, directory / "symlink")["image"] == str(directory / "relative.firn")
    finally:
        firn.run("unmount", "symlink/", cwd=directory)
    assert not is_mounted(directory / "real")


def test_a_user_namespaces_root_mounts_too(firn, ordinary_user, image):
    place = ordinary_user.make_directory("namespace")
    script = (f"'{firn.path}' mount '{image}' '{place}' >&2 && cat '{place}/bin/small' && "
              f"'{firn.path}' unmount '{place}'")
    result = ordinary_user.run("unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
                               script)
    if "unshare" in result.stderr and "failed" in result.stderr:
        pytest.skip("this machine allows ordinary users no user namespaces")
    assert (result.returncode, result.stdout) == (0, "small\n"), result.stderr


# Signals and deaths.

def test_sigterm_unmounts(firn, user, image, place):
    firnd, printed = mount(firn, image, place, user=user)
    firnd.send(signal.SIGTERM)
    firnd.wait()
    assert not is_mounted(place)
    assert not os.path.exists(printed["control"])


@pytest.mark.parametrize("view", ["overlay", "direct"])
def test_sigterm_while_in_use_serves_the_last_user(firn, root_user, image, tree, directory, view):
    firnd, printed = mount(firn, image, directory, "--view", view)
    with open(directory / "data", "rb") as used:
        firnd.send(signal.SIGTERM)
        wait_until_not_mounted(directory)
        assert firnd.is_running()
        assert os.listdir(directory) == []
        assert used.read() == (tree / "data").read_bytes()
    firnd.wait()
    assert not os.path.exists(printed["control"])


def test_a_second_sigterm_ends_firnd_at_once(firn, root_user, image, directory):
    firnd, _ = mount(firn, image, directory)
    used = os.open(directory / "data", os.O_RDONLY)
    firnd.send(signal.SIGTERM)
    wait_until_not_mounted(directory)
    firnd.send(signal.SIGTERM)
    firnd.wait()
    with pytest.raises(OSError) as error:
        os.read(used, 1 << 20)
    assert error.value.errno in (errno.ENOTCONN, errno.ECONNABORTED)
    with contextlib.suppress(OSError):  # closing asks the daemon too
        os.close(used)


def test_a_killed_firnd_leaves_a_mount_that_unmount_cleans_up(firn, user, image, place):
    _, printed = mount(firn, image, place, user=user)
    kill_firnd(firn, place, user)
    assert user.run("cat", place / "data").returncode != 0
    dead = status_of(firn, place, user)
    assert (dead["alive"], dead["image"]) == (False, str(image))
    assert not os.path.exists(printed["control"]), "status removes sockets of the dead"
    text = failing(firn, MOUNT_POINT, "mount", image, place, user=user)
    assert f"firn unmount {place}" in text
    firn.run("unmount", place, user=user)
    assert not is_mounted(place)
    with firn.mounted(image, directory=place, user=user):
        assert user.run("cat", place / "bin" / "small").stdout == "small\n"


@pytest.mark.parametrize("view", ["overlay", "direct"])
def test_reads_from_a_killed_firnd_fail_as_not_connected(firn, root_user, image, directory, view):
    mount(firn, image, directory, "--view", view)
    kill_firnd(firn, directory)
    with pytest.raises(OSError) as error:
        (directory / "bin" / "small").read_bytes()
    assert error.value.errno == errno.ENOTCONN
    firn.run("unmount", directory)
    assert not is_mounted(directory)


def test_foreground_serves_until_interrupted(firn, firnd, root_user, image, directory):
    with subprocess.Popen([firnd, "--foreground", image, directory], stderr=subprocess.PIPE,
                          text=True) as daemon:
        assert f"serving {image} at {directory}" in daemon.stderr.readline()
        assert (directory / "bin" / "small").read_text() == "small\n"
        daemon.send_signal(signal.SIGINT)
        assert "unmounting" in daemon.stderr.read()
        assert daemon.wait(timeout=60) == 0
    assert not is_mounted(directory)


def test_the_background_daemon_holds_nothing_of_its_caller(firn, firnd, root_user, image,
                                                           directory):
    subprocess.run([firnd, image, directory], check=True, timeout=60)
    daemon = pathlib.Path("/proc") / str(status_of(firn, directory)["pid"])
    assert os.readlink(daemon / "cwd") == "/"
    assert {os.readlink(daemon / "fd" / str(fd)) for fd in range(3)} == {"/dev/null"}
    fields = (daemon / "stat").read_text().rpartition(")")[2].split()
    parent, group, session, terminal = (int(word) for word in fields[1:5])
    assert parent != os.getpid() and group == session and terminal == 0
    assert session not in (os.getsid(0), int(daemon.name)), "a session leader could get a terminal"
    firn.run("unmount", directory)


def test_who_starts_firnd_and_goes_away_leaves_nothing_mounted(firn, firnd, root_user, image,
                                                               directory):
    read_end, write_end = os.pipe()
    os.close(read_end)
    result = subprocess.run([firnd, "--foreground", "--ready-fd", str(write_end), image, directory],
                            pass_fds=[write_end], capture_output=True, text=True, timeout=60)
    os.close(write_end)
    assert result.returncode == INTERRUPTED, result.stderr
    assert not is_mounted(directory)


@pytest.mark.parametrize("script", ["kill -9 $$", "exit 0", "exit 3",
                                    "echo nonsense >/proc/self/fd/${3##*=}"])
def test_a_firnd_that_dies_before_it_is_ready(firn, root_user, image, directory, script):
    fake = directory / "firnd"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    (directory / "mnt").mkdir()
    text = failing(firn, NO_REPLY, "mount", image, directory / "mnt",
                   env=os.environ | {"FIRND": str(fake)})
    assert "firnd" in text
    assert not is_mounted(directory / "mnt")


def processes_with(argument):
    """The processes of firnd that have this word in their command line."""
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if words[0].endswith(b"firnd") and argument.encode() in words:
                yield int(entry.name)


def test_a_firnd_that_is_killed_before_it_is_ready(firn, root_user, image, directory):
    log = directory / "log"
    os.mkfifo(log)  # firnd waits in open(2) for a reader, who never comes
    (directory / "mnt").mkdir()
    with subprocess.Popen([firn.path, "mount", "--log-file", log, image, directory / "mnt"],
                          stderr=subprocess.PIPE, text=True) as mounting:
        while mounting.poll() is None:
            for pid in processes_with(f"--log-file={log}"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        assert mounting.returncode == NO_REPLY
        assert "before it was ready" in mounting.stderr.read()
    assert not is_mounted(directory / "mnt")


def test_a_missing_firnd(firn, root_user, image, directory):
    text = failing(firn, NO_REPLY, "mount", image, directory,
                   env=os.environ | {"FIRND": "/no/such/firnd"})
    assert "/no/such/firnd" in text


# What is refused.

def test_bad_mount_points(firn, user, image, place):
    (place / "file").write_text("")
    (place / "full").mkdir()
    (place / "full" / "something").write_text("")
    for name, said in (("missing", "does not exist"), ("file", "expected a directory"),
                       ("full", "not empty")):
        text = failing(firn, MOUNT_POINT, "mount", image, place / name, user=user)
        assert said in text and str(place / name) in text
        assert len(text.splitlines()) == 2, "a message and what to do"


def test_a_mount_point_in_use_names_its_image(firn, user, image, place):
    with firn.mounted(image, directory=place, user=user):
        text = failing(firn, MOUNT_POINT, "mount", image, place, user=user)
        assert str(image) in text.splitlines()[0]
        assert f"firn unmount {place}" in text
        assert user.run("cat", place / "bin" / "small").stdout == "small\n"


def test_a_directory_that_the_user_may_not_mount_on(firn, ordinary_user, root_user, image,
                                                    directory):
    text = failing(firn, MOUNT_POINT, "mount", image, directory, user=ordinary_user)
    assert "write access" in text and str(directory) in text
    assert not is_mounted(directory)


@pytest.mark.parametrize("words, code", [(["missing.firn"], INPUT), (["."], INPUT)])
def test_bad_images(firn, user, place, words, code):
    (place / "mnt").mkdir()
    failing(firn, code, "mount", place / words[0], place / "mnt", user=user)
    assert not is_mounted(place / "mnt")


def test_an_image_of_another_format_is_refused_by_firnd_and_reaches_the_caller(firn, user, place):
    (place / "image").write_bytes(b"nothing of the kind" * 1000)
    (place / "image").chmod(0o644)
    (place / "mnt").mkdir()
    text = failing(firn, DAMAGED, "mount", place / "image", place / "mnt", user=user)
    assert str(place / "image") in text
    assert not is_mounted(place / "mnt")


def test_unmount_refuses_what_is_not_its_own(firn, root_user, image, directory):
    assert "nothing is mounted" in failing(firn, MOUNT_POINT, "unmount", directory)
    assert "does not exist" in failing(firn, MOUNT_POINT, "unmount", directory / "missing")
    subprocess.run(["mount", "-t", "tmpfs", "other", directory], check=True)
    try:
        assert "tmpfs" in failing(firn, MOUNT_POINT, "unmount", directory)
        assert is_mounted(directory)
    finally:
        unmount(directory)


def test_unmount_of_somebody_elses_mount(firn, root_user, ordinary_user, image, directory):
    with firn.mounted(image, directory=directory):
        failing(firn, MOUNT_POINT, "unmount", directory, user=ordinary_user)
        assert is_mounted(directory)


def test_unmount_while_in_use(firn, user, image, place):
    firnd, _ = mount(firn, image, place, user=user)
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(["sh", "-c", f"cd '{place}' && echo there && read line"],
                          **(user.popen_arguments() | options)) as used:
        assert used.stdout.readline() == "there\n"
        text = failing(firn, MOUNT_POINT, "unmount", place, user=user)
        assert "in use" in text and "--lazy" in text
        assert is_mounted(place)
        firn.run("unmount", "--lazy", place, user=user)
        assert not is_mounted(place)
        assert firnd.is_running()
        used.communicate("\n")
    firnd.wait()


def test_unmount_says_when_another_namespace_keeps_the_image(firn, root_user, image, directory):
    firnd, _ = mount(firn, image, directory)
    # A namespace that has its own copy of the mount, as a job or a container may have.
    with subprocess.Popen(["unshare", "--mount", "sh", "-c", "echo there; read line"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "there\n"
        result = firn.run("unmount", directory)
        assert "another mount namespace" in result.stderr
        assert not is_mounted(directory)
        assert firnd.is_running()
        other.communicate("\n")
    firnd.wait()


# What the machine lacks.

@contextlib.contextmanager
def other_fuse_device(path):
    """A command's start in a mount namespace where `path` stands in for /dev/fuse."""
    yield ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /dev/fuse && exec "$@"', path]


def run_with_fuse_device(path, firn, *arguments, user=None):
    with other_fuse_device(path) as start:
        command = [*start]
        if user is not None and user.uid is not None:
            command += ["setpriv", f"--reuid={user.uid}", f"--regid={user.uid}", "--clear-groups"]
        command += [str(firn.path), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60,
                              env=user.environment() if user else None)


def test_without_the_fuse_device(firn, root_user, image, directory):
    result = run_with_fuse_device("/dev/null", firn, "mount", image, directory)
    assert result.returncode == SYSTEM
    assert "/dev/fuse" in result.stderr and "Ask the site" in result.stderr
    assert not is_mounted(directory)


def test_a_fuse_device_that_the_user_may_not_open(firn, root_user, ordinary_user, image, directory):
    node = directory / "fuse"
    os.mknod(node, stat.S_IFCHR | 0o600, os.makedev(10, 229))
    place = ordinary_user.make_directory("forbidden")
    result = run_with_fuse_device(node, firn, "mount", image, place, user=ordinary_user)
    assert result.returncode == SYSTEM
    assert "/dev/fuse" in result.stderr and "0666" in result.stderr
    assert not is_mounted(place)


def test_without_fusermount3(firn, ordinary_user, image):
    place = ordinary_user.make_directory("no-fusermount")
    text = failing(firn, SYSTEM, "mount", image, place, user=ordinary_user,
                   env=ordinary_user.environment() | {"PATH": "/nonexistent"})
    assert "fusermount3" in text and "Ask the site" in text


def test_fusermount3_without_effect(firn, ordinary_user, image):
    place = ordinary_user.make_directory("no-new-privs")
    result = ordinary_user.run("setpriv", "--no-new-privs", firn.path, "mount", image, place)
    assert result.returncode == SYSTEM
    assert "no_new_privs" in result.stderr
    assert not is_mounted(place)


def test_an_overlay_that_cannot_be_had_is_named(firn, ordinary_user, image):
    place = ordinary_user.make_directory("no-overlay")
    text = failing(firn, SYSTEM, "mount", "--view", "overlay", image, place, user=ordinary_user)
    assert "--view direct" in text
    with firn.mounted(image, directory=place, user=ordinary_user):
        mounted = status_of(firn, place, ordinary_user)
        assert mounted["view"] == "direct"
        assert "CAP_SYS_ADMIN" in mounted["view_reason"]


# Status and the control socket.

def test_status_tells_what_a_session_does(firn, user, image, tree):
    with firn.mounted(image, user=user) as place:
        user.run("sha256sum", place / "data")
        told = status_of(firn, place, user)
        inspected = json.loads(firn.run("inspect", "--json", image).stdout)
        assert told["id"] == inspected["id"]
        assert told["prefix"] == "/opt/firn-mount-test"
        assert told["name"] == inspected["name"]
        assert not told["foreign"] and not told["job"]
        assert told["uid"] == (0 if user.uid is None else user.uid)
        assert told["requests"]["INIT"] == 1
        assert told["requests_total"] == sum(told["requests"].values())
        assert told["decoded"]["data"] >= 1
        assert told["bytes_read"] >= (tree / "data").stat().st_size
        assert told["cache"]["capacity"] == 64 << 20
        assert 0 < told["cache"]["bytes"] <= told["cache"]["capacity"]
        assert sum(told["errors"].values()) == 0
        table = firn.run("status", user=user).stdout
        assert str(place) in table and str(image) in table
        details = firn.run("status", place, user=user).stdout
        assert inspected["id"] in details and "READ" in details


def test_status_of_what_is_not_mounted(firn, root_user, directory):
    assert str(directory) in failing(firn, MOUNT_POINT, "status", directory)


def test_root_sees_sessions_of_users_and_they_not_roots(firn, root_user, ordinary_user, image,
                                                        directory):
    # Where root looks: users' directories in /tmp, when there is no XDG_RUNTIME_DIR.
    environment = ordinary_user.environment()
    del environment["XDG_RUNTIME_DIR"]
    place = ordinary_user.make_directory("seen")
    with firn.mounted(image, directory=directory):
        firn.run("mount", image, place, user=ordinary_user, env=environment)
        try:
            assert {str(directory), str(place)} <= {
                mounted["mount_point"] for mounted in firn.status()["mounts"]}
            seen = json.loads(firn.run("status", "--json", user=ordinary_user,
                                       env=environment).stdout)["mounts"]
            assert str(directory) not in {mounted["mount_point"] for mounted in seen}
        finally:
            firn.run("unmount", place, user=ordinary_user, env=environment)
    assert not os.path.exists(f"/tmp/firn-{ordinary_user.uid}")


def test_a_client_that_says_half_holds_up_nobody(firn, root_user, image, directory):
    firnd, printed = mount(firn, image, directory)
    with contextlib.ExitStack() as clients:
        for said in (b"", b'{"op":', b"x" * 3000):
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(printed["control"])
            client.sendall(said)
        assert status_of(firn, directory)["pid"] == firnd.pid
        refused = clients.enter_context(socket.socket(socket.AF_UNIX))
        refused.connect(printed["control"])
        answers = refused.makefile()
        for request in (b"nonsense\n", b'{"op":"format the disk"}\n', b"[]\n"):
            refused.sendall(request)
            assert "error" in json.loads(answers.readline())
        refused.sendall(b'{"op":"status"}\n')
        assert json.loads(answers.readline())["pid"] == firnd.pid
        firn.run("unmount", directory)
    firnd.wait()


def test_control_sockets_are_their_users_alone(firn, user, image, place):
    _, printed = mount(firn, image, place, user=user)
    control = pathlib.Path(printed["control"])
    # 0711 where root's firnd serves the node, whose socket is for everybody.
    assert stat.S_IMODE(control.parent.stat().st_mode) in (0o700, 0o711)
    if user.uid is None:
        assert control.parent == RUNTIME_DIRECTORY
    else:
        assert control.parent == user.runtime / "firn"
    firn.run("unmount", place, user=user)


def test_a_runtime_directory_of_somebody_else_is_refused(firn, ordinary_user, root_user, image,
                                                         directory):
    (directory / "firn").mkdir(mode=0o700)  # root's
    directory.chmod(0o777)
    place = ordinary_user.make_directory("hijacked")
    text = failing(firn, SYSTEM, "mount", image, place, user=ordinary_user,
                   env=ordinary_user.environment() | {"XDG_RUNTIME_DIR": str(directory)})
    assert str(directory / "firn") in text
    assert not is_mounted(place)


# Errors while serving.

def test_a_flipped_bit_is_an_error_a_log_line_and_counted(firn, root_user, image, tree, directory):
    hurt = directory / "hurt.firn"
    content = bytearray(image.read_bytes())
    at = content.index((tree / "data").read_bytes()[1_000_000:1_000_064])
    content[at] ^= 1
    hurt.write_bytes(content)
    log = directory / "firnd.log"
    (directory / "mnt").mkdir()
    with firn.mounted(hurt, "--log-file", log, directory=directory / "mnt") as place:
        with pytest.raises(OSError) as error:
            (place / "data").read_bytes()
        assert error.value.errno == errno.EIO
        assert (place / "bin" / "small").read_text() == "small\n"
        assert status_of(firn, place)["errors"]["damaged"] > 0
    text = log.read_text()
    assert str(hurt) in text and "offset" in text
    # However often it is read, the log stays short.
    assert len(text.splitlines()) < 40


def test_a_log_file_that_cannot_be_written(firn, root_user, image, directory):
    text = failing(firn, 4, "mount", "--log-file", "/nonexistent/log", image, directory)
    assert "/nonexistent/log" in text
    assert not is_mounted(directory)


def test_contents_are_right_under_many_readers(firn, user, image, tree):
    expected = hashlib.sha256((tree / "data").read_bytes()).hexdigest()
    with firn.mounted(image, user=user) as place:
        options = {"stdout": subprocess.PIPE, "text": True}
        readers = [subprocess.Popen(["sha256sum", place / "data"],
                                    **(user.popen_arguments() | options)) for _ in range(8)]
        assert {reader.communicate()[0].split()[0] for reader in readers} == {expected}


def test_help_names_what_it_takes(firn):
    for command, words in (("mount", ["--foreign", "--view", "--cache-size", "--threads",
                                      "--log-file", "--json"]),
                           ("unmount", ["--lazy"]), ("status", ["--json"])):
        text = firn.run(command, "--help").stdout
        for word in (*words, "Examples:"):
            assert word in text


def test_firnd_refuses_wrong_words(firnd):
    for words in ([], ["one"], ["--fuse-fd", "3", "a", "b"], ["--image-fd", "3", "x"],
                  ["--view", "sideways", "a", "b"], ["--threads", "0", "a", "b"]):
        result = subprocess.run([firnd, *words], capture_output=True, text=True, timeout=60)
        assert result.returncode == 2, words
        assert result.stderr.startswith("firnd: error: ")


def test_users_of_the_harness_are_real(ordinary_user):
    assert isinstance(ordinary_user, User)
    assert ordinary_user.run("id", "-u").stdout.strip() not in ("0", "")
