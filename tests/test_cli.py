"""The command line: help, version, usage errors, exit codes; firn inspect and firn verify."""

import hashlib
import json
import os
import re
import shutil
import subprocess

import pytest

COMMANDS = ("build", "mount", "unmount", "run", "optimize", "status", "log", "inspect",
            "verify")
USAGE = 2
INPUT = 3
OUTPUT = 4
DAMAGED = 5
UNSUPPORTED = 6
RUN_FAILED = 125


@pytest.fixture(scope="module")
def tree(scratch):
    root = scratch / "cli-tree"
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "hello").write_text("#!/bin/sh\necho hello\n")
    (root / "noise").write_bytes(bytes(hashlib.shake_256(b"noise").digest(300_000)))
    (root / "link").symlink_to("noise")
    os.link(root / "noise", root / "again")
    return root


@pytest.fixture(scope="module")
def image(firn, scratch, tree):
    return firn.build(tree, scratch / "cli.firn", "--prefix", "/opt/cli-test", "--name", "cli",
                      "--block-size", "64K")


@pytest.fixture(scope="module")
def foreign(scratch, tree):
    path = scratch / "cli.squashfs"
    subprocess.run(["mksquashfs", tree, path, "-noappend", "-quiet", "-no-progress"], check=True,
                   stdout=subprocess.DEVNULL)
    return path


def failing(firn, code, *arguments, **options):
    """The standard error of a command that must end with `code` and print nothing else."""
    result = firn.run(*arguments, check=False, **options)
    assert result.returncode == code, f"{result.returncode}: {result.stdout}{result.stderr}"
    assert result.stdout == ""
    assert result.stderr.startswith("firn: error: "), result.stderr
    return result.stderr


def test_help_names_every_command(firn):
    text = firn.run("--help").stdout
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", text, re.MULTILINE), command
    assert "Examples:" in text
    assert firn.run("help").stdout == text
    assert firn.run("-h").stdout == text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(firn, command):
    text = firn.run(command, "--help").stdout
    assert f"Usage: firn {command}" in text
    assert "Example" in text
    assert re.search(rf"^  firn {command}\b", text, re.MULTILINE)
    assert firn.run("help", command).stdout == text


def test_version(firn):
    assert re.fullmatch(r"firn \d+\.\d+\.\d+\n", firn.run("--version").stdout)


def test_no_arguments_is_help_on_stderr(firn):
    result = firn.run(check=False)
    assert result.returncode == USAGE
    assert result.stdout == ""
    assert "Usage: firn" in result.stderr


@pytest.mark.parametrize("typed, meant", [("biuld", "build"), ("umount", "unmount"),
                                          ("stat", "status"), ("verfiy", "verify")])
def test_a_mistyped_command_is_answered_with_the_right_one(firn, typed, meant):
    text = failing(firn, USAGE, typed)
    assert f"no command '{typed}'" in text
    assert f"did you mean '{meant}'?" in text


def test_another_word_is_no_command(firn):
    text = failing(firn, USAGE, "frobnicate")
    assert "did you mean" not in text
    assert "firn --help" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_is_a_usage_error(firn, command):
    text = failing(firn, RUN_FAILED if command == "run" else USAGE, command, "--no-such-option")
    assert f"firn {command} --help" in text


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in ("status", "log")])
def test_a_missing_argument_is_a_usage_error(firn, command):
    failing(firn, RUN_FAILED if command == "run" else USAGE, command)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["inspect", "IMAGE"],
                                       ["verify", "--json", "IMAGE"]])
def test_output_that_cannot_be_written_is_an_error(firn, image, arguments):
    arguments = [image if word == "IMAGE" else word for word in arguments]
    with open("/dev/full", "wb") as full:
        result = firn.run(*arguments, check=False, stdout=full)
    assert result.returncode == OUTPUT
    assert "standard output" in result.stderr


def test_a_reader_that_goes_away_ends_it_quietly(firn, image):
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as pipe:
        result = firn.run("inspect", image, check=False, stdout=pipe)
    assert result.returncode == -13  # SIGPIPE
    assert result.stderr == ""


def test_closed_standard_descriptors_are_no_trouble(firn, image):
    result = subprocess.run(["sh", "-c", f"{firn.path} inspect {image} 0<&- 1>&- 2>&-"],
                            capture_output=True, timeout=60)
    assert result.stdout == result.stderr == b""


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_files_that_are_no_images(firn, directory, tree, foreign, command):
    assert "No such file" in failing(firn, INPUT, command, directory / "missing")
    assert "directory" in failing(firn, INPUT, command, tree)
    fifo = directory / "fifo"
    os.mkfifo(fifo)
    failing(firn, INPUT, command, fifo)
    empty = directory / "empty"
    empty.touch()
    failing(firn, DAMAGED, command, empty)
    other = directory / "other"
    other.write_bytes(b"\x7fELF" + bytes(5000))
    assert "not an image" in failing(firn, DAMAGED, command, other)
    text = failing(firn, UNSUPPORTED, command, foreign)
    assert "--foreign" in text


def test_inspect_shows_the_manifest(firn, image, tree):
    text = firn.run("inspect", image).stdout
    assert re.search(r"^name +cli$", text, re.MULTILINE)
    assert re.search(r"^prefix +/opt/cli-test$", text, re.MULTILINE)
    assert re.search(r"^id +sha256:[0-9a-f]{64}$", text, re.MULTILINE)

    seen = json.loads(firn.run("inspect", "--json", image).stdout)
    assert (seen["name"], seen["prefix"]) == ("cli", "/opt/cli-test")
    assert seen["bytes"] == image.stat().st_size
    assert seen["compression"]["block_size"] == 65536
    assert seen["contents"] == {
        "files": 2, "directories": 2, "symlinks": 1, "others": 0, "hard_links": 1,
        "bytes": sum((tree / name).stat().st_size for name in ("noise", "bin/hello"))}
    assert seen["id"] in text


