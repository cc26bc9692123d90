"""What firn export writes, held against unsquashfs, tar and pip."""

import json
import os
import subprocess
import tomllib

import pytest
import yaml

from harness import tree as trees
from harness.mounts import mksquashfs, unsquash
from test_inspect import SITE, as_environment, build, copy_metadata, write_dist_info

USAGE, OUTPUT, DAMAGED, UNSUPPORTED = 2, 4, 5, 6
FIELDS = ("type", "mode", "nlink", "size", "target", "sha256", "mtime")


@pytest.fixture(scope="module")
def image(firn, scratch):
    """A tree with what trees have: links, holes, modes, names of any bytes."""
    root = scratch / "export-tree"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "file").write_bytes(os.urandom(3 << 20))
    os.link(root / "a" / "b" / "file", root / "a" / "hard")
    os.link(root / "a" / "b" / "file", root / "zz-hard")
    (root / "empty").touch()
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o751)
    (root / "closed").mkdir()
    (root / "closed" / "inner").write_text("x")
    (root / "closed" / "inner").chmod(0o400)
    (root / "closed").chmod(0o555)
    (root / "to-a").symlink_to("a")
    (root / "out").symlink_to("/etc/passwd")
    (root / "gone").symlink_to("x" * 300)
    with open(root / "sparse", "wb") as file:
        file.seek(5 << 20)
        file.write(b"end")
    with open(os.fsencode(root) + b"/na\xffme\n", "wb") as file:
        file.write(b"bytes")
    (root / ("n" * 200)).mkdir()
    (root / ("n" * 200) / ("m" * 200)).write_text("long")
    return firn.build(root, scratch / "export.firn", "--keep-modes")


def listing(path):
    return trees.tree_listing(path)


def test_a_directory_is_that_of_unsquashfs(firn, image, directory):
    expected = unsquash(image, directory / "unsquashed")
    firn.run("export", image, "--format", "dir", "-o", directory / "out")
    trees.assert_same_tree(listing(expected), listing(directory / "out"), FIELDS)
    assert trees.hard_link_groups(listing(expected)) == trees.hard_link_groups(
        listing(directory / "out"))
    assert os.stat(directory / "out" / "sparse").st_blocks < 5 << 11


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.zst", "tar.xz"])
def test_an_archive_gives_the_same_tree(firn, image, directory, suffix):
    archive = directory / f"out.{suffix}"
    firn.run("export", image, "--format", "tar", "-o", archive)
    (directory / "unpacked").mkdir()
    subprocess.run(["tar", "-xpf", archive, "-C", directory / "unpacked"], check=True)
    expected, found = listing(unsquash(image, directory / "unsquashed")), listing(
        directory / "unpacked")
    del expected[b""], found[b""]  # the root is not in the archive
    trees.assert_same_tree(expected, found, FIELDS)
    assert trees.hard_link_groups(expected) == trees.hard_link_groups(found)


def test_an_archive_is_the_same_every_time_and_everywhere(firn, image, directory):
    for name in ("one.tar.gz", "two.tar.gz", "one.tar"):
        firn.run("export", image, "--format", "tar", "-o", directory / name)
    piped = firn.run("export", image, "--format", "tar", text=False).stdout
    assert (directory / "one.tar.gz").read_bytes() == (directory / "two.tar.gz").read_bytes()
    assert (directory / "one.tar").read_bytes() == piped


def test_an_ordinary_user_exports_too(firn, image, ordinary_user, directory):
    directory.chmod(0o777)
    image.chmod(0o644)
    firn.run("export", image, "--format", "dir", "-o", directory / "mine", user=ordinary_user)
    assert (directory / "mine" / "a" / "b" / "file").stat().st_size == 3 << 20


def test_what_is_there_stays(firn, image, directory):
    (directory / "full").mkdir()
    (directory / "full" / "precious").write_text("x")
    result = firn.run("export", image, "--format", "dir", "-o", directory / "full", check=False)
    assert result.returncode == OUTPUT
    assert "expected an empty directory" in result.stderr
    assert [path.name for path in (directory / "full").iterdir()] == ["precious"]
    (directory / "file").write_text("x")
    for format in ("dir", "tar"):
        result = firn.run("export", image, "--format", format, "-o", directory / "file",
                          check=False)
        assert result.returncode == OUTPUT
        assert (directory / "file").read_text() == "x"


@pytest.mark.parametrize("existing", [False, True])
def test_damage_leaves_nothing_behind(firn, image, directory, existing):
    damaged = directory / "damaged.firn"
    content = bytearray(image.read_bytes())
    content[2 << 20] ^= 1
    damaged.write_bytes(content)
    if existing:
        (directory / "out").mkdir()
    result = firn.run("export", damaged, "--format", "dir", "-o", directory / "out", check=False)
    assert result.returncode == DAMAGED
    assert (directory / "out").exists() == existing
    assert not existing or not list((directory / "out").iterdir())
    result = firn.run("export", damaged, "--format", "tar", "-o", directory / "out.tar",
                      check=False)
    assert result.returncode == DAMAGED
    assert sorted(path.name for path in directory.iterdir()) == ["damaged.firn"] + ["out"] * existing


