"""Images of the tree, each made once and measured while it is made."""

import dataclasses
import hashlib
import json
import pathlib

from benchmarks import programs


@dataclasses.dataclass
class Image:
    """A packed tree, and what packing it took."""

    path: pathlib.Path
    bytes: int
    seconds: float
    processor_seconds: float
    peak: int
    command: str


class ImageStore:
    """Images in a directory. One that was made there of the same tree by the same command, also by
    an earlier run, is taken as it is, with the figures of when it was made. need_tree() is called
    before a tree is packed that may not be there yet."""

    def __init__(self, directory, tree_fingerprint, need_tree=lambda: None):
        self._directory = pathlib.Path(directory)
        self._tree, self._need_tree = tree_fingerprint, need_tree

    def path(self, name):
        return self._directory / name

    def get(self, name, command, stamp=()):
        """The image called `name`, written by `command`. stamp: what else it depends on."""
        path = self.path(name)
        words = [str(word) for word in command]
        key = hashlib.sha256(json.dumps([words, self._tree, [str(part) for part in stamp]])
                             .encode()).hexdigest()
        record = path.with_name(path.name + ".json")
        if path.exists() and record.exists():
            known = json.loads(record.read_text())
            if known.pop("key") == key and known["bytes"] == path.stat().st_size:
                return Image(path=path, **known)
        path.unlink(missing_ok=True)
        self._need_tree()
        run = programs.run_measured(words)
        image = Image(path, path.stat().st_size, run.seconds, run.processor_seconds, run.peak,
                      " ".join([pathlib.Path(words[0]).name, *words[1:]]))
        known = dataclasses.asdict(image)
        del known["path"]
        record.write_text(json.dumps({"key": key, **known}))
        return image
