"""What firnd logs, and where: by real daemons and mounts."""

import contextlib
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import textwrap
import time
import types

import pytest

from harness.config import check_config, in_namespace, job, status_of, write_config

USAGE, OUTPUT, SYSTEM, MOUNT_POINT, RUN_FAILED = 2, 4, 7, 8, 125
PREFIX = "/opt/firn-log-test"


@pytest.fixture(scope="module")
def tree(scratch):
    root = scratch / "log-tree"
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "small").write_text("small\n")
    (root / "data").write_bytes(bytes(range(256)) * 4096)
    return root


@pytest.fixture(scope="module")
def image(firn, scratch, tree):
    image = firn.build(tree, scratch / "log.firn", "--prefix", PREFIX)
    image.chmod(0o644)
    return image


def log_config(directory, text):
    return write_config(directory, "log:\n" + textwrap.indent(textwrap.dedent(text), "  "))


def json_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def lines_of(path, count):
    """The lines of a log when there are as many: what a worker says reaches firnd in a moment."""
    deadline = time.monotonic() + 20
    while True:
        lines = path.read_text().splitlines()
        if len(lines) >= count or time.monotonic() > deadline:
            assert len(lines) == count, lines
            return lines
        time.sleep(0.01)


def damaged_copy(image, target):
    """`data` of the image gives EIO."""
    content = bytearray(image.read_bytes())
    # The extents of contents stand in front, behind the superblock and the mark.
    content[200] ^= 1
    target.write_bytes(content)
    return target


def read_all(place):
    for name in ("data", "bin/small"):
        with contextlib.suppress(OSError):
            (place / name).read_bytes()


def test_json_is_an_object_a_line(firn, root_user, image, directory):
    log = directory / "firnd.log"
    path = log_config(directory, f"""\
        format: json
        destination: file
        file: {log}
        """)
    hurt = damaged_copy(image, directory / "hurt.firn")
    with firn.mounted(hurt, "--config", path) as place:
        pid = status_of(firn, place)["pid"]
        read_all(place)
    lines = json_lines(log)
    assert len(lines) >= 3
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["time"])
        assert (line["pid"], line["image"], line["mount_point"]) == (pid, str(hurt), str(place))
        assert line["level"] in ("info", "warning", "error") and line["message"]
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    (failed,) = [line for line in lines if line["level"] == "error"]
    assert failed["operation"] == "read" and isinstance(failed["inode"], int)
    assert str(hurt) in failed["message"]


def test_the_level_keeps_out_what_is_less(firn, root_user, image, directory):
    log = directory / "firnd.log"
    path = log_config(directory, f"{{level: error, destination: file, file: {log}}}\n")
    hurt = damaged_copy(image, directory / "hurt.firn")
    with firn.mounted(hurt, "--config", path) as place:
        assert log.read_text() == ""
        read_all(place)
        (line,) = lines_of(log, 1)
        assert " error: read of inode " in line


def logs(firn, *arguments):
    return json.loads(firn.run("log", "--json", *arguments).stdout)["logs"]


def test_the_level_changes_while_it_runs(firn, root_user, image, directory):
    log = directory / "firnd.log"
    path = log_config(directory, f"{{destination: file, file: {log}, format: json}}\n")

    def asked():
        return [line for line in json_lines(log) if line["level"] == "debug"
                and "control socket" in line["message"]]

    with firn.mounted(image, "--config", path) as place, firn.mounted(image) as other:
        assert not asked()
        firn.run("status", place)
        assert not asked()
        assert firn.run("log", "--level", "debug", place).stdout == ""
        firn.run("status", place)
        count = len(asked())
        assert count >= 1
        (seen,) = logs(firn, place)
        assert seen == {"mount_point": str(place), "pid": status_of(firn, place)["pid"],
                        "level": "debug", "format": "json", "destination": "file",
                        "file": str(log)}
        # Others keep their own.
        assert logs(firn, other)[0]["level"] == "info"
        firn.run("log", "--level", "warning", place)
        count = len(asked())
        firn.run("status", place)
        assert len(asked()) == count
        text = firn.run("log", place).stdout
        assert text.startswith(f"{place}: firnd ")
        assert f"logs warning and worse as json to {log}" in text


def test_log_without_a_session_there(firn, root_user, directory):
    result = firn.run("log", "--level", "debug", directory, check=False)
    assert (result.returncode, result.stdout) == (MOUNT_POINT, "")
    result = firn.run("log", "--level", "loud", check=False)
    assert result.returncode == USAGE


def test_requests_that_are_none_are_refused(firn, root_user, image):
    with firn.mounted(image) as place:
        control = status_of(firn, place)["control"]
        for request in ('{"op":"set_log_level"}', '{"op":"set_log_level","level":7}',
                        '{"op":"set_log_level","level":"loud"}', '{"op":7}', '{"op":["log"]}', '7'):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(control)
                client.sendall(request.encode() + b"\n")
                assert "error" in json.loads(client.makefile().readline()), request
        assert logs(firn, place)[0]["level"] == "info"


