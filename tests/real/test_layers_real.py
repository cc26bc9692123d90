"""A project over a locked base: only the project is new."""

import pytest

from projects import PYTHON, log_of, make_lock, make_project, names_of

PREFIX = "/opt/firn-real/layered"
CHECKED = ("--no-compile", "--level", "1")
QUICK = (*CHECKED, "--no-check")
CHECK_FAILED = 10
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
                           "markupsafe==3.0.3", "packaging==25.0", "html5lib==1.1")
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


def checked(firn, uv, project, base, directory):
    """What a build with checks ends with."""
    return firn.run("build", project, "-o", beside(base, directory), "--base", base, "--python",
                    PYTHON, *CHECKED, "--verbose", env=uv.environment(), check=False)


def test_the_checks_are_of_what_is_new(firn, uv, base, directory):
    project = make_project(uv, directory / "project", "weather", "six==1.17.0",
                           "more-itertools==10.7.0", code=CODE)
    result = checked(firn, uv, project, base, directory)
    assert result.returncode == 0, result.stderr
    assert "2 of 2 modules of 2 packages imported" in result.stderr
    whole = firn.run("check", beside(base, directory))
    assert "7 of 7 modules of 7 packages imported" in whole.stdout + whole.stderr


def test_the_checks_are_of_what_depends_on_a_replaced_package_too(firn, uv, base, directory):
    """html5lib of the base needs more of six than this one has."""
    project = make_project(uv, directory / "project", "six", code="def main(): pass\n")
    result = checked(firn, uv, project, base, directory)
    assert result.returncode == CHECK_FAILED
    assert "import html5lib fails" in result.stderr
    assert "1 of 2 modules of 2 packages imported" in result.stderr
    assert not beside(base, directory).exists()


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
