"""The firnd that `firn run` of an ordinary user starts for its job: one for all, and soon gone."""

import contextlib
import json
import os
import pathlib
import resource
import select
import signal
import subprocess
import time

import pytest

from harness.jobs import DEADLINE, RANK, children_of, sessions, wait_until_gone

PYTHON = "/usr/bin/python3"
PREFIX = "/opt/firn-job-daemon-test"


@pytest.fixture(scope="module")
def image(firn, scratch):
    tree = scratch / "job-daemon-tree"
    tree.mkdir()
    (tree / "data").write_text("from the image\n")
    built = firn.build(tree, scratch / "job-daemon.firn", "--prefix", PREFIX)
    built.chmod(0o644)
    return built


@pytest.fixture
def runtime(job_user, request):
    """A runtime directory for one test; at its end every firnd has gone, with its files."""
    path = job_user.make_directory(f"runtime-{abs(hash(request.node.name))}")
    path.chmod(0o700)
    yield path
    wait_for(lambda: not list(path.iterdir()), lambda: f"left behind: {list(path.rglob('*'))}")
    path.rmdir()


@pytest.fixture
def job(firn, job_user, runtime):
    """Runs firn as the user, in a job of that number."""
    class Job:
        def environment(self, number=1, **variables):
            return (job_user.environment() | {"XDG_RUNTIME_DIR": str(runtime),
                                              "SLURM_JOB_ID": str(number)} | variables)

        def run(self, *arguments, number=1, check=True, **options):
            options = {"env": self.environment(number)} | options
            return firn.run("run", *arguments, user=job_user, check=check, **options)

        def start(self, *arguments, number=1, **options):
            options = job_user.popen_arguments() | {"env": self.environment(number)} | options
            return subprocess.Popen([firn.path, "run", *arguments], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True, **options)

        def tell(self, command, *arguments, number=1, **options):
            return firn.run(command, *arguments, user=job_user, env=self.environment(number),
                            **options)

        def status(self, number=1):
            return json.loads(self.tell("status", "--json", number=number).stdout)

    running = Job()
    yield running
    status = running.status()
    for daemon in [status["node"], *status["jobs"]]:
        if daemon is not None:
            os.kill(daemon["pid"], signal.SIGTERM)


def wait_for(condition, what):
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, what()
        time.sleep(0.02)


def test_many_that_start_at_once_have_one_firnd(job, image):
    """Nobody fails; they are one superblock and one user namespace."""
    code = ("import os, sys; print(os.readlink('/proc/self/ns/user'), "
            f"os.stat('{PREFIX}/data').st_dev, flush=True); sys.stdin.readline()")
    ranks = [job.start(image, "--", PYTHON, "-c", code) for _ in range(40)]
    told = {rank.stdout.readline() for rank in ranks}
    assert len(told) == 1 and told != {""}
    assert os.readlink("/proc/self/ns/user") not in told.pop()
    status = job.status()
    assert status["jobs"] == [] and status["mounts"] == []
    (pool,) = status["node"]["pools"]
    assert pool["domain"] == image.stat().st_uid
    (shown,) = pool["images"]
    assert sorted(lease["pid"] for lease in shown["leases"]) == sorted(rank.pid for rank in ranks)
    for rank in ranks:
        rank.communicate("end\n", timeout=DEADLINE)
        assert rank.returncode == 0
    assert sessions(image) == []


def test_ranks_read_each_others_memory(job, image):
    ranks = [job.start(image, "--", PYTHON, "-c", RANK, str(number), f"{PREFIX}/data")
             for number in range(2)]
    told = [rank.stdout.readline().split() for rank in ranks]
    for rank, other in zip(ranks, reversed(told)):
        rank.stdin.write(" ".join(other) + "\n")
        rank.stdin.flush()
    assert [rank.stdout.readline().strip() for rank in ranks] == ["rank of 1", "rank of 0"]
    for rank in ranks:
        rank.communicate("end\n", timeout=DEADLINE)


def test_each_job_has_its_own(job, image):
    waiting = [job.start(image, "--", "sh", "-c", "echo up; read x", number=number)
               for number in (1, 2)]
    assert [one.stdout.readline() for one in waiting] == ["up\n", "up\n"]
    status = job.status(number=1)
    (other,) = status["jobs"]
    assert other["pid"] != status["node"]["pid"]
    assert [lease["pid"] for pool in other["pools"] for shown in pool["images"]
            for lease in shown["leases"]] == [waiting[1].pid]
    # Seen from elsewhere too, by its user.
    assert len(job.status(number=3)["jobs"]) == 2 and job.status(number=3)["node"] is None
    text = job.tell("status", number=3).stdout
    assert text.count(" serves a job at ") == 2 and text.count(str(image)) == 2
    # The end of one job, with all that it started, is not the other's.
    wait_until_killed(status["node"]["pid"])
    waiting[0].kill()
    waiting[0].communicate()
    waiting[1].communicate("go\n", timeout=DEADLINE)
    assert waiting[1].returncode == 0
    job.run(image, "--", "cat", f"{PREFIX}/data", number=2)
    # What the killed one left is taken away by who starts the next.
    job.run(image, "--", "true", number=4)