def test_a_renamed_file_is_opened_anew(firn, root_user, image, directory):
    log = directory / "firnd.log"
    path = log_config(directory, f"{{destination: file, file: {log}}}\n")
    old = directory / "firnd.log.1"
    with firn.mounted(image, "--config", path) as place:
        log.rename(old)
        firn.run("log", "--level", "info", place)
        assert not log.exists()
        length = len(old.read_text())
        firn.run("log", "--reopen")
        assert log.read_text() == "" and log.stat().st_mode & 0o777 == 0o600
        firn.run("log", "--level", "info", place)
        assert len(log.read_text().splitlines()) == 1
        assert len(old.read_text()) == length


def test_a_file_that_cannot_be_opened_anew_is_told_and_the_old_one_kept(firn, root_user, image,
                                                                        directory):
    log = directory / "firnd.log"
    path = log_config(directory, f"{{destination: file, file: {log}}}\n")
    old = directory / "firnd.log.1"
    for obstacle in (log.mkdir, lambda: os.mkfifo(log)):
        shutil.rmtree(log, ignore_errors=True)
        log.unlink(missing_ok=True)
        with firn.mounted(image, "--config", path) as place:
            log.rename(old)
            obstacle()
            result = firn.run("log", "--reopen", place, check=False)
            assert result.returncode == OUTPUT
            assert str(log) in result.stderr
            before = len(old.read_text().splitlines())
            firn.run("log", "--level", "info", place)
            assert len(old.read_text().splitlines()) == before + 1


