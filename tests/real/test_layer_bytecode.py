"""Byte code of a base, where a layer has another version of the module."""

PYTHON = "/usr/bin/python3"
PREFIX = "/opt/firn-real/bytecode"
OPTIONS = ("--level", "1", "--no-check", "--python", PYTHON)
CODE = "import six, importlib.metadata as m; print(six.__version__, m.version('six'))"


def test_a_layer_without_byte_code_runs_its_own_modules(firn, uv, directory):
    for name, version in (("base", "1.17.0"), ("layer", "1.16.0")):
        (directory / f"{name}.in").write_text(f"six=={version}\n")
        uv.run("pip", "compile", "-q", "--python", PYTHON, "--generate-hashes", f"{name}.in", "-o",
               f"{name}.txt", cwd=directory)
    base, layer = directory / "base.firn", directory / "layer.firn"
    firn.run("build", directory / "base.txt", "-o", base, "--prefix", PREFIX, "--name", "base",
             *OPTIONS, env=uv.environment())
    firn.run("build", directory / "layer.txt", "-o", layer, "--base", base, "--name", "layer",
             "--no-compile", *OPTIONS, env=uv.environment())
    assert firn.run("run", base, "--", "python", "-c", CODE).stdout == "1.17.0 1.17.0\n"
    assert firn.run("run", layer, "--", "python", "-c", CODE).stdout == "1.16.0 1.16.0\n"
