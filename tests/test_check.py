"""Checks of an image while it is built: with what it is, without what the builder's machine adds."""

import http.server
import json
import os
import signal
import subprocess
import threading
import time

import pytest

PYTHON = "/usr/bin/python3"
SYSTEM, CHECK_FAILED = 7, 10


def make_venv(root, *options):
    """A venv with no package but pip, whose byte code stays true in an image: builds make none."""
    root.parent.mkdir(exist_ok=True)
    subprocess.run([PYTHON, "-m", "venv", *options, os.fspath(root)], check=True)
    for name in ("setuptools*", "pkg_resources", "_distutils_hack", "distutils-precedence.pth"):
        for path in root.glob(f"lib/python3*/site-packages/{name}"):
            subprocess.run(["rm", "-rf", path], check=True)
    subprocess.run([PYTHON, "-m", "compileall", "-q", "-f", "--invalidation-mode",
                    "unchecked-hash", root], check=True)
    return root


@pytest.fixture(scope="module")
def bare_venv(scratch):
    return make_venv(scratch / "check" / "bare", "--without-pip")


@pytest.fixture(scope="module")
def venv_with_pip(scratch):
    return make_venv(scratch / "check" / "with-pip")


class Packages:
    """What is added to a copy of the venv for one test."""

    def __init__(self, root, user):
        self.root = root
        self.user = user
        (self.site,) = root.glob("lib/python3*/site-packages")

    def add(self, name, modules, requires=()):
        """A package of these modules: their paths without .py, and contents."""
        info = self.site / f"{name}-1.0.dist-info"
        info.mkdir()
        needs = "".join(f"Requires-Dist: {other}\n" for other in requires)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}")
        files = [f"{info.name}/METADATA", f"{info.name}/RECORD"]
        for module, text in modules.items():
            path = self.site / f"{module}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            files.append(os.fspath(path.relative_to(self.site)))
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))

    def recipe(self, *checks):
        """The path of a recipe of this environment, as it is, with these checks."""
        path = self.root.parent / "recipe.yaml"
        path.write_text(json.dumps({
            "name": "checked", "prefix": "/opt/firn-check-test/env", "source": "./venv",
            "rules": {"flatten": False, "compile": False}, "scratch": ["MPLCONFIGDIR"],
            "checks": list(checks)}))
        return path

    def build_recipe(self, firn, *checks, options=(), **keywords):
        """With these checks and no others."""
        return self._build(firn, self.recipe({"default": False}, *checks), options, keywords)

    def build(self, firn, *options, **keywords):
        """With the checks that every Python environment gets."""
        return self._build(firn, self.recipe(), options, keywords)

    def build_directory(self, firn, *options):
        """Without a recipe."""
        return self._build(firn, self.root, (
            "--no-compile", "--prefix", "/opt/firn-check-test/env", *options), {})

    def _build(self, firn, source, options, keywords):
        image = self.root.parent / "image.firn"
        result = firn.run("build", source, "-o", image, "--level", "1", *options, user=self.user,
                          check=False, **keywords)
        return result, image


def copied(venv, user, directory):
    root = directory / "venv"
    subprocess.run(["cp", "-a", venv, root], check=True)
    if user.uid is not None:
        subprocess.run(["chown", "-R", str(user.uid), directory], check=True)
    return Packages(root, user)


@pytest.fixture
def packages(bare_venv, user, directory):
    return copied(bare_venv, user, directory)


@pytest.fixture
def packages_and_pip(venv_with_pip, user, directory):
    return copied(venv_with_pip, user, directory)


def left(image):
    return sorted(path.name for path in image.parent.iterdir() if path.name not in ("venv", "recipe.yaml"))


def test_an_image_that_is_as_it_must_be(firn, packages_and_pip):
    packages_and_pip.add("whole", {"whole/__init__": "import sys", "single": "",
                                   "space/inner/__init__": ""}, requires=["pip"])
    result, image = packages_and_pip.build_directory(firn)
    assert result.returncode == 0, result.stderr
    assert left(image) == ["image.firn"]


def test_a_module_that_cannot_be_imported(firn, packages):
    packages.add("good", {"good": ""})
    packages.add("broken", {"broken/__init__": "import does_not_exist"})
    packages.add("crashing", {"crashing": "import os; os.abort()"})
    packages.add("inner", {"space/sub/__init__": "raise SystemExit(0)"})
    result, image = packages.build(firn)
    assert result.returncode == CHECK_FAILED, result.stderr
    assert "No module named 'does_not_exist'" in result.stderr
    assert "import crashing fails with signal 6" in result.stderr
    assert "these cannot be imported: broken, crashing, space.sub" in result.stderr
    assert "--keep-failed" in result.stderr
    assert left(image) == []


