"""What an image says of the environment in it: packages, needs, bill of materials, locks."""

import json
import os
import re
import shutil
import subprocess
import uuid

import pytest

from harness.environment import DIST_PACKAGES

USAGE, SYSTEM = 2, 7
SITE = "lib/python3.11/site-packages"


def compile_c(path, *options, source="int firn_test_answer(void) { return 42; }\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-o", path, "-x", "c", "-", "-x", "none", *options], input=source, text=True,
                   check=True)
    return path


def copy_metadata(site):
    """Every Debian package's metadata: dist-info and egg-info, directories and files."""
    site.mkdir(parents=True)
    for pattern in ("*.dist-info", "*.egg-info"):
        for source in DIST_PACKAGES.glob(pattern):
            if source.is_dir():
                shutil.copytree(source, site / source.name)
            else:
                shutil.copy(source, site)


def write_dist_info(tree, name, version, *lines, **files):
    directory = tree / SITE / f"{name}-{version}.dist-info"
    directory.mkdir(parents=True)
    text = "\n".join([f"Name: {name}", f"Version: {version}", *lines]) + "\n"
    (directory / "METADATA").write_text(f"Metadata-Version: 2.1\n{text}")
    for file, content in files.items():
        (directory / file).write_text(content)


def as_environment(tree):
    """Marked so that `firn build` takes it for an environment, without an interpreter in it."""
    (tree / "conda-meta").mkdir(parents=True, exist_ok=True)
    return tree


def build(firn, tree, image, *options):
    return firn.build(tree, image, "--name", "env", "--prefix", "/opt/firn-tests/inspect", *options)


def inspect(firn, image, *options):
    return json.loads(firn.run("inspect", *options, "--json", image).stdout)


@pytest.fixture(scope="module")
def tree(scratch):
    """Debian's metadata, conda-meta, and ELF files that need this and that."""
    tree = as_environment(scratch / "inspect-tree")
    copy_metadata(tree / SITE)
    (tree / "conda-meta" / "zlib-1.3-0.json").write_text(json.dumps({
        "name": "zlib", "version": "1.3", "build": "h1_0", "license": "Zlib", "subdir": "linux-64",
        "channel": "https://conda.anaconda.org/conda-forge/linux-64", "sha256": "a" * 64,
        "url": "https://user:pw@conda.anaconda.org/conda-forge/linux-64/zlib-1.3-h1_0.conda",
        "files": ["lib/libz.so.1"]}))
    lib = tree / "lib"
    own = compile_c(lib / "libfirnown.so.1", "-shared", "-fPIC", "-Wl,-soname,libfirnown.so.1")
    apart = compile_c(tree / "share" / "apart" / "libfirnapart.so.1", "-shared", "-fPIC",
                      "-Wl,-soname,libfirnapart.so.1")
    compile_c(tree / SITE / "ext.so", "-shared", "-fPIC", "-Wl,--no-as-needed", own, apart,
              "-Wl,-rpath,$ORIGIN/../..")
    compile_c(tree / "bin" / "program", "-Wl,--no-as-needed", "-lm",
              source="int main(void) { return 0; }\n")
    (lib / "broken.so").write_bytes(own.read_bytes()[:500])
    return tree


@pytest.fixture(scope="module")
def image(firn, tree, scratch):
    return build(firn, tree, scratch / "inspect.firn")


def pip_list(site):
    """What pip says of a directory of packages."""
    result = subprocess.run(["/usr/bin/python3", "-m", "pip", "list", "--path", site,
                             "--format", "json", "--disable-pip-version-check"],
                            stdout=subprocess.PIPE, check=True, text=True)
    return sorted((entry["name"], entry["version"]) for entry in json.loads(result.stdout))


def test_python_packages_are_those_of_pip(firn, tree, image):
    packages = inspect(firn, image, "--packages")["packages"]
    found = sorted((p["name"], p["version"]) for p in packages if p["kind"] == "python")
    assert len(found) > 5
    assert found == pip_list(tree / SITE)


def test_conda_packages_are_those_of_conda_meta(firn, image):
    (zlib,) = [p for p in inspect(firn, image, "--packages")["packages"] if p["kind"] == "conda"]
    assert (zlib["version"], zlib["build"], zlib["license"]) == ("1.3", "h1_0", "Zlib")
    assert zlib["channel"] == "https://conda.anaconda.org/conda-forge"
    assert "pw" not in zlib["origin"]


def test_packages_as_a_table(firn, image):
    lines = firn.run("inspect", "--packages", image).stdout.splitlines()
    assert lines[0].split() == ["NAME", "VERSION", "KIND", "BUILD", "LICENSE"]
    assert lines[1].split() == ["zlib", "1.3", "conda", "h1_0", "Zlib"]


def readelf(path, *options):
    return subprocess.run(["readelf", "-W", *options, path], stdout=subprocess.PIPE, check=True,
                          text=True, env={"LC_ALL": "C"}).stdout


