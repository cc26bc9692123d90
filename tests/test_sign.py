"""Signatures of images, as OpenSSL judges them, and what they prove while an image is read."""

import errno
import json
import os
import random
import shutil
import stat
import struct

import pytest

from format_reader.check import is_right
from format_reader.image import signatures_of
from harness.layout import FOOTER, FOOTER_LENGTH, Layout, check_image, xxh3
from harness.signatures import collidable, collide, make_area, public_key

USAGE, INPUT, OUTPUT, DAMAGED, UNTRUSTED = 2, 3, 4, 5, 11
BLOCK = 64 * 1024


@pytest.fixture(scope="module")
def tree(scratch):
    root = scratch / "sign-tree"
    root.mkdir()
    source = random.Random(8)
    (root / "victim").write_bytes(collidable(source.randbytes(BLOCK)))
    for number in range(4):
        (root / f"file-{number}").write_bytes(source.randbytes(3 * BLOCK + number))
    return root


@pytest.fixture(scope="module")
def unsigned(firn, scratch, tree):
    image = firn.build(tree, scratch / "unsigned.firn", "--block-size", "64K", "--prefix",
                       "/opt/signed")
    image.chmod(0o644)
    return image


@pytest.fixture
def image(unsigned, directory):
    return shutil.copy2(unsigned, directory / "image.firn")


def make_key(firn, path, *options):
    firn.run("keygen", path, *options)
    return path


@pytest.fixture(scope="module")
def keys(firn, scratch):
    """Two keys, and directories that trust one of them each."""
    root = scratch / "keys"
    root.mkdir()
    for name in ("alice", "bob"):
        make_key(firn, root / name, "--name", f"{name} of the tests")
        (root / f"trust-{name}").mkdir()
        shutil.copy(root / f"{name}.pub", root / f"trust-{name}")
    return root


def area_of(image):
    layout = check_image(image)
    at = layout.signatures_offset
    return layout.data[at:at + layout.signatures_length]


def verify(firn, image, *options):
    result = firn.run("verify", "--json", *options, image, check=False)
    return result.returncode, json.loads(result.stdout)


def with_area(image, area):
    """The image with other signatures, the footer right."""
    layout = Layout(image)
    end = layout.core_offset + layout.core_length
    footer = list(FOOTER.unpack(image[-FOOTER_LENGTH:]))
    footer[5:7] = end, len(area)
    footer[8] = end + len(area) + FOOTER_LENGTH
    packed = FOOTER.pack(*footer)[:-8]
    return image[:end] + area + packed + struct.pack("<Q", xxh3(packed))


def test_a_signature_changes_neither_core_nor_id_and_openssl_takes_it(
        firn, image, keys, directory):
    before = check_image(image)
    for name in ("alice", "bob", "alice"):
        result = firn.run("sign", image, "--key", keys / name)
        assert f"sha256:{before.image_id.hex()}" in result.stdout
    after = check_image(image)
    end = before.core_offset + before.core_length
    assert after.data[:end] == before.data[:end] and after.image_id == before.image_id
    image_id, entries = signatures_of(area_of(image))
    assert image_id == before.image_id
    assert [key for key, _ in entries] == [public_key(keys / f"{name}.pub")
                                           for name in ("alice", "bob")]
    for key, signature in entries:
        assert is_right(key, signature, image_id)
        assert not is_right(key, signature, bytes(32))
    assert os.listdir(image.parent).count("image.firn") == 1
    assert not [name for name in os.listdir(image.parent) if name.startswith("image.firn.")]
    firn.run("verify", image)


