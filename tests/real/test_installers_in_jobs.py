"""Installers that are called in a job: told what the image is, they change nothing."""

import shutil

import pytest

from projects import PYTHON, VERSION, make_lock, names_of

# The installer comes between two imports of a job that goes on.
JOB = """\
import subprocess, sys
result = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
import six, xml.dom.minidom
print(result.returncode, six.__version__)
print(result.stdout)
"""


@pytest.fixture(scope="module")
def without_pip(firn, uv, scratch):
    """The image of a venv of uv's, which has no pip."""
    place = scratch / "without-pip"
    place.mkdir()
    uv.run("venv", "-q", "--python", PYTHON, "venv", cwd=place)
    uv.run("pip", "install", "-q", "--python", place / "venv", "six==1.17.0", cwd=place)
    return firn.build(place / "venv", place / "fixed.firn", "--name", "fixed", "--prefix",
                      "/opt/firn-real/without-pip", "--no-compile", "--level", "1", "--no-check")


@pytest.fixture(scope="module")
def own_venv(uv, scratch):
    """A venv of the caller's, with pip, in PATH and VIRTUAL_ENV."""
    uv.run("venv", "-q", "--python", PYTHON, "own-venv", cwd=scratch)
    uv.run("pip", "install", "-q", "--python", scratch / "own-venv", "pip==25.3", cwd=scratch)
    shutil.copy(scratch / "own-venv/bin/pip", scratch / f"own-venv/bin/pip{VERSION}")
    return scratch / "own-venv"


@pytest.fixture(params=["pip", "no pip"])
def image(request, debian_venv):
    """With a pip of its own, and without."""
    if request.param == "pip":
        return debian_venv.image
    return request.getfixturevalue("without_pip")


def listing(path):
    return sorted(str(found.relative_to(path)) for found in path.rglob("*"))


@pytest.fixture
def call(firn, uv, image, own_venv, directory):
    """Calls an installer in a job; gives what it printed. It failed, and changed nothing of the
    caller's, who has a venv and an environment of conda active."""
    home = directory / "home"
    home.mkdir()
    path = f"{uv.program.parent}:{own_venv}/bin:/usr/bin:/bin"

    def run(*words):
        before, own = image.read_bytes(), listing(own_venv)
        caller = uv.environment(HOME=str(home), PIP_NO_CACHE_DIR="1", PATH=path,
                                VIRTUAL_ENV=str(own_venv), CONDA_PREFIX=str(own_venv))
        result = firn.run("run", image, "--", "python", "-c", JOB, *words, cwd=home, env=caller)
        ending, _, printed = result.stdout.partition("\n")
        assert ending.split()[1] == "1.17.0"
        assert ending.split()[0] not in ("0", "-11"), printed
        # uv notes there that the directory is its own.
        assert not (home / ".local" / "lib").exists() and not (home / ".local" / "bin").exists()
        assert image.read_bytes() == before and listing(own_venv) == own
        return printed

    return run


def names_the_image(printed):
    return "the Firn image 'fixed'" in printed and "firn build DIRECTORY -o fixed.firn" in printed \
        and "python3 -m venv --system-site-packages DIRECTORY" in printed


@pytest.mark.parametrize("words", [
    ("pip", "install", "idna"), ("pip3", "install", "--user", "idna"),
    (f"pip{VERSION}", "uninstall", "-y", "six"),
    ("uv", "pip", "install", "idna"), ("uv", "pip", "uninstall", "six"),
    ("uv", "pip", "install", "--system", "idna"), ("uv", "pip", "uninstall", "--system", "six"),
], ids=" ".join)
def test_the_message_names_the_image_and_how_it_is_made_again(call, words):
    assert names_the_image(call(*words))


@pytest.mark.parametrize("image", ["pip"], indirect=True)
def test_so_does_the_module(call):
    assert names_the_image(call("python", "-m", "pip", "install", "--upgrade", "six"))


@pytest.mark.parametrize("image", ["pip"], indirect=True)
def test_pip_told_to_break_it_finds_no_way_to_the_home_directory(call):
    printed = call("pip", "install", "--break-system-packages", "idna==3.10")
    assert "Read-only file system" in printed


def test_the_stub_is_no_package(firn, without_pip):
    assert names_of(firn, without_pip) == {"six": "1.17.0"}
    assert firn.run("run", without_pip, "--", "python", "-m", "pip", "list",
                    check=False).stderr.endswith("No module named pip\n")


def test_a_layer_names_itself_or_has_the_pip_that_it_adds(firn, uv, without_pip, directory):
    for name, packages in (("plain", ["idna==3.10"]), ("withpip", ["pip==25.3"])):
        lock = make_lock(uv, directory / f"{name}.txt", *packages)
        layer = without_pip.parent / f"{name}.firn"
        firn.build(lock, layer, "--base", without_pip, "--name", name, "--no-compile", "--level",
                   "1", "--no-check", env=uv.environment())
        for program in ("pip", "pip3", f"pip{VERSION}"):
            result = firn.run("run", layer, "--", program, "install", "--no-index", "x",
                              env=uv.environment(HOME=str(directory)), check=False)
            missing = name == "withpip" and program == f"pip{VERSION}"
            assert result.returncode != 0
            assert missing or f"the Firn image '{name}'" in result.stderr
        assert name == "plain" or firn.run("run", layer, "--", "pip", "--version",
                                           env=uv.environment()).stdout.startswith("pip 25.3 ")


@pytest.mark.parametrize("make", ["python3 -m venv --system-site-packages .venv",
                                  "uv venv -q --system-site-packages .venv"])
def test_what_the_message_advises_works(firn, uv, debian_venv, directory, make):
    script = (f"{make} && . .venv/bin/activate && uv pip install -q idna==3.10 && "
              "python -c 'import idna, six; print(idna.__version__, six.__file__)'")
    result = firn.run("run", debian_venv.image, "--", "sh", "-c", script, cwd=directory,
                      env=uv.environment(HOME=str(directory)))
    version, path = result.stdout.split()
    assert version == "3.10" and path.startswith(debian_venv.PREFIX)
