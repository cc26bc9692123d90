"""What `firn build` makes of real venvs: prefixes that stand for themselves, anywhere."""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import textwrap

import pytest

from harness.layout import Layout
from harness.mounts import unsquash
from harness.tree import tree_listing

SYSTEM_PYTHON = "/usr/bin/python3"
INPUT = 3
# Where neither bytecode nor the image's checks are the point.
QUICK = ("--no-check", "--no-compile", "--level", "1")


def make_wheel(directory, name="greeter", body="VALUE = 1\n"):
    """A wheel with a module, an entry point and a script, by zipfile alone."""
    script = textwrap.dedent(f"""\
        import pathlib, zipfile
        files = {{
            "{name}/__init__.py": {body!r} + "def main():\\n    import sys\\n    "
                "print('hello of', sys.prefix)\\n",
            "{name}-1.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n",
            "{name}-1.0.dist-info/WHEEL":
                "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
            "{name}-1.0.dist-info/entry_points.txt":
                "[console_scripts]\\n{name} = {name}:main\\n",
            "{name}-1.0.data/scripts/{name}-script": "#!python\\nprint('script')\\n",
        }}
        record = "".join(path + ",,\\n" for path in files)
        files["{name}-1.0.dist-info/RECORD"] = record + "{name}-1.0.dist-info/RECORD,,\\n"
        with zipfile.ZipFile("{name}-1.0-py3-none-any.whl", "w") as wheel:
            for path, text in files.items():
                entry = zipfile.ZipInfo(path)
                entry.external_attr = (0o100755 if "/scripts/" in path else 0o100644) << 16
                wheel.writestr(entry, text)
        """)
    subprocess.run([SYSTEM_PYTHON, "-c", script], cwd=directory, check=True)
    return directory / f"{name}-1.0-py3-none-any.whl"


def make_venv(root, wheel, **options):
    """A venv with pip and the wheel."""
    subprocess.run([SYSTEM_PYTHON, "-m", "venv", root], check=True, **options)
    subprocess.run([root / "bin" / "pip", "install", "--quiet", "--no-index", "--no-deps",
                    "--disable-pip-version-check", wheel], check=True, **options)
    return root


@pytest.fixture(scope="module")
def place(scratch):
    path = scratch / "rules"
    path.mkdir()
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def wheel(place):
    return make_wheel(place)


@pytest.fixture(scope="module")
def venv(place, wheel):
    return make_venv(place / "venv", wheel)


@pytest.fixture(scope="module")
def prefix(place):
    return place / "prefix"


@pytest.fixture(scope="module")
def image(firn, venv, prefix, place):
    return firn.build(venv, place / "venv.firn", "--prefix", prefix, "--name", "science",
                      "--level", "1")


@pytest.fixture(scope="module")
def tree(image, place):
    return unsquash(image, place / "unpacked")


def alone(command, tree, place, away):
    """Runs the command with the tree at `place`, every Python of the host and `away` out of reach."""
    hidden = ["/usr/lib/python3", "/usr/local/lib", "/root", *away,
              *map(str, pathlib.Path("/usr/lib").glob("python3.*"))]
    script = 'set -e; place=$1; tree=$2; shift 2; mkdir -p "$place"; mount --bind "$tree" "$place"\n'
    for path in hidden:
        if os.path.isdir(path):
            script += f"mount -t tmpfs none '{path}'\n"
    script += 'exec "$@"'
    return subprocess.run(
        ["unshare", "--mount", *(["--user", "--map-root-user"] if os.geteuid() != 0 else []),
         "sh", "-c", script, "sh", place, tree, *command],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tree.parent / "home"), "LC_ALL": "C.UTF-8"})


def test_the_prefix_stands_for_itself(tree, venv, prefix):
    code = ("import ssl, sqlite3, ctypes, venv, zoneinfo, json, sys, greeter\n"
            "import encodings, lzma, bz2, zlib, hashlib, decimal, unittest.mock\n"
            "ctypes.CDLL(None)\n"
            "print(json.dumps([sys.prefix, sys.base_prefix, sys.exec_prefix, sys.executable,\n"
            "                  *filter(None, sys.path), greeter.__file__]))")
    result = alone([prefix / "bin" / "python3", "-c", code], tree, prefix, [venv])
    assert result.returncode == 0, result.stderr
    paths = json.loads(result.stdout)
    assert paths[0] == paths[1] == paths[2] == str(prefix)
    assert all(path.startswith(f"{prefix}/") for path in paths[3:]), paths
    assert not (tree / "pyvenv.cfg").exists()


