"""What is wrong with a file, and where."""


class FormatError(Exception):
    """Something in the file at `offset` that is not as FORMAT.md has it."""

    def __init__(self, offset, message):
        super().__init__(f"at offset {offset}: {message}")
        self.offset = offset


def expect(condition, offset, message):
    if not condition:
        raise FormatError(offset, message)
