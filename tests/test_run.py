"""firn run: a job sees its images, and is otherwise as its caller started it."""

import json
import os
import pathlib
import resource
import signal
import subprocess

import pytest

from harness.jobs import (  # noqa: F401  (fixtures)
    children_of, DEADLINE, FAILED, NOT_EXECUTABLE, NOT_FOUND, image, job_directory, job_tree, locked,
    nothing_left, other_image, place, run, sessions, user_files, wait_until_gone)
from harness.mounts import mksquashfs

PYTHON = "/usr/bin/python3"

# Tests of sessions that have a firnd of their own.
alone = pytest.mark.parametrize("user", ["root", "ordinary"], indirect=True)


@pytest.fixture(params=["root", "ordinary", "job"])
def user(request):
    """Each test as root, as an ordinary user, and as one whose job has a firnd."""
    return request.getfixturevalue(f"{request.param}_user")


def test_the_command_sees_the_image_and_nobody_else_does(firn, image, user, place):
    prefix = place / "prefix"
    script = f"cat {prefix}/data && read line && ls {prefix}"
    job = subprocess.Popen(
        [firn.path, "run", "--prefix", prefix, image, "--", "sh", "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **user.popen_arguments())
    assert job.stdout.readline() == "from the image\n"
    # It is up, and holds a view of its own.
    assert list(prefix.iterdir()) == []
    assert str(place) not in pathlib.Path("/proc/self/mountinfo").read_text()
    out, _ = job.communicate("go\n", timeout=DEADLINE)
    assert out.split() == ["bin", "data", "sub"]
    assert job.returncode == 0


def test_the_prefix_of_the_manifest_is_the_default(firn, image, ordinary_user):
    result = run(firn, ordinary_user, image, "--", "cat", "/opt/firn-run-test/default/data")
    assert (result.returncode, result.stdout) == (0, "from the image\n"), result.stderr
    assert not os.path.exists("/opt/firn-run-test")


@pytest.mark.parametrize("view", ["auto", "overlay", "direct"])
def test_each_kind_of_view(firn, image, job_tree, user, place, view):
    result = run(firn, user, "--view", view, "--cache-size", "8MiB", image, "--", "diff", "-r",
                 job_tree, place / "p", prefix=place / "p")
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


@pytest.mark.parametrize("code", [0, 1, 42, 125, 255])
def test_the_exit_code_is_the_commands(firn, image, user, place, code):
    result = run(firn, user, image, "--", "sh", "-c", f"exit {code}", prefix=place / "p")
    assert (result.returncode, result.stderr) == (code, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGSEGV, signal.SIGKILL])
def test_the_command_dies_of_signals_as_itself(firn, image, user, place, number):
    result = run(firn, user, image, "--", "sh", "-c", f"ulimit -c 0; kill -{number} $$",
                 prefix=place / "p")
    assert result.returncode == -number


def test_the_command_is_the_callers_child(firn, image, user, place):
    job = subprocess.Popen(
        [firn.path, "run", "--prefix", place / "p", image, "--",
         "sh", "-c", "echo $$ $PPID; read x"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **user.popen_arguments())
    assert job.stdout.readline().split() == [str(job.pid), str(os.getpid())]
    job.send_signal(signal.SIGTERM)
    assert job.wait(DEADLINE) == -signal.SIGTERM
    job.stdin.close()
    job.stdout.close()


@pytest.mark.parametrize("name", ["-u", "-g", "-ru", "-rg", "-un"])
def test_uid_and_gid_inside_are_those_outside(firn, image, user, place, name):
    inside = run(firn, user, image, "--", "id", name, prefix=place / "p")
    assert inside.returncode == 0, inside.stderr
    assert inside.stdout == user.run("id", name).stdout


def test_files_that_the_job_makes_belong_to_the_caller(firn, image, user, place):
    run(firn, user, image, "--", "touch", place / "made", prefix=place / "p", check=True)
    assert (place / "made").stat().st_uid == (os.geteuid() if user.uid is None else user.uid)


def test_the_environment_is_the_callers(firn, image, user, place):
    inside = run(firn, user, "--no-environment", image, "--", "env", "-0", prefix=place / "p",
                 check=True)
    assert inside.stdout.split("\0") == user.run("env", "-0").stdout.split("\0")


REPORT = """
import json, os, signal
status = dict(line.split(':\\t', 1) for line in open('/proc/self/status') if ':\\t' in line)
try:
    os.waitpid(-1, os.WNOHANG)
    children = True
except ChildProcessError:
    children = False
print(json.dumps({
    'descriptors': sorted(int(fd) for fd in os.listdir('/proc/self/fd')),
    'signals': [status[name].strip() for name in ('SigBlk', 'SigIgn', 'SigCgt')],
    'children': children,
    'limits': [status[name].strip() for name in ('NoNewPrivs', 'Seccomp', 'Threads', 'CapEff')],
    'umask': status['Umask'].strip(),
    'session': os.getsid(0), 'group': os.getpgid(0),
}))
"""


def test_the_command_starts_as_it_would_without_firn(firn, image, user, place):
    """Descriptors, signals, children, limits: the same as when the caller starts it."""
    def odd_caller():
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2, signal.SIGTERM])
        os.umask(0o027)

    read_end, write_end = os.pipe()
    try:
        options = {"pass_fds": [write_end], "preexec_fn": odd_caller, "stdout": subprocess.PIPE,
                   "text": True, "timeout": DEADLINE, "check": True, **user.popen_arguments()}
        bare = subprocess.run([PYTHON, "-c", REPORT], **options)
        inside = subprocess.run([firn.path, "run", "--prefix", place / "p", image, "--", PYTHON,
                                 "-c", REPORT], **options)
    finally:
        os.close(read_end)
        os.close(write_end)
    assert json.loads(inside.stdout) == json.loads(bare.stdout)
    assert write_end in json.loads(inside.stdout)["descriptors"]


