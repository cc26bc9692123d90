"""Stands in for systemd: hears sd_notify, keeps descriptors, and starts a service with them."""

import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading

from harness.jobs import DEADLINE

# Puts the descriptors of which it is told the numbers at 3 and the following, and becomes the
# service, as systemd has it.
LAUNCHER = """
import fcntl, os, sys
numbers = [int(word) for word in sys.argv[1].split()]
high = [fcntl.fcntl(number, fcntl.F_DUPFD, 1000) for number in numbers]
for place, number in enumerate(high, 3):
    os.dup2(number, place)
    os.close(number)
os.closerange(3 + len(numbers), 1000)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(numbers))
os.execv(sys.argv[2], sys.argv[2:])
"""


class ServiceManager:
    """One service, that can be started again and again; its standard error goes to a file."""

    def __init__(self, directory, command, user=None):
        self._command = [os.fspath(word) for word in command]
        self._user = user
        self._path = str(directory / "notify")
        self.log = directory / "log"
        self.log.touch()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(self._path)
        os.chmod(self._path, 0o777)
        self._changed = threading.Condition()
        self._kept = {}
        self._ready = 0
        self._ending, self._end = os.pipe()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        self.process = None

    @property
    def pid(self):
        return self.process.pid

    def names(self):
        """Of the descriptors that are kept."""
        with self._changed:
            return set(self._kept)

    def _listen(self):
        while True:
            ready, _, _ = select.select([self._socket, self._ending], [], [])
            if self._socket in ready:
                self._take_message()
            elif ready:
                return

    def _take_message(self):
        message, fds, _, _ = socket.recv_fds(self._socket, 1 << 16, 16)
        lines = dict(line.split("=", 1) for line in message.decode().splitlines())
        with self._changed:
            name = lines.get("FDNAME")
            if "FDSTORE" in lines:
                assert lines["FDPOLL"] == "0" and len(fds) == 1 and name not in self._kept
                self._kept[name] = fds.pop()
            if "FDSTOREREMOVE" in lines and name in self._kept:
                os.close(self._kept.pop(name))
            self._ready += "READY" in lines
            self._changed.notify_all()
        for fd in fds:  # of a barrier, which is over when they are closed
            os.close(fd)

    def lose(self, name):
        """As where the store has no room."""
        with self._changed:
            os.close(self._kept.pop(name))

    def change_state(self, change):
        """Gives firnd's document, which stands where the head of its file says, another content."""
        with self._changed:
            fd = self._kept["state"]
        magic, offset, length = struct.unpack("QQQ", os.pread(fd, 24, 0))
        text = json.dumps(change(json.loads(os.pread(fd, length, offset)))).encode()
        os.pwrite(fd, text, offset)
        os.pwrite(fd, struct.pack("QQQ", magic, offset, len(text)), 0)

    def start(self):
        """Returns when the service is ready."""
        environment = dict(os.environ if self._user is None else self._user.environment())
        environment["NOTIFY_SOCKET"] = self._path
        with self._changed:
            names, fds = list(self._kept), list(self._kept.values())
            ready = self._ready
        environment["LISTEN_FDNAMES"] = ":".join(names)
        arguments = self._user.popen_arguments() if self._user else {}
        arguments["env"] = environment
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", LAUNCHER, " ".join(map(str, fds)), *self._command],
                pass_fds=fds, stderr=log, stdin=subprocess.DEVNULL, **arguments)
        self.wait_until_ready(ready)

    def wait_until_ready(self, before):
        with self._changed:
            is_ready = self._changed.wait_for(lambda: self._ready > before, DEADLINE)
        assert is_ready, self.log.read_text()

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(timeout=DEADLINE)
        # What it told before it ended is heard first.
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as own:
            reader, writer = os.pipe()
            own.connect(self._path)
            socket.send_fds(own, [b"BARRIER=1"], [writer])
            os.close(writer)
            assert select.select([reader], [], [], DEADLINE)[0]
            os.close(reader)
        return code

    def close(self):
        """Ends the service and lets go of what was kept."""
        if self.process is not None and self.process.poll() is None:
            self.end()
        os.close(self._end)
        self._thread.join()
        os.close(self._ending)
        self._socket.close()
        for fd in self._kept.values():
            os.close(fd)