def test_a_detached_signature_leaves_the_image_alone(firn, image, keys, directory):
    before = image.read_bytes()
    for name in ("alice", "bob"):
        firn.run("sign", "--detached", image, "--key", keys / name)
    assert image.read_bytes() == before
    area = (directory / "image.firn.sig").read_bytes()
    image_id, entries = signatures_of(area)
    assert image_id == Layout(before).image_id and len(entries) == 2
    assert all(is_right(key, signature, image_id) for key, signature in entries)
    code, report = verify(firn, image, "--trusted-keys", keys / "trust-bob")
    assert (code, report["trusted"]) == (0, True)
    (trusted,) = [entry for entry in report["signatures"] if entry["trusted"]]
    assert trusted["name"] == "bob of the tests" and trusted["place"].endswith(".sig")
    elsewhere = (directory / "image.firn.sig").rename(directory / "other-name")
    assert verify(firn, image, "--trusted-keys", keys / "trust-bob")[0] == UNTRUSTED
    assert verify(firn, image, "--trusted-keys", keys / "trust-bob", "--signature",
                  elsewhere)[0] == 0


def test_who_signed_is_told_or_why_nobody_is_trusted(firn, image, keys, directory):
    trust = ["--trusted-keys", keys / "trust-alice"]

    def reason(*options):
        code, report = verify(firn, image, *trust, *options)
        assert report["trusted"] is False
        return code, report["untrusted_because"]

    assert reason() == (UNTRUSTED, "it has no signature")
    firn.run("sign", image, "--key", keys / "bob")
    bob = f"ed25519:{public_key(keys / 'bob.pub').hex()}"
    assert reason() == (UNTRUSTED,
                        f"it is signed by {bob}, of which none is in {keys}/trust-alice")
    assert verify(firn, image)[0] == 0
    firn.run("sign", image, "--key", keys / "alice")
    result = firn.run("verify", image, *trust)
    assert f"which is trusted: alice of the tests ({keys}/trust-alice/alice.pub)" in result.stdout

    # Over another image: beside this one it is of no use, within it something is wrong.
    good = image.read_bytes()
    image_id, entries = signatures_of(area_of(image))
    (directory / "tree").mkdir()
    other = firn.build(directory / "tree", directory / "other.firn", "--prefix", "/opt/other")
    firn.run("sign", other, "--key", keys / "alice")
    of_other = area_of(other)
    image.write_bytes(with_area(good, of_other))
    code, report = verify(firn, image, *trust)
    assert code == DAMAGED and report["trusted"] is False
    assert any("are over another image, sha256:" in finding["message"]
               for finding in report["findings"])
    image.write_bytes(good)
    firn.run("sign", "--discard", image, "--key", keys / "bob")
    (directory / "image.firn.sig").write_bytes(of_other)
    code, why = reason()
    assert code == UNTRUSTED and "image.firn.sig: the signatures are over another image" in why
    assert "are over another image" in firn.run(
        "sign", "--detached", image, "--key", keys / "alice", check=False).stderr

    # Forged: the key of one, the signature of another.
    swapped = [(entries[0][0], entries[1][1]), (entries[1][0], entries[0][1])]
    (directory / "image.firn.sig").write_bytes(make_area(image_id, swapped))
    code, why = reason()
    assert code == DAMAGED and "is not by that key, or damaged" in why


def test_inspect_shows_who_signed_and_whether_it_holds(firn, image, keys, directory):
    def inspect():
        report = json.loads(firn.run("inspect", "--json", image).stdout)
        return report["signatures"], report["signature_findings"]

    assert inspect() == ([], [])
    assert "signatures" not in firn.run("inspect", image).stdout
    alice, bob = (f"ed25519:{public_key(keys / f'{name}.pub').hex()}" for name in ("alice", "bob"))
    detached = directory / "image.firn.sig"
    firn.run("sign", image, "--key", keys / "alice")
    firn.run("sign", "--detached", image, "--key", keys / "bob")
    assert inspect() == ([{"place": str(image), "key": alice, "right": True},
                          {"place": str(detached), "key": bob, "right": True}], [])
    text = firn.run("inspect", image).stdout
    assert f"{alice}\n" in text and f"{bob} in {detached}\n" in text and "NOT" not in text

    # Forged: the signature of another.
    image_id, entries = signatures_of(area_of(image))
    detached.write_bytes(make_area(image_id, [(public_key(keys / "bob.pub"), entries[0][1])]))
    (_, forged), (finding,) = inspect()
    assert not forged["right"] and "is not by that key, or damaged" in finding
    assert f"{bob} in {detached}: does NOT hold" in firn.run("inspect", image).stdout
    detached.write_bytes(make_area(bytes(32), entries))
    (_, other), findings = inspect()
    assert not other["right"] and any("over another image" in finding for finding in findings)
    detached.write_bytes(b"no signatures")
    (right,), (finding,) = inspect()
    assert right["right"] and finding.startswith(f"{detached}: ")