def test_closed_standard_descriptors_stay_closed(firn, image, user, place):
    code = ("import json, os; print(json.dumps(sorted(fd for fd in range(10) if "
            "os.path.exists(f'/proc/self/fd/{fd}'))), file=open('OUT', 'w'))")
    seen = []
    for name, command in (("bare", []), ("inside", [str(firn.path), "run", "--prefix",
                                                    str(place / "p"), str(image), "--"])):
        command = [*command, PYTHON, "-c", code.replace("OUT", f"{place}/{name}")]
        result = user.run("sh", "-c", '"$@" <&- >&- 2>&-', "sh", *command)
        assert result.returncode == 0, result.stderr
        seen.append(json.loads((place / name).read_text()))
    assert seen[0] == seen[1]


def test_standard_input_is_the_commands(firn, image, user, place):
    text = "line\n" * 100_000
    result = run(firn, user, image, "--", "cat", prefix=place / "p", stdin=None, input=text)
    assert (result.returncode, result.stdout) == (0, text)


@alone
def test_pipes_end_with_the_command_while_a_child_keeps_the_session(firn, image, user, place):
    """A daemonised child still sees the image; firnd holds nothing of the job's."""
    os.mkfifo(place / "go", 0o666)
    (place / "go").chmod(0o666)
    script = (f"(exec >/dev/null 2>&1 </dev/null; exec setsid sh -c '"
              f"read line <{place}/go; cat {place}/p/sub/deep/file >{place}/out.tmp; "
              f"mv {place}/out.tmp {place}/out' {{}}) & echo started")
    inherited, write_end = os.pipe()
    with os.fdopen(inherited, "rb") as pipe:
        # run() returns once standard output and error have come to their end.
        result = run(firn, user, image, "--", "sh", "-c", script, prefix=place / "p",
                     pass_fds=[write_end], timeout=DEADLINE)
        os.close(write_end)
        assert (result.returncode, result.stdout) == (0, "started\n"), result.stderr
        served_by = sessions(image)
        assert len(served_by) == 1
        held = {os.readlink(entry) for entry in pathlib.Path(f"/proc/{served_by[0]}/fd").iterdir()}
        assert not any(f"pipe:[{os.fstat(pipe.fileno()).st_ino}]" in target for target in held)
    (place / "go").write_text("go\n")
    wait_until_gone(served_by)
    assert (place / "out").read_text() == "deep\n"


