"""The configuration of firnd, by real daemons and mounts."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess

import pytest

from harness.config import check_config, in_namespace, job, status_of, write_config
from harness.mounts import is_mounted

SOURCE = pathlib.Path(__file__).parent.parent
USAGE, INPUT, SYSTEM, RUN_FAILED = 2, 3, 7, 125
PREFIX = "/opt/firn-config-test"


@pytest.fixture(scope="module")
def tree(scratch):
    root = scratch / "config-tree"
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "small").write_text("small\n")
    (root / "data").write_bytes(bytes(range(256)) * 4096)
    return root


@pytest.fixture(scope="module")
def image(firn, scratch, tree):
    image = firn.build(tree, scratch / "config.firn", "--prefix", PREFIX)
    image.chmod(0o644)
    return image


@pytest.fixture(scope="module")
def image_with_profile(firn, scratch, tree):
    profile = scratch / "config.profile"
    profile.write_text("firn-profile 1\nlookup bin/small\nread bin/small 0 4096\n")
    image = firn.build(tree, scratch / "profile.firn", "--prefix", PREFIX, "--profile", profile)
    image.chmod(0o644)
    return image


# The file.

def test_check_config(firnd, directory):
    result = check_config(firnd, write_config(directory, "threads: 3\n"))
    assert (result.returncode, result.stdout, result.stderr) == (0, "ok\n", "")
    # Named by --config as well.
    path = write_config(directory, "threads: 3\nview: direct\n")
    result = subprocess.run([firnd, "--config", path, "--check-config"], capture_output=True,
                            text=True, timeout=60)
    assert (result.returncode, result.stdout) == (0, "ok\n")

    result = check_config(firnd, directory / "missing.yaml")
    assert (result.returncode, result.stdout) == (INPUT, "")
    assert f"{directory}/missing.yaml" in result.stderr


def test_every_mistake_is_told_with_its_place(firn, firnd, root_user, image, directory):
    path = write_config(directory, """\
        cache_size: plenty
        thraeds: 3
        log:
          format: xml
        max_background: 0
        """)
    (directory / "mnt").mkdir()
    result = check_config(firnd, path)
    assert (result.returncode, result.stdout) == (USAGE, "")
    places = re.findall(rf"^{re.escape(str(path))}:(\d+):(\d+): ", result.stderr, re.MULTILINE)
    assert places == [("1", "13"), ("2", "1"), ("4", "11"), ("5", "17")]

    # As firn mount and firn run tell it: once, and nothing is mounted.
    for code, arguments in ((USAGE, ["mount", "--config", path, image, directory / "mnt"]),
                            (RUN_FAILED, ["run", "--config", path, image, "--", "true"])):
        result = firn.run(*arguments, check=False)
        assert (result.returncode, result.stdout) == (code, "")
        assert result.stderr.count("unknown key 'thraeds'") == 1
        assert result.stderr.startswith("firn: error: ")
        assert not is_mounted(directory / "mnt")


def test_root_takes_no_file_that_others_may_write(firn, firnd, root_user, image, directory):
    path = write_config(directory, "threads: 3\n")
    path.chmod(0o666)
    result = check_config(firnd, path)
    assert (result.returncode, result.stdout) == (INPUT, "")
    assert "others may write" in result.stderr
    (directory / "mnt").mkdir()
    result = firn.run("mount", "--config", path, image, directory / "mnt", check=False)
    assert result.returncode == INPUT and "others may write" in result.stderr
    assert not is_mounted(directory / "mnt")


def test_an_ordinary_user_may_have_any_file(firnd, ordinary_user, directory):
    path = write_config(directory, "threads: 3\n")
    path.chmod(0o666)
    assert ordinary_user.run(firnd, "--check-config", path).stdout == "ok\n"


def known_keys(firnd, path, text):
    """What the parser itself lists where it is asked for a key that it has not."""
    path.write_text(text)
    (listed,) = re.findall(r"unknown key 'nonsense'; known are (.*)",
                           check_config(firnd, path).stderr)
    return listed.split(", ")


def test_the_manual_has_every_key_and_no_other(firnd, directory):
    path = write_config(directory, "")
    keys = (known_keys(firnd, path, "nonsense: 1\n")
            + known_keys(firnd, path, "log: {nonsense: 1}\n")
            + known_keys(firnd, path, "metrics: {nonsense: 1}\n")
            + known_keys(firnd, path, "limits: {nonsense: 1}\n"))
    assert len(keys) > 8
    page = (SOURCE / "man" / "firnd.yaml.5").read_text()
    described = re.findall(r"^\.It Ic (\w+)$", page, re.MULTILINE)
    assert sorted(described) == sorted(keys)


def test_the_example_is_right_and_has_every_key(firnd, firn, directory):
    example = (SOURCE / "scripts" / "firnd.yaml").read_text()
    path = write_config(directory, example)
    assert check_config(firnd, path).stdout == "ok\n"
    # Settings that it has as comments, too.
    everything = re.sub(r"^( *)#(?=\w)", r"\1", example, flags=re.MULTILINE)
    (directory / "keys").mkdir()
    firn.run("keygen", directory / "keys" / "site")
    everything = everything.replace("/etc/firn/keys", f"{directory}/keys")
    path.write_text(everything)
    result = check_config(firnd, path)
    assert (result.stdout, result.stderr) == ("ok\n", "")
    keys = set(re.findall(r"^ *(\w+):", everything, re.MULTILINE))
    assert keys == {*known_keys(firnd, path, "nonsense: 1\n"),
                    *known_keys(firnd, path, "log: {nonsense: 1}\n"),
                    *known_keys(firnd, path, "metrics: {nonsense: 1}\n"),
                    *known_keys(firnd, path, "limits: {nonsense: 1}\n")}


# What the keys do.

CONFIG = """\
    cache_size: 3M
    threads: 5
    view: direct
    prefetch: false
    """


def test_a_mount_is_as_the_configuration_has_it(firn, root_user, image_with_profile, directory):
    path = write_config(directory, CONFIG)
    with firn.mounted(image_with_profile, "--config", path) as place:
        status = status_of(firn, place)
    assert (status["cache"]["capacity"], status["threads"]) == (3 << 20, 5)
    assert (status["view"], status["view_reason"]) == ("direct", None)
    assert status["prefetch"]["stage"] == "off"


def test_options_of_the_command_line_win(firn, root_user, image_with_profile, directory):
    path = write_config(directory, CONFIG)
    options = ["--cache-size", "2M", "--threads", "4", "--view", "auto", "--prefetch"]
    with firn.mounted(image_with_profile, "--config", path, *options) as place:
        status = status_of(firn, place)
    assert (status["cache"]["capacity"], status["threads"]) == (2 << 20, 4)
    assert status["view"] == "overlay"
    assert status["prefetch"]["stage"] in ("running", "done")


def test_defaults_hold_for_what_nobody_says(firn, root_user, image_with_profile, directory):
    path = write_config(directory, "threads: 5\n")
    with firn.mounted(image_with_profile, "--config", path) as place:
        status = status_of(firn, place)
    assert (status["cache"]["capacity"], status["threads"]) == (64 << 20, 5)
    assert status["view"] == "overlay"
    assert status["prefetch"]["stage"] in ("running", "done")


def test_a_job_is_as_the_configuration_has_it(firn, user, image, directory):
    path = write_config(directory, CONFIG)
    with job(firn, image, "--config", path, user=user) as status:
        assert (status["cache"]["capacity"], status["threads"]) == (3 << 20, 5)
        assert status["view"] == "direct"
    options = ["--config", path, "--view", "auto", "--threads", "2"]
    with job(firn, image, *options, user=user) as status:
        assert (status["cache"]["capacity"], status["threads"]) == (3 << 20, 2)
        assert status["view"] == "overlay"


@contextlib.contextmanager
def fuse_connections():
    """Where the kernel shows its FUSE connections."""
    path = pathlib.Path("/sys/fs/fuse/connections")
    mounted = any(path.iterdir())
    if not mounted:
        subprocess.run(["mount", "-t", "fusectl", "fusectl", path], check=False)
    try:
        yield path
    finally:
        if not mounted:
            subprocess.run(["umount", path], check=False)


def test_max_background_reaches_the_kernel(firn, root_user, image, directory):
    limit = int(pathlib.Path("/sys/module/fuse/parameters/max_user_bgreq").read_text())
    for text, expected in (("view: direct\nmax_background: 7\n", 7),
                           ("view: direct\n", min(limit, 4096))):
        path = write_config(directory, text)
        with firn.mounted(image, "--config", path) as place, fuse_connections() as connections:
            minor = os.minor(os.stat(place).st_dev)
            assert int((connections / str(minor) / "max_background").read_text()) == expected
            # A worker that takes over tells the kernel the same.
            os.kill(status_of(firn, place)["worker"], signal.SIGKILL)
            assert (place / "bin" / "small").read_text() == "small\n"
            assert status_of(firn, place)["restarts"] == 1


def mounts_seen(trace):
    """The data of each mount(2) with a context, by type of file system."""
    calls = re.findall(r'mount\("[^"]*", "[^"]*", "([^"]*)", [^,]*, "((?:[^"\\]|\\.)*)"\)',
                       trace.read_text())
    return {kind: data.replace('\\"', '"') for kind, data in calls if "context=" in data}


@pytest.mark.parametrize("command", ["mount", "run"])
@pytest.mark.parametrize("view, kinds", [("overlay", {"fuse.firn", "overlay"}),
                                         ("direct", {"fuse.firn"})])
def test_the_context_is_given_to_mounts(firn, root_user, image, directory, command, view, kinds):
    """What mount(2) is given, as strace sees it; only a kernel with SELinux takes it."""
    context = "system_u:object_r:usr_t:s0:c1,c2"
    path = write_config(directory, f"view: {view}\nselinux_context: {context}\n")
    (directory / "mnt").mkdir()
    trace = directory / "trace"
    arguments = {"mount": ["mount", "--config", path, image, directory / "mnt"],
                 "run": ["run", "--config", path, image, "--", "true"]}[command]
    has_selinux = os.path.exists("/sys/fs/selinux/status")
    # LeakSanitizer refuses to work under strace.
    environment = os.environ | {"ASAN_OPTIONS": os.environ["ASAN_OPTIONS"] + ":detect_leaks=0"}
    result = subprocess.run(["strace", "-f", "-qq", "-s", "1000", "-e", "trace=mount", "-o", trace,
                             firn.path, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                            text=True, timeout=300, env=environment)
    seen = mounts_seen(trace)
    assert seen["fuse.firn"].endswith(f',context="{context}"')
    if has_selinux:
        assert set(seen) == kinds
        assert result.returncode == 0
        if command == "mount":
            firn.run("unmount", directory / "mnt")
    else:
        assert result.returncode == (SYSTEM if command == "mount" else RUN_FAILED)
        assert f"SELinux context {context}" in result.stderr
        assert "selinux_context" in result.stderr
        assert not is_mounted(directory / "mnt")


def test_an_ordinary_users_mounts_do_without_the_context(firn, ordinary_user, image, directory):
    """Neither the kernel, in a user namespace, nor fusermount3 takes one."""
    log = ordinary_user.home / "context.log"
    path = write_config(directory, "selinux_context: system_u:object_r:usr_t:s0\n")
    with firn.mounted(image, "--config", path, "--log-file", log, user=ordinary_user) as place:
        assert ordinary_user.run("cat", place / "bin" / "small").stdout == "small\n"
    assert "selinux_context is left out" in log.read_text()
    result = firn.run("run", "--config", path, image, "--", "cat", f"{PREFIX}/bin/small",
                      user=ordinary_user)
    assert result.stdout == "small\n"


def run_with_etc(directory, config, *command):
    """Runs a command that sees `config` as /etc/firn/firnd.yaml, and nobody else does."""
    room = directory / "room"
    room.mkdir()
    script = (f"mount -t tmpfs tmpfs {room} && mkdir -p {room}/upper/firn {room}/work"
              f" && cp -p {config} {room}/upper/firn/firnd.yaml && mount -t overlay overlay"
              f" -o lowerdir=/etc,upperdir={room}/upper,workdir={room}/work /etc")
    return subprocess.run([*in_namespace(script), *map(str, command)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("who", ["root", "ordinary"])
def test_the_default_file_holds_for_what_firn_starts(firn, root_user, ordinary_user, image,
                                                     directory, who):
    config = write_config(directory, "threads: 7\nview: direct\n")
    command = f"grep -c ' {PREFIX} .* fuse.firn ' /proc/self/mountinfo; {firn.path} status --json"
    become = {"root": [],
              "ordinary": ["setpriv", f"--reuid={ordinary_user.uid}",
                           f"--regid={ordinary_user.uid}", "--clear-groups",
                           "env", f"XDG_RUNTIME_DIR={ordinary_user.runtime}"]}
    result = run_with_etc(directory, config, *become[who], firn.path, "run", image, "--", "sh",
                          "-c", command)
    assert result.returncode == 0, result.stderr
    fuse_mounts, _, status = result.stdout.partition("\n")
    assert fuse_mounts == "1"
    (mounted,) = [mount for mount in json.loads(status)["mounts"] if mount["image"] == str(image)]
    assert mounted["threads"] == 7
    assert mounted["view"] == "direct"


def test_mistakes_in_the_default_file_are_told(firnd, root_user, directory):
    config = write_config(directory, "threads: 700\n")
    result = run_with_etc(directory, config, firnd, "--check-config")
    assert result.returncode == USAGE
    assert "/etc/firn/firnd.yaml:1:10: " in result.stderr
