"""firn profile, and the prefetch of what it recorded when the image is mounted."""

import json
import os
import pathlib
import random
import signal
import subprocess
import time

import pytest

from harness.jobs import DEADLINE, FAILED, NOT_FOUND, children_of

INPUT = 3
MIB = 1 << 20


@pytest.fixture(scope="module")
def tree(scratch):
    """Files of several blocks, small ones, a symlink, and names that need an escape."""
    numbers = random.Random(7)
    root = scratch / "profiled"
    (root / "lib" / "sub dir").mkdir(parents=True)
    for name in ("first", "second", "third"):
        (root / "lib" / name).write_bytes(numbers.randbytes(300_000) * 3)
    for number in range(50):
        (root / "lib" / "sub dir" / f"small {number}").write_bytes(numbers.randbytes(2000))
    (root / "lib" / b"odd-\xff%".decode("utf-8", "surrogateescape")).write_text("odd")
    (root / "link").symlink_to("lib/second")
    return root


@pytest.fixture(scope="module")
def plain(firn, scratch, tree):
    return firn.build(tree, scratch / "plain.firn", "--block-size", "64K",
                      "--prefix", "/opt/firn-profile-test")


def record(firn, image, output, script, *options, user=None, check=True):
    return firn.run("profile", image, "-o", output, *options, "--", "sh", "-c", script, user=user,
                    check=check)


def entries(path):
    lines = path.read_text().splitlines()
    assert lines[0] == "firn-profile 1"
    return [tuple(line.split(" ")) for line in lines[1:]]


SCRIPT = """
cd /opt/firn-profile-test || exit 9
cat link > /dev/null
cat "lib/sub dir/small 3" lib/odd-* > /dev/null
test -e lib/absent
dd if=lib/third bs=65536 skip=10 count=1 of=/dev/null 2> /dev/null
ls lib > /dev/null
sh -c 'cat lib/first' > /dev/null & wait
"""


@pytest.fixture(scope="module")
def profile(firn, fuse, plain, scratch):
    path = scratch / "sample.profile"
    result = record(firn, plain, path, SCRIPT)
    assert "read" in result.stderr
    return path


@pytest.fixture(scope="module")
def image(firn, scratch, tree, profile):
    return firn.build(tree, scratch / "profiled.firn", "--block-size", "64K", "--profile", profile,
                      "--prefix", "/opt/firn-profile-test")


def test_what_the_command_and_its_children_did(profile, tree):
    done = entries(profile)
    read = {}
    for action, path, *numbers in done:
        if action == "read":
            read.setdefault(path, []).append(tuple(int(number) for number in numbers))
    assert read["lib/second"][0][0] == 0  # through the symlink, by its own name
    assert sum(length for _, length in read["lib/second"]) == 900_000
    assert sum(length for _, length in read["lib/first"]) == 900_000
    assert read["lib/sub%20dir/small%203"] == [(0, 2000)]
    assert read["lib/odd-%FF%25"] == [(0, 3)]
    # A part of a file is a part, apart from what the kernel reads ahead.
    assert sum(length for _, length in read["lib/third"]) < 500_000
    assert any(start <= 655_360 < start + length for start, length in read["lib/third"])
    assert ("miss", "lib/absent") in done
    assert ("list", "lib") in done
    assert ("lookup", "link") in done
    order = [path for action, path, *_ in done if action == "read"]
    assert order.index("lib/second") < order.index("lib/third") < order.index("lib/first")
    assert len(set(done)) == len(done)


def test_recording_starts_with_empty_caches(firn, plain, profile, directory):
    """A second recording finds what the first found, whatever the machine still has in memory."""
    again = directory / "again.profile"
    record(firn, plain, again, SCRIPT)
    assert sorted(set(entries(again))) == sorted(set(entries(profile)))


def test_an_ordinary_user_records(firn, plain, profile, ordinary_user, scratch):
    output = ordinary_user.make_directory("recorded") / "own.profile"
    record(firn, plain, output, SCRIPT, user=ordinary_user)
    assert {entry[1] for entry in entries(output)} == {entry[1] for entry in entries(profile)}


def test_the_exit_code_is_the_commands(firn, fuse, plain, directory):
    output = directory / "p.profile"
    result = record(firn, plain, output, "cat /opt/firn-profile-test/lib/first >/dev/null; exit 7",
                    check=False)
    assert result.returncode == 7
    assert output.exists()


