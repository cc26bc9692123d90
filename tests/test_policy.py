"""Which images a site lets jobs use, and trust across the owners of image files."""

import os
import random
import re
import shutil
import subprocess

import pytest

from harness.config import check_config, write_config
from harness.layout import Layout
from harness.node import attach, own_run_directory, serving  # noqa: F401 (fixtures)
from harness.signatures import collidable, collide
from harness.users import NOBODY

USAGE, UNTRUSTED, RUN_FAILED = 2, 11, 125
PREFIX = "/opt/firn-policy-test"
BLOCK = 64 * 1024


@pytest.fixture(scope="module")
def tree(scratch):
    root = scratch / "policy-tree"
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "small").write_text("small\n")
    source = random.Random(4)
    (root / "victim").write_bytes(collidable(source.randbytes(BLOCK)))
    (root / "other").write_bytes(source.randbytes(BLOCK))
    return root


@pytest.fixture(scope="module")
def keys(firn, scratch):
    root = scratch / "policy-keys"
    (root / "trusted").mkdir(parents=True)
    for name in ("site", "stranger"):
        firn.run("keygen", root / name)
    shutil.copy(root / "site.pub", root / "trusted")
    return root


@pytest.fixture(scope="module")
def images(firn, scratch, tree, keys):
    """Unsigned, signed by the site, and by a stranger."""
    made = {}
    for name in ("unsigned", "site", "stranger"):
        image = firn.build(tree, scratch / f"policy-{name}.firn", "--prefix", PREFIX,
                           "--block-size", "64K", "--name", name)
        image.chmod(0o644)
        if name != "unsigned":
            firn.run("sign", image, "--key", keys / name)
        made[name] = image
    return made


def config(directory, keys, *lines):
    return write_config(directory, "\n".join([*lines, f"trusted_keys: {keys}/trusted"]) + "\n")


def test_mistakes_are_told_with_their_place(firnd, keys, directory):
    for text, expected in (
            ("policy: some\n", "1:9: expected any, owner or signed, found 'some'"),
            ("verify: maybe\n", "1:9: expected checksum or proof, found 'maybe'"),
            ("threads: 2\npolicy: signed\n", "2:9: policy: signed needs trusted_keys: DIR"),
            ("trusted_keys: keys\n", "1:15: expected an absolute path"),
            ("trusted_keys: /nowhere\n", "1:15: trusted_keys: /nowhere: cannot"),
            (f"trusted_keys: {directory}\n", f"1:15: trusted_keys: {directory}: expected public")):
        result = check_config(firnd, write_config(directory, text))
        assert result.returncode == USAGE and expected in result.stderr, result.stderr
    good = config(directory, keys, "policy: signed", "verify: proof")
    assert check_config(firnd, good).stdout == "ok\n"


def run(firn, path, image, user=None):
    return firn.run("run", "--config", path, image, "--", "cat", f"{PREFIX}/bin/small", user=user,
                    check=False)


def test_policy_signed_of_private_sessions(firn, keys, images, directory, user):
    path = config(directory, keys, "policy: signed")
    assert run(firn, path, images["site"], user).stdout == "small\n"
    for name, why in (("unsigned", "it has no signature"),
                      ("stranger", "it is signed by ed25519:")):
        result = run(firn, path, images[name], user)
        assert result.returncode == RUN_FAILED and why in result.stderr, result.stderr
        place = directory / f"place-{name}"
        place.mkdir()
        place.chmod(0o777)
        result = firn.run("mount", "--config", path, images[name], place, check=False)
        assert result.returncode == UNTRUSTED and "policy signed" in result.stderr
    detached = shutil.copy2(images["unsigned"], directory / "detached.firn")
    firn.run("sign", "--detached", detached, "--key", keys / "site")
    assert run(firn, path, detached, user).stdout == "small\n"