def wait_until_killed(pid):
    """A firnd and its workers, as a resource manager does it."""
    pids = [pid, *children_of(pid)]
    pidfds = [os.pidfd_open(one) for one in pids]
    for pidfd in pidfds:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
    wait_until_gone(pids)


def test_one_that_was_killed_is_replaced(job, image):
    job.run(image, "--", "true")
    wait_until_killed(job.status()["node"]["pid"])
    assert job.run(image, "--", "cat", f"{PREFIX}/data").stdout == "from the image\n"


def test_it_leaves_when_it_is_idle(job, image, runtime):
    job.run(image, "--", "true")
    pidfd = os.pidfd_open(job.status()["node"]["pid"])
    assert (runtime / "firn").exists()
    assert select.select([pidfd], [], [], DEADLINE)[0]
    os.close(pidfd)
    assert list(runtime.iterdir()) == []
    job.run(image, "--", "true")


def test_it_is_found_by_other_commands(job, image):
    result = job.tell("attach", "--lease", "name", image, check=False)
    assert result.returncode != 0 and "no firnd serves this node" in result.stderr
    job.run(image, "--", "true")
    job.tell("attach", "--lease", "name", image)
    (shown,) = job.status()["node"]["pools"][0]["images"]
    assert [lease["name"] for lease in shown["leases"] if "name" in lease] == ["name"]
    for number in (1, 2):  # of the caller's job, and of another one
        checks = json.loads(job.tell("health", "--json", number=number).stdout)["checks"]
        # Other tests' mounts of this user are checked too.
        assert [check["state"] for check in checks if check["image"] == str(image)] == ["ok"]
    job.tell("detach", "--lease", "name")


def test_it_inherits_nothing_of_the_first_rank(job, image):
    """Neither its processor nor its limits, pipes, terminal, directory and environment."""
    processors = os.sched_getaffinity(0)

    def one_rank():
        os.setsid()
        os.sched_setaffinity(0, {min(processors)})
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 4096))

    environment = job.environment(LD_BIND_NOW="1", NOTIFY_SOCKET="/no/such", OMP_NUM_THREADS="1")
    read_end, write_end = os.pipe()
    # Returns when standard output and error have come to their ends.
    result = job.run(image, "--", "sh", "-c", "ulimit -n; nproc; echo $OMP_NUM_THREADS $NOTIFY_SOCKET",
                     preexec_fn=one_rank, env=environment, pass_fds=[write_end], timeout=DEADLINE)
    os.close(write_end)
    assert result.stdout.split() == ["64", "1", "1", "/no/such"]
    pid = job.status()["node"]["pid"]
    assert os.read(read_end, 1) == b"", "it holds a pipe of the job's"
    os.close(read_end)
    for process in (pid, *children_of(pid)):
        assert os.sched_getaffinity(process) == processors
        assert os.getsid(process) != os.getsid(0)
    place = pathlib.Path(f"/proc/{pid}")
    assert "Max open files            4096 " in (place / "limits").read_text()
    assert (place / "stat").read_text().rpartition(")")[2].split()[4] == "0", "it has a terminal"
    if os.geteuid() == 0:
        assert os.readlink(place / "cwd") == "/"
        names = {entry.partition(b"=")[0] for entry in (place / "environ").read_bytes().split(b"\0")}
        assert not names & {b"LD_BIND_NOW", b"NOTIFY_SOCKET", b"OMP_NUM_THREADS", b"SLURM_JOB_ID"}


def test_one_that_could_serve_few_is_not_started(job, image):
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    assert job.run(image, "--", "cat", f"{PREFIX}/data", preexec_fn=few).stdout
    assert job.status()["node"] is None
    wait_until_gone(sessions(image))


@pytest.mark.parametrize("options", [["--no-daemon"], ["--threads", "2"], ["--view", "overlay"]])
def test_who_asks_for_a_session_of_its_own_has_one(job, image, options):
    waiting = job.start(*options, image, "--", "sh", "-c", "echo up; read x")
    assert waiting.stdout.readline() == "up\n"
    assert len(sessions(image)) == 1
    status = job.status()
    assert status["node"] is None and len(status["mounts"]) == 1
    waiting.communicate("go\n", timeout=DEADLINE)
    wait_until_gone(sessions(image))


def test_inside_of_another_user_namespace(firn, job, image, job_user):
    """A container, say: what was started outside shows nothing in there, so it has its own."""
    waiting = job.start(image, "--", "sh", "-c", "echo up; read x")
    assert waiting.stdout.readline() == "up\n"
    result = job_user.run("unshare", "--user", "--map-current-user", firn.path, "run", image, "--",
                          "cat", f"{PREFIX}/data", env=job.environment())
    assert (result.returncode, result.stdout) == (0, "from the image\n"), result.stderr
    (shown,) = job.status()["node"]["pools"][0]["images"]
    assert [lease["pid"] for lease in shown["leases"]] == [waiting.pid]
    waiting.communicate("go\n", timeout=DEADLINE)
    wait_until_gone(sessions(image))


def test_root_has_none(firn, image, root_user):
    waiting = subprocess.Popen(
        [firn.path, "run", image, "--", "sh", "-c", "echo up; read x"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, **root_user.popen_arguments())
    assert waiting.stdout.readline() == "up\n"
    assert len(sessions(image)) == 1
    waiting.communicate("go\n", timeout=DEADLINE)
    wait_until_gone(sessions(image))
