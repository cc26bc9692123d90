"""torch and pandas as an image, and a small project over it, through the node's firnd."""

import hashlib
import os
import pathlib
import subprocess

import pytest

from harness.node import own_run_directory, serving, start_job  # noqa: F401  (fixtures)
from projects import PYTHON, log_of, make_project, names_of

pytestmark = pytest.mark.big

PREFIX = "/opt/firn-real/torch"
# With the local version that PyPI has not: its torch brings gigabytes with it.
TORCH = "torch==2.13.0+cpu"
QUICK = ("--prefix", PREFIX, "--python", PYTHON, "--level", "1", "--no-check")
LAYER_LIMIT = 2 << 20
CODE = """\
import pandas, torch
def main():
    print("sunny", torch.ones(3).sum().item(), len(pandas.DataFrame({"a": [1, 2]})))
"""


@pytest.fixture(scope="module")
def place(scratch):
    path = scratch / "torch"
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def base(firn, uv, place):
    wheels = os.environ.get("PIP_FIND_LINKS", "").split()
    if not any(list(pathlib.Path(directory).glob("torch-2.13.0+cpu-*")) for directory in wheels):
        pytest.skip("PIP_FIND_LINKS names no directory with torch 2.13.0+cpu, which PyPI has not")
    project = make_project(uv, place / "base", "basis", TORCH, "pandas==2.3.3")
    return firn.build(project, place / "base.firn", *QUICK, "--no-compile", env=uv.environment())


@pytest.fixture(scope="module")
def layer(firn, uv, place, base):
    project = make_project(uv, place / "weather", "weather", TORCH, "pandas==2.3.3", "idna==3.10",
                           code=CODE)
    return firn.build(project, place / "weather.firn", *QUICK, "--base", base,
                      env=uv.environment())


def test_a_uv_project_with_torch_and_pandas(firn, base, place, check_alone):
    packages = names_of(firn, base)
    assert (packages["torch"], packages["pandas"]) == ("2.13.0+cpu", "2.3.3")
    check_alone(base, len(packages), hidden=[place / "base"])


def test_a_layer_over_torch_is_small(firn, base, layer, place, run_alone):
    assert log_of(layer) == ["idna", "weather"]
    assert layer.stat().st_size < LAYER_LIMIT
    assert names_of(firn, layer) == names_of(firn, base) | {"idna": "3.10", "weather": "1.2"}
    result = run_alone(layer, "weather", hidden=[place / "base", place / "weather"])
    assert (result.returncode, result.stdout) == (0, "sunny 3.0 2\n"), result


def test_base_and_layer_have_the_same_inodes_and_pages(firnd, firn, fuse, base, layer, start_job):
    with serving(firnd, firn, "--linger", "0", "--no-prefetch") as node:
        alone, over = start_job(base, PREFIX), start_job(layer, PREFIX)
        (torch,) = alone.glob("lib/python3*/*-packages/torch")
        files = [torch / "lib" / "libtorch_cpu.so", *sorted(torch.glob("nn/modules/*.py"))]
        same = [over / file.relative_to(alone) for file in files]
        first = node.answered()
        digests = [hashlib.sha256(file.read_bytes()).digest() for file in files]
        assert [file.stat().st_ino for file in files] == [file.stat().st_ino for file in same]
        # What is not asked for is not decoded; what firnd decodes meanwhile proves the images.
        before = node.answered()
        asked = before - first
        assert asked > 100
        assert [hashlib.sha256(file.read_bytes()).digest() for file in same] == digests
        # The kernel may have taken back a few pages of so many: without sharing, all are asked for.
        assert node.answered() - before < asked / 10
        resident = subprocess.run(
            ["fincore", "--bytes", "--noheadings", "--output", "RES", same[0]], check=True,
            stdout=subprocess.PIPE, text=True).stdout
        assert int(resident) >= files[0].stat().st_size * 0.9
        # What the layer has is read from it.
        before = node.answered()
        (site,) = over.glob("lib/python3*/*-packages/weather")
        assert b"sunny" in (site / "__init__.py").read_bytes()
        assert node.answered() > before
