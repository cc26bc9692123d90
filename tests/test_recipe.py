"""firn recipe, and firn build of recipes, locks and archives, as far as Debian's packages go."""

import os
import subprocess
import tarfile

import pytest

REQUIREMENT = "six==1.16.0 --hash=sha256:" + "0" * 64 + "\n"


def build(firn, source, image, *options, **keywords):
    return firn.run("build", source, "-o", image, *options, **({"check": False} | keywords))


@pytest.fixture
def archive(directory):
    """Of a small environment without Python."""
    tree = directory / "env"
    (tree / "bin").mkdir(parents=True)
    (tree / "conda-meta").mkdir()
    (tree / "conda-meta" / "history").write_text("")
    (tree / "bin" / "hello").write_text("#!/bin/sh\necho hello\n")
    (tree / "bin" / "hello").chmod(0o755)
    (tree / "bin" / "link").symlink_to("hello")
    path = directory / "env.tar.gz"
    subprocess.run(["tar", "-C", tree, "-czf", path, "."], check=True)
    return path


def test_what_recipe_prints_builds_the_same_image(firn, archive, directory):
    printed = firn.run("recipe", archive, "--prefix", "/opt/firn-recipe-test").stdout
    recipe = directory / "recipe.yaml"
    recipe.write_text(printed)
    assert firn.run("recipe", recipe).stdout == printed
    build(firn, archive, directory / "a.firn", "--prefix", "/opt/firn-recipe-test", check=True)
    build(firn, recipe, directory / "b.firn", check=True)
    assert (directory / "a.firn").read_bytes() == (directory / "b.firn").read_bytes()
    assert not os.path.exists("/opt/firn-recipe-test")


def test_an_archive_gives_its_environment_for_every_user(firn, archive, user):
    place = user.make_directory("archive")
    for name, words in (("flat", ["."]), ("deep", ["-C", "..", "env"])):
        path = place / f"{name}.tar"
        subprocess.run(["tar", "-C", archive.parent / "env", "-cf", path, *words], check=True)
        image = place / f"{name}.firn"
        build(firn, path, image, "--prefix", f"{place}/prefix", "--name", "env", user=user,
              check=True)
        result = firn.run("run", image, "--", place / "prefix" / "bin" / "link", user=user)
        assert result.stdout == "hello\n"


def test_the_image_keeps_no_directory_of_the_build(firn, archive, directory):
    build(firn, archive, directory / "a.firn", "--prefix", "/opt/firn-recipe-test", check=True)
    assert os.fsencode(directory) not in (directory / "a.firn").read_bytes()


@pytest.mark.parametrize("name, link, why", [
    ("../out", None, "has '..' in its name"),
    ("/tmp/firn-recipe-test-out", None, "has an absolute name"),
    ("link", "/etc/passwd", "is a link out of the archive, to '/etc/passwd'"),
    ("link", "a/../../b", "is a link out of the archive, to 'a/../../b'"),
])
def test_archives_that_lead_out_are_refused(firn, directory, name, link, why):
    path = directory / "bad.tar"
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo(name)
        if link is not None:
            entry.type, entry.linkname = tarfile.SYMTYPE, link
        archive.addfile(entry)
    result = build(firn, path, directory / "bad.firn")
    assert result.returncode == 3
    assert f"{path}: the entry '{name}' {why}" in result.stderr
    assert sorted(os.listdir(directory)) == ["bad.firn.log", "bad.tar"]


def test_every_mistake_of_a_recipe_is_told(firn, directory):
    recipe = directory / "recipe.yaml"
    recipe.write_text("sorce: x\nprefix: usr\nsource: nowhere\n")
    result = build(firn, recipe, directory / "a.firn")
    assert result.returncode == 2
    lines = result.stderr.splitlines()
    assert lines[0] == "firn: error: the recipe has 3 mistakes:"
    assert lines[1].startswith(f"{recipe}:1:1: unknown key 'sorce'; known are name, version, ")
    assert lines[2] == f"{recipe}:2:9: the prefix 'usr' is not an absolute path"
    assert lines[3] == f"{recipe}:3:9: {directory}/nowhere: does not exist"
    assert os.listdir(directory) == ["recipe.yaml"]


@pytest.mark.parametrize("prefix", ["/", "/usr", "relative", "/opt/../usr", "/proc/x"])
def test_prefixes_that_cannot_be_are_refused(firn, archive, directory, prefix):
    result = build(firn, archive, directory / "a.firn", "--prefix", prefix)
    assert result.returncode == 2
    assert f"the prefix '{prefix}' " in result.stderr


def test_a_prefix_that_is_there_and_full_stays_as_it_is(firn, archive, directory):
    (directory / "full").mkdir()
    (directory / "full" / "file").write_text("mine")
    build(firn, archive, directory / "a.firn", "--prefix", directory / "full", check=True)
    assert os.listdir(directory / "full") == ["file"]
    result = firn.run("run", directory / "a.firn", "--", "ls", directory / "full")
    assert "file" not in result.stdout.split()


def test_a_missing_tool_is_named(firn, directory):
    lock = directory / "pylock.toml"
    lock.write_text("lock-version = '1.0'\n")
    result = build(firn, lock, directory / "a.firn", env=os.environ | {"PATH": "/nonexistent"})
    assert result.returncode == 3
    assert "found no uv in PATH" in result.stderr and "Install uv" in result.stderr
    listed = directory / "list.txt"
    listed.write_text("@EXPLICIT\nhttps://example.org/a.conda#" + "0" * 32 + "\n")
    result = build(firn, listed, directory / "a.firn", env=os.environ | {"PATH": "/nonexistent"})
    assert result.returncode == 3
    assert "found no conda and no mamba and no micromamba in PATH" in result.stderr


@pytest.mark.parametrize("name, text, found, command", [
    ("requirements.txt", "six\n", "line 1: 'six' has no --hash", "uv pip compile --generate-hashes"),
    ("requirements.txt", REQUIREMENT + "# a\nb>=1\n", "line 3: 'b>=1' has no --hash", "uv pip"),
    ("environment.yml", "dependencies: [numpy]\n", "an environment.yml", "conda-lock -f"),
    ("list.txt", "@EXPLICIT\nhttps://e.org/a.conda\n", "line 2: 'https://e.org/a.conda' has no hash",
     "conda list --explicit --md5"),
])
def test_what_is_no_lock_is_refused_with_the_command(firn, directory, name, text, found, command):
    (directory / name).write_text(text)
    result = build(firn, directory / name, directory / "a.firn")
    assert result.returncode == 3
    assert found in result.stderr and command in result.stderr


def test_what_is_no_source_is_refused(firn, directory):
    (directory / "a.zip").write_text("")
    for name in ("a.zip", "missing"):
        result = build(firn, directory / name, directory / "a.firn")
        assert result.returncode == 3
        assert f"{directory / name}: " in result.stderr and "firn-recipe(5)" in result.stderr
    assert os.listdir(directory) == ["a.zip"]


def test_an_output_that_is_there_is_refused_before_the_work(firn, archive, directory):
    (directory / "a.firn").write_text("mine")
    result = build(firn, archive, directory / "a.firn")
    assert result.returncode == 4
    assert (directory / "a.firn").read_text() == "mine"
    assert not (directory / "a.firn.log").exists()
