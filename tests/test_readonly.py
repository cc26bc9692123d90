"""Nothing can be written into an image, by anybody, in any way."""

import json
import os
import subprocess
import zipfile

import pytest

from harness.environment import PREFIX
from harness.mounts import kernel_mount
from harness.tree import assert_same_tree, tree_listing, tree_listing_as

WRITES = os.path.join(os.path.dirname(__file__), "harness", "writes.py")
# The kernel answers this before it asks whether the file system can be written.
ALLOWED_OTHERWISE = {"mmap shared writable": {"EACCES"}}


@pytest.fixture(scope="module")
def image(firn, scratch):
    """A tree of which everybody could write everything, were it not an image."""
    tree = scratch / "writable"
    (tree / "directory").mkdir(parents=True)
    (tree / "file").write_bytes(b"content\n" * 1000)
    (tree / "directory" / "below").write_bytes(b"more")
    (tree / "symlink").symlink_to("file")
    for path in (tree, tree / "directory", tree / "file", tree / "directory" / "below"):
        path.chmod(0o777)
    image = firn.build(tree, scratch / "writable.firn", "--keep-modes", "--prefix", "/opt/writable")
    image.chmod(0o644)
    return image


@pytest.fixture(scope="module")
def script(scratch):
    """The program that tries to write, where every user can read it."""
    path = scratch / "writes.py"
    with open(WRITES, encoding="utf-8") as source:
        path.write_text(source.read())
    return path


def assert_all_refused(answers):
    wrong = {name: answer for name, answer in answers.items()
             if answer not in ALLOWED_OTHERWISE.get(name, {"EROFS"})}
    assert not wrong
    assert len(answers) > 30


def test_writes_into_a_mount(firn, user, image, script):
    with firn.mounted(image, user=user) as place:
        before = tree_listing_as(user, place)
        result = user.run("/usr/bin/python3", script, place)
        assert_all_refused(json.loads(result.stdout))
        assert_same_tree(before, tree_listing_as(user, place), ("mode", "size", "mtime", "sha256"))


def test_ordinary_user_writes_into_a_mount_of_root(firn, root_user, ordinary_user, image, script):
    with firn.mounted(image, user=root_user) as place:
        result = ordinary_user.run("/usr/bin/python3", script, place)
        assert_all_refused(json.loads(result.stdout))


def test_writes_inside_of_a_run(firn, user, image, script):
    result = firn.run("run", image, "--", "/usr/bin/python3", script, "/opt/writable", user=user)
    assert_all_refused(json.loads(result.stdout))


def test_the_kernel_answers_the_same(firn, root_user, image, script, directory):
    """The list of attempts itself, held against a file system that is not ours."""
    with kernel_mount(image, directory / "kernel") as place:
        result = root_user.run("/usr/bin/python3", script, place)
        assert_all_refused(json.loads(result.stdout))


def test_remount_writable_is_refused(firn, root_user, image):
    with firn.mounted(image, user=root_user) as place:
        subprocess.run(["mount", "-o", "remount,rw", place], capture_output=True)
        with pytest.raises(OSError) as refused:
            (place / "new").touch()
        assert refused.value.errno == 30


def make_wheel(directory):
    """The smallest wheel that pip installs, made here: tests reach no network."""
    path = directory / "tiny_firn_test-1.0-py3-none-any.whl"
    info = "tiny_firn_test-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tiny_firn_test.py", "value = 1\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-firn-test\n"
                                           "Version: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\n"
                                        "Root-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"tiny_firn_test.py,,\n{info}/METADATA,,\n"
                                         f"{info}/WHEEL,,\n{info}/RECORD,,\n")
    path.chmod(0o644)
    return path


def pip_install(python, wheel):
    return [python, "-m", "pip", "install", "--no-index", "--no-deps", "--no-cache-dir",
            "--disable-pip-version-check", wheel]


def test_wheel_installs_where_writing_is_allowed(directory):
    """The counterpart of the next tests: the wheel is a good one."""
    wheel = make_wheel(directory)
    subprocess.run([*pip_install("/usr/bin/python3", wheel), "--target", directory / "target"],
                   check=True, capture_output=True)
    assert (directory / "target" / "tiny_firn_test.py").exists()


def test_pip_install_into_a_mount(firn, user, environment_image, directory):
    wheel = make_wheel(directory)
    with firn.mounted(environment_image, user=user) as place:
        before = tree_listing_as(user, place)
        command = pip_install(place / "bin" / "python3", wheel)
        result = user.run(*command)
        assert result.returncode != 0
        assert "externally-managed-environment" in result.stderr
        assert "the Firn image 'environment'" in result.stderr and "firn build" in result.stderr
        # Who does not listen gets no further.
        result = user.run(*command, "--break-system-packages")
        assert result.returncode != 0
        assert "Read-only file system" in result.stdout + result.stderr
        assert_same_tree(before, tree_listing_as(user, place))
        result = user.run(place / "bin" / "python3", "-c", "import tiny_firn_test")
        assert "ModuleNotFoundError" in result.stderr


def test_pip_install_inside_of_a_run(firn, user, environment_image, directory):
    wheel = make_wheel(directory)
    python = f"{PREFIX}/bin/python3"
    result = firn.run("run", environment_image, "--", *pip_install(python, wheel),
                      "--break-system-packages", user=user, check=False)
    assert result.returncode != 0
    assert "Read-only file system" in result.stdout + result.stderr
    result = firn.run("run", environment_image, "--", python, "-c", "import tiny_firn_test",
                      user=user, check=False)
    assert "ModuleNotFoundError" in result.stderr


def test_pip_uninstall_in_a_mount(firn, root_user, environment_image):
    with firn.mounted(environment_image, user=root_user) as place:
        before = tree_listing(place)
        result = root_user.run(place / "bin" / "python3", "-m", "pip", "uninstall", "-y", "numpy")
        assert result.returncode != 0
        assert_same_tree(before, tree_listing(place))
