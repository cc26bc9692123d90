"""What an image says of conda packages that a real installer installed, and its SBOM's schema.

Runs in an interpreter that has the packages of requirements.txt.
"""

import asyncio
import hashlib
import json
import os
import pathlib
import subprocess
import sys

import pytest

rattler = pytest.importorskip("rattler")
validation = pytest.importorskip("cyclonedx.validation.json")
from cyclonedx.schema import SchemaVersion  # noqa: E402

PROGRAM = pathlib.Path(os.environ.get(
    "FIRN_BUILD_DIR", pathlib.Path(__file__).parents[2] / "build" / "release")) / "cli" / "firn"
SITE = "lib/python3.11/site-packages"


def firn(*arguments):
    return subprocess.run([PROGRAM, *arguments], stdout=subprocess.PIPE, check=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=120).stdout


def make_package(channel, work, name, version, files):
    """A .conda file in the channel's noarch/, and its entry for repodata.json."""
    source = work / f"{name}-{version}-0"
    for path, content in files.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(content)
    info = source / "info"
    info.mkdir(parents=True)
    index = {"name": name, "version": version, "build": "h_0", "build_number": 0, "depends": [],
             "license": "BSD-3-Clause", "subdir": "noarch", "noarch": "generic",
             "timestamp": 1700000000000}
    (info / "index.json").write_text(json.dumps(index))
    (info / "files").write_text("".join(f"{path}\n" for path in files))
    (info / "paths.json").write_text(json.dumps({"paths_version": 1, "paths": [
        {"_path": path, "path_type": "hardlink", "size_in_bytes": len(content),
         "sha256": hashlib.sha256(content.encode()).hexdigest()}
        for path, content in files.items()]}))
    package = channel / "noarch" / f"{name}-{version}-h_0.conda"
    subprocess.run([pathlib.Path(sys.executable).parent / "cph", "create", source, package.name,
                    "--out-folder", package.parent], check=True, stdout=subprocess.DEVNULL)
    content = package.read_bytes()
    return package.name, index | {"size": len(content), "md5": hashlib.md5(content).hexdigest(),
                                  "sha256": hashlib.sha256(content).hexdigest()}


async def install(channel, prefix):
    records = await rattler.solve([rattler.Channel(channel.as_uri())], ["data", "library"],
                                  platforms=["noarch"])
    await rattler.install(records, str(prefix), cache_dir=str(prefix.parent / "cache"),
                          show_progress=False)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    work = tmp_path_factory.mktemp("conda")
    channel = work / "channel"
    (channel / "noarch").mkdir(parents=True)
    packages = dict([
        make_package(channel, work, "library", "2.1", {
            f"{SITE}/library-2.1.dist-info/METADATA": "Name: library\nVersion: 2.1\n",
            f"{SITE}/library.py": "answer = 42\n"}),
        make_package(channel, work, "data", "1!3.0", {"share/data/table": "1\t2\n"})])
    (channel / "noarch" / "repodata.json").write_text(json.dumps(
        {"info": {"subdir": "noarch"}, "packages": {}, "packages.conda": packages,
         "repodata_version": 1}))
    prefix = work / "prefix"
    asyncio.run(install(channel, prefix))
    image = work / "conda.firn"
    firn("build", prefix, "-o", image, "--name", "conda", "--prefix", "/opt/firn-tests/conda")
    return prefix, image


def test_conda_packages_are_those_that_the_installer_recorded(environment):
    prefix, image = environment
    packages = json.loads(firn("inspect", "--packages", "--json", image))["packages"]
    records = [rattler.PrefixRecord.from_path(path)
               for path in sorted((prefix / "conda-meta").glob("*.json"))]
    assert len(records) == 2
    assert sorted((p["name"], p["version"], p["build"], p["origin"], p["sha256"])
                  for p in packages if p["kind"] == "conda") == sorted(
        (r.name.normalized, str(r.version), str(r.build), r.url, r.sha256.hex()) for r in records)
    assert [(p["name"], p["part_of"]) for p in packages if p["kind"] == "python"] == [
        ("library", "library")]


def test_an_explicit_list_installs_the_same_again(environment):
    prefix, image = environment
    lines = firn("export", image, "--format", "explicit").splitlines()
    assert lines[0] == "@EXPLICIT"
    for line in lines[1:]:
        url, _, md5 = line.partition("#")
        content = pathlib.Path(url.removeprefix("file://")).read_bytes()
        assert hashlib.md5(content).hexdigest() == md5
    assert len(lines) == 3


def test_the_bill_of_materials_is_of_the_schema(environment):
    _, image = environment
    text = firn("inspect", "--sbom", image)
    validator = validation.JsonStrictValidator(SchemaVersion.V1_5)
    assert validator.validate_str(text) is None
    # The validator can say no.
    broken = text.replace('"bomFormat": "CycloneDX"', '"bomFormat": "other"')
    assert validator.validate_str(broken) is not None