def highest(versions):
    return ".".join(map(str, max(tuple(map(int, v.split("."))) for v in versions)))


def test_needs_are_those_of_readelf(firn, tree, image):
    needs = inspect(firn, image, "--needs")
    files = [tree / "bin" / "program", tree / SITE / "ext.so", tree / "lib" / "libfirnown.so.1",
             tree / "share" / "apart" / "libfirnapart.so.1"]
    assert needs["elf_files"] == len(files)
    assert needs["architecture"] == os.uname().machine
    assert needs["damaged"] == {"files": 1, "needed_by": ["lib/broken.so"]}
    needed = set()
    versions = set()
    for file in files:
        needed |= set(re.findall(r"\(NEEDED\).*\[(.*)\]", readelf(file, "-d")))
        versions |= set(re.findall(r"Name: GLIBC_([0-9.]+) ", readelf(file, "-V")))
    assert {library["name"] for library in needs["host_libraries"]} == {
        name for name in needed if "firn" not in name}
    assert "libm.so.6" in needed
    assert needs["versions"]["GLIBC"]["version"] == highest(versions)
    interpreter = re.search(r"program interpreter: (.*)\]", readelf(files[0], "-l")).group(1)
    assert [entry["path"] for entry in needs["interpreters"]] == [interpreter]


def test_what_the_image_has_is_no_need(firn, image):
    needs = inspect(firn, image, "--needs")
    assert needs["image_libraries"] == ["libfirnown.so.1"]
    (apart,) = needs["unsearched"]
    assert (apart["name"], apart["path"]) == ("libfirnapart.so.1",
                                              "share/apart/libfirnapart.so.1")
    assert apart["needed_by"] == [f"{SITE}/ext.so"]
    assert "GLIBC" in firn.run("inspect", "--needs", image).stdout


def test_the_same_environment_says_the_same(firn, tree, image, directory):
    copy = directory / "elsewhere"
    shutil.copytree(tree, copy, symlinks=True)
    other = build(firn, copy, directory / "other.firn", "--jobs", "3")
    assert image.read_bytes() == other.read_bytes()


def test_bill_of_materials(firn, image):
    sbom = json.loads(firn.run("inspect", "--sbom", image).stdout)
    packages = inspect(firn, image, "--packages")["packages"]
    assert (sbom["bomFormat"], sbom["specVersion"], sbom["version"]) == ("CycloneDX", "1.5", 1)
    assert sbom["metadata"]["component"]["name"] == "env"
    assert "timestamp" not in sbom["metadata"]
    uuid.UUID(sbom["serialNumber"].removeprefix("urn:uuid:"))
    assert [(c["name"], c["version"]) for c in sbom["components"]] == [
        (p["name"], p["version"]) for p in packages]
    references = [c["bom-ref"] for c in sbom["components"]]
    assert len(set(references)) == len(references)
    purls = {c["purl"] for c in sbom["components"]}
    assert "pkg:conda/zlib@1.3?build=h1_0&channel=conda-forge&subdir=linux-64" in purls
    assert firn.run("export", image, "--format", "cyclonedx").stdout == json.dumps(
        sbom, indent=1, ensure_ascii=False) + "\n"


def test_what_an_image_lacks_is_said(firn, directory):
    (directory / "tree").mkdir()
    (directory / "tree" / "file").write_text("x")
    image = firn.build(directory / "tree", directory / "plain.firn")
    for option in ("--packages", "--needs", "--sbom", "--recipe", "--lock", "--lock=uv.lock"):
        result = firn.run("inspect", option, image, check=False)
        assert result.returncode == USAGE
        assert "the image has no section" in result.stderr
    result = firn.run("inspect", "--packages", "--needs", image, check=False)
    assert result.returncode == USAGE


# firn check

def test_this_machine_has_what_was_built_on_it(firn, image):
    result = firn.run("check", image)
    assert "this machine has what its 4 programs and libraries need" in result.stdout
    assert json.loads(firn.run("check", "--json", image).stdout)["ok"]


@pytest.fixture(scope="module")
def needy(firn, scratch):
    """An image that needs a library that is nowhere, and one that a directory outside has."""
    tree = as_environment(scratch / "needy-tree")
    outside = scratch / "needy-outside"
    gone = compile_c(outside / "gone" / "libfirngone.so.7", "-shared", "-fPIC",
                     "-Wl,-soname,libfirngone.so.7")
    (outside / "versions").write_text("FIRN_1.2 { global: *; };\n")
    compile_c(tree / "lib" / "user.so", "-shared", "-fPIC", "-Wl,--no-as-needed", gone)
    return build(firn, tree, scratch / "needy.firn"), outside