def test_pip_knows_the_packages(firn, image, tree, venv, prefix):
    pip = prefix / "bin" / "pip"
    result = alone([pip, "--disable-pip-version-check", "list", "--format=json"], tree, prefix, [venv])
    assert result.returncode == 0, result.stderr
    wanted = subprocess.run([venv / "bin" / "pip", "--disable-pip-version-check", "list",
                             "--format=json"], check=True, capture_output=True, text=True).stdout
    assert json.loads(result.stdout) == json.loads(wanted)
    inspected = json.loads(firn.run("inspect", "--packages", "--json", image).stdout)["packages"]
    assert sorted((package["name"], package["version"]) for package in inspected) == sorted(
        (package["name"], package["version"]) for package in json.loads(wanted))
    assert alone([pip, "check"], tree, prefix, [venv]).returncode == 0


@pytest.mark.parametrize("command", [
    ["install", "--no-index", "greeter"], ["install", "--user", "--no-index", "greeter"],
    ["uninstall", "--yes", "greeter"]])
def test_installers_are_refused(tree, venv, prefix, command):
    home = tree.parent / "home"
    home.mkdir(exist_ok=True)
    result = alone([prefix / "bin" / "pip", *command], tree, prefix, [venv])
    assert result.returncode != 0
    assert "externally-managed-environment" in result.stderr
    assert "'science'" in result.stderr and "firn build" in result.stderr
    assert not (home / ".local").exists()


def test_entry_points_run_at_other_places(tree, venv, prefix, directory):
    for place in (directory / "one", directory / "with space" / "two", directory / "three"):
        for program, output in (("greeter", f"hello of {place}\n"), ("greeter-script", "script\n")):
            result = alone([place / "bin" / program], tree, place, [venv])
            assert (result.returncode, result.stdout) == (0, output), result.stderr
    link = directory / "link"
    link.symlink_to(directory / "one" / "bin" / "greeter")
    result = alone([link], tree, directory / "one", [venv])
    assert result.stdout == f"hello of {directory / 'one'}\n", result.stderr


def test_nothing_names_the_original(tree, venv, prefix):
    names = subprocess.run(["grep", "-rlaF", "--exclude=*.pyc", venv, tree], check=False,
                           capture_output=True, text=True).stdout
    assert names == ""
    assert not any(os.readlink(path).startswith("/") for path in tree.rglob("*")
                   if path.is_symlink())


def test_records_are_right(tree):
    """Every digest in a RECORD is the file's: the scripts were changed."""
    import base64
    import csv
    checked = 0
    for record in tree.glob("lib/python3*/site-packages/*.dist-info/RECORD"):
        with open(record, encoding="utf-8", newline="") as file:
            for name, digest, size in csv.reader(file):
                path = record.parent.parent / name
                assert path.exists() or name.endswith(".pyc"), (record, name)
                if not digest:
                    continue
                value = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest())
                assert digest == "sha256=" + value.decode().rstrip("="), name
                assert int(size) == path.stat().st_size
                checked += name.startswith("../")
    assert checked >= 4


def test_what_is_bound_is_in_the_manifest(image, tree, prefix):
    """It is what grep finds to name the prefix; nothing else of a venv works at one place only."""
    named = subprocess.run(["grep", "-rlaF", "--exclude=*.pyc", prefix, tree], check=False,
                           capture_output=True, text=True).stdout.split()
    scripts = {"bin/activate", "bin/activate.csh", "bin/activate.fish"}
    assert {os.path.relpath(path, tree) for path in named} == scripts
    manifest = Layout(image.read_bytes()).content("manifest").decode()
    listed = manifest.partition("\nbound:\n")[2].splitlines()
    assert {line.strip().removeprefix("- ").strip('"') for line in listed if "- " in line} == scripts


