"""What a job in an image gets as environment: firn run, firn shell, firn env."""

import os
import pathlib
import shutil
import signal
import stat
import subprocess
import time

import pytest

from harness import layout
from harness.jobs import (  # noqa: F401  (fixtures)
    DEADLINE, FAILED, image, job_directory, job_tree, nothing_left, place, run, user_files)

PYTHON = "/usr/bin/python3"
PADDING = "x" * 200
PREFIX = "/opt/firn-runtime-test/env"
AWKWARD = "a 'b' \"c\" $HOME `id` !! \\ \\' \\! #; & | * ? [x] {y} ~ %\té"


def with_keys(firn, tree, target, keys, *options):
    """An image of the tree with further keys in its manifest."""
    firn.build(tree, target, "--name", PADDING, "--prefix", PREFIX, "--no-rules", *options)
    data = target.read_bytes()
    target.write_bytes(layout.with_manifest(
        data, lambda text: text.replace(f'name: "{PADDING}"', f'name: "science"\n{keys}')))
    firn.run("verify", target)
    return target


@pytest.fixture(scope="module")
def scratch_image(firn, job_directory, job_tree):  # noqa: F811
    return with_keys(firn, job_tree, job_directory / "scratch.firn",
                     'scratch: [MPLCONFIGDIR, NUMBA_CACHE_DIR]')


@pytest.fixture(scope="module")
def awkward_image(firn, job_directory, job_tree):  # noqa: F811
    text = AWKWARD.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return with_keys(firn, job_tree, job_directory / "awkward.firn",
                     f'environment: {{AWKWARD: "{text}", PLACE: "${{PREFIX}}/x"}}')


@pytest.fixture(scope="module")
def conda_image(firn, job_directory):  # noqa: F811
    """Of a prefix as conda leaves it, with scripts as packages have them."""
    root = job_directory / "conda"
    scripts = root / "etc/conda/activate.d"
    scripts.mkdir(parents=True)
    (root / "conda-meta").mkdir()
    (root / "conda-meta/history").write_text("")
    (root / "bin").mkdir()
    (root / "bin/tool").write_text("#!/bin/sh\necho the tool\n")
    (root / "bin/tool").chmod(0o755)
    (scripts / "proj.sh").write_text(
        "#!/bin/sh\nif [ -n \"${PROJ_DATA+x}\" ]; then\n"
        "  export _CONDA_SET_PROJ_DATA=$PROJ_DATA\nfi\n"
        "export PROJ_DATA=\"${CONDA_PREFIX}/share/proj\"\n")
    (scripts / "xdg.sh").write_text(
        "export XDG_DATA_DIRS=\"$CONDA_PREFIX/share:${XDG_DATA_DIRS:-/usr/share}\"\n")
    (scripts / "broken.sh").write_text("echo something is amiss >&2\nfalse\n")
    return firn.build(root, job_directory / "conda.firn", "--prefix",
                      "/opt/firn-runtime-test/conda")


def variables(firn, user, image, *options, environment=None):
    result = run(firn, user, *options, image, "--", "env", "-0",
                 env=user.environment() | (environment or {}))
    assert result.returncode == 0, result.stderr
    return dict(entry.split("=", 1) for entry in result.stdout.split("\0") if entry)


def test_path_has_the_images_programs_in_front(firn, image, user, place):
    result = run(firn, user, image, "--", "hello", "you", prefix=place / "p")
    assert (result.returncode, result.stdout) == (0, "hello you\n"), result.stderr
    found = variables(firn, user, image, "--prefix", place / "p")
    assert found["PATH"] == f"{place}/p/bin:{os.environ['PATH']}"
    # Nothing else changes for an image without a Python.
    assert found == user.environment() | {"PATH": found["PATH"]}


def test_nothing_changes_where_it_must_not(firn, scratch_image, user, place):
    found = variables(firn, user, scratch_image, "--prefix", place / "p", "--no-environment")
    assert found == user.environment()
    result = run(firn, user, "--no-environment", scratch_image, "--", "hello", prefix=place / "p")
    assert result.returncode == 127
    assert f"{place}/p/bin/hello" in result.stderr


def test_python3_is_the_images(firn, environment_image, user):
    from harness.environment import PREFIX as prefix
    code = "import os, sys; print(sys.prefix, os.environ['PYTHONNOUSERSITE'], 'PYTHONHOME' in " \
        "os.environ, os.environ['VIRTUAL_ENV'], sys.flags.no_user_site)"
    result = run(firn, user, environment_image, "--", "python3", "-c", code,
                 env=user.environment() | {"PYTHONHOME": "/nonexistent"})
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [prefix, "1", "False", prefix, "1"]


