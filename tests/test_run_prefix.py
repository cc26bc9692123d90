"""firn run: the places where images are shown, and the job's working directory."""

import json
import os
import pathlib

import pytest

from harness.jobs import (  # noqa: F401  (fixtures)
    FAILED, image, job_directory, job_tree, locked,
    nothing_left, other_image, place, run, sessions, user_files, wait_until_gone)

PYTHON = "/usr/bin/python3"


def test_a_prefix_that_exists_is_covered(firn, image, user, place):
    prefix = place / "p"
    prefix.mkdir()
    prefix.chmod(0o755)
    (prefix / "host").write_text("host\n")
    result = run(firn, user, image, "--", "ls", prefix, prefix=prefix)
    assert result.stdout.split() == ["bin", "data", "sub"], result.stderr
    assert os.listdir(prefix) == ["host"]


def test_a_prefix_behind_a_symlink(firn, image, user, place):
    (place / "real").mkdir(mode=0o755)
    if user.uid is not None:
        os.chown(place / "real", user.uid, user.uid)
    (place / "link").symlink_to("real")
    result = run(firn, user, image, "--", "cat", place / "real/x/data", place / "link/x/data",
                 prefix=place / "link/x/")
    assert result.stdout == "from the image\n" * 2, result.stderr


def test_a_missing_prefix_is_made_where_the_caller_may(firn, image, user, place):
    """Then the job's other writes beside it reach the host."""
    script = f"cat {place}/new/prefix/data && touch {place}/new/beside"
    result = run(firn, user, image, "--", "sh", "-c", script, prefix=place / "new/prefix")
    assert (result.returncode, result.stdout) == (0, "from the image\n"), result.stderr
    assert sorted(os.listdir(place / "new")) == ["beside", "prefix"]
    assert os.listdir(place / "new/prefix") == []


LIST = """
import json, os, sys
seen = {}
for entry in os.scandir(sys.argv[1]):
    status = entry.stat(follow_symlinks=False)
    if entry.name not in ('new', 'dangling'):
        seen[entry.name] = [status.st_mode >> 12, os.path.exists(entry.path),
                            os.readlink(entry.path) if entry.is_symlink() else status.st_ino]
print(json.dumps(seen))
"""


def test_a_missing_prefix_that_the_caller_may_not_make_is_underlaid(firn, image, ordinary_user,
                                                                    locked):
    """The host's entries are all there beside it, the same files; nothing changes on the host."""
    before = sorted(os.listdir(locked))
    prefix = locked / "new/prefix"
    script = (f"cat {prefix}/data {locked}/directory/inner {locked}/link {locked}/file; "
              f"{PYTHON} -c \"$LIST\" {locked}; touch {locked}/x {locked}/new/x {prefix}/x")
    user = ordinary_user
    result = run(firn, user, image, "--", "sh", "-c", script, prefix=prefix,
                 env=user.environment() | {"LIST": LIST})
    lines = result.stdout.splitlines()
    assert lines[:4] == ["from the image", "inner", "inner", "file"], result.stderr
    outside = user.run(PYTHON, "-c", LIST, locked)
    assert json.loads(lines[4]) == json.loads(outside.stdout)
    assert result.stderr.count("Read-only file system") == 3, result.stderr
    assert sorted(os.listdir(locked)) == before


def test_writes_through_an_underlay_reach_the_host(firn, image, ordinary_user, locked):
    """What the caller may write beside the prefix, it still may."""
    (locked / "directory").chmod(0o777)
    run(firn, ordinary_user, image, "--", "touch", locked / "directory/made",
        prefix=locked / "new", check=True)
    assert (locked / "directory/made").exists()


def test_a_dangling_symlink_gives_way(firn, image, ordinary_user, locked):
    result = run(firn, ordinary_user, image, "--", "cat", locked / "dangling/data",
                 prefix=locked / "dangling")
    assert (result.returncode, result.stdout) == (0, "from the image\n"), result.stderr
    assert os.readlink(locked / "dangling") == "nowhere"


def test_a_prefix_at_the_top_level(firn, image, ordinary_user, directory):
    """The job gets a new root directory that shows all of the old one."""
    user = ordinary_user
    prefix = f"/firn-run-test-{os.getpid()}/prefix"
    script = (f"cat {prefix}/data; pwd; ls -A /; ls /proc/self >/dev/null && echo proc; "
              f"test -c /dev/null && echo dev; touch {user.home}/from-job; mountpoint -q /old_root")
    result = run(firn, user, image, "--", "sh", "-c", script, prefix=prefix)
    lines = result.stdout.splitlines()
    assert lines[:2] == ["from the image", str(user.home)], result.stderr
    names = [os.path.dirname(prefix)[1:], *os.listdir("/"), "proc", "dev"]
    assert sorted(lines[2:]) == sorted(names)
    assert (user.home / "from-job").exists()
    assert not os.path.exists(os.path.dirname(prefix))


def test_a_prefix_at_the_top_level_as_root_is_made(firn, image, root_user):
    prefix = f"/firn-run-test-root-{os.getpid()}"
    try:
        result = run(firn, root_user, image, "--", "cat", f"{prefix}/data", prefix=prefix)
        assert (result.returncode, result.stdout) == (0, "from the image\n"), result.stderr
        assert os.listdir(prefix) == []
    finally:
        os.rmdir(prefix)


@pytest.mark.parametrize("prefix, words", [
    ("relative/path", "absolute"), ("/", "root directory"), ("/proc/x", "kernel"),
    ("/dev", "kernel"), ("/opt/../etc", "'..'"), ("/etc/passwd", "Expected a directory".lower()),
    ("/etc/passwd/x", "Not a directory")])
