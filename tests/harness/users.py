"""Running commands as an ordinary user, and what that takes of the machine."""

import contextlib
import fcntl
import os
import pathlib
import stat
import subprocess

NOBODY = 65534
FUSE_DEVICE = "/dev/fuse"


class User:
    """Somebody who runs commands: a uid with a home of his own (None: who runs the tests).

    firnd: what firn is to start as firnd, where it is not the one beside it.
    """

    def __init__(self, uid, home, firnd=None):
        self.uid = uid
        self.home = pathlib.Path(home)
        self.firnd = firnd
        self.runtime = self.home / "runtime"
        self.runtime.mkdir(mode=0o700, exist_ok=True)
        if uid is not None:
            for path in (self.home, self.runtime):
                os.chown(path, uid, uid)

    def environment(self):
        environment = dict(os.environ)
        environment.update(HOME=str(self.home), XDG_RUNTIME_DIR=str(self.runtime),
                           TMPDIR=str(self.home))
        if self.firnd is not None:
            environment["FIRND"] = str(self.firnd)
        return environment

    def popen_arguments(self):
        arguments = {"env": self.environment(), "cwd": str(self.home)}
        if self.uid is not None:
            arguments.update(user=self.uid, group=self.uid, extra_groups=[])
        return arguments

    def run(self, *command, **options):
        """subprocess.run as that user; output is captured as text unless told otherwise."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE, "text": True, "timeout": 300} | options
        return subprocess.run([os.fspath(word) for word in command],
                              **(self.popen_arguments() | options))

    def make_directory(self, name):
        path = self.home / name
        path.mkdir()
        if self.uid is not None:
            os.chown(path, self.uid, self.uid)
        return path


@contextlib.contextmanager
def fuse_device_for_everybody(lock_path):
    """While it lasts, everybody may open /dev/fuse, as on a machine where udev set it up.

    Several test programs may run at once: the last one puts the mode back that the first one
    found. Does nothing where the mode is right, or where it cannot be changed.
    """
    if os.geteuid() != 0 or not os.path.exists(FUSE_DEVICE):
        yield
        return
    with open(lock_path, "a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        mode = stat.S_IMODE(os.stat(FUSE_DEVICE).st_mode)
        if mode & 0o666 != 0o666:
            lock.truncate(0)
            lock.write(oct(mode))
            lock.flush()
            os.chmod(FUSE_DEVICE, 0o666)
        try:
            yield
        finally:
            _put_back_if_last(lock)


def _put_back_if_last(lock):
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # others still need it
    lock.seek(0)
    recorded = lock.read()
    if recorded:
        os.chmod(FUSE_DEVICE, int(recorded, 8))
        lock.truncate(0)
