"""scripts/bench: its arithmetic, its output, and a whole run on a small tree."""

import json
import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as xml

import pytest

from harness.mounts import is_mounted

SCRIPTS = pathlib.Path(__file__).resolve().parent.parent / "scripts"
sys.path.insert(0, str(SCRIPTS))

from benchmarks import (actions, machine, markdown, measure, residency, results,  # noqa: E402
                        settings, svg, table, workloads)

PEERS = ["plain", "firn", "squashfs"]
NAMES = ["plain directory", "firn", "kernel squashfs"]


def need_disk(directory):
    kind, _ = machine.file_system_of(directory)
    if kind in ("tmpfs", "ramfs"):
        pytest.skip(f"{directory} lies in memory, where nothing is ever cold; set TMPDIR")


@pytest.fixture(scope="module")
def tree(scratch):
    root = scratch / "bench-tree"
    for number in range(20):
        (root / f"directory-{number}").mkdir(parents=True)
        (root / f"directory-{number}" / "file").write_bytes(os.urandom(5000 * (number + 1)))
    return root


@pytest.fixture(scope="module")
def run(firn, scratch, tree):
    """(results of a run as JSON, directory of its other output, what it printed)."""
    if os.geteuid() != 0:
        pytest.skip("dropping the page cache and mounting through loop devices takes root")
    need_disk(scratch)
    output = scratch / "bench-output"
    output.mkdir()
    work = scratch / "bench-work"
    result = subprocess.run(
        [SCRIPTS / "bench", "--tree", tree, "--command", "cat {root}/directory-3/file",
         "--only", "import,replay-1,metadata-warm,sequential-2,attach", "--attach-files", "40",
         "--rounds", "1", "--peers", ",".join([*PEERS, "dwarfs"]), "--profile", "off",
         "--work", work, "--title", "small", "--json", output / "run.json",
         "--svg", output / "run.svg", "--markdown", output / "run.md"],
        env={**os.environ, "FIRN_BUILD_DIR": str(firn.build_directory)},
        capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
    for place in (work / "mounts").iterdir():
        assert not is_mounted(place)
    return json.loads((output / "run.json").read_text()), output, result.stdout


def test_every_peer_does_every_workload(run):
    measured, _, _ = run
    assert list(measured["workloads"]) == [
        "import-cold", "import-warm", "metadata-warm-find", "metadata-warm-stat", "replay-1",
        "sequential-2", "attach-40"]
    for name, workload in measured["workloads"].items():
        assert workload["failed"] == {}
        expected = NAMES[1:] if name.startswith("attach") else NAMES
        assert sorted(workload["peers"]) == sorted(expected), name
        for samples in workload["peers"].values():
            assert all(sample["value"] > 0 for sample in samples)


def test_counts_are_of_the_work(run):
    measured, _, _ = run
    workload = measured["workloads"]
    (cold,) = workload["import-cold"]["peers"]["firn"]
    assert cold["counts"]["requests"]["LOOKUP"] >= 2
    assert cold["counts"]["requests"]["READ"] >= 1
    assert cold["counts"]["decoded"]["data"] + cold["counts"]["decoded"]["fragment"] >= 1
    assert cold["resident_tree"] == 20480  # 5000 * 4 bytes in whole pages
    for name in ("import-warm", "metadata-warm-find", "metadata-warm-stat"):
        for sample in workload[name]["peers"]["firn"]:
            assert sample["counts"]["requests_total"] == 0, name


def test_missing_peer_is_named(run):
    measured, output, printed = run
    if "DwarFS" in measured["peers"]:
        pytest.skip("this machine has DwarFS")
    for text in (printed, (output / "run.md").read_text()):
        assert "DwarFS: mkdwarfs is not on PATH" in text


def test_picture_has_a_bar_for_each(run):
    measured, output, _ = run
    root = xml.parse(output / "run.svg").getroot()
    names = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")
             if text.get("class") == "name"]
    assert len(names) == sum(len(workload["peers"]) for workload in measured["workloads"].values())
    right = float(root.get("width"))
    for bar in list(root.iter("{http://www.w3.org/2000/svg}rect"))[1:]:
        assert 0 < float(bar.get("width")) and float(bar.get("x")) + float(bar.get("width")) < right


def test_tables_are_made_again_from_json(run):
    _, output, printed = run
    again = subprocess.run([SCRIPTS / "bench", "--load", output / "run.json"], text=True,
                           capture_output=True, check=True)
    assert again.stdout == printed


def test_markdown_takes_its_marked_place(run, tmp_path):
    measured, _, _ = run
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench small -->\nformer text\n<!-- end -->\nafter\n"
                    "<!-- bench other -->\nkept\n<!-- end -->\n")
    markdown.write(page, measured)
    text = page.read_text()
    assert text.startswith("before\n<!-- bench small -->\n\n**import-cold")
    assert text.endswith("<!-- end -->\nafter\n<!-- bench other -->\nkept\n<!-- end -->\n")
    assert "former text" not in text
    page.write_text("no mark\n")
    with pytest.raises(markdown.BenchError, match="marked"):
        markdown.write(page, measured)