def test_a_requirement_that_is_missing(firn, packages_and_pip):
    packages_and_pip.add("needy", {"needy": ""}, requires=["other-package>=2"])
    result, image = packages_and_pip.build(firn)
    assert result.returncode == CHECK_FAILED, result.stderr
    assert "needy 1.0 requires other-package, which is not installed" in result.stderr
    result, image = packages_and_pip.build(firn, "--keep-failed")
    assert result.returncode == CHECK_FAILED
    assert f"{image}.failed" in result.stderr
    assert left(image) == ["image.firn.failed"]
    firn.run("verify", f"{image}.failed")
    result, image = packages_and_pip.build(firn, "--no-check")
    assert result.returncode == 0, result.stderr
    assert left(image) == ["image.firn", "image.firn.failed"]


def test_the_image_is_checked_and_not_the_tree(firn, packages):
    """What is not in the image must not be found: the directory that it was made of is elsewhere."""
    packages.add("where", {"where": (
        "import os\n"
        "assert __file__.startswith('/opt/firn-check-test/env/'), __file__\n"
        "assert os.statvfs(__file__).f_flag & os.ST_RDONLY\n")})
    result, _ = packages.build(firn)
    assert result.returncode == 0, result.stderr


def test_checks_see_nothing_of_who_builds(firn, packages, directory):
    home = packages.user.home
    packages.add("surroundings", {"surroundings": (
        "import os, pathlib\n"
        "home = pathlib.Path.home()\n"
        f"assert str(home) != {str(home)!r}\n"
        "assert list(home.iterdir()) == [] and home == pathlib.Path.cwd()\n"
        "assert home.stat().st_mode & 0o777 == 0o700\n"
        "(home / 'written').write_text('x')\n"
        "assert 'SECRET' not in os.environ and 'PYTHONPATH' not in os.environ\n"
        "assert os.environ['VIRTUAL_ENV'] == '/opt/firn-check-test/env'\n"
        "assert os.environ['PATH'].startswith('/opt/firn-check-test/env/bin:')\n")})
    before = sorted(home.iterdir())
    result, _ = packages.build(firn, env=packages.user.environment() | {
        "SECRET": "1", "PYTHONPATH": "/nonexistent"})
    assert result.returncode == 0, result.stderr
    assert sorted(home.iterdir()) == before


def test_there_is_no_network(firn, packages):
    """Not even the builder's own."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) \
            as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        packages.add("caller", {"caller": (
            "import socket\n"
            "own = socket.create_server(('127.0.0.1', 0))\n"
            "socket.create_connection(own.getsockname())\n"
            f"socket.create_connection(('127.0.0.1', {server.server_port}))\n")})
        result, image = packages.build(firn)
        server.shutdown()
    assert result.returncode == CHECK_FAILED, result.stderr
    assert "ConnectionRefusedError" in result.stderr
    assert left(image) == []


def test_nothing_is_left_running(firn, packages, directory):
    packages.add("daemonic", {"daemonic": (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        f"    os.execv('/bin/sleep', ['firn-check-left-{directory.name}', '1000'])\n")})
    result, _ = packages.build(firn)
    assert result.returncode == 0, result.stderr
    assert subprocess.run(["pgrep", "-f", f"^firn-check-left-{directory.name}"], check=False,
                          stdout=subprocess.PIPE).returncode == 1


def test_where_there_is_no_pip(firn, packages):
    result, image = packages.build(firn)
    assert result.returncode == 0, result.stderr
    assert "has no pip" in firn.run("check", image, user=packages.user).stdout


def test_a_machine_where_nothing_can_be_mounted(firn, packages, root_user):
    """In a mount namespace around the build; the machine's own device stays as it is."""
    image = packages.root.parent / "image.firn"
    result = root_user.run("unshare", "--mount", "sh", "-c",
                           'mount --bind /dev/null /dev/fuse && exec "$0" "$@"', firn.path, "build",
                           packages.recipe(), "-o", image)
    assert result.returncode == 7, result.stderr
    assert "/dev/fuse" in result.stderr and "--no-check" in result.stderr
    assert left(image) == []


# The checks of a recipe


def test_checks_of_a_recipe_run_as_a_job_would(firn, packages):
    result, image = packages.build_recipe(
        firn, 'test "$(command -v python3)" = ${PREFIX}/bin/python3',
        'x=${HOME}; test "$(ls -A "$x")" = "" && test -w "$MPLCONFIGDIR" && test -w "$TMPDIR"',
        ["test", "-x", "${PREFIX}/bin/python3"], {"command": "exit 0", "timeout": 60})
    assert result.returncode == 0, result.stderr
    assert left(image) == ["image.firn"]


