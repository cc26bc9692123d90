"""What firn diff says of two images."""

import json
import shutil

import pytest

from harness.mounts import mksquashfs
from test_inspect import as_environment, build, write_dist_info

USAGE, INPUT = 2, 3


def make_tree(root):
    as_environment(root)
    for name, version in (("same", "1"), ("Old_Name", "1.0"), ("leaves", "3")):
        write_dist_info(root, name, version)
    (root / "data").mkdir()
    (root / "data" / "content").write_text("one")
    (root / "data" / "mode").write_text("mode")
    (root / "link").symlink_to("data")
    (root / "kind").write_text("file")
    (root / "leaving" / "below").mkdir(parents=True)
    (root / "leaving" / "below" / "file").write_text("x")
    return root


def change(root):
    """Another version of the tree; the packages and the files that it differs in."""
    for info in root.glob("lib/python3.11/site-packages/*"):
        if info.name.startswith(("Old_Name", "leaves")):
            shutil.rmtree(info)
    write_dist_info(root, "old.name", "1.1")
    write_dist_info(root, "comes", "4")
    (root / "data" / "content").write_text("two")
    (root / "data" / "mode").chmod(0o755)
    (root / "link").unlink()
    (root / "link").symlink_to("elsewhere")
    (root / "kind").unlink()
    (root / "kind").mkdir()
    shutil.rmtree(root / "leaving")
    (root / "new").write_text("new")
    return root


@pytest.fixture(scope="module")
def all_images(firn, scratch):
    """(before, after, after as a layer over before)."""
    tree = make_tree(scratch / "diff-tree")
    before = build(firn, tree, scratch / "before.firn")
    after = build(firn, change(tree), scratch / "after.firn")
    return before, after, build(firn, tree, scratch / "layer.firn", "--base", before)


@pytest.fixture
def images(all_images):
    return all_images[:2]


def diff(firn, *arguments):
    return firn.run("diff", *arguments, check=False)


def test_equal_images(firn, images, directory):
    shutil.copy(images[0], directory / "copy.firn")
    result = diff(firn, images[0], directory / "copy.firn")
    assert (result.returncode, result.stdout) == (0, "")
    assert json.loads(diff(firn, "--json", images[0], directory / "copy.firn").stdout)["equal"]


def test_packages_that_changed_and_no_other(firn, images):
    result = diff(firn, "--packages", "--json", *images)
    assert result.returncode == 1
    assert json.loads(result.stdout)["packages"] == {
        "added": [{"kind": "python", "name": "comes", "version": "4"}],
        "removed": [{"kind": "python", "name": "leaves", "version": "3"}],
        "changed": [{"kind": "python", "name": "old.name", "before": "1.0", "after": "1.1"}]}


def test_files_that_changed_and_no_other(firn, images):
    files = json.loads(diff(firn, "--files", "--json", *images).stdout)["files"]
    site = "lib/python3.11/site-packages"
    assert files["changed"] == [
        {"path": "data/content", "type": "file", "what": ["content"]},
        {"path": "data/mode", "type": "file", "what": ["mode"]},
        {"path": "kind", "type": "directory", "what": ["type"]},
        {"path": "link", "type": "symlink", "what": ["target"]}]
    assert files["added"] == [
        {"path": f"{site}/comes-4.dist-info", "type": "directory", "entries": 1},
        {"path": f"{site}/old.name-1.1.dist-info", "type": "directory", "entries": 1},
        {"path": "new", "type": "file"}]
    assert [entry["path"] for entry in files["removed"]] == [
        "leaving", f"{site}/Old_Name-1.0.dist-info", f"{site}/leaves-3.dist-info"]
    assert files["removed"][0]["entries"] == 2


def test_packages_come_first(firn, images):
    lines = diff(firn, *images).stdout.splitlines()
    assert lines[:5] == ["packages:", "  + comes 4 (python)", "  - leaves 3 (python)",
                         "  ~ old.name 1.0 -> 1.1 (python)", "files:"]
    assert "  ~ data/mode (mode)" in lines
    assert "  - leaving/ (2 below it)" in lines


def test_the_contents_are_not_read(firn, images, directory):
    """Damage in the stored contents does not show: digests say what they should be."""
    damaged = directory / "damaged.firn"
    content = bytearray(images[0].read_bytes())
    content[200] ^= 0xFF
    damaged.write_bytes(content)
    assert firn.run("verify", damaged, check=False).returncode == 5
    assert diff(firn, "--files", images[0], damaged).returncode == 0


def test_foreign_images_are_read(firn, directory):
    one, two = directory / "one", directory / "two"
    for root, text in ((one, "1"), (two, "2")):
        (root / "sub").mkdir(parents=True)
        (root / "sub" / "file").write_text(text)
        (root / "same").write_text("same")
    left = mksquashfs(one, directory / "one.squashfs")
    right = mksquashfs(two, directory / "two.squashfs")
    assert diff(firn, left, right).returncode == 6
    result = diff(firn, "--foreign", "--json", left, right)
    assert result.returncode == 1
    assert "has no list of packages" in result.stderr
    assert json.loads(result.stdout)["files"]["changed"] == [
        {"path": "sub/file", "type": "file", "what": ["content"]}]


def test_trouble_is_neither_equal_nor_different(firn, images, directory):
    assert diff(firn, images[0], directory / "none.firn").returncode == INPUT
    (directory / "tree").mkdir()
    plain = firn.build(directory / "tree", directory / "plain.firn")
    result = diff(firn, "--packages", images[0], plain)
    assert result.returncode == USAGE
    assert "has no list of packages" in result.stderr


def test_a_layer_counts_for_what_it_shows(firn, all_images):
    before, after, layer = all_images
    result = diff(firn, layer, after)
    assert (result.returncode, result.stdout) == (0, "")
    for pair in ((before, "B"), ("B", before)):
        with_layer, with_whole = (
            json.loads(diff(firn, "--json", *(image if name == "B" else name for name in pair)).stdout)
            for image in (layer, after))
        assert with_layer["files"] == with_whole["files"] and with_layer["files"]["changed"]
        assert with_layer["packages"] == with_whole["packages"]


def test_two_layers_of_one_base(firn, all_images, scratch, directory):
    before, _, layer = all_images
    tree = directory / "tree"
    shutil.copytree(scratch / "diff-tree", tree, symlinks=True)
    (tree / "new").unlink()
    (tree / "data" / "content").write_text("three")
    other = build(firn, tree, scratch / "other.firn", "--base", before)
    files = json.loads(diff(firn, "--json", layer, other).stdout)["files"]
    assert files == {
        "added": [], "removed": [{"path": "new", "type": "file"}],
        "changed": [{"path": "data/content", "type": "file", "what": ["content"]}]}


def test_a_layer_without_its_base(firn, all_images, directory):
    before, after, layer = all_images
    lonely = shutil.copy(layer, directory / "lonely.firn")
    result = diff(firn, after, lonely)
    assert result.returncode == INPUT
    assert "expected the base image sha256:" in result.stderr and "FIRN_IMAGE_PATH" in result.stderr
    # What a layer says of its packages stands for all that it shows.
    assert diff(firn, "--packages", after, lonely).returncode == 0
    shutil.copy(before, directory / "base.firn")
    assert diff(firn, after, lonely).returncode == 0
