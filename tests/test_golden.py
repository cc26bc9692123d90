"""What was written once is read the same for ever: tests/golden, by every reader there is."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from format_reader.check import check
from format_reader.image import Image
from format_reader.listing import line, list_image
from harness import tree as trees
from harness.mounts import kernel_mount

GOLDEN = pathlib.Path(__file__).parent / "golden"
IMAGES = sorted(path.name for path in GOLDEN.glob("*.firn"))
FOREIGN = sorted(path.name for path in GOLDEN.glob("*.sqfs"))
TYPE_BITS = {name: bits for bits, name in trees.TYPES.items()}


def expected(name):
    list_name = name if name.endswith(".firn") else "foreign"
    return (GOLDEN / f"{list_name}.list").read_text()


def inspected(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


def listing(root):
    """A mounted tree as the lists have it."""
    return "".join(line_of(path, entry) + "\n" for path, entry in trees.tree_listing(root).items())


def line_of(path, entry):
    size = entry.size
    if entry.type in ("block", "character"):
        size = f"{os.major(entry.rdev)},{os.minor(entry.rdev)}"
    return line(path, TYPE_BITS[entry.type] | entry.mode, entry.nlink, (entry.uid, entry.gid), size,
                entry.mtime, entry.target or b"", entry.sha256 or "-")


def assert_same_lines(found, wanted):
    """As text, but with the lines in which they differ."""
    differ = set(found.splitlines()) ^ set(wanted.splitlines())
    assert not differ, "\n".join(sorted(differ)[:20])
    assert found == wanted


def test_the_corpus_is_there():
    """The first version's images, which nobody may take away."""
    assert {f"v1-{name}.firn" for name in ("everything", "profiled", "environment", "base", "layer",
                                           "signed")} <= set(IMAGES)
    assert {f"foreign-{name}.sqfs" for name in ("gzip", "xz", "lz4", "zstd")} <= set(FOREIGN)
    sizes = [path.stat().st_size for path in GOLDEN.iterdir()]
    assert sum(sizes) < 300_000


@pytest.mark.parametrize("name", IMAGES + FOREIGN)
def test_the_independent_reader(name):
    data = (GOLDEN / name).read_bytes()
    assert_same_lines("".join(f"{text}\n" for text in list_image(data, True)), expected(name))
    if name in IMAGES:
        image = Image(data)
        assert not check(image)
        assert f"sha256:{image.image_id.hex()}" == inspected(name)["id"]


@pytest.mark.parametrize("name", IMAGES)
def test_verify(firn, name):
    for options in ((), ("--deep",)):
        report = json.loads(firn.run("verify", *options, "--json", GOLDEN / name).stdout)
        assert report["ok"] and report["id"] == inspected(name)["id"]


def assert_holds(found, wanted, where=""):
    """Later versions may say more; what was said before, they say the same."""
    if isinstance(wanted, dict):
        for key, value in wanted.items():
            assert key in found, f"{where}/{key}"
            assert_holds(found[key], value, f"{where}/{key}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), where
        for number, value in enumerate(wanted):
            assert_holds(found[number], value, f"{where}/{number}")
    else:
        assert found == wanted, where


@pytest.mark.parametrize("name", IMAGES)
def test_inspect(firn, name):
    result = firn.run("inspect", "--json", name, cwd=GOLDEN)
    assert_holds(json.loads(result.stdout), inspected(name))
    image = Image((GOLDEN / name).read_bytes())
    for section in image.sections:
        printed = firn.run("inspect", "--section", section, GOLDEN / name, text=False).stdout
        assert printed == image.content(section), section


@pytest.mark.parametrize("name", sorted(set(IMAGES) - {"v1-layer.firn"}) + FOREIGN)
def test_mount(firn, fuse, name):
    options = ["--foreign"] if name in FOREIGN else []
    with firn.mounted(GOLDEN / name, *options) as place:
        assert_same_lines(listing(place), expected(name))


def by_path(lines):
    """{path: line}; of directories without the count of links, which merging makes another."""
    found = {}
    for text in lines:
        words = text.split(" ", 7)
        if text.startswith("d"):
            words[1] = "-"
        found[words[7]] = " ".join(words)
    return found


def merged(layer, base):
    """A layer over its base by FORMAT.md, as by_path() has it."""
    upper, lower = (by_path(expected(name).splitlines()) for name in (layer, base))
    shown = {path: text for path, text in upper.items() if not text.startswith("c")}
    for path, text in lower.items():
        above = [path, *map(str, pathlib.PurePath(path).parents)]
        if all(upper.get(place, "d").startswith("d") for place in above):
            shown.setdefault(path, text)
    return shown


def test_the_layer_over_its_base(firn, fuse):
    """The base is found beside it, by its id."""
    base = inspected("v1-base.firn")["id"]
    assert Image((GOLDEN / "v1-layer.firn").read_bytes()).manifest()["base"]["id"] == base
    with firn.mounted(GOLDEN / "v1-layer.firn") as place:
        found = by_path(listing(place).splitlines())
    assert found == merged("v1-layer.firn", "v1-base.firn")
    assert {"kept/file", "kept/added", "was-file/inside"} <= set(found)
    assert not {"removed", "gone", "gone/a", "was-directory/x"} & set(found)


@pytest.mark.parametrize("name", ["v1-everything.firn", "foreign-xz.sqfs"])
def test_the_kernel(name, directory):
    """So that what the lists say is not Firn's own opinion."""
    with kernel_mount(GOLDEN / name, directory / "mount") as place:
        assert_same_lines(listing(place), expected(name))


@pytest.mark.parametrize("key", ["inside", "beside"])
def test_signatures(firn, directory, key):
    trusted = directory / "trusted"
    trusted.mkdir()
    shutil.copy(GOLDEN / f"v1-{key}.pub", trusted)
    (trusted / f"v1-{key}.pub").chmod(0o644)
    result = firn.run("verify", "--json", "--trusted-keys", trusted, GOLDEN / "v1-signed.firn")
    report = json.loads(result.stdout)
    (trusted_signature,) = [entry for entry in report["signatures"] if entry["trusted"]]
    assert report["trusted"] and trusted_signature["name"] == f"golden corpus, {key}"


def test_an_entry_is_never_written_again(firn):
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes())
              for path in GOLDEN.iterdir() if path.is_file()}
    printed = subprocess.run([GOLDEN / "write", firn.build_directory], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
    assert printed.count("is there, and stays as it is") == len(
        [name for name in IMAGES if name.startswith("v1-")] + FOREIGN)
    assert before == {path.name: (path.stat().st_mtime_ns, path.read_bytes())
                      for path in GOLDEN.iterdir() if path.is_file()}


def test_what_each_image_holds_is_told():
    text = (GOLDEN / "README.md").read_text()
    assert not [name for name in IMAGES + FOREIGN if f"`{name}`" not in text]
