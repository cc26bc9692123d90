"""A project over a locked base: only the project is new."""

import pytest

from projects import PYTHON, log_of, make_lock, make_project, names_of

PREFIX = "/opt/firn-real/layered"
QUICK = ("--no-compile", "--level", "1", "--no-check")
LAYER_LIMIT = 2 << 20


def beside(base, directory):
    """A layer's image, where its base is found."""
    return base.parent / f"{directory.name}.firn"


def build(firn, uv, source, image, *options):
    return firn.build(source, image, "--prefix", PREFIX, "--python", PYTHON, *QUICK, *options,
                      env=uv.environment())


@pytest.fixture(scope="module")
def base(firn, uv, scratch):
    project = make_project(uv, scratch / "layered-base", "basis", "six==1.17.0",
                           "markupsafe==3.0.3", "packaging==25.0")
    return build(firn, uv, project, scratch / "layered-base.firn")


CODE = "import sys\ndef main():\n    import six\n    print('sunny', sys.prefix, six.__file__)\n"


def test_a_project_over_its_base(firn, uv, base, directory, run_alone):
    project = make_project(uv, directory / "project", "weather", "six==1.17.0", "idna==3.10",
                           code=CODE)
    layer = build(firn, uv, project, beside(base, directory), "--base", base, "--name", "weather")
    assert log_of(layer) == ["idna", "weather"]
    assert layer.stat().st_size < LAYER_LIMIT
    # The base's packages are there, those too that the project does not name.
    found = names_of(firn, layer)
    assert found["packaging"] == "25.0" and found["weather"] == "1.2" and "markupsafe" in found
    result = run_alone(layer, "weather", hidden=[project])
    assert result.stdout.startswith(f"sunny {PREFIX} {PREFIX}/"), result
    told = firn.run("run", layer, "--", "env", "PIP_NO_INDEX=1", "sh", "-c",
                    "uv pip install --system x; echo $VIRTUAL_ENV", env=uv.environment())
    assert "the Firn image 'weather'" in told.stderr and told.stdout == f"{PREFIX}\n"


def test_another_version_in_the_layer_hides_the_bases(firn, uv, base, directory):
    project = make_project(uv, directory / "project", "weather", "six==1.16.0", code=CODE)
    layer = build(firn, uv, project, beside(base, directory), "--base", base, "--name", "weather")
    assert names_of(firn, layer)["six"] == "1.16.0" and names_of(firn, base)["six"] == "1.17.0"
    code = "import six, importlib.metadata as m; print(six.__version__, m.version('six'))"
    assert firn.run("run", layer, "--", "python", "-c", code).stdout == "1.16.0 1.16.0\n"


@pytest.mark.parametrize("kind", ["uv", "pip", "pylock"])
def test_locks_of_every_kind_add_to_a_base(firn, uv, base, directory, kind):
    lock = make_lock(uv, directory / ("pylock.toml" if kind == "pylock" else "locked.txt"),
                     "six==1.17.0", "idna==3.10")
    recipe = directory / "recipe.yaml"
    tool = "uv" if kind == "pylock" else kind
    recipe.write_text(f"name: added\nprefix: {PREFIX}\nbase: {base}\n"
                      f"source: {{path: {lock.name}, tool: {tool}}}\n")
    layer = beside(base, directory)
    firn.build(recipe, layer, *QUICK, env=uv.environment())
    listed = firn.run("run", layer, "--", "python", "-c",
                      "import idna, six, packaging; print(idna.__version__)").stdout
    assert listed == "3.10\n"
    assert layer.stat().st_size < LAYER_LIMIT
    if kind != "pip":
        assert log_of(layer) == ["idna"]
