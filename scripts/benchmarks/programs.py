"""Programs that are measured or needed: where they are, and running them."""

import dataclasses
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

MIB = 1 << 20
PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
# Root's tools are looked for too, whatever PATH the caller has.
SEARCH_PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"

LONGEST_COMMAND = 120  # letters of it in a message
LAST_LINES = 3         # of what a program that failed said


class BenchError(Exception):
    """What kept something from being measured, as it is told to the user."""


def find(name):
    """The path of a program, None where it is not installed."""
    return shutil.which(name, path=SEARCH_PATH)


def build_directory():
    return pathlib.Path(os.environ.get("FIRN_BUILD_DIR", PROJECT / "build" / "release")).resolve()


def firn_program(directory=None):
    program = (directory or build_directory()) / "cli" / "firn"
    if not program.exists():
        raise BenchError(f"no {program}; build it (cmake --preset release && cmake --build "
                         "--preset release), or set FIRN_BUILD_DIR")
    return program


def environment():
    """That of measured commands: nothing of the user's own, nothing written into the tree."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1",
            "PATH": SEARCH_PATH}


def failure(command, code, errors):
    lines = errors.strip().splitlines()
    words = " ".join(map(str, command))
    if len(words) > LONGEST_COMMAND:
        words = words[:LONGEST_COMMAND] + "…"
    return BenchError(f"{words} ended with {code}"
                      + (": " + " / ".join(lines[-LAST_LINES:]) if lines else ""))


def output_of(command):
    """Runs it to its end; what it wrote to standard output. Throws BenchError where it fails."""
    command = [str(word) for word in command]
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                errors="replace", cwd="/", env=environment())
    except OSError as error:
        raise BenchError(f"{command[0]}: {error.strerror}") from error
    if result.returncode != 0:
        raise failure(command, result.returncode, result.stderr)
    return result.stdout


@dataclasses.dataclass
class Run:
    """One run of a program: seconds, and bytes of memory of its largest process."""

    output: str
    seconds: float
    processor_seconds: float
    peak: int


def run_measured(command):
    command = [str(word) for word in command]
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        start = time.monotonic()
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=errors, text=True, errors="replace",
                                       env=environment())
        except OSError as error:
            raise BenchError(f"{command[0]}: {error.strerror}") from error
        try:
            with process.stdout:
                output = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
        except KeyboardInterrupt:
            process.kill()
            process.wait()
            raise
        seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            raise failure(command, process.returncode, errors.read())
    return Run(output, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def seconds_of_processes(command, count=1, cwd="/"):
    """Seconds from the start of the first of `count` processes to the end of the last."""
    command = [str(word) for word in command]
    variables = environment()
    processes = []
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        start = time.perf_counter()
        try:
            for _ in range(count):
                processes.append(subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                    cwd=cwd, env=variables))
            codes = [process.wait() for process in processes]
        except OSError as error:
            raise BenchError(f"{command[0]}: {error.strerror}") from error
        finally:
            for process in processes:
                if process.returncode is None:
                    process.kill()
                    process.wait()
        seconds = time.perf_counter() - start
        for code in codes:
            if code != 0:
                errors.seek(0)
                raise failure(command, code, errors.read())
    return seconds
