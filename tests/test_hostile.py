"""Hostile images: what is wrong costs its own object, and nothing else, no job and no worker."""

import contextlib
import errno
import json
import os
import random
import re
import socket
import struct
import threading

import pytest

from harness.hostile import KINDS, REFUSED, change_randomly, exported, make_tree, numbered
from harness.look import client
from harness.mutator import Mutant
from harness.node import Node, ask, connect, own_run_directory  # noqa: F401 (fixture)

DAMAGED = 5
LOOK_SECONDS = 60
MUTANTS = 100 if os.environ.get("FIRN_SANITIZE") else 1000
# What a damaged object may answer; a name that cannot be shown is not there.
REFUSALS = {errno.EIO, errno.ENOENT}
MOST_LINES = 20  # of one image in the log, at once


class HostileNode(Node):
    """One worker for all images of these tests, and its log."""

    def __init__(self, firnd, firn, *options):
        super().__init__(firnd, firn, *options)
        self._lines = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            self._lines.append(line.rstrip("\n"))

    def log(self):
        return "\n".join(self._lines)

    def lines_about(self, image, pattern=""):
        """Those on requests for it that failed."""
        about = re.compile(pattern.replace("{}", re.escape(str(image))) if pattern
                           else f"fails: .*{re.escape(str(image))}")
        return [line for line in self._lines if str(image) in line and about.search(line)]

    def end(self):
        self.process.terminate()
        assert self.process.wait(60) == 0, self.log()
        self._reader.join()

    @contextlib.contextmanager
    def shown(self, image, lease="hostile", prefetch=False):
        """A descriptor of the image's view."""
        with open(image, "rb") as file, connect() as asking:
            request = {"op": "attach", "path": str(image), "lease": "name", "name": lease,
                       "prefetch": prefetch}
            socket.send_fds(asking, [json.dumps(request).encode()], [file.fileno()])
            answer, fds, _, _ = socket.recv_fds(asking, 1 << 16, 2)
        answer = json.loads(answer)
        if "error" in answer:
            raise Refused(answer["error"]["message"])
        try:
            yield fds[0]
        finally:
            os.close(fds[0])
            assert ask(self, {"op": "detach", "lease": lease}, [])["ended"] == 1


class Refused(Exception):
    """An image that cannot be attached."""


@pytest.fixture(scope="module")
def image(firn, scratch):
    tree = make_tree(scratch / "hostile-tree")
    built = firn.build(tree, scratch / "whole.firn", "--block-size", "4K", "--prefix", "/opt/h")
    built.chmod(0o644)
    return built


@pytest.fixture(scope="module")
def whole(image):
    return Mutant(image)


@pytest.fixture(scope="module")
def small(firn, scratch):
    """The same with fewer files."""
    tree = make_tree(scratch / "small-tree", many=8)
    built = firn.build(tree, scratch / "small.firn", "--block-size", "4K", "--prefix", "/opt/h")
    built.chmod(0o644)
    return Mutant(built)


@pytest.fixture(scope="module")
def looking():
    with client() as process:
        yield process


@pytest.fixture(scope="module")
def node(firn, firnd, fuse):
    running = HostileNode(firnd, firn, "--linger", "0")
    try:
        yield running
    finally:
        running.end()


@pytest.fixture(scope="module")
def right(node, image, looking):
    """What is to be seen of the image that is whole."""
    with node.shown(image) as view:
        answers = looking.look(view, LOOK_SECONDS)
    assert len(answers) > 270 and not any(isinstance(answer, int) for answer in answers.values())
    return answers


@pytest.fixture
def served(node, image, right, looking):
    """The test leaves the worker alone, and the good image is served right after it."""
    # Of a slot that is new the kernel remembers nothing.
    node.wait_for(lambda: not node.images(), "images are still attached")
    with node.shown(image, "good") as view:
        worker = node.pool()["worker"]
        yield node
        assert looking.look(view, LOOK_SECONDS) == right
        assert (node.pool()["worker"], node.pool()["restarts"]) == (worker, 0), node.log()


def is_below(path, objects):
    return any(path == name or path.startswith(name + "/") for name in objects)