@pytest.mark.parametrize("check, words", [
    ("echo what is amiss >&2; exit 3", ["failed with exit code 3", "what is amiss"]),
    ("kill -9 $$", ["died of signal 9"]),
    (["no-such-program"], ["exit code 127", "no-such-program"]),
    ({"command": "echo begun; sleep 1000 & sleep 1000", "timeout": 1},
     ["did not end in 1 s", "begun"])])
def test_a_check_that_fails(firn, packages, check, words):
    result, image = packages.build_recipe(firn, "true", check)
    assert result.returncode == CHECK_FAILED, result.stderr
    for word in words:
        assert word in result.stderr
    assert left(image) == []


def test_an_interrupted_check_leaves_nothing(firn, packages):
    mark = packages.root.parent / "started"
    image = packages.root.parent / "image.firn"
    build = subprocess.Popen(
        [firn.path, "build", packages.recipe(f"touch {mark}; sleep 1000"), "-o", image],
        stderr=subprocess.PIPE, text=True, **packages.user.popen_arguments())
    deadline = time.monotonic() + 120
    while not mark.exists():
        assert build.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    build.send_signal(signal.SIGINT)
    _, errors = build.communicate(timeout=120)
    assert build.returncode == 130, errors
    mark.unlink()
    assert left(image) == []


def test_firn_check_runs_them_again(firn, packages):
    """A check that depends on the host: it passed where the image was built."""
    mark = packages.root.parent / "host-has-it"
    mark.touch()
    result, image = packages.build_recipe(firn, f"test -e {mark} || {{ echo not here; exit 4; }}")
    assert result.returncode == 0, result.stderr
    result = firn.run("check", image, user=packages.user)
    assert "firn: check: /bin/sh -c test -e" in result.stdout
    assert json.loads(firn.run("check", "--json", image, user=packages.user).stdout)["checks"]["ok"]
    mark.unlink()
    result = firn.run("check", "-q", image, user=packages.user, check=False)
    assert result.returncode == CHECK_FAILED
    assert "not here" in result.stderr and result.stdout == ""
    result = firn.run("check", "--json", image, user=packages.user, check=False)
    assert result.returncode == CHECK_FAILED
    report = json.loads(result.stdout)
    assert not report["ok"] and not report["checks"]["ok"] and "not here" in report["checks"]["message"]
    assert firn.run("check", "--needs-only", image, user=packages.user)


def test_firn_check_asks_what_every_python_environment_is_asked(firn, packages):
    result, image = packages.build(firn)
    assert result.returncode == 0, result.stderr
    assert "modules of" in firn.run("check", image, user=packages.user).stdout


def add_extension(packages, name):
    """A module that needs a library which is nowhere."""
    library = packages.root.parent / "libfirngone.so.7"
    for words in (["-Wl,-soname,libfirngone.so.7", "-o", library],
                  ["-Wl,--no-as-needed", library, "-o", packages.site / f"{name}.so"]):
        subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "/dev/null", "-x", "none", *words],
                       check=True)
    library.unlink()


def test_what_only_a_module_needs_that_nothing_imports(firn, packages):
    packages.add("plugged", {"plugged": (
        "try:\n"
        "    import firn_plugin\n"
        "except ImportError as error:\n"
        "    assert 'libfirngone' in str(error), error\n")})
    add_extension(packages, "firn_plugin")
    result, image = packages.build(firn)
    assert result.returncode == 0, result.stderr
    result = firn.run("check", image, user=packages.user)
    assert "expected the library libfirngone.so.7, found none" in result.stdout
    (line,) = [line for line in result.stdout.splitlines() if "firn_plugin.so" in line]
    assert "the checks pass without; needed only by lib/python3" in line
    assert firn.run("check", "-q", image, user=packages.user).stdout == ""
    report = json.loads(firn.run("check", "--json", image, user=packages.user).stdout)
    assert report["ok"] and [need["required"] for need in report["missing"]] == [False]
    # Nothing says that it can be done without.
    result = firn.run("check", "--needs-only", image, user=packages.user, check=False)
    assert result.returncode == SYSTEM and "no check was run" in result.stdout


def test_what_a_module_needs_that_a_check_imports(firn, packages):
    packages.add("plugged", {"plugged": "import firn_plugin"})
    add_extension(packages, "firn_plugin")
    result, image = packages.build_directory(firn, "--no-check")
    assert result.returncode == 0, result.stderr
    result = firn.run("check", image, user=packages.user, check=False)
    assert result.returncode == SYSTEM
    assert "needed by lib/python3" in result.stdout and "libfirngone" in result.stderr
