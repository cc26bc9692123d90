"""What a client gets to see of an image that may be hostile, without stopping at errors."""

import contextlib
import hashlib
import multiprocessing
import os
import stat

# Of a file that says that it is longer, as much is read, and its end.
MOST_READ = 32 << 20
PIECE = 1 << 20
# Far more than any image of these tests has: a tree of more is endless.
MOST_ENTRIES, MOST_LEVELS = 20_000, 60


class Endless(Exception):
    """A tree that goes on and on."""


def _contents(file, size):
    digest = hashlib.sha256()
    offset = 0
    # What comes before a block that cannot be read comes by itself.
    while offset < min(size, MOST_READ) and (piece := os.pread(file, PIECE, offset)):
        digest.update(piece)
        offset += len(piece)
    if size > MOST_READ:
        digest.update(os.pread(file, 4096, size - 4096))
    return digest.hexdigest()


def _entry(directory, name, path, level, answers):
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode):
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
        try:
            _directory(below, path, level + 1, answers)
        finally:
            os.close(below)
    elif stat.S_ISLNK(status.st_mode):
        answers[path] = ("symlink", os.readlink(name, dir_fd=directory))
    elif stat.S_ISREG(status.st_mode):
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=directory)
        try:
            answers[path] = ("file", status.st_size, _contents(file, status.st_size))
        finally:
            os.close(file)
    else:
        answers[path] = ("other", stat.S_IFMT(status.st_mode), status.st_rdev)


def _directory(directory, path, level, answers):
    names = os.listdir(directory)
    answers[path] = ("directory",)
    if len(set(names)) != len(names) or len(answers) > MOST_ENTRIES or level > MOST_LEVELS:
        raise Endless(f"{path!r}: {len(names)} names, {len(answers)} entries so far")
    for name in names:
        below = f"{path}/{name}" if path else name
        try:
            _entry(directory, name, below, level, answers)
        except OSError as error:
            answers[below] = error.errno


def look(view):
    """{path: what it is, or the errno that it gives} of all below a descriptor."""
    answers = {}
    try:
        directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=view)
        try:
            _directory(directory, "", 0, answers)
        finally:
            os.close(directory)
    except OSError as error:
        answers[""] = error.errno
    return answers


def _serve(pipe):
    from multiprocessing import reduction
    while True:
        view = reduction.recv_handle(pipe)
        try:
            pipe.send(look(view))
        except Endless as endless:
            pipe.send(endless)
        finally:
            os.close(view)


class Client:
    """A process that looks at images. One that does not answer in time is a failure."""

    def __init__(self):
        context = multiprocessing.get_context("fork")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other,), daemon=True)
        self._process.start()
        other.close()

    def look(self, view, seconds):
        from multiprocessing import reduction
        reduction.send_handle(self._pipe, view, self._process.pid)
        if not self._pipe.poll(seconds):
            raise TimeoutError(f"the client has not read all after {seconds} s")
        answers = self._pipe.recv()
        if isinstance(answers, Endless):
            raise answers
        return answers

    def end(self):
        self._process.kill()
        self._process.join()
        self._pipe.close()


@contextlib.contextmanager
def client():
    looking = Client()
    try:
        yield looking
    finally:
        looking.end()
