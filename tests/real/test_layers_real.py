"""A project over a locked base: only the project is new."""

import json
import os
import pathlib
import sys

import pytest

PYTHON = "/usr/bin/python3"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"  # pytest runs by PYTHON
PREFIX = "/opt/firn-real/layered"
QUICK = ("--level", "1", "--no-check", "--python", PYTHON)
PROJECT = """\
[project]
name = "{name}"
version = "1.2"
requires-python = "=={python}.*"
dependencies = [{dependencies}]
[tool.uv]
environments = ["sys_platform == 'linux' and platform_machine == 'x86_64'"]
"""
INSTALLED = """\
[project.scripts]
weather = "weather:main"
[build-system]
requires = ["setuptools==80.9.0"]
build-backend = "setuptools.build_meta"
"""
LAYER_LIMIT = 2 << 20


def make_project(uv, directory, name, *dependencies, code=None):
    """A project with its lock; with code it is installed itself."""
    directory.mkdir()
    quoted = ", ".join(f'"{dependency}"' for dependency in dependencies)
    (directory / "pyproject.toml").write_text(
        PROJECT.format(name=name, dependencies=quoted, python=VERSION) + (INSTALLED if code else ""))
    if code:
        (directory / "src" / name).mkdir(parents=True)
        (directory / "src" / name / "__init__.py").write_text(code)
    uv.run("lock", "-q", "--python", PYTHON, cwd=directory)
    return directory


def names_of(firn, image):
    packages = json.loads(firn.run("inspect", "--packages", "--json", image).stdout)["packages"]
    return {package["name"]: package["version"] for package in packages}


def log_of(image):
    """What the tool says that it installed."""
    lines = pathlib.Path(f"{image}.log").read_text().splitlines()
    return [line.split("==")[0].split()[-1] for line in lines if line.startswith(" + ")]


def beside(base, directory):
    """A layer's image, where its base is found."""
    return base.parent / f"{directory.name}.firn"


def build(firn, uv, source, image, *options):
    firn.run("build", source, "-o", image, "--prefix", PREFIX, *QUICK, *options,
             env=uv.environment())
    return image


@pytest.fixture(scope="module")
def base(firn, uv, scratch):
    project = make_project(uv, scratch / "layered-base", "basis", "six==1.17.0",
                           "markupsafe==3.0.3", "packaging==25.0")
    return build(firn, uv, project, scratch / "layered-base.firn", "--no-compile")


@pytest.fixture(scope="module")
def torch_base(firn, uv, scratch):
    places = os.environ.get("PIP_FIND_LINKS", "").split()
    if not any(pathlib.Path(place).glob("torch-2.13.0*") for place in places):
        pytest.skip("no wheel of torch on this machine; PyPI's brings gigabytes with it")
    project = make_project(uv, scratch / "torch", "basis", "torch==2.13.0+cpu", "pandas==2.3.3")
    return build(firn, uv, project, scratch / "torch.firn", "--no-compile"), project


CODE = "import sys\ndef main():\n    import six\n    print('sunny', sys.prefix, six.__file__)\n"


def test_a_project_over_its_base(firn, uv, base, directory, run_alone):
    project = make_project(uv, directory / "project", "weather", "six==1.17.0", "idna==3.10",
                           code=CODE)
    layer = build(firn, uv, project, beside(base, directory), "--base", base, "--no-compile",
                  "--name", "weather")
    assert log_of(layer) == ["idna", "weather"]
    assert layer.stat().st_size < LAYER_LIMIT
    # The base's packages are there, those too that the project does not name.
    found = names_of(firn, layer)
    assert found["packaging"] == "25.0" and found["weather"] == "1.2" and "MarkupSafe" in found
    result = run_alone(layer, "weather", hidden=[project])
    assert result.stdout.startswith(f"sunny {PREFIX} {PREFIX}/"), result
    told = firn.run("run", layer, "--", "env", "PIP_NO_INDEX=1", "sh", "-c",
                    "uv pip install --system x; echo $VIRTUAL_ENV", env=uv.environment())
    assert "the Firn image 'weather'" in told.stderr and told.stdout == f"{PREFIX}\n"


def test_another_version_in_the_layer_hides_the_bases(firn, uv, base, directory):
    project = make_project(uv, directory / "project", "weather", "six==1.16.0", code=CODE)
    layer = build(firn, uv, project, beside(base, directory), "--base", base, "--no-compile",
                  "--name", "weather")
    assert names_of(firn, layer)["six"] == "1.16.0" and names_of(firn, base)["six"] == "1.17.0"
    code = "import six, importlib.metadata as m; print(six.__version__, m.version('six'))"
    assert firn.run("run", layer, "--", "python", "-c", code).stdout == "1.16.0 1.16.0\n"


@pytest.mark.parametrize("kind", ["uv", "pip", "pylock"])
def test_locks_of_every_kind_add_to_a_base(firn, uv, base, directory, kind):
    (directory / "in.txt").write_text("six==1.17.0\nidna==3.10\n")
    lock = directory / ("pylock.toml" if kind == "pylock" else "locked.txt")
    hashes = [] if kind == "pylock" else ["--generate-hashes"]
    uv.run("pip", "compile", "-q", "--python", PYTHON, *hashes, "in.txt", "-o", lock.name,
           cwd=directory)
    recipe = directory / "recipe.yaml"
    tool = "uv" if kind == "pylock" else kind
    recipe.write_text(f"name: added\nprefix: {PREFIX}\nbase: {base}\n"
                      f"source: {{path: {lock.name}, tool: {tool}}}\n")
    layer = beside(base, directory)
    firn.run("build", recipe, "-o", layer, *QUICK[:3], "--no-compile", env=uv.environment())
    listed = firn.run("run", layer, "--", "python", "-c",
                      "import idna, six, packaging; print(idna.__version__)").stdout
    assert listed == "3.10\n"
    assert layer.stat().st_size < LAYER_LIMIT
    if kind != "pip":
        assert log_of(layer) == ["idna"]


@pytest.mark.big
def test_a_uv_project_with_torch_and_pandas(torch_base, run_alone):
    image, project = torch_base
    result = run_alone(image, f"{PREFIX}/bin/python", "-c",
                       "import torch, pandas; print(torch.ones(3).sum().item(), "
                       "len(pandas.DataFrame({'a': [1, 2]})))", hidden=[project])
    assert (result.returncode, result.stdout) == (0, "3.0 2\n"), result


@pytest.mark.big
def test_a_layer_over_torch_is_small(firn, uv, torch_base, directory, run_alone):
    image, _ = torch_base
    project = make_project(uv, directory / "project", "weather", "torch==2.13.0+cpu", "idna==3.10",
                           code="import torch\ndef main(): print(torch.ones(3).sum().item())\n")
    layer = build(firn, uv, project, beside(image, directory), "--base", image)
    assert log_of(layer) == ["idna", "weather"]
    assert layer.stat().st_size < LAYER_LIMIT
    result = run_alone(layer, "weather", hidden=[project])
    assert (result.returncode, result.stdout) == (0, "3.0\n"), result