def test_nothing_is_written_where_nothing_ran(firn, fuse, plain, directory):
    output = directory / "p.profile"
    result = firn.run("profile", plain, "-o", output, "--", "no-such-program", check=False)
    assert result.returncode == NOT_FOUND
    assert list(directory.iterdir()) == []
    # By its path: in PATH the image's own programs stand first, so it would be looked for there.
    result = firn.run("profile", plain, "-o", output, "--", "/bin/sh", "-c", "exit 0", check=False)
    assert result.returncode == FAILED and "asked nothing" in result.stderr
    assert list(directory.iterdir()) == []
    output.write_text("kept")
    result = record(firn, plain, output, SCRIPT, check=False)
    assert result.returncode == FAILED and "exists" in result.stderr
    assert output.read_text() == "kept"
    record(firn, plain, output, SCRIPT, "--force")
    assert len(entries(output)) > 10


def test_profiles_merge(firn, profile, directory):
    other = directory / "other.profile"
    other.write_text("firn-profile 1\n# by hand\nlookup lib\nread lib/first 0 100\nmiss x\n")
    summary = json.loads(firn.run("profile", "--merge", profile, other, "-o", directory / "m",
                                  "--json").stdout)
    assert summary["misses"] == 1 + sum(entry[0] == "miss" for entry in entries(profile))
    assert entries(directory / "m") == entries(profile) + [("miss", "x")]


@pytest.mark.parametrize("text", ["", "firn-profile 2\nlookup a\n", "firn-profile 1\nlookup ../a\n",
                                  "firn-profile 1\nlookup /etc/passwd\n", "\x7fELF",
                                  "firn-profile 1\nread a 1 99999999999999999999999\n"])
def test_bad_profiles_are_refused(firn, directory, text):
    bad = directory / "bad.profile"
    bad.write_text(text)
    for command in (["profile", "--merge", bad, "-o", directory / "m"],
                    ["build", directory, "-o", directory / "m", "--profile", bad]):
        result = firn.run(*command, check=False)
        assert result.returncode == INPUT, result.stderr
        assert str(bad) in result.stderr
        assert [path.name for path in directory.iterdir()] == ["bad.profile"]


def test_a_profile_without_end_is_refused(firn, directory):
    result = firn.run("profile", "--merge", "/dev/zero", "-o", directory / "m", check=False)
    assert result.returncode == INPUT and "16 MiB" in result.stderr


# Prefetch

def status(firn, place):
    (mount,) = json.loads(firn.run("status", place, "--json").stdout)["mounts"]
    return mount


def wait_for_prefetch(firn, place):
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        mount = status(firn, place)
        if mount["prefetch"]["stage"] != "running":
            return mount
        time.sleep(0.05)
    raise AssertionError(f"the prefetch does not end: {mount['prefetch']}")


def of_files(requests):
    """Without those that no cache can save: a direct view answers an ioctl for each file that a
    program asks whether it is a terminal."""
    return {name: count for name, count in requests.items()
            if name not in ("FORGET", "BATCH_FORGET", "IOCTL")}


@pytest.mark.concurrent
@pytest.mark.parametrize("view", ["overlay", "direct"])
def test_what_was_prefetched_is_asked_for_no_more(firn, fuse, image, tree, view):
    with firn.mounted(image, "--view", view) as place:
        before = wait_for_prefetch(firn, place)
        assert before["prefetch"]["stage"] == "done"
        assert before["prefetch"]["done"] == before["prefetch"]["steps"] > 10
        assert before["prefetch"]["failed"] == before["prefetch"]["missing"] == 0
        assert before["prefetch"]["bytes"] >= 1_800_000
        for name in ("first", "second"):
            assert (place / "lib" / name).read_bytes() == (tree / "lib" / name).read_bytes()
        assert (place / "lib/sub dir/small 3").read_bytes() == (
            tree / "lib/sub dir/small 3").read_bytes()
        assert os.readlink(place / "link") == "lib/second"
        assert not (place / "lib" / "absent").exists()
        after = status(firn, place)
        assert of_files(after["requests"]) == of_files(before["requests"])
        # What it did not read is read as ever.
        assert (place / "lib/sub dir/small 9").read_bytes() == (
            tree / "lib/sub dir/small 9").read_bytes()


