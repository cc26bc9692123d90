"""Where an image stores its files, by the independent reader."""

from format_reader.squashfs import FILE, NONE_32, SquashFS


def places(path):
    """{path of a regular file: (offset of its first data block, offset of its fragment block)}

    None stands for what the file has not.
    """
    with open(path, "rb") as file:
        squashfs = SquashFS(file.read())
    return {name.decode(): (inode.start if any(inode.words) else None,
                            None if inode.fragment == NONE_32
                            else squashfs.fragments[inode.fragment][0])
            for name, inode in squashfs.walk() if inode.type == FILE}
