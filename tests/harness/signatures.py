"""Keys and signature areas as FORMAT.md and firn-key(5) have them, made without Firn."""

import hashlib
import struct

import xxhash

from format_reader.image import AREA_HEAD

# What XXH3-64 starts its secret with: the specification's kSecret.
XXH3_SECRET = bytes.fromhex("b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f")


def public_key(path):
    """The 32 bytes in a public key's file."""
    head, name, public = path.read_text().splitlines()
    assert head == "firn-public-key 1" and name.startswith("name ")
    assert public.startswith("public ed25519:")
    return bytes.fromhex(public.removeprefix("public ed25519:"))


def make_area(image_id, entries):
    area = AREA_HEAD.pack(b"FIRNSIGN", 1, len(entries), image_id)
    area += b"".join(key + signature for key, signature in entries)
    return area + struct.pack("<Q", xxhash.xxh3_64_intdigest(area))


def collidable(block):
    """`block`, long, with a place that collide() can change."""
    data = bytearray(block)
    data[0:4] = XXH3_SECRET[0:4]  # the first number of stripe 0, and of stripe 1
    data[4:8] = bytes([7, 7, 7, 7])
    data[64:68] = XXH3_SECRET[8:12]
    data[68:72] = bytes([9, 9, 9, 9])
    return bytes(data)


def collide(block):
    """Other bytes with the XXH3-64 of `block`, made by collidable().

    Of each number of 8 bytes XXH3 adds up the number itself, and the product of its halves after
    an exclusive or with the secret. A lower half that equals the secret's makes the product zero
    whatever the upper one is, and what is added to one upper half is taken from the other.
    """
    data = bytearray(block)
    data[4] += 1
    data[68] -= 1
    assert data != block
    assert xxhash.xxh3_64_intdigest(bytes(data)) == xxhash.xxh3_64_intdigest(block)
    assert hashlib.sha256(data).digest() != hashlib.sha256(block).digest()
    return bytes(data)