def test_damaged_signatures_are_found_and_harm_nothing_else(firn, fuse, image, keys, tree):
    firn.run("sign", image, "--key", keys / "alice")
    good = image.read_bytes()
    at = Layout(good).signatures_offset
    for offset in (0, 20, 60, 100, 150):
        image.write_bytes(good[:at + offset] + bytes([good[at + offset] ^ 1])
                          + good[at + offset + 1:])
        code, report = verify(firn, image, "--trusted-keys", keys / "trust-alice")
        assert code == DAMAGED
        (finding,) = report["findings"]
        assert finding["offset"] == at and "the signatures are damaged" in finding["message"]
    with firn.mounted(image) as mounted:
        assert (mounted / "file-1").read_bytes() == (tree / "file-1").read_bytes()
    result = firn.run("sign", image, "--key", keys / "bob", check=False)
    assert result.returncode == DAMAGED and "--discard" in result.stderr
    firn.run("sign", "--discard", image, "--key", keys / "bob")
    assert len(signatures_of(area_of(image))[1]) == 1


def test_an_image_that_is_served_keeps_its_bytes(firn, fuse, image, keys, tree):
    image.chmod(0o604)
    with firn.mounted(image) as mounted:
        firn.run("sign", image, "--key", keys / "alice")
        for path in tree.iterdir():
            assert (mounted / path.name).read_bytes() == path.read_bytes()
    assert stat.S_IMODE(image.stat().st_mode) == 0o604


def test_a_link_keeps_leading_to_the_image(firn, image, keys, directory):
    link = directory / "link.firn"
    link.symlink_to(image.name)
    firn.run("sign", link, "--key", keys / "alice")
    assert link.is_symlink() and len(signatures_of(area_of(image))[1]) == 1


def test_nobody_takes_an_image_by_signing_it(firn, image, keys, directory, ordinary_user):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    directory.chmod(0o777)
    key = ordinary_user.make_directory("signer") / "key"
    firn.run("keygen", key, user=ordinary_user)
    before = image.stat()
    result = firn.run("sign", image, "--key", key, user=ordinary_user, check=False)
    assert result.returncode == OUTPUT and "--detached" in result.stderr
    assert image.stat().st_ino == before.st_ino and os.listdir(directory) == ["image.firn"]
    firn.run("sign", "--detached", image, "--key", key, user=ordinary_user)
    # Root's signature leaves it its owner.
    os.chown(image, before.st_uid, 12345)
    firn.run("sign", image, "--key", keys / "alice")
    assert (image.stat().st_uid, image.stat().st_gid) == (before.st_uid, 12345)