@alone
def test_firnd_is_no_child_and_stands_alone(firn, image, user, place):
    script = "read x; true"
    job = subprocess.Popen(
        [firn.path, "run", "--prefix", place / "p", image, "--", "sh", "-c", f"echo up; {script}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **user.popen_arguments())
    assert job.stdout.readline() == "up\n"
    (served_by,) = sessions(image)
    process = pathlib.Path(f"/proc/{served_by}")
    status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines()
                  if ":\t" in line)
    assert int(status["PPid"]) != job.pid
    assert os.getsid(served_by) != os.getsid(job.pid)
    assert os.readlink(process / "cwd") == "/"
    assert os.readlink(process / "ns/mnt") != os.readlink(f"/proc/{job.pid}/ns/mnt")
    # Signals to the job's group, or a user's impatience, do not take the files from under it.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(served_by, number)
    job.communicate("go\n", timeout=DEADLINE)
    assert job.returncode == 0
    wait_until_gone([served_by])


@alone
@pytest.mark.parametrize("killed", ["firn", "firnd"])
def test_a_job_that_is_killed_leaves_nothing(firn, image, user, place, killed):
    job = subprocess.Popen(
        [firn.path, "run", "--prefix", place / "p", image, "--", "sh", "-c",
         f"echo up; read x; cat {place}/p/data"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        **user.popen_arguments())
    assert job.stdout.readline() == "up\n"
    served_by = sessions(image)
    if killed == "firn":
        os.kill(job.pid, signal.SIGKILL)
    else:
        for pid in served_by + children_of(served_by[0]):
            os.kill(pid, signal.SIGKILL)
    if killed == "firnd":
        wait_until_gone(served_by)
        _, errors = job.communicate("go\n", timeout=DEADLINE)
        assert job.returncode == 1
        # The latter where the request was under way when the last process of firnd died.
        assert "not connected" in errors or "connection abort" in errors
        # It could not take its control socket with it; whoever asks for the sessions does that.
        firn.run("status", user=user)
    else:
        job.communicate(timeout=DEADLINE)
        assert job.returncode == -signal.SIGKILL
        wait_until_gone(served_by)


def test_two_ranks_at_once(firn, image, user, place):
    """Each has a view of its own, at the same prefix, at the same time."""
    ranks = [subprocess.Popen(
        [firn.path, "run", "--prefix", place / "p", image, "--", "sh", "-c",
         f"cat {place}/p/data; read x; cat {place}/p/sub/deep/file"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **user.popen_arguments())
        for _ in range(2)]
    for rank in ranks:
        assert rank.stdout.readline() == "from the image\n"
    for rank in ranks:
        assert rank.communicate("go\n", timeout=DEADLINE)[0] == "deep\n"
        assert rank.returncode == 0


def test_many_ranks_start_at_once_at_a_prefix_that_none_has(firn, image, user, place):
    prefix = place / "a" / "b" / "c"
    ranks = [subprocess.Popen(
        [firn.path, "run", "--prefix", prefix, image, "--", "cat", prefix / "data"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **user.popen_arguments())
        for _ in range(8)]
    for rank in ranks:
        out, errors = rank.communicate(timeout=DEADLINE)
        assert (rank.returncode, out) == (0, "from the image\n"), errors


# Nothing can be changed


WRITES = """
import errno, json, os, sys
os.chdir(sys.argv[1])
calls = {
    'create': lambda: os.open('new', os.O_CREAT | os.O_WRONLY),
    'create over': lambda: os.open('data', os.O_CREAT | os.O_RDWR),
    'write': lambda: os.open('data', os.O_WRONLY),
    'truncate': lambda: os.truncate('data', 0),
    'unlink': lambda: os.unlink('data'),
    'rename': lambda: os.rename('data', 'data2'),
    'mkdir': lambda: os.mkdir('new'),
    'rmdir': lambda: os.rmdir('sub'),
    'chmod': lambda: os.chmod('data', 0o777),
    'chown': lambda: os.chown('data', os.getuid(), os.getgid()),
    'utime': lambda: os.utime('data', (1, 1)),
    'setxattr': lambda: os.setxattr('data', 'user.x', b'1'),
    'removexattr': lambda: os.removexattr('data', 'user.x'),
    'link': lambda: os.link('data', 'data2'),
    'symlink': lambda: os.symlink('data', 'new'),
    'mknod': lambda: os.mknod('new'),
}
seen = {}
for name, call in calls.items():
    try:
        call()
        seen[name] = 'allowed'
    except OSError as error:
        seen[name] = errno.errorcode[error.errno]
print(json.dumps(seen))
"""


@pytest.mark.parametrize("view", ["overlay", "direct"])
def test_every_write_is_refused(firn, image, user, place, view):
    result = run(firn, user, "--view", view, image, "--", PYTHON, "-c", WRITES, place / "p",
                 prefix=place / "p", check=True)
    assert set(json.loads(result.stdout).values()) == {"EROFS"}, result.stdout


def test_the_view_is_nosuid_and_nodev(firn, image, user, place):
    result = run(firn, user, image, "--", "grep", f" {place}/p ", "/proc/self/mountinfo",
                 prefix=place / "p", check=True)
    (line,) = result.stdout.splitlines()
    assert {"ro", "nosuid", "nodev"} <= set(line.split()[5].split(","))
    assert str(image) in line


# Foreign images


def test_a_foreign_image(firn, job_tree, user, place):
    foreign = mksquashfs(job_tree, place / "foreign.sqfs", "-comp", "gzip")
    foreign.chmod(0o644)
    result = run(firn, user, "--foreign", foreign, "--", "diff", "-r", job_tree, place / "p",
                 prefix=place / "p")
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    wait_until_gone(sessions(foreign))

    result = run(firn, user, "--foreign", foreign, "--", "true")
    assert result.returncode == FAILED
    assert "--prefix" in result.stderr
    result = run(firn, user, foreign, "--", "true", prefix=place / "p")
    assert result.returncode == FAILED
    assert "--foreign" in result.stderr


# What goes wrong


@pytest.mark.parametrize("command, code, words", [
    ("no-such-program", NOT_FOUND, "Neither an image's bin/ nor PATH"),
    ("plain", NOT_EXECUTABLE, "Permission denied"),
    ("/no/such/program", NOT_FOUND, "No such file"),
    ("PREFIX/bin/missing", NOT_FOUND, "No such file"),
    ("PREFIX/bin/lost", NOT_FOUND, "interpreter"),
    ("PREFIX/bin/plain", NOT_EXECUTABLE, "Permission denied"),
    ("PREFIX/bin", NOT_EXECUTABLE, "Permission denied"),
    ("PREFIX/data/x", NOT_EXECUTABLE, "Not a directory")])
def test_a_command_that_cannot_be_run(firn, image, user, place, command, code, words):
    command = command.replace("PREFIX", str(place / "p"))
    result = run(firn, user, image, "--", command, prefix=place / "p")
    assert result.returncode == code, result.stderr
    assert result.stderr.startswith(f"firn: error: {command}: ")
    assert words in result.stderr


def test_programs_of_the_image_run(firn, image, user, place):
    result = run(firn, user, image, "--", place / "p/bin/hello", "a b", "--", "--help",
                 prefix=place / "p")
    assert (result.returncode, result.stdout) == (0, "hello a b -- --help\n"), result.stderr


@pytest.mark.parametrize("arguments, words", [
    (["IMAGE"], "no command"),
    (["IMAGE", "--"], "no command"),
    (["--", "true"], "IMAGE"),
    (["--prefix", "/opt/a", "--prefix", "/opt/b", "IMAGE", "--", "true"], "--prefix once for each"),
    (["--view", "sideways", "IMAGE", "--", "true"], "sideways"),
    (["--cache-size", "lots", "IMAGE", "--", "true"], "lots"),
    (["/no/such/image", "--", "true"], "No such file"),
    (["/etc/passwd", "--", "true"], "not an image"),
    (["/etc", "--", "true"], "directory")])
def test_wrong_usage(firn, image, user, arguments, words):
    arguments = [str(image) if word == "IMAGE" else word for word in arguments]
    result = run(firn, user, *arguments)
    assert result.returncode == FAILED, result.stderr
    assert result.stderr.startswith("firn: error: ")
    assert words in result.stderr
    assert result.stdout == ""


def test_a_damaged_image(firn, image, user, place):
    data = bytearray(image.read_bytes())
    damaged = place / "damaged.firn"
    for offset in (-1, -100, len(data) // 2 - len(data), 40 - len(data)):
        data[offset] ^= 1
        damaged.write_bytes(data)
        data[offset] ^= 1
        result = run(firn, user, damaged, "--", "true", prefix=place / "p")
        if result.returncode == 0:
            continue  # a bit of the data: whoever reads it gets EIO
        assert result.returncode == FAILED
        assert str(damaged) in result.stderr
    damaged.write_bytes(data[:-200])
    result = run(firn, user, damaged, "--", "true", prefix=place / "p")
    assert result.returncode == FAILED
    assert "cut short" in result.stderr


def test_without_firnd(firn, image, user, place):
    result = run(firn, user, image, "--", "true", prefix=place / "p",
                 env=user.environment() | {"FIRND": "/no/such/firnd", "XDG_RUNTIME_DIR": str(place)})
    assert result.returncode == FAILED
    assert "firnd" in result.stderr


def test_a_firnd_that_dies_at_once(firn, image, user, place):
    result = run(firn, user, image, "--", "true", prefix=place / "p",
                 env=user.environment() | {"FIRND": "/bin/false", "XDG_RUNTIME_DIR": str(place)})
    assert result.returncode == FAILED
    assert "firnd" in result.stderr


def test_where_user_namespaces_are_switched_off(firn, image, ordinary_user, place_of_ordinary):
    """Switched off in a namespace around it, as a site does it for the whole machine."""
    script = ("echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all "
              '--inh-caps=-all "$0" run --prefix "$1" "$2" -- true')
    result = ordinary_user.run("unshare", "--user", "--map-root-user", "sh", "-c", script,
                               firn.path, place_of_ordinary / "p", image)
    assert result.returncode == FAILED, result.stderr
    assert "user.max_user_namespaces is 0" in result.stderr
    assert "sysctl user.max_user_namespaces=" in result.stderr


@pytest.mark.parametrize("hide, words", [
    ("mknod $0/fuse c 10 229 && chmod 600 $0/fuse && mount --bind $0/fuse /dev/fuse", "mode 0666"),
    ("touch $0/fuse && chmod 666 $0/fuse && mount --bind $0/fuse /dev/fuse",
     "expected the FUSE device"),
    ("mount -t tmpfs tmpfs /dev && mknod -m 666 /dev/null c 1 3", "modprobe fuse")])
def test_where_the_fuse_device_is_amiss(firn, image, root_user, ordinary_user, directory, hide,
                                        words):
    """In a mount namespace around it; the machine's own device stays as it is."""
    script = (f"{hide} && exec setpriv --reuid={ordinary_user.uid} "
              f'--regid={ordinary_user.uid} --clear-groups "$1" run --prefix "$2" "$3" -- true')
    result = root_user.run("unshare", "--mount", "sh", "-c", script, directory, firn.path,
                           ordinary_user.home / "p", image, env=ordinary_user.environment())
    assert result.returncode == FAILED, result.stderr
    assert words in result.stderr
    assert "/dev/fuse" in result.stderr
    assert "Ask the site" in result.stderr


@pytest.fixture
def place_of_ordinary(ordinary_user, directory):
    if ordinary_user.uid is not None:
        os.chown(directory, ordinary_user.uid, ordinary_user.uid)
    return directory


def test_where_descriptors_are_few(firn, image, user, place):
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))

    result = run(firn, user, image, "--", "cat", place / "p/data", prefix=place / "p",
                 preexec_fn=few)
    assert (result.returncode, result.stdout) == (0, "from the image\n"), result.stderr


def test_a_run_inside_a_run(firn, image, other_image, user, place):
    inner = [firn.path, "run", "--prefix", place / "b", other_image, "--"]
    result = run(firn, user, image, "--", *inner, "cat", place / "a/data", place / "b/data",
                 prefix=place / "a")
    assert result.stdout == "from the image\nfrom the other\n", result.stderr
    wait_until_gone(sessions(other_image))


def test_python_from_an_image(firn, environment_image, ordinary_user):
    """The real thing: numpy and scipy at a prefix that this machine has not."""
    from harness.environment import PREFIX
    code = "import numpy, scipy, sys; print(numpy.arange(4).sum(), numpy.__file__, sys.prefix)"
    result = run(firn, ordinary_user, environment_image, "--", f"{PREFIX}/bin/python3", "-c", code)
    assert result.returncode == 0, result.stderr
    total, file, prefix = result.stdout.split()
    assert (total, prefix) == ("6", PREFIX)
    assert file.startswith(f"{PREFIX}/")
    wait_until_gone(sessions(environment_image))
