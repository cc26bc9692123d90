"""What compiler and linker are asked for to make an attack harder, as readelf and objdump see it."""

import os
import platform
import re
import subprocess

import pytest

pytestmark = pytest.mark.skipif(bool(os.environ.get("FIRN_SANITIZE")),
                                reason="sanitized programs are for tests alone")


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(params=["firn", "firnd"])
def program(request, firn):
    return {"firn": firn.path, "firnd": firn.firnd}[request.param]


def test_placed_at_random(program):
    assert "DYN (Position-Independent Executable file)" in output_of("readelf", "-h", program)


def test_nothing_writable_that_is_called_through(program):
    """Full RELRO: everything is bound at the start, then read-only."""
    assert "GNU_RELRO" in output_of("readelf", "-lW", program)
    assert re.search(r"FLAGS_1\).*\bNOW\b", output_of("readelf", "-dW", program))


def test_no_memory_is_writable_and_executable(program):
    segments = [line.split() for line in output_of("readelf", "-lW", program).splitlines()
                if re.match(r"\s+(LOAD|GNU_STACK)\s", line)]
    flags = {(words[0], "".join(words[6:-1])) for words in segments}
    assert ("GNU_STACK", "RW") in flags
    assert not [flag for flag in flags if "W" in flag[1] and "E" in flag[1]]


def test_stack_and_buffers_are_checked(program):
    symbols = output_of("readelf", "--dyn-syms", "-W", program)
    assert "__stack_chk_fail@" in symbols
    assert re.search(r"__\w+_chk@", symbols.replace("__stack_chk", ""))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="CET is of x86-64")
def test_calls_through_pointers_land_at_marks(firn, program):
    """main is taken by address: it begins with endbr64, and each library's objects say CET."""
    disassembly = output_of("objdump", "-d", "--no-show-raw-insn", "--disassemble=main", program)
    first = disassembly.split("<main>:", 1)[1].split("\n")[1]
    assert first.endswith("endbr64"), first
    for library in ("format", "builder", "mountd"):
        notes = output_of("readelf", "-nW",
                          firn.build_directory / library / f"libfirn_{library}.a")
        objects = notes.count("\nFile: ")
        assert objects and notes.count("x86 feature: IBT, SHSTK") == objects