def test_policy_owner_of_private_sessions(firn, images, directory, root_user, ordinary_user):
    path = write_config(directory, "policy: owner\n")
    image = shutil.copy2(images["unsigned"], directory / "image.firn")
    for owner, mode, user, why in ((0, 0o644, ordinary_user, ""),
                                   (NOBODY, 0o664, ordinary_user, ""),
                                   (12345, 0o644, ordinary_user, "belongs to uid 12345"),
                                   (NOBODY, 0o646, ordinary_user, "others may write to"),
                                   (0, 0o664, ordinary_user, "others may write to"),
                                   (NOBODY, 0o644, root_user, f"belongs to uid {NOBODY}")):
        os.chown(image, owner, owner)
        image.chmod(mode)
        result = run(firn, path, image, user)
        assert (result.returncode == 0) == (why == ""), result.stderr
        assert why in result.stderr


def test_the_node_takes_what_its_policy_says(firnd, firn, fuse, keys, images, directory,
                                             root_user):
    path = config(directory, keys, "policy: signed")
    with serving(firnd, firn, "--linger", "0", "--config", path) as node:
        attach(firn, images["site"], "good")
        for name in ("unsigned", "stranger"):
            result = attach(firn, images[name], "bad", check=False)
            assert result.returncode == UNTRUSTED and str(images[name]) in result.stderr
        # Somebody else's signature, over another image.
        thief = directory / "thief.firn"
        shutil.copy2(images["unsigned"], thief)
        layout = Layout(images["site"].read_bytes())
        at = layout.signatures_offset
        (directory / "thief.firn.sig").write_bytes(
            layout.data[at:at + layout.signatures_length])
        result = attach(firn, thief, "bad", check=False)
        assert result.returncode == UNTRUSTED
        assert "expected the image that was signed" in result.stderr
        errors = node.end()
    assert re.search(rf"refused to uid 0: {images['stranger']}: policy signed", errors), errors


def test_a_key_is_a_trust_domain_of_many_owners(firnd, firn, fuse, keys, images, tree, directory,
                                                root_user):
    copies = {}
    for owner in (0, NOBODY, 12345):
        copies[owner] = shutil.copy2(images["site"], directory / f"{owner}.firn")
        os.chown(copies[owner], owner, owner)
    # What its owner wrote into it later, with the same checksum, signature and id.
    victim = (tree / "victim").read_bytes()
    forged = copies[12345].read_bytes()
    at = forged.index(victim)
    copies[12345].write_bytes(forged[:at] + collide(victim) + forged[at + len(victim):])
    path = config(directory, keys, "verify: proof")
    key = (keys / "site.pub").read_text().split()[-1]
    with serving(firnd, firn, "--linger", "0", "--no-prefetch", "--config", path) as node:
        for owner in (12345, 0, NOBODY):
            attach(firn, copies[owner], f"of-{owner}")
        attach(firn, images["stranger"], "stranger")
        pools = {pool["domain"]: pool["images"] for pool in node.status()["pools"]}
        assert set(pools) == {key, 0}
        # Root's copy is good enough for others, one that its owner may cut short is not for root.
        attached = [image for image in pools[key] if image["stage"] == "attached"]
        assert {image["image"] for image in attached} == {str(copies[0]), str(copies[12345])}
        assert all(image["shares_pages"] for image in attached)
        for owner, expected in ((0, victim), (NOBODY, victim), (12345, None)):
            place = directory / f"place-{owner}"
            place.mkdir()
            firn.run("mount", copies[owner], place)
            try:
                content = (place / "victim").read_bytes()
            except OSError:
                content = None
            assert content == expected, owner
            assert (place / "other").read_bytes() == (tree / "other").read_bytes()
        subprocess.run([firnd, "--upgrade"], check=True, timeout=60)
        assert {pool["domain"] for pool in node.status()["pools"]} == {key, 0}
        for owner in (0, NOBODY):
            place = directory / f"place-{owner}"
            assert (place / "victim").read_bytes() == victim
        for owner in (0, NOBODY, 12345):
            subprocess.run(["umount", directory / f"place-{owner}"], check=True)