def test_logrotate_rotates(firn, root_user, image, directory):
    """The file that is installed, with this test's paths, by logrotate itself."""
    log = directory / "firnd.log"
    path = log_config(directory, f"{{destination: file, file: {log}}}\n")
    rules = (firn.build_directory / "scripts" / "logrotate").read_text()
    (command,) = re.findall(r"^\s*(/\S+/firn) log --reopen$", rules, re.MULTILINE)
    assert "/var/log/firnd.log" in rules
    rules = rules.replace("/var/log/firnd.log", str(log)).replace(command, str(firn.path))
    (directory / "rules").write_text(rules)
    (directory / "rules").chmod(0o644)
    rotate = ["logrotate", "--force", "--state", directory / "state", directory / "rules"]
    with firn.mounted(image, "--config", path) as first, \
            firn.mounted(image, "--config", path) as second:
        assert len(log.read_text().splitlines()) == 2  # both write to it
        result = subprocess.run(rotate, capture_output=True, text=True, timeout=60)
        assert (result.returncode, result.stderr) == (0, "")
        rotated = directory / "firnd.log.1"
        assert len(rotated.read_text().splitlines()) == 2
        for place in (first, second):
            firn.run("log", "--level", "info", place)
        assert len(log.read_text().splitlines()) == 2
        assert len(rotated.read_text().splitlines()) == 2
    # Nothing is mounted any more: that is no error.
    result = subprocess.run(rotate, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")


def test_an_ordinary_user_who_may_not_open_the_sites_file(firn, ordinary_user, image, directory):
    """The site's file is root's: the job starts all the same. A file of one's own must be right."""
    log = directory / "firnd.log"
    log.touch(mode=0o600)
    path = log_config(directory, f"{{destination: file, file: {log}}}\n")
    with job(firn, image, "--config", path, user=ordinary_user) as status:
        result = firn.run("log", "--json", user=ordinary_user)
        (seen,) = [entry for entry in json.loads(result.stdout)["logs"]
                   if entry["pid"] == status["pid"]]
        assert seen["destination"] == "syslog"
    result = firn.run("run", "--log-file", log, image, "--", "true", user=ordinary_user,
                      check=False)
    assert result.returncode == RUN_FAILED
    assert str(log) in result.stderr


@contextlib.contextmanager
def foreground(firnd, image, place, *options, prefix=()):
    """A firnd in the foreground while it lasts. Gives its pid and, at the end, what it printed."""
    read_end, write_end = os.pipe()
    command = [*prefix, firnd, "--foreground", f"--ready-fd={write_end}", *options, image, place]
    with subprocess.Popen([os.fspath(word) for word in command], pass_fds=[write_end],
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        os.close(write_end)
        daemon = types.SimpleNamespace(pid=process.pid, printed=None)
        try:
            with os.fdopen(read_end) as ready:
                assert json.loads(ready.readline())["ready"]
            yield daemon
        finally:
            process.send_signal(signal.SIGTERM)
            daemon.printed = process.communicate(timeout=60)[1]
    assert process.returncode == 0


def test_a_foreground_daemon_logs_json_to_standard_error(firnd, root_user, image, directory):
    path = log_config(directory, "{format: json, level: debug, destination: stderr}\n")
    place = directory / "mnt"
    place.mkdir()
    with foreground(firnd, image, place, "--config", path) as daemon:
        pass
    lines = [json.loads(line) for line in daemon.printed.splitlines()]
    assert {line["pid"] for line in lines} == {daemon.pid}
    assert any(re.match(r"the kernel speaks FUSE 7\.\d+; up to 4096 ", line["message"])
               for line in lines)
    # The command line's level and format win.
    options = ["--config", path, "--log-level", "error", "--log-format", "text"]
    with foreground(firnd, image, place, *options) as daemon:
        pass
    assert daemon.printed == ""


@contextlib.contextmanager
def datagrams(path):
    """A socket that takes what is sent to it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        os.chmod(path, 0o666)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        yield receiver


def received(receiver):
    messages = []
    poll = select.poll()
    poll.register(receiver, select.POLLIN)
    while poll.poll(0):
        messages.append(receiver.recv(65536))
    return messages


def journal_entry(datagram):
    """systemd's native protocol: KEY=VALUE lines, or KEY, a length and the value."""
    fields = {}
    while datagram:
        line, _, datagram = datagram.partition(b"\n")
        key, equals, value = line.partition(b"=")
        if not equals:
            length = int.from_bytes(datagram[:8], "little")
            value, datagram = datagram[8:8 + length], datagram[9 + length:]
        fields[key.decode()] = value.decode()
    return fields


def has_journal(firnd, directory):
    return check_config(firnd, log_config(directory, "{destination: journal}\n")).returncode == 0


def test_the_journal_gets_fields(firnd, root_user, image, directory):
    """In a mount namespace where this test is the journal."""
    if not has_journal(firnd, directory):
        pytest.skip("this firnd was built without libsystemd")
    path = log_config(directory, "{destination: journal}\n")
    hurt = damaged_copy(image, directory / "hurt.firn")
    place = directory / "mnt"
    place.mkdir()
    (directory / "run").mkdir()
    prefix = in_namespace("mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal"
                          f" && mount --bind {directory}/run /run/systemd/journal")
    with datagrams(directory / "run" / "socket") as receiver:
        with foreground(firnd, hurt, place, "--config", path, prefix=prefix) as daemon:
            read_all(pathlib.Path(f"/proc/{daemon.pid}/root{place}"))
        entries = [journal_entry(message) for message in received(receiver)]
    assert daemon.printed == ""
    assert all(entry["SYSLOG_IDENTIFIER"] == "firnd" for entry in entries)
    assert all(entry["FIRN_IMAGE"] == str(hurt) for entry in entries)
    assert all(entry["FIRN_MOUNT_POINT"] == str(place) for entry in entries)
    (failed,) = [entry for entry in entries if entry["PRIORITY"] == "3"]
    assert failed["FIRN_OPERATION"] == "read" and failed["FIRN_INODE"].isdigit()
    assert failed["MESSAGE"].startswith("read of inode ")
    assert {entry["PRIORITY"] for entry in entries} == {"3", "6"}


def test_a_journal_that_is_not_there_is_told(firn, firnd, root_user, image, directory):
    if not has_journal(firnd, directory):
        pytest.skip("this firnd was built without libsystemd")
    path = log_config(directory, "{destination: journal}\n")
    (directory / "mnt").mkdir()
    result = subprocess.run([*in_namespace("mount -t tmpfs tmpfs /run"), firn.path, "mount",
                             "--config", path, image, directory / "mnt"],
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert result.returncode == SYSTEM
    assert "/run/systemd/journal/socket" in result.stderr


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_syslog_gets_the_message(firnd, root_user, image, directory, log_format):
    """In a mount namespace where this test is syslog."""
    path = log_config(directory, f"{{destination: syslog, format: {log_format}}}\n")
    place = directory / "mnt"
    place.mkdir()
    device = directory / "dev"
    device.mkdir()
    prefix = in_namespace(f"for name in null fuse; do touch {device}/$name"
                          f" && mount --bind /dev/$name {device}/$name || exit; done;"
                          f" mount --rbind {device} /dev")
    with datagrams(device / "log") as receiver:
        with foreground(firnd, image, place, "--config", path, prefix=prefix) as daemon:
            pass
        messages = [message.decode() for message in received(receiver)]
    assert daemon.printed == ""
    serving = [message for message in messages if "serving" in message]
    assert len(serving) == 1
    head, _, text = serving[0].partition(f"firnd[{daemon.pid}]: ")
    assert head.startswith("<30>")  # daemon.info
    if log_format == "json":
        text = json.loads(text)["message"]
    assert text.startswith(f"serving {image} at {place} (")
