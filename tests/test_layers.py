"""Layers: images of what differs from a base, shown merged with it."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from harness.jobs import wait_until_gone
from harness.layers import (  # noqa: F401  (fixtures)
    LISTING, PREFIX, images, listing, trees)

INPUT = 3


def test_a_layer_shows_what_one_image_would(firn, user, images):
    _, layer, whole = images
    assert listing(firn, layer, user) == listing(firn, whole, user)
    assert "changed" in listing(firn, layer, user)


def test_a_layer_holds_what_differs(firn, images):
    base, layer, _ = images
    printed = subprocess.run(["unsquashfs", "-lln", layer], check=True, stdout=subprocess.PIPE,
                             text=True).stdout
    names = {line.split("squashfs-root/", 1)[1]: line for line in printed.splitlines()
             if "squashfs-root/" in line}
    assert "same" not in names and "kept/deep" not in names
    assert names["removed"].startswith("c") and names["gone"].startswith("c")
    manifest = json.loads(firn.run("inspect", "--json", layer).stdout)
    text = firn.run("inspect", "--manifest", layer).stdout
    assert json.loads(firn.run("inspect", "--json", base).stdout)["id"] in text
    assert manifest["id"]


def test_the_kernel_shows_the_same(root_user, firn, images, directory):
    """Without Firn: overlayfs over two SquashFS mounts."""
    base, layer, whole = images
    places = [directory / name for name in ("base", "layer", "merged")]
    for place in places:
        place.mkdir()
    script = (f"mount -t squashfs {base} {places[0]} && mount -t squashfs {layer} {places[1]}"
              f" && mount -t overlay -o ro,lowerdir={places[1]}:{places[0]} overlay {places[2]}"
              f" && cd {places[2]} && {LISTING}")
    result = subprocess.run(["unshare", "--mount", "sh", "-c", script], stdout=subprocess.PIPE,
                            text=True)
    if result.returncode == 32:
        pytest.skip("this kernel mounts no SquashFS or no overlay")
    assert result.stdout == listing(firn, whole)


def test_flatten_makes_one_image(firn, user, images, directory):
    _, layer, whole = images
    flat = (user.make_directory("flat") if user else directory) / "flat.firn"
    flat = pathlib.Path(flat)
    firn.run("flatten", layer, "-o", flat, user=user)
    subprocess.run(["diff", "-r", "--no-dereference", *(
        unpacked(image, directory / name) for image, name in ((flat, "a"), (whole, "b")))],
        check=True)
    assert "base:" not in firn.run("inspect", "--manifest", flat).stdout


def unpacked(image, target):
    subprocess.run(["unsquashfs", "-q", "-no-progress", "-d", target, image], check=True,
                   stdout=subprocess.DEVNULL)
    return target


def test_a_layer_over_a_layer(firn, root_user, trees, images, directory):
    third = directory / "third"
    shutil.copytree(trees[1], third, symlinks=True)
    (third / "kept" / "added").unlink()
    (third / "removed").write_text("back again\n")
    top, whole = directory / "top.firn", directory / "whole.firn"
    firn.build(third, top, "--prefix", PREFIX, "--base", images[1])
    firn.build(third, whole, "--prefix", PREFIX)
    subprocess.run(["ln", "-s", images[0], images[1], directory], check=True)
    assert listing(firn, top) == listing(firn, whole)


def test_the_base_is_found_by_its_id(firn, root_user, images, directory):
    base, layer, whole = images
    moved = directory / "elsewhere"
    moved.mkdir()
    shutil.copy(layer, directory / "layer.firn")
    result = firn.run("run", directory / "layer.firn", "--", "true", check=False)
    assert result.returncode == 125
    assert "sha256:" in result.stderr and "FIRN_IMAGE_PATH" in result.stderr
    shutil.copy(base, moved / "renamed.firn")
    environment = root_user.environment() | {"FIRN_IMAGE_PATH": str(moved)}
    result = firn.run("run", directory / "layer.firn", "--", "cat", f"{PREFIX}/same",
                      env=environment)
    assert result.stdout.startswith("base same")


def test_a_base_that_is_not_there_is_told(firn, root_user, trees, directory):
    result = firn.run("build", trees[1], "-o", directory / "x.firn", "--base",
                      directory / "missing.firn", check=False)
    assert result.returncode == INPUT
    assert "missing.firn" in result.stderr
    assert not (directory / "x.firn").exists()


def test_flatten_of_an_image_without_base(firn, root_user, images, directory):
    result = firn.run("flatten", images[0], "-o", directory / "x.firn", check=False)
    assert result.returncode == 2 and "stands alone" in result.stderr


def test_a_layer_is_mounted_by_root(firn, root_user, images, directory):
    """Without a firnd of the node: one for each image, which end with the mount."""
    place = directory / "place"
    place.mkdir()
    with firn.mounted(images[1], directory=place):
        shown = subprocess.run(["sh", "-c", f"cd {place}; {LISTING}"], check=True, text=True,
                               stdout=subprocess.PIPE).stdout
        assert shown == listing(firn, images[2])
        mounts = firn.status(place)["mounts"]
        assert [mount["image"] for mount in mounts if not mount["job"]] == [
            str(images[0]), str(images[1])]
        served = [mount["pid"] for mount in mounts]
        text = firn.run("status", place).stdout
        assert str(images[0]) in text and str(images[1]) in text
    assert list(place.iterdir()) == []
    wait_until_gone(served)
    result = firn.run("mount", "--view", "direct", images[1], place, check=False)
    assert result.returncode == 2 and "overlay" in result.stderr


def test_a_layer_that_a_user_cannot_mount(firn, ordinary_user, images):
    """The message says what to do instead, and that is so."""
    place = ordinary_user.make_directory("layers-place")
    result = firn.run("mount", "--no-daemon", images[1], place, user=ordinary_user, check=False)
    assert result.returncode == 6
    assert f"is a layer over {images[0]}" in result.stderr and "root's firnd" in result.stderr
    assert os.listdir(place) == []
    advice = [line.split()[1:] for line in result.stderr.splitlines()
              if line.startswith("  firn ")]
    whole = ordinary_user.make_directory("layers-whole") / "whole.firn"
    actual = {"COMMAND": "true", "WHOLE.firn": whole}
    run, shell, flatten, mount = [[actual.get(word, word) for word in words] for words in advice]
    firn.run(*run, user=ordinary_user)
    firn.run(*shell, user=ordinary_user)
    firn.run(*flatten, user=ordinary_user)
    if shutil.which("fusermount3"):
        firn.run(*mount, user=ordinary_user)
        firn.run("unmount", place, user=ordinary_user)


def test_a_lost_base_leaves_nothing_mounted(firn, root_user, images, directory):
    layer = pathlib.Path(shutil.copy(images[1], directory))
    place = directory / "place"
    place.mkdir()
    damaged = directory / "base.firn"
    damaged.write_bytes(images[0].read_bytes()[:-5000])
    result = firn.run("mount", layer, place, check=False)
    assert result.returncode == INPUT and "FIRN_IMAGE_PATH" in result.stderr
    assert not place.is_mount()