def test_same_bytes_from_two_directories_and_users(firn, wheel, image, prefix, place, ordinary_user):
    """Two real installations, of another user and in other directories."""
    other = ordinary_user.make_directory("elsewhere")
    shutil.copy(wheel, other)
    options = ordinary_user.popen_arguments()
    make_venv(other / "deep-venv", other / wheel.name, **options)
    result = ordinary_user.run(firn.path, "build", other / "deep-venv", "-o", other / "o.firn",
                               "--prefix", prefix, "--name", "science", "--level", "1",
                               "--no-check")
    assert result.returncode == 0, result.stderr
    if (other / "o.firn").read_bytes() != image.read_bytes():
        ours = tree_listing(unsquash(image, place / "a"))
        theirs = tree_listing(unsquash(other / "o.firn", place / "b"))
        differ = {path for path in ours.keys() | theirs.keys()
                  if path not in ours or path not in theirs
                  or ours[path].sha256 != theirs[path].sha256
                  or ours[path].target != theirs[path].target}
        raise AssertionError(f"differ: {sorted(differ)}")


def test_an_environment_of_somebody_else(firn, venv, image, prefix, place, ordinary_user):
    """An ordinary user may change nothing in it, and need not."""
    before = tree_listing(venv)
    output = ordinary_user.home / "of-root.firn"
    result = ordinary_user.run(firn.path, "build", venv, "-o", output, "--prefix", prefix,
                               "--name", "science", "--level", "1", "--no-check")
    assert result.returncode == 0, result.stderr
    assert output.read_bytes() == image.read_bytes()
    assert tree_listing(venv) == before


def test_packages_of_the_system_on_request(firn, directory, venv):
    root = directory / "venv"
    subprocess.run([SYSTEM_PYTHON, "-m", "venv", "--system-site-packages", "--without-pip", root],
                   check=True)
    code = "import numpy; print(numpy.__version__)"
    wanted = subprocess.run([root / "bin" / "python3", "-c", code], capture_output=True, text=True,
                            check=False)
    if wanted.returncode != 0:
        pytest.skip("the system's Python has no numpy")
    unsquash(firn.build(root, directory / "i.firn", *QUICK), directory / "out")
    result = alone([directory / "at" / "bin" / "python3", "-c", code], directory / "out",
                   directory / "at", [root])
    assert (result.returncode, result.stdout) == (0, wanted.stdout), result.stderr


def test_a_copy_of_the_interpreter(firn, directory):
    root = directory / "venv"
    subprocess.run([SYSTEM_PYTHON, "-m", "venv", "--copies", "--without-pip", root], check=True)
    unsquash(firn.build(root, directory / "i.firn", *QUICK), directory / "out")
    result = alone([directory / "at" / "bin" / "python", "-c", "import sys; print(sys.base_prefix)"],
                   directory / "out", directory / "at", [root])
    assert result.stdout == f"{directory / 'at'}\n", result.stderr


def test_a_venv_whose_base_is_gone(firn, directory):
    root = directory / "venv"
    subprocess.run([SYSTEM_PYTHON, "-m", "venv", "--without-pip", root], check=True)
    (root / "bin" / "python3").unlink()
    (root / "bin" / "python3").symlink_to("/nowhere/bin/python3")
    result = firn.run("build", root, "-o", directory / "i.firn", check=False)
    assert result.returncode == INPUT and "base Python" in result.stderr
    assert not (directory / "i.firn").exists()


def test_strange_files_do_no_harm(firn, venv, directory):
    """Ten thousand broken symlinks and ELF files that are cut short."""
    root = directory / "venv"
    shutil.copytree(venv, root, symlinks=True)
    (root / "links").mkdir()
    for number in range(10000):
        (root / "links" / str(number)).symlink_to("nowhere")
    program = pathlib.Path(os.path.realpath(SYSTEM_PYTHON)).read_bytes()
    for length in (3, 63, 64, 70, 4096, 100_000):
        (root / "lib" / f"cut-{length}.so").write_bytes(program[:length])
    unsquash(firn.build(root, directory / "i.firn", *QUICK), directory / "out")
    assert len(list((directory / "out" / "links").iterdir())) == 10000
    for length in (3, 63, 64, 70, 4096, 100_000):
        assert (directory / "out" / "lib" / f"cut-{length}.so").read_bytes() == program[:length]