def assert_only_damaged(answers, right, damaged):
    for path, answer in answers.items():
        if is_below(path, damaged):
            # A second name may go by the first one's, which is right.
            assert answer in REFUSALS or answer == right.get(path), (path, answer)
        else:
            assert answer == right.get(path), path
    missing = {path for path in right if path not in answers and not is_below(path, damaged)}
    assert not missing
    for path in damaged:
        assert answers.get(path, errno.ENOENT) in REFUSALS, (path, answers[path])


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_damaged_object_suffers(firn, served, right, whole, looking, directory, kind):
    wanted = KINDS[kind]
    mutant = whole.copy()
    wanted.change(mutant)
    written = mutant.write(directory / "mutant.firn")
    with served.shown(written) as view:
        assert_only_damaged(looking.look(view, LOOK_SECONDS), right, wanted.damaged)
        lines = served.lines_about(written)
        assert len(lines) <= MOST_LINES
        if wanted.log is None:
            assert not lines
        else:
            served.wait_for(lambda: served.lines_about(written, wanted.log), "nothing is logged")
            # Once, and not again.
            before = served.lines_about(written, wanted.log)
            assert len(before) == len(set(before)) and len(before) <= 3, before
            assert_only_damaged(looking.look(view, LOOK_SECONDS), right, wanted.damaged)
            assert served.lines_about(written, wanted.log) == before
    result = firn.run("verify", "--deep", "--json", written, check=False, timeout=60)
    findings = [finding["message"] for finding in json.loads(result.stdout)["findings"]]
    assert result.returncode == DAMAGED
    assert any(wanted.finding in finding for finding in findings), findings


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_shown_is_refused(served, whole, directory, kind):
    change, message = REFUSED[kind]
    mutant = whole.copy()
    change(mutant)
    with pytest.raises(Refused, match=re.escape(message)):
        with served.shown(mutant.write(directory / "mutant.firn")):
            pass


def test_a_symlink_as_long_as_any(served, right, whole, looking, directory):
    mutant = whole.copy()
    number = mutant.paths[b"symlink"].number
    mutant.add_inode(b"symlink", struct.pack("<HHHHIIII", 3, 0o777, 0, 0, 0, number, 1, 4095)
                     + b"t" * 4095)
    with served.shown(mutant.write(directory / "mutant.firn")) as view:
        answers = looking.look(view, LOOK_SECONDS)
    assert answers == right | {"symlink": ("symlink", "t" * 4095)}


def test_what_many_failures_log_is_bounded(served, right, whole, looking, directory):
    """Nor does one image that fails again and again keep lines about another out."""
    noisy = whole.copy()
    for path, inode in noisy.paths.items():
        if path.startswith(b"many/"):
            exported(path, 2**40 << 16)(noisy)
    other = whole.copy()
    numbered(b"symlink", 0)(other)
    with served.shown(noisy.write(directory / "noisy.firn"), "noisy") as view:
        answers = looking.look(view, LOOK_SECONDS)
        failed = [path for path, answer in answers.items() if answer == errno.EIO]
        assert len(failed) == 260 and all(path.startswith("many/") for path in failed)
        with served.shown(other.write(directory / "other.firn"), "other") as second:
            assert looking.look(second, LOOK_SECONDS)["symlink"] == errno.EIO
    served.wait_for(lambda: served.lines_about(directory / "other.firn"), "nothing is logged")
    assert len(served.lines_about(directory / "noisy.firn")) == MOST_LINES


def with_profile(mutant, directory, text):
    profiled = mutant.copy()
    profiled.sections["profile"] = text
    return profiled.write(directory / "profiled.firn")


@pytest.mark.parametrize("lines, stages", [
    (b"lookup ../../../../etc/passwd\n", {"failed"}),
    (b"list /\n", {"failed"}),
    (b"read a%00b 0 1\n", {"failed"}),
    (b"read plain 18446744073709551615 1\n", {"failed"}),
    (b"read plain 9223372036854775806 1\nread noise 0 9223372036854775807\n"
     b"lookup symlink/../x\n", {"failed"}),
    (b"read noise 0 9223372036854775807\nread lib 0 100\nread nothing 0 100\nlist noise\n"
     b"list symlink\nread symlink 5 5\nlist .\nmiss noise\nlookup many\n", {"done"}),
])
def test_a_profile_leads_nowhere(served, right, whole, looking, directory, lines, stages):
    written = with_profile(whole, directory, b"firn-profile 1\n" + lines)
    with served.shown(written, prefetch=True) as view:
        def stage():
            (shown,) = [entry for entry in served.images() if entry["image"] == str(written)]
            return shown["prefetch"]["stage"]
        served.wait_for(lambda: stage() in stages, "the prefetch does not end")
        assert looking.look(view, LOOK_SECONDS) == right