def test_inspect_prints_sections_as_they_are(firn, image):
    data = image.read_bytes()
    sections = json.loads(firn.run("inspect", "--json", image).stdout)["sections"]
    assert {"manifest", "extents", "digests"} <= {section["name"] for section in sections}
    for section in sections:
        printed = firn.run("inspect", "--section", section["name"], image, text=False).stdout
        assert printed == data[section["offset"]:section["offset"] + section["bytes"]]
        if section["bytes"] <= 65536:  # one page: the digest is the content's own
            assert section["digest"] == "sha256:" + hashlib.sha256(printed).hexdigest()
    manifest = firn.run("inspect", "--manifest", image).stdout
    assert manifest == firn.run("inspect", "--section", "manifest", image).stdout


def test_the_image_id_is_the_hash_of_the_core_table(firn, image):
    data = image.read_bytes()
    footer = data[-128:]
    offset, length = (int.from_bytes(footer[at:at + 8], "little") for at in (16, 24))
    wanted = "sha256:" + hashlib.sha256(data[offset:offset + length]).hexdigest()
    assert json.loads(firn.run("inspect", "--json", image).stdout)["id"] == wanted
    assert json.loads(firn.run("verify", "--json", image).stdout)["id"] == wanted


def test_inspect_needs_nothing_but_the_appendix(firn, image, directory):
    """An image whose data is all zeros is inspected all the same, and fails to verify."""
    seen = json.loads(firn.run("inspect", "--json", image).stdout)
    copy = directory / "zeros.firn"
    shutil.copy(image, copy)
    with open(copy, "r+b") as file:
        file.seek(160)
        file.write(bytes(seen["squashfs_bytes"] - 160))
    again = json.loads(firn.run("inspect", "--json", copy).stdout)
    assert again.pop("image") != seen.pop("image")
    assert again == seen
    assert firn.run("verify", copy, check=False).returncode == DAMAGED


def test_inspect_of_a_section_that_is_not_there_names_those_that_are(firn, image):
    text = failing(firn, USAGE, "inspect", "--section", "nonsense", image)
    assert "manifest, extents, digests" in text
    failing(firn, USAGE, "inspect", "--json", "--manifest", image)


def test_control_characters_of_an_image_do_not_reach_the_terminal(firn, directory):
    (directory / "tree").mkdir()
    noise = hashlib.shake_256(b"evil").digest(10_000)
    name = "evil\x1b[2J\nname"
    (directory / "tree" / name).write_bytes(noise)
    image = firn.build(directory / "tree", directory / "evil.firn", "--prefix", "/opt/x")
    damaged = flip(image, directory / "damaged.firn", image.read_bytes().index(noise[:100]))
    text = firn.run("verify", damaged, check=False).stdout
    assert "\x1b" not in text
    assert "evil\\x1b[2J\\x0aname: " in text
    report = json.loads(firn.run("verify", "--json", damaged, check=False).stdout)
    assert [finding["path"] for finding in report["findings"]] == [name]


@pytest.mark.parametrize("jobs", ["1", "4"])
def test_verify_of_a_whole_image(firn, image, jobs):
    result = firn.run("verify", "--jobs", jobs, image)
    assert result.stdout.startswith(f"{image}: good: ")
    report = json.loads(firn.run("verify", "--json", "--jobs", jobs, image).stdout)
    assert report["ok"] is True
    assert report["findings"] == []
    assert report["bytes"] == image.stat().st_size
    assert report["files"] == 2
    assert report["sections"] == 3
    assert report["extents"] > 5  # head, five blocks of noise, metadata


def flip(source, target, offset):
    data = bytearray(source.read_bytes())
    data[offset] ^= 0x10
    target.write_bytes(data)
    return target


def test_verify_names_the_file_and_the_offset_of_a_flipped_bit(firn, image, directory):
    """Noise does not compress: its bytes stand in the image as they are."""
    data = image.read_bytes()
    noise = hashlib.shake_256(b"noise").digest(300_000)
    at = data.index(noise[70_000:70_100])  # in its second block
    damaged = flip(image, directory / "damaged.firn", at)

    result = firn.run("verify", damaged, check=False)
    assert result.returncode == DAMAGED
    report = json.loads(firn.run("verify", "--json", damaged, check=False).stdout)
    assert report["ok"] is False
    block = data.index(noise[65536:65636])
    assert {(finding["path"].lstrip("/"), finding["offset"]) for finding in report["findings"]} <= {
        ("noise", block), ("again", block)}
    for finding in report["findings"]:
        line = f"{damaged}: at offset {finding['offset']}: {finding['path']}: {finding['message']}"
        assert line in result.stdout.splitlines()


def test_verify_finds_a_flipped_bit_anywhere(firn, image, directory):
    size = image.stat().st_size
    seen = json.loads(firn.run("inspect", "--json", image).stdout)
    places = {0, 5, 40, 97, 130, 155, 161, seen["squashfs_bytes"] - 3, size - 1, size - 70}
    places.update(section["offset"] + section["bytes"] // 2 for section in seen["sections"])
    places.update(range(1000, size, size // 23))
    missed = []
    for place in sorted(places):
        damaged = flip(image, directory / "flipped.firn", place)
        result = firn.run("verify", "--quiet", damaged, check=False)
        if result.returncode not in (DAMAGED, UNSUPPORTED):
            missed.append((place, result.returncode, result.stdout, result.stderr))
    assert missed == []


def test_jobs_out_of_range_are_refused(firn, image):
    failing(firn, USAGE, "verify", "--jobs", "0", image)
    failing(firn, USAGE, "verify", "--jobs", "many", image)
