"""Why a job gets conda's variables for uv, which give way to an activated venv, not uv's own."""

import subprocess

import pytest

PYTHON = "/usr/bin/python3"
PREFIX = "/opt/firn-real/uv-in-image"


@pytest.fixture(scope="module")
def image(firn, uv, scratch):
    place = scratch / "uv-in-image"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", place / "venv"], check=True)
    return firn.build(place / "venv", place / "plain.firn", "--name", "plain", "--prefix", PREFIX,
                      "--no-compile", "--level", "1", "--no-check")


def in_job(firn, uv, image, directory, script):
    return firn.run("run", image, "--", "sh", "-c", script, cwd=directory,
                    env=uv.environment(HOME=str(directory)), check=False)


@pytest.mark.parametrize("variable", [f"UV_PYTHON={PREFIX}/bin/python3", "UV_SYSTEM_PYTHON=1"])
def test_what_names_the_image_is_in_the_way_of_a_venv_on_top(firn, uv, image, directory, variable):
    """With one of these uv looks at the image even where a venv over it is activated."""
    result = in_job(firn, uv, image, directory, f"{variable} uv pip install idna")
    assert "the Firn image 'plain'" in result.stderr
    venv = "uv venv -q --system-site-packages .venv && . .venv/bin/activate && "
    result = in_job(firn, uv, image, directory, f"{venv} {variable} uv pip install -q idna==3.10")
    assert result.returncode != 0 and "the Firn image 'plain'" in result.stderr
    result = in_job(firn, uv, image, directory, ". .venv/bin/activate && uv pip install -q "
                    "idna==3.10 && python -c 'import idna; print(idna.__file__)'")
    assert result.stdout.startswith(f"{directory}/.venv/"), result.stderr