def test_a_profile_of_damaged_objects(served, right, whole, looking, directory):
    """What a prefetch touches that is damaged costs it a step."""
    mutant = whole.copy()
    KINDS["a fragment that is not there"].change(mutant)
    KINDS["two parents of a directory"].change(mutant)
    KINDS["a listing that is too long"].change(mutant)
    damaged = ("plain", "lib/below", "p")
    written = with_profile(
        mutant, directory,
        b"firn-profile 1\nread plain 0 5\nlookup lib/below/other\nlist p\nlist lib\nread x 0 9\n")
    with served.shown(written, prefetch=True) as view:
        served.wait_for(lambda: [entry["prefetch"]["stage"] for entry in served.images()
                                 if entry["image"] == str(written)] == ["done"],
                        "the prefetch does not end")
        assert_only_damaged(looking.look(view, LOOK_SECONDS), right, damaged)


def test_a_recording_leaves_out_what_is_damaged(firn, fuse, small, directory):
    mutant = small.copy()
    for kind in ("a fragment that is not there", "two parents of a directory",
                 "a name of two files"):
        KINDS[kind].change(mutant)
    written = mutant.write(directory / "mutant.firn")
    script = "ls -lR /opt/h >/dev/null 2>&1; cat /opt/h/plain /opt/h/noise >/dev/null 2>&1; true"
    firn.run("profile", written, "--", "sh", "-c", script, cwd=directory)
    lines = (directory / "mutant.profile").read_text().splitlines()
    assert {"lookup noise", "list lib", "list many"} <= set(lines)
    assert any(line.startswith("read noise 0 ") for line in lines)
    assert not any("below" in line or "same-2" in line for line in lines)


def images_that(pid):
    """The files that a process has open."""
    with contextlib.suppress(FileNotFoundError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                yield os.readlink(f"/proc/{pid}/fd/{fd}")


@pytest.fixture(scope="module")
def sparse(firn, scratch):
    """The same tree in blocks of 1 MiB: a list of blocks says as much in a 256th."""
    built = firn.build(scratch / "hostile-tree", scratch / "sparse.firn", "--prefix", "/opt/h")
    built.chmod(0o644)
    return Mutant(built)


def sparse_image(sparse, size, path, seed=0):
    mutant = sparse.copy()
    number = mutant.paths[b"holes"].number
    mutant.add_inode(b"holes", struct.pack(
        "<HHHHIIQQQIIII", 9, 0o644, 0, 0, seed, number, 0, size, size, 1, 2**32 - 1, 0, 2**32 - 1)
        + bytes(4 * -(-size // 2**20)))
    return mutant.write(path)


def test_claims_of_endless_contents_are_not_compared(served, sparse, directory):
    """Nobody reads petabytes of holes to learn whether their digest is right."""
    written = sparse_image(sparse, 2**37, directory / "endless.firn")
    with served.shown(written):
        served.wait_for(lambda: [line for line in served.log().splitlines()
                                 if f"{written}: its files are not shared" in line
                                 and "more contents than are worth" in line], "it is compared")
        (shown,) = [entry for entry in served.images() if entry["image"] == str(written)]
        assert not shown["shares_pages"]


def test_a_proof_ends_with_its_image(served, sparse, directory):
    """Each of these would take half a minute or more."""
    written = [sparse_image(sparse, 2**36 - 2**30, directory / f"{seed}.firn", seed)
               for seed in range(6)]
    worker = served.pool()["worker"]
    with contextlib.ExitStack() as stack:
        for number, path in enumerate(written):
            stack.enter_context(served.shown(path, f"lease-{number}"))
        assert set(map(str, written)) <= set(images_that(worker))
    served.wait_for(lambda: not set(map(str, written)) & set(images_that(worker)),
                    "proofs go on without their images")


def test_a_thousand_mutants(served, small, looking, directory):
    """Any field of any structure; each is attached, walked and read whole, and let go."""
    refused, suffered = 0, 0
    for seed in range(MUTANTS):
        numbers = random.Random(seed)
        mutant = small.copy()
        change_randomly(numbers, mutant)
        written = directory / f"{seed}.firn"
        mutant.write(written)
        try:
            with served.shown(written) as view:
                answers = looking.look(view, LOOK_SECONDS)
        except Refused:
            refused += 1
            continue
        finally:
            written.unlink()
        errors = {answer for answer in answers.values() if isinstance(answer, int)}
        assert errors <= REFUSALS | {errno.ELOOP}, (seed, errors)
        suffered += bool(errors)
    # They do get at what they are to get at.
    assert refused > MUTANTS // 100 and suffered > MUTANTS // 5, (refused, suffered)