def test_prefixes_that_cannot_be(firn, image, user, prefix, words):
    result = run(firn, user, image, "--", "true", prefix=prefix)
    assert result.returncode == FAILED
    assert words in result.stderr
    assert prefix in result.stderr


def test_a_prefix_below_a_closed_directory(firn, image, ordinary_user, locked):
    (locked / "directory").chmod(0o700)
    result = run(firn, ordinary_user, image, "--", "true", prefix=locked / "directory/new")
    assert result.returncode == FAILED
    assert "Permission denied" in result.stderr
    assert "--prefix" in result.stderr


# Several images


def test_two_images(firn, image, other_image, user, place):
    result = run(firn, user, "--prefix", place / "a", "--prefix", place / "b", image, other_image,
                 "--", "cat", place / "a/data", place / "b/data")
    assert result.stdout == "from the image\nfrom the other\n", result.stderr
    wait_until_gone(sessions(other_image))


@pytest.mark.parametrize("below", ["new", "new/er", "sub", "sub/new"])
def test_an_image_inside_another(firn, image, other_image, user, place, below):
    outer = place / "p"
    inner = outer / below
    script = (f"cat {outer}/data {inner}/data; ls {outer}; touch {outer}/x {inner}/x; "
              f"test -e {outer}/sub/deep/file && echo deep")
    result = run(firn, user, "--prefix", outer, "--prefix", inner, image, other_image, "--", "sh",
                 "-c", script)
    lines = result.stdout.splitlines()
    assert lines[:2] == ["from the image", "from the other"], result.stderr
    names = {"bin", "data", "sub", pathlib.Path(below).parts[0]}
    assert set(lines[2:2 + len(names)]) == names
    assert ("deep" in lines[-1:]) == (below != "sub")
    assert result.stderr.count("Read-only file system") == 2, result.stderr
    wait_until_gone(sessions(other_image))


def test_images_that_would_hide_each_other_are_refused(firn, image, other_image, user, place):
    for first, second in ((place / "p/x", place / "p"), (place / "p", place / "p")):
        result = run(firn, user, "--prefix", first, "--prefix", second, image, other_image, "--",
                     "true")
        assert result.returncode == FAILED
        assert "would hide" in result.stderr
    assert list(place.iterdir()) == []


def test_images_that_would_hide_each_other_through_a_symlink(firn, image, other_image, user, place):
    (place / "real").mkdir()
    (place / "link").symlink_to("real")
    result = run(firn, user, "--prefix", place / "real", "--prefix", place / "link", image,
                 other_image, "--", "true")
    assert result.returncode == FAILED
    assert "would hide" in result.stderr


# The host's mounts


@pytest.mark.parametrize("where", ["made", "underlaid"])
def test_mounts_do_not_leave_the_job_but_reach_it(firn, image, root_user, directory, where):
    """On a host whose mounts are shared, as systemd has them."""
    (directory / "later").mkdir()
    prefix = directory / "p"
    if where == "underlaid":
        prefix = directory / "closed" / "p"
        (directory / "closed" / "later").mkdir(parents=True)
        later = directory / "closed" / "later"
        # Even root can make nothing there.
        setup = f"mount --bind -o ro {directory}/closed {directory}/closed"
    else:
        later = directory / "later"
        setup = "true"
    host = "nsenter --target $PPID --mount"
    job = (f"cat {prefix}/data; {host} grep -c {prefix} /proc/self/mountinfo; "
           f"{host} mount -t tmpfs tmpfs {directory}/elsewhere; ls {directory}/elsewhere; "
           f"{host} mount -t tmpfs tmpfs {later} && {host} touch {later}/arrived; ls {later}")
    (directory / "elsewhere").mkdir()
    script = (f"{setup} && {firn.path} run --prefix {prefix} {image} -- sh -c '{job}'; echo $?")
    result = root_user.run("unshare", "--mount", "--propagation", "shared", "sh", "-c", script)
    assert result.stdout.split("\n") == ["from the image", "0", "arrived", "0", ""], result.stderr


# The working directory


def test_the_working_directory_is_kept(firn, image, user, place, locked):
    for cwd, prefix in ((place, place / "p"), (place, place), (locked / "directory", place / "q")):
        inside = run(firn, user, image, "--", PYTHON, "-c", "import os; print(os.getcwd())",
                     prefix=prefix, cwd=cwd)
        assert inside.stdout == f"{cwd}\n", inside.stderr


def test_a_covered_working_directory_is_the_new_one(firn, image, user, place):
    prefix = place / "p"
    (prefix / "sub").mkdir(parents=True)
    result = run(firn, user, image, "--", "cat", "deep/file", "../data", prefix=prefix,
                 cwd=prefix / "sub")
    assert result.stdout == "deep\nfrom the image\n", result.stderr
    (prefix / "missing").mkdir()
    result = run(firn, user, image, "--", "true", prefix=prefix, cwd=prefix / "missing")
    assert result.returncode == FAILED
    assert "working directory" in result.stderr
    assert str(prefix / "missing") in result.stderr


def test_the_working_directory_below_an_underlay(firn, image, ordinary_user, locked):
    result = run(firn, ordinary_user, image, "--", "cat", "inner", "../new/data",
                 prefix=locked / "new", cwd=locked / "directory")
    assert result.stdout == "inner\nfrom the image\n", result.stderr


def test_a_working_directory_that_is_gone(firn, image, user, place):
    (place / "gone").mkdir(mode=0o777)
    script = f"cd {place}/gone && rmdir {place}/gone && exec {firn.path} run --prefix {place}/p " \
             f"{image} -- cat {place}/p/data"
    assert user.run("sh", "-c", script).stdout == "from the image\n"