@pytest.mark.parametrize("options, message", [
    (["--only", "sleep"], "no workload is called sleep"),
    (["--peers", "zip"], "no peer is called zip"),
    (["--tree", "/usr"], "--tree needs --command"),
    (["--load", "/dev/null"], "/dev/null"),
])
def test_usage(firn, options, message):
    if os.geteuid() != 0 and options[0] in ("--only", "--peers"):
        pytest.skip("takes root")
    result = subprocess.run([SCRIPTS / "bench", *options], capture_output=True, text=True,
                            env={**os.environ, "FIRN_BUILD_DIR": str(firn.build_directory)})
    assert result.returncode != 0
    assert message in result.stderr and "Traceback" not in result.stderr


@pytest.fixture
def replay(firn, tree, tmp_path):
    program = firn.build_directory / "scripts" / "benchmarks" / "firn_replay_profile"

    def run(lines, processes="3", directory=tree):
        profile = tmp_path / "start.profile"
        profile.write_text("firn-profile 1\n" + "".join(line + "\n" for line in lines))
        return subprocess.run([program, profile, directory, processes], capture_output=True,
                              text=True, timeout=60)

    return run


def test_replay_does_what_the_profile_says(replay, tmp_path):
    result = replay(["lookup directory-1", "miss directory-1/none", "list directory-2",
                     "read directory-3/file 0 20000", "read directory-3/file 4096 8192",
                     "read directory-0/file 4096 4096"])  # that file ends at 5000
    assert result.returncode == 0, result.stderr
    done = json.loads(result.stdout)
    assert done.pop("seconds") > 0
    assert done == {"processes": 3, "entries": 18, "bytes": 3 * (20000 + 8192 + 904),
                    "not_as_recorded": 0}
    other = replay(["lookup none", "miss directory-1", "list directory-1/file", "read none 0 1",
                    "read directory-0/file 8192 4096"])
    assert json.loads(other.stdout)["not_as_recorded"] == 15
    assert json.loads(other.stdout)["bytes"] == 0


def test_replay_refuses(replay, tmp_path):
    for arguments in ((["look directory-1"],), (["lookup ../etc"],), ([], "0"), ([], "many"),
                      ([], "1", tmp_path / "none")):
        result = replay(*arguments)
        assert result.returncode not in (0, 1) and result.stdout == "", arguments
        assert result.stderr.startswith("firn_replay_profile: ")


@pytest.mark.parametrize("sizes, count", [([10, 1, 1], 2), ([3, 3, 3], 3), ([7], 3), ([5, 9], 1)])
def test_shares_are_the_whole_and_equal(sizes, count):
    files = [(f"file-{index}", size) for index, size in enumerate(sizes)]
    cut = actions.shares(files, count)
    lengths = [sum(length for _, _, length in share) for share in cut]
    assert sum(lengths) == sum(sizes) and max(lengths) - min(lengths) <= 1
    read = {name: b"" for name, _ in files}
    for name, offset, length in (piece for share in cut for piece in share):
        assert offset == len(read[name])
        read[name] += bytes(length)
    assert {name: len(content) for name, content in read.items()} == dict(files)


def test_differences_and_medians_of_counts():
    before = {"requests": {"READ": 3}, "requests_total": 3, "alive": True, "id": "a"}
    after = {"requests": {"READ": 5, "LOOKUP": 2}, "requests_total": 7, "alive": True, "id": "a"}
    assert measure.count_differences(before, after) == {
        "requests": {"READ": 2, "LOOKUP": 2}, "requests_total": 4}
    samples = [{"counts": {"requests": {"READ": 4}}}, {"counts": {"requests": {"READ": 2}}},
               {"counts": {"requests": {"READ": 9, "OPEN": 1}}}, {"counts": None}]
    assert results.median_counts(samples) == {"requests": {"READ": 4, "OPEN": 0}}


def test_resident_bytes_are_what_was_read(scratch):
    need_disk(scratch)
    path = scratch / "resident"
    path.write_bytes(bytes(1 << 20))
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert residency.resident_bytes(path) < 1 << 20
        file.read()
    assert residency.resident_bytes(path) == 1 << 20


def test_sizes_and_names_of_workloads():
    assert [settings.size_of(text) for text in ("4096", "128K", "1M")] == [4096, 1 << 17, 1 << 20]
    for text in ("", "K", "-1", "0", "1T"):
        with pytest.raises(ValueError):
            settings.size_of(text)
    known = list(workloads.all_workloads(settings.Settings(), pathlib.Path("/nowhere")))
    chosen, unknown = workloads.chosen(known, ["metadata-warm", "storm-32", "storm-3"])
    assert [workload.name for workload in chosen] == ["storm-32", "metadata-warm-find",
                                                      "metadata-warm-stat"]
    assert unknown == ["storm-3"]


def test_markup_in_names_is_escaped():
    text = table.as_markdown(table.Table("a|b", ["", "x"], [["squashfuse_ll", "1 | 2"]]))
    assert "squashfuse\\_ll" in text and "1 \\| 2" in text
    measured = {"title": "<&>", "rounds_done": 1, "machine": {"processors": 1, "processor": "<c>",
                                                              "kernel": "6"},
                "peers": {"<p>": {}}, "workloads": {"w": {
                    "title": "a & b", "unit": "s", "higher_is_better": False,
                    "peers": {"<p>": [{"value": 1.0}]}}}}
    assert "<p>" in [element.text for element in xml.fromstring(svg.picture(measured)).iter()]
