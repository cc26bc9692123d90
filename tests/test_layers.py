"""Layers: images of what differs from a base, shown merged with it."""

import json
import pathlib
import shutil
import subprocess

import pytest

PREFIX = "/opt/firn-layers"
INPUT = 3
# Names, modes, sizes and contents of all that is there.
LISTING = ("find . ! -type d | sort | xargs -d '\\n' stat -c '%n %A %s %h';"
           " find . -type d | sort | xargs -d '\\n' stat -c '%n %A';"
           " find . -type l | sort | xargs -r -d '\\n' -n 1 readlink;"
           " find . -type f -print0 | sort -z | xargs -0 sha256sum")


@pytest.fixture(scope="module")
def trees(scratch):
    """(base, what becomes the layer): files added, changed, removed, of other kinds and modes."""
    base, child = scratch / "layer-base", scratch / "layer-child"
    for name in ("kept/deep/file", "changed", "removed", "gone/a", "gone/b/c", "was-file", "same",
                 "was-directory/x", "again/old", "mode"):
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"base {name}\n" * 100)
    (base / "link").symlink_to("same")
    shutil.copytree(base, child, symlinks=True)
    (child / "changed").write_text("layer\n")
    (child / "removed").unlink()
    shutil.rmtree(child / "gone")
    (child / "was-file").unlink()
    (child / "was-file").mkdir()
    (child / "was-file" / "inside").write_text("inside\n")
    shutil.rmtree(child / "was-directory")
    (child / "was-directory").write_text("now a file\n")
    (child / "again" / "old").unlink()
    (child / "again" / "new").write_text("new\n")
    (child / "kept" / "added").write_text("added\n")
    (child / "mode").chmod(0o755)
    (child / "link").unlink()
    (child / "link").symlink_to("changed")
    return base, child


@pytest.fixture(scope="module")
def images(firn, scratch, trees):
    """(base, layer, the same tree as one image)."""
    base, layer, whole = (scratch / f"layers-{name}.firn" for name in ("base", "layer", "whole"))
    firn.build(trees[0], base, "--prefix", PREFIX)
    firn.build(trees[1], layer, "--prefix", PREFIX, "--base", base)
    firn.build(trees[1], whole, "--prefix", PREFIX)
    for image in (base, layer, whole):
        image.chmod(0o644)
    return base, layer, whole


def listing(firn, image, user=None):
    return firn.run("run", image, "--", "sh", "-c", f"cd {PREFIX}; {LISTING}", user=user).stdout


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