def test_keys(firn, image, directory):
    key = make_key(firn, directory / "key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    result = firn.run("keygen", key, check=False)
    assert result.returncode == OUTPUT and "never replaced" in result.stderr
    key.chmod(0o640)
    result = firn.run("sign", image, "--key", key, check=False)
    assert result.returncode == INPUT and "others may use too" in result.stderr
    key.chmod(0o600)
    result = firn.run("sign", image, "--key", directory / "key.pub", check=False)
    assert result.returncode == INPUT
    firn.run("sign", image, "--key", key)


def test_a_key_with_a_passphrase(firn, image, directory):
    right, wrong = directory / "right", directory / "wrong"
    right.write_text("correct horse\n")
    wrong.write_text("battery staple\n")
    key = make_key(firn, directory / "key", "--passphrase-file", right)
    assert "secret" not in key.read_text()
    result = firn.run("sign", image, "--key", key, "--passphrase-file", wrong, check=False)
    assert result.returncode == INPUT and "does not open this key" in result.stderr
    result = firn.run("sign", image, "--key", key, check=False, start_new_session=True)
    assert result.returncode == INPUT and "--passphrase-file" in result.stderr
    firn.run("sign", image, "--key", key, "--passphrase-file", right)
    _, ((public, signature),) = signatures_of(area_of(image))
    assert public == public_key(directory / "key.pub")
    assert is_right(public, signature, Layout(image.read_bytes()).image_id)


def test_directories_of_keys(firn, image, keys, directory):
    trust = directory / "trust"

    def refusal():
        result = firn.run("verify", image, "--trusted-keys", trust, check=False)
        assert result.returncode == INPUT
        return result.stderr

    assert str(trust) in refusal()
    trust.mkdir()
    (trust / "README").write_text("not a key\n")
    assert "found none" in refusal()
    shutil.copy(keys / "alice", trust / "alice.pub")
    assert "alice.pub: expected a key that begins with 'firn-public-key 1'" in refusal()
    shutil.copy(keys / "alice.pub", trust / "alice.pub")
    if os.geteuid() == 0:
        (trust / "alice.pub").chmod(0o666)
        assert "alice.pub: root trusts no keys that others may change" in refusal()
    (trust / "alice.pub").chmod(0o644)
    assert verify(firn, image, "--trusted-keys", trust)[0] == UNTRUSTED


# Proof while reading.

def forge(image, victim):
    """Changes the file's bytes in the image to others of the same XXH3-64, as its owner could.

    Nothing else of it is touched: neither table nor id shows it.
    """
    data = image.read_bytes()
    at = data.index(victim)
    extent = Layout(data).extent_at(at)
    assert (extent.offset, extent.length) == (at, len(victim))
    image.write_bytes(data[:at] + collide(victim) + data[at + len(victim):])


def read_error(path):
    try:
        path.read_bytes()
    except OSError as error:
        return error.errno
    return 0


def test_proof_finds_what_was_changed_on_purpose(firn, fuse, image, keys, tree):
    firn.run("sign", image, "--key", keys / "alice")
    victim = (tree / "victim").read_bytes()
    forge(image, victim)
    with firn.mounted(image, "--verify", "proof") as mounted:
        assert read_error(mounted / "victim") == errno.EIO
        for number in range(4):
            name = f"file-{number}"
            assert (mounted / name).read_bytes() == (tree / name).read_bytes()
    # What it takes: a checksum alone does not see it, and firn verify does.
    with firn.mounted(image, "--verify", "checksum") as mounted:
        assert (mounted / "victim").read_bytes() == collide(victim)
    code, report = verify(firn, image, "--trusted-keys", keys / "trust-alice")
    assert code == DAMAGED and [finding["path"] for finding in report["findings"]] == ["victim"]


def test_a_job_under_proof_gets_an_error_and_goes_on(firn, image, tree, user):
    forge(image, (tree / "victim").read_bytes())
    script = ("cd /opt/signed && cat file-1 | sha256sum >/dev/null && ! cat victim >/dev/null "
              "&& cmp file-2 " + str(tree / "file-2"))
    firn.run("run", "--verify", "proof", image, "--", "sh", "-c", script, user=user)


def test_proof_serves_what_is_right(firn, fuse, image, tree):
    with firn.mounted(image, "--verify", "proof") as mounted:
        for path in tree.iterdir():
            assert (mounted / path.name).read_bytes() == path.read_bytes()
    result = firn.run("mount", "--verify", "much", image, "/nowhere", check=False)
    assert result.returncode == USAGE