def test_a_foreign_image_on_request(firn, directory):
    (directory / "tree").mkdir()
    (directory / "tree" / "file").write_text("foreign")
    os.mkfifo(directory / "tree" / "fifo", 0o640)
    image = mksquashfs(directory / "tree", directory / "foreign.squashfs")
    result = firn.run("export", image, "--format", "dir", "-o", directory / "out", check=False)
    assert result.returncode == UNSUPPORTED
    firn.run("export", image, "--format", "dir", "--foreign", "-o", directory / "out")
    trees.assert_same_tree(listing(directory / "tree"), listing(directory / "out"),
                           FIELDS + ("uid", "gid"))


def test_names_of_a_hostile_image_stay_inside(firn, directory):
    """An image whose directory has a symlink, and a directory of the same name behind it."""
    tree, outside = directory / "tree", directory / "outside"
    (tree / "aaaa").mkdir(parents=True)
    (tree / "aaaa" / "file").write_text("x")
    outside.mkdir()
    (tree / "aaab").symlink_to(outside)
    image = mksquashfs(tree, directory / "hostile.squashfs", "-noI", "-noD", "-noF", "-no-xattrs")
    content = image.read_bytes()
    # Of the directory listing only: both names become "aaaa".
    assert content.count(b"aaab") == 1
    image.write_bytes(content.replace(b"aaab", b"aaaa"))
    firn.run("export", image, "--format", "dir", "--foreign", "-o", directory / "out", check=False)
    assert list(outside.iterdir()) == []


# Packages

@pytest.fixture(scope="module")
def packages(firn, scratch):
    tree = as_environment(scratch / "export-packages")
    copy_metadata(tree / SITE)
    write_dist_info(tree, "from_git", "2", **{"direct_url.json": json.dumps(
        {"url": "https://host/x.git", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}})})
    write_dist_info(tree, "from_here", "3", **{"direct_url.json": json.dumps(
        {"url": "file:///home/me/x", "dir_info": {"editable": True}})})
    return tree, build(firn, tree, scratch / "export-packages.firn")


def export(firn, image, format, **options):
    return firn.run("export", image, "--format", format, **options)


def test_requirements_are_those_of_pip_freeze(firn, packages):
    tree, image = packages
    result = export(firn, image, "requirements.txt")
    frozen = subprocess.run(["/usr/bin/python3", "-m", "pip", "freeze", "--path", tree / SITE,
                             "--disable-pip-version-check"],
                            stdout=subprocess.PIPE, check=True, text=True).stdout
    expected = {line for line in frozen.splitlines() if "==" in line and line[0] not in "#-"}
    assert {line for line in result.stdout.splitlines() if "==" in line} == expected
    assert "from_git @ git+https://host/x.git@c0ffee\n" in result.stdout
    assert "from_here 3 came from a directory" in result.stderr
    assert "from_here" not in result.stdout


def test_pylock_is_toml(firn, packages):
    _, image = packages
    lock = tomllib.loads(export(firn, image, "pylock.toml").stdout)
    assert lock["lock-version"] == "1.0"
    by_name = {package["name"]: package for package in lock["packages"]}
    assert by_name["numpy"]["version"]
    assert by_name["from-git"]["vcs"] == {"type": "git", "url": "https://host/x.git",
                                          "commit-id": "c0ffee"}


def test_conda_formats(firn, directory):
    tree = as_environment(directory / "tree")
    write_dist_info(tree, "Extra", "1.5")
    write_dist_info(tree, "held", "1")
    for name, channel in (("python", "conda-forge"), ("held", "https://mirror.example/mine")):
        (tree / "conda-meta" / f"{name}-1-0.json").write_text(json.dumps({
            "name": name, "version": "1", "build": "b_0", "subdir": "noarch", "channel": channel,
            "md5": "0" * 32, "url": f"https://mirror.example/mine/noarch/{name}-1-b_0.conda",
            "files": [f"{SITE}/{name}-1.dist-info/METADATA"]}))
    image = build(firn, tree, directory / "conda.firn")
    assert export(firn, image, "explicit").stdout == (
        "@EXPLICIT\n"
        f"https://mirror.example/mine/noarch/held-1-b_0.conda#{'0' * 32}\n"
        f"https://mirror.example/mine/noarch/python-1-b_0.conda#{'0' * 32}\n")
    environment = yaml.safe_load(export(firn, image, "environment.yml").stdout)
    assert environment == {
        "name": "env", "channels": ["https://mirror.example/mine", "conda-forge"],
        "dependencies": ["held=1=b_0", "python=1=b_0", {"pip": ["Extra==1.5"]}]}


def test_a_form_that_has_no_words_for_it_is_refused(firn, packages, directory):
    _, image = packages
    result = export(firn, image, "explicit", check=False)
    assert result.returncode == USAGE
    assert "the image has no conda packages" in result.stderr
    result = export(firn, image, "dir", check=False)
    assert result.returncode == USAGE


def test_lines_of_an_image_are_no_options(firn, directory):
    tree = as_environment(directory / "tree")
    for number, name in enumerate(["--index-url=http://evil", "a b", "fine"]):
        info = tree / SITE / f"p{number}-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Name: {name}\nVersion: 1\n")
    image = build(firn, tree, directory / "evil.firn")
    assert export(firn, image, "requirements.txt").stdout == "fine==1\n"


def test_output_to_a_file(firn, packages, directory):
    _, image = packages
    target = directory / "requirements.txt"
    firn.run("export", image, "--format", "requirements.txt", "-o", target)
    assert target.read_text() == export(firn, image, "requirements.txt").stdout
    again = firn.run("export", image, "--format", "requirements.txt", "-o", target, check=False)
    assert again.returncode == OUTPUT
    firn.run("export", image, "--format", "requirements.txt", "-o", target, "--force")
