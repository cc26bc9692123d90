"""Installers that are called in a job: told what the image is, they change nothing."""

import pytest

# The installer comes between two imports of a job that goes on.
JOB = """\
import subprocess, sys
result = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
import six, xml.dom.minidom
print(result.returncode, six.__version__)
print(result.stdout)
"""


@pytest.fixture
def call(firn, uv, debian_venv, directory):
    """Calls an installer in a job; gives what it printed. It failed, and left nothing at home."""
    image = debian_venv.image
    home = directory / "home"
    home.mkdir()

    def run(*words):
        before = image.read_bytes()
        result = firn.run("run", image, "--", "python", "-c", JOB, *words, cwd=home,
                          env=uv.environment(HOME=str(home), PIP_NO_CACHE_DIR="1"))
        ending, _, printed = result.stdout.partition("\n")
        assert ending.split()[1] == "1.17.0"
        assert ending.split()[0] not in ("0", "-11"), printed
        # uv notes there that the directory is its own.
        assert not (home / ".local" / "lib").exists() and not (home / ".local" / "bin").exists()
        assert image.read_bytes() == before
        return printed

    return run


@pytest.mark.parametrize("words", [
    ("pip", "install", "idna"), ("pip", "install", "--user", "idna"), ("pip", "uninstall", "-y", "six"),
    ("python", "-m", "pip", "install", "--upgrade", "six"),
    ("uv", "pip", "install", "--system", "idna"), ("uv", "pip", "uninstall", "--system", "six"),
], ids=" ".join)
def test_the_message_names_the_image_and_how_it_is_made_again(call, words):
    printed = call(*words)
    assert "the Firn image 'fixed'" in printed
    assert "firn build DIRECTORY -o fixed.firn" in printed
    assert "python3 -m venv --system-site-packages DIRECTORY" in printed


def test_pip_told_to_break_it_finds_no_way_to_the_home_directory(call, uv, directory):
    printed = call("pip", "install", "--break-system-packages", "idna==3.10")
    assert "Read-only file system" in printed


def test_uv_asks_for_an_environment_that_can_be_changed(call):
    """A flattened image is no venv, and uv takes nothing else without --system."""
    printed = call("uv", "pip", "install", "idna")
    assert "No virtual environment found" in printed and "uv venv" in printed


@pytest.mark.parametrize("make", ["python3 -m venv --system-site-packages .venv",
                                  "uv venv -q --system-site-packages .venv"])
def test_what_the_message_advises_works(firn, uv, debian_venv, directory, make):
    script = (f"{make} && . .venv/bin/activate && uv pip install -q idna==3.10 && "
              "python -c 'import idna, six; print(idna.__version__, six.__file__)'")
    result = firn.run("run", debian_venv.image, "--", "sh", "-c", script, cwd=directory,
                      env=uv.environment(HOME=str(directory)))
    version, path = result.stdout.split()
    assert version == "3.10" and path.startswith(debian_venv.PREFIX)