def test_a_missing_library_is_named_with_who_needs_it(firn, needy):
    image, _ = needy
    result = firn.run("check", image, check=False)
    assert result.returncode == SYSTEM
    assert "expected the library libfirngone.so.7, found none" in result.stdout
    assert "needed by lib/user.so" in result.stdout
    report = firn.run("check", "--json", image, check=False)
    (missing,) = json.loads(report.stdout)["missing"]
    assert (missing["kind"], missing["name"]) == ("library", "libfirngone.so.7")
    assert missing["needed_by"] == ["lib/user.so"]


def test_what_the_interpreter_needs_is_required(firn, directory):
    """And what the libraries of the image need that are loaded for it."""
    tree = as_environment(directory / "tree")
    gone = compile_c(directory / "gone" / "libfirngone.so.7", "-shared", "-fPIC",
                     "-Wl,-soname,libfirngone.so.7")
    middle = compile_c(tree / "lib" / "libfirnmiddle.so.1", "-shared", "-fPIC",
                       "-Wl,-soname,libfirnmiddle.so.1", "-Wl,--no-as-needed", gone)
    program = "int main(void) { return 0; }\n"
    for name, library in (("python3.11", middle), ("tool", "-lm")):
        compile_c(tree / "bin" / name, "-Wl,--no-as-needed", library, "-Wl,-rpath,$ORIGIN/../lib",
                  "-Wl,--allow-shlib-undefined", source=program)
    image = build(firn, tree, directory / "required.firn", "--no-compile", "--no-check")
    required = inspect(firn, image, "--needs")["required"]
    assert required["main_programs"] == ["bin/python3.11"]
    assert {library["name"]: library["needed_by"] for library in required["host_libraries"]} == {
        "libc.so.6": ["bin/python3.11", "lib/libfirnmiddle.so.1"],
        "libfirngone.so.7": ["lib/libfirnmiddle.so.1"]}
    text = firn.run("inspect", "--needs", image).stdout
    assert "* libfirngone.so.7" in text and "  libm.so.6" in text and "* libm.so.6" not in text
    report = firn.run("check", "--json", "--needs-only", image, check=False)
    assert report.returncode == SYSTEM
    (missing,) = json.loads(report.stdout)["missing"]
    assert missing["required"] and missing["name"] == "libfirngone.so.7"


def test_a_library_is_found_where_the_loader_is_told_to_look(firn, needy):
    image, outside = needy
    environment = os.environ | {"LD_LIBRARY_PATH": str(outside / "gone")}
    firn.run("check", image, env=environment)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="levels are x86-64's")
def test_a_processor_level_is_read_from_the_files(firn, directory):
    tree = as_environment(directory / "tree")
    compile_c(tree / "lib" / "fast.so", "-shared", "-fPIC", "-Wl,-z,x86-64-v4")
    compile_c(tree / "lib" / "slow.so", "-shared", "-fPIC", "-Wl,-z,x86-64-v2")
    compile_c(tree / "lib" / "glibc-hwcaps" / "x86-64-v4" / "any.so", "-shared", "-fPIC",
              "-Wl,-z,x86-64-v4")
    image = build(firn, tree, directory / "levels.firn")
    assert inspect(firn, image, "--needs")["x86_64_level"] == {
        "level": 4, "needed_by": "lib/fast.so"}
    flags = re.search(r"^flags\s*: (.*)$", open("/proc/cpuinfo").read(), re.M).group(1).split()
    result = firn.run("check", image, check=False)
    if {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"} <= set(flags):
        assert result.returncode == 0
    else:
        assert result.returncode == SYSTEM
        assert "expected a processor of level x86-64-v4" in result.stdout


# Hostile trees

def test_odd_metadata_goes_into_an_image(firn, directory):
    tree = as_environment(directory / "tree")
    write_dist_info(tree, "good", "1", "License-Expression: MIT")
    odd = tree / SITE / "odd-1.dist-info"
    odd.mkdir()
    (odd / "METADATA").write_bytes(b"Name: \xff\x1b[2Jodd\r\nVersion: 1\r\n\r\n")
    (tree / SITE / "nameless-1.dist-info").mkdir()
    (tree / "conda-meta" / "broken.json").write_text("{")
    # Rules that change what conda installed refuse what they cannot read.
    recipe = directory / "odd.yaml"
    recipe.write_text(f"name: env\nprefix: /opt/firn-tests/inspect\nsource: {tree}\n"
                      "rules: {relocate: false, clean: false}\n")
    image = firn.build(recipe, directory / "odd.firn", "--no-check")
    result = firn.run("inspect", "--packages", image)
    assert "\x1b" not in result.stdout
    assert "broken.json says nothing of its package" in result.stderr
    listed = inspect(firn, image, "--packages")
    assert [p["name"] for p in listed["packages"]] == ["good", "\ufffd\x1b[2Jodd"]
    assert listed["unreadable"] == ["conda-meta/broken.json",
                                    f"{SITE}/nameless-1.dist-info/METADATA"]
