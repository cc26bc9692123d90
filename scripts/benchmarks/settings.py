"""What the command line chose."""

import dataclasses
import pathlib
import shlex

from benchmarks import trees
from benchmarks.programs import BenchError

MIB = 1 << 20


@dataclasses.dataclass
class Settings:
    """block_size and level are those of Firn's image unless they were given."""

    command: str = trees.DEFAULT_COMMAND
    rounds: int = 7
    block_size: int = MIB
    level: int = 9
    dwarfs_level: int = 4
    read_bytes: int = 512 * MIB
    small_reads: int = 2048
    large_reads: int = 1024
    attach_files: tuple = (1000, 1_000_000)
    firn_build_options: tuple = ()
    firn_mount_options: tuple = ()

    def __post_init__(self):
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise BenchError(f"--command {self.command}: {error}") from error
        if not words:
            raise BenchError("--command is empty")

    def command_at(self, root):
        """The command as a list of words, for a tree that is seen at `root`."""
        return [word.replace("{root}", str(root)) for word in shlex.split(self.command)]


def size_of(text):
    """Bytes of 131072, 128K or 1M."""
    factors = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    factor = factors.get(text[-1:].upper())
    number = text[:-1] if factor else text
    if not number.isascii() or not number.isdigit() or int(number) == 0:
        raise ValueError(f"{text}: expected a size such as 128K or 1M")
    return int(number) * (factor or 1)


def parent_directory(text):
    """An existing directory, absolute: commands run elsewhere."""
    path = pathlib.Path(text).resolve()
    if not path.is_dir():
        raise ValueError(f"{text} is no directory")
    return path