def test_what_condas_scripts_set_is_recorded(firn, conda_image, ordinary_user):
    prefix = "/opt/firn-runtime-test/conda"
    own = {"CONDA_PREFIX": "/base", "CONDA_SHLVL": "1", "PROJ_DATA": "/other"}
    found = variables(firn, ordinary_user, conda_image, environment=own)
    assert found["CONDA_PREFIX"] == found["CONDA_DEFAULT_ENV"] == prefix
    assert (found["CONDA_SHLVL"], found["CONDA_PREFIX_1"]) == ("2", "/base")
    assert found["PROJ_DATA"] == f"{prefix}/share/proj"
    assert found["XDG_DATA_DIRS"] == f"{prefix}/share:/usr/share"
    assert "_CONDA_SET_PROJ_DATA" not in found
    found = variables(firn, ordinary_user, conda_image, "--prefix", ordinary_user.home / "moved",
                      environment={"XDG_DATA_DIRS": "/x"})
    assert found["XDG_DATA_DIRS"] == f"{ordinary_user.home}/moved/share:/x"
    assert run(firn, ordinary_user, conda_image, "--", "tool").stdout == "the tool\n"


# Scratch directories


def scratch_of(line):
    return [pathlib.Path(word) for word in line.split()]


def start_with_scratch(firn, user, image, place):
    script = ("echo $MPLCONFIGDIR $NUMBA_CACHE_DIR; mkdir -p $MPLCONFIGDIR/a/b; "
              "touch $MPLCONFIGDIR/a/b/c; read x")
    job = subprocess.Popen(
        [firn.path, "run", "--prefix", place / "p", image, "--", "sh", "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **user.popen_arguments())
    return job, scratch_of(job.stdout.readline())


def wait_until_removed(paths):
    deadline = time.monotonic() + DEADLINE
    while left := [path for path in paths if path.exists()]:
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [None, signal.SIGTERM, signal.SIGKILL])
def test_scratch_directories_are_the_jobs_alone(firn, scratch_image, user, place, number):
    first, paths = start_with_scratch(firn, user, scratch_image, place)
    second, others = start_with_scratch(firn, user, scratch_image, place)
    assert len({*paths, *others}) == 4
    for path in paths + others:
        status = path.stat()
        assert stat.S_IMODE(status.st_mode) == stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert status.st_uid == (user.uid if user.uid is not None else os.geteuid())
        assert path.parent.parent == user.home
    assert f"-{first.pid}-" in paths[0].parent.name
    if number is None:
        first.communicate("done\n", timeout=DEADLINE)
    else:
        first.send_signal(number)
        first.communicate(timeout=DEADLINE)
    wait_until_removed([paths[0].parent])
    assert all(path.is_dir() for path in others)
    second.communicate("done\n", timeout=DEADLINE)
    wait_until_removed([others[0].parent])


def test_scratch_outlives_a_signal_to_the_group(firn, scratch_image, user, place):
    """What ends the job ends not who cleans up after it."""
    script = "trap '' TERM INT; echo $MPLCONFIGDIR $NUMBA_CACHE_DIR; read x; touch $MPLCONFIGDIR/x"
    job = subprocess.Popen(
        [firn.path, "run", "--prefix", place / "p", scratch_image, "--", "sh", "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        **user.popen_arguments())
    paths = scratch_of(job.stdout.readline())
    os.killpg(job.pid, signal.SIGTERM)
    os.killpg(job.pid, signal.SIGINT)
    job.communicate("go\n", timeout=DEADLINE)
    assert job.returncode == 0
    wait_until_removed([paths[0].parent])


def test_the_output_of_a_job_ends_with_it(firn, scratch_image, user, place):
    """And no child is left that it did not start."""
    result = run(firn, user, scratch_image, "--", PYTHON, "-c",
                 "import os\ntry:\n    os.waitpid(-1, 0)\nexcept ChildProcessError:\n"
                 "    print('no child')", prefix=place / "p")
    assert (result.returncode, result.stdout) == (0, "no child\n"), result.stderr


def test_removal_follows_no_link_and_opens_what_is_locked(firn, scratch_image, user, place):
    outside = user.make_directory(f"outside-{place.name}")
    (outside / "precious").write_text("precious")
    deep = "/".join(["d"] * 200)
    script = (f"cd $MPLCONFIGDIR && ln -s {outside} link && ln -s {outside}/precious file && "
              f"mkdir -p {deep} && touch {deep}/end && mkdir -p locked/inner && "
              "touch locked/inner/x && chmod 0 locked/inner && chmod 0 locked && pwd")
    result = run(firn, user, scratch_image, "--", "sh", "-c", script, prefix=place / "p")
    assert result.returncode == 0, result.stderr
    wait_until_removed([pathlib.Path(result.stdout.strip()).parent])
    assert (outside / "precious").read_text() == "precious"


def test_a_directory_of_the_callers_own_is_kept(firn, scratch_image, user, place):
    found = variables(firn, user, scratch_image, "--prefix", place / "p",
                      environment={"MPLCONFIGDIR": "/mine", "NUMBA_CACHE_DIR": ""})
    assert found["MPLCONFIGDIR"] == "/mine"
    assert "/firn-" in found["NUMBA_CACHE_DIR"]


def test_where_no_scratch_can_be_made(firn, scratch_image, ordinary_user, locked_home):
    result = run(firn, ordinary_user, scratch_image, "--", "true",
                 env=ordinary_user.environment() | {"TMPDIR": str(locked_home)})
    assert result.returncode == FAILED
    assert str(locked_home) in result.stderr and "TMPDIR" in result.stderr


@pytest.fixture
def locked_home(directory):
    path = directory / "none"
    path.mkdir(mode=0o555)
    return path


# firn shell and firn env


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/dash"])
def test_a_shell_with_the_image(firn, image, user, place, shell):
    result = firn.run("shell", "--prefix", place / "p", image, user=user, check=False,
                      stdin=None, input="hello from $0; exit 7\n",
                      env=user.environment() | {"SHELL": shell})
    assert (result.returncode, result.stdout) == (7, f"hello from {shell}\n"), result.stderr


def shell_program(name):
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"no {name}: scripts/setup installs it")
    return path


READ = {"bash": 'eval "$({env})"', "dash": 'eval "$({env})"', "zsh": 'eval "$({env})"',
        "fish": "{env} | source", "tcsh": "{env} > {file}; source {file}"}


@pytest.mark.parametrize("shell", READ)
def test_each_shell_reads_the_variables(firn, awkward_image, ordinary_user, directory, shell):
    program = shell_program(shell)
    os.chown(directory, ordinary_user.uid if ordinary_user.uid is not None else -1, -1)
    env = f"{firn.path} env --prefix /else/where {awkward_image}"
    script = READ[shell].format(env=env, file=directory / "variables") + "; env -0"
    given = ordinary_user.environment() | {"SHELL": program, "PATH": "/usr/bin:/bin"}
    result = ordinary_user.run(program, *(["-f"] if shell in ("tcsh", "zsh") else []), "-c",
                               script, env=given)
    assert result.returncode == 0, result.stderr
    found = dict(entry.split("=", 1) for entry in result.stdout.split("\0") if "=" in entry)
    assert found["AWKWARD"] == AWKWARD
    assert found["PLACE"] == "/else/where/x"
    assert found["PATH"] == "/else/where/bin:/usr/bin:/bin"


def test_variables_that_must_not_be_set(firn, environment_image, ordinary_user):
    for shell, words in (("zsh", "unset PYTHONHOME;"), ("csh", "unsetenv PYTHONHOME;"),
                         ("fish", "set -e PYTHONHOME;")):
        result = firn.run("env", "--shell", shell, environment_image, user=ordinary_user)
        assert words in result.stdout.splitlines()


def test_a_shell_that_is_not_known(firn, image):
    result = firn.run("env", "--shell", "xonsh", image, check=False)
    assert result.returncode == 2
    assert "xonsh" in result.stderr and "fish" in result.stderr


def test_a_name_that_is_none(firn, job_directory, job_tree, ordinary_user):
    """A manifest is anybody's: what it says must not become a command of the shell that reads it."""
    hostile = with_keys(firn, job_tree, job_directory / "hostile.firn",
                        'environment: {"A=1; touch /tmp/x; B": "x"}')
    result = firn.run("env", hostile, check=False)
    assert result.returncode == 5 and result.stdout == ""
    result = run(firn, ordinary_user, hostile, "--", "true")
    assert result.returncode == FAILED
    hostile.unlink()