def test_jobs_are_prefetched_too(firn, image, user):
    """The pusher is outside of the job's namespaces, and has to get in."""
    job = subprocess.Popen(
        [firn.path, "run", image, "--", "sh", "-c", "echo up; read line; exec cat /opt/firn-profile-test/lib/first"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, **user.popen_arguments())
    assert job.stdout.readline() == b"up\n"
    place = "/opt/firn-profile-test"
    done = wait_for_prefetch_of_job(firn, user, place)
    assert done["prefetch"]["stage"] == "done" and done["prefetch"]["failed"] == 0
    assert done["prefetch"]["bytes"] >= 1_800_000
    job.communicate(b"go\n", timeout=DEADLINE)


def wait_for_prefetch_of_job(firn, user, place):
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        mounts = json.loads(firn.run("status", "--json", user=user).stdout)["mounts"]
        (mount,) = [mount for mount in mounts if mount["mount_point"] == place]
        if mount["prefetch"]["stage"] != "running":
            return mount
        time.sleep(0.05)
    raise AssertionError("the prefetch does not end")


def test_no_prefetch(firn, fuse, image, plain):
    for arguments in ([image, "--no-prefetch"], [plain]):
        with firn.mounted(*arguments) as place:
            mount = status(firn, place)
            assert mount["prefetch"] == {"stage": "off", "steps": 0, "done": 0, "missing": 0,
                                         "failed": 0, "bytes": 0}
            assert mount["decoded"]["data"] == 0


@pytest.mark.concurrent
def test_each_block_is_decoded_once(firn, fuse, image, tree):
    """Readers that start with the prefetch share its decoding."""
    with firn.mounted(image) as place:
        readers = [subprocess.Popen(["cat", place / "lib/first", place / "lib/second"],
                                    stdout=subprocess.DEVNULL) for _ in range(8)]
        assert [reader.wait(DEADLINE) for reader in readers] == [0] * 8
        mount = wait_for_prefetch(firn, place)
        blocks = sum(-(-path.stat().st_size // 65536)
                     for path in (tree / "lib").iterdir() if path.stat().st_size > 65536)
        assert mount["decoded"]["data"] <= blocks


def test_a_damaged_block_is_logged_once_and_the_rest_is_prefetched(firn, fuse, image, directory):
    data = bytearray(image.read_bytes())
    data[200_000] ^= 1  # in lib/second, the first that the profile reads
    broken = directory / "broken.firn"
    broken.write_bytes(data)
    log = directory / "log"
    with firn.mounted(broken, "--log-file", log) as place:
        mount = wait_for_prefetch(firn, place)
        assert mount["prefetch"]["stage"] == "done" and mount["errors"]["damaged"] >= 1
        assert mount["prefetch"]["done"] == mount["prefetch"]["steps"]
        failures = 0
        for path in sorted((place / "lib").iterdir()):
            if path.is_file():
                try:
                    path.read_bytes()
                except OSError as error:
                    assert error.errno == 5
                    failures += 1
        assert failures == 1
    assert log.read_text().count("wrong XXH3-64") == 1


def test_a_profile_of_another_tree(firn, fuse, tree, directory):
    """Paths that are not there are counted, those outside are not followed."""
    profile = directory / "p.profile"
    profile.write_text("firn-profile 1\nlookup gone\nread gone/file 0 10\nread lib/first 0 100\n"
                       "read link 0 100\nlist lib\nmiss lib/first\n")
    image = firn.build(tree, directory / "i.firn", "--profile", profile)
    with firn.mounted(image) as place:
        mount = wait_for_prefetch(firn, place)
        assert mount["prefetch"]["stage"] == "done"
        assert mount["prefetch"]["done"] == mount["prefetch"]["steps"]


def test_unmounting_does_not_wait_for_the_prefetch(firn, fuse, image, scratch):
    for _ in range(5):
        with firn.mounted(image, "--view", "direct"):
            pass


def test_the_pusher_dies_with_firnd(firn, fuse, image, directory):
    mount = json.loads(firn.run("mount", image, directory, "--json").stdout)
    (status,) = firn.status(directory)["mounts"]
    pushers = [pid for pid in children_of(mount["pid"]) if pid != status["worker"]]
    os.kill(mount["pid"], signal.SIGKILL)
    end = time.monotonic() + DEADLINE
    while any(os.path.exists(f"/proc/{pid}/exe") for pid in pushers):
        assert time.monotonic() < end
        time.sleep(0.02)
    firn.run("unmount", directory)
