"""A base, a layer over it, and the same tree as one image."""

import pathlib
import shutil
import tempfile

import pytest

PREFIX = "/opt/firn-layers"
# Names, modes, sizes and contents of all that is there.
LISTING = ("find . ! -type d | sort | xargs -d '\\n' stat -c '%n %A %s %h';"
           " find . -type d | sort | xargs -d '\\n' stat -c '%n %A';"
           " find . -type l | sort | xargs -r -d '\\n' -n 1 readlink;"
           " find . -type f -print0 | sort -z | xargs -0 sha256sum")


@pytest.fixture(scope="module")
def trees(scratch):
    """(base, what becomes the layer): files added, changed, removed, of other kinds and modes."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="layers-", dir=scratch))
    directory.chmod(0o755)
    base, child = directory / "base", directory / "child"
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
def images(firn, trees):
    """(base, layer, the same tree as one image)."""
    base, layer, whole = (trees[0].parent / f"{name}.firn" for name in ("base", "layer", "whole"))
    firn.build(trees[0], base, "--prefix", PREFIX)
    firn.build(trees[1], layer, "--prefix", PREFIX, "--base", base)
    firn.build(trees[1], whole, "--prefix", PREFIX)
    for image in (base, layer, whole):
        image.chmod(0o644)
    return base, layer, whole


def listing(firn, image, user=None):
    return firn.run("run", image, "--", "sh", "-c", f"cd {PREFIX}; {LISTING}", user=user).stdout
