"""Layers through the node's firnd: the base has the slot, inodes and pages of those who see it
alone."""

import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from harness.layers import (  # noqa: F401  (fixtures)
    LISTING, PREFIX, images, listing, trees)
from harness.node import (  # noqa: F401  (fixtures)
    ask, attach, descriptors_of, own_run_directory, serving, start_job)
from harness.readers import Readers, write_sums

# A file of the base that the layer leaves as it is.
KEPT = "kept/deep/file"


@pytest.fixture
def node(firnd, firn, fuse):
    with serving(firnd, firn, "--linger", "0", "--no-prefetch") as running:
        yield running


def names_of(node):
    return sorted(pathlib.Path(image["image"]).name for image in node.images())


def wait_until_empty(node):
    node.wait_for(lambda: not node.images(), "images are still attached")


def tree_at(place):
    return subprocess.run(["sh", "-c", f"cd {place}; {LISTING}"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


@pytest.fixture
def job(start_job):
    return lambda image: start_job(image, PREFIX)


def status_in_a_job(firn, node, image, user):
    """The node's status while a job has that image."""
    with subprocess.Popen([firn, "run", image, "--", "sh", "-c", "echo up; read line"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          **(user.popen_arguments() if user else {})) as process:
        assert process.stdout.readline() == "up\n"
        assert not firn.status(user=user)["mounts"]
        status = node.status()
        process.communicate("\n", timeout=60)
    return status


@pytest.mark.parametrize("who", ["root", "ordinary"])
def test_a_layer_shows_what_one_image_would(firn, node, images, ordinary_user, who):
    user = ordinary_user if who == "ordinary" else None
    base, layer, whole = images
    assert listing(firn, layer, user) == listing(firn, whole, user)
    # Served here, and by no session of its own.
    (pool,) = status_in_a_job(firn, node, layer, user)["pools"]
    assert pool["domain"] == os.stat(base).st_uid
    wait_until_empty(node)


def test_base_and_layer_have_the_same_inodes_and_pages(firn, node, images, job):
    base, layer, _ = images
    seen_alone, seen_over = job(base), job(layer)
    file, same = seen_alone / KEPT, seen_over / KEPT
    # firnd reads what it proves, too.
    node.wait_until_proved()
    content = file.read_bytes()
    os.stat(same)
    before = (node.answered(), node.decoded())
    assert same.read_bytes() == content
    assert (node.answered(), node.decoded()) == before
    assert file.stat().st_ino == same.stat().st_ino
    resident = subprocess.run(["fincore", "--bytes", "--noheadings", "--output", "RES", same],
                              check=True, stdout=subprocess.PIPE, text=True).stdout
    assert int(resident) >= len(content)
    # What the layer has is read from it.
    (seen_over / "changed").read_bytes()
    assert (node.answered(), node.decoded()) != before


def test_two_jobs_of_a_layer_have_one_view(node, images, job):
    places = [job(images[1]) for _ in range(2)]
    assert len({place.stat().st_dev for place in places}) == 1
    (layer,) = [image for image in node.images() if image["below"]]
    assert [below["image"] for below in layer["below"]] == [str(images[0])]
    assert len(layer["leases"]) == 2


def test_status_shows_what_a_layer_is_shown_over(firn, node, images, job):
    job(images[1])
    text = firn.run("status").stdout
    assert f"shown over slot 1 of uid {os.stat(images[0]).st_uid}, {images[0]}" in text


def test_slots_and_descriptors_go_with_the_last_user(firn, node, images):
    firn.run("run", images[1], "--", "true")
    wait_until_empty(node)
    before = descriptors_of(node.pid)
    for image in (images[1], images[0]):
        firn.run("run", image, "--", "cat", f"{PREFIX}/{KEPT}")
    wait_until_empty(node)
    node.wait_for(lambda: descriptors_of(node.pid) <= before, "descriptors are left")


def test_who_outlives_the_leases_keeps_base_and_layer(firn, node, images, directory):
    """Neither is detached before the last open file and the last mount of the view are gone."""
    fifo = directory / "go"
    os.mkfifo(fifo)
    result = directory / "result"
    firn.run("run", images[1], "--", "sh", "-c",
             f"(read line < {fifo}; cd {PREFIX}; {LISTING}) > {result}.part 2>&1 "
             f"< /dev/null & true", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    node.wait_for(lambda: all(not image["leases"] for image in node.images()), "leases are left")
    node.wait_for(lambda: {image["stage"] for image in node.images()} == {"unleased"},
                  "the images are not unleased")
    assert names_of(node) == ["base.firn", "layer.firn"]
    # Who comes meanwhile gets a view of the same slots.
    assert "changed" in listing(firn, images[1])
    fifo.write_text("\n")
    wait_until_empty(node)
    assert pathlib.Path(f"{result}.part").read_text() == listing(firn, images[2])


def test_a_base_of_another_owner(firn, node, images, ordinary_user, directory):
    base, layer, whole = (pathlib.Path(shutil.copy(image, directory)) for image in images)
    os.chown(layer, ordinary_user.uid, ordinary_user.uid)
    status = status_in_a_job(firn, node, layer, ordinary_user)
    assert sorted(pool["domain"] for pool in status["pools"]) == [0, ordinary_user.uid]
    assert listing(firn, layer, ordinary_user) == listing(firn, whole)
    wait_until_empty(node)


def test_workers_are_killed_under_readers_of_a_layer(firn, node, directory):
    base, child = directory / "base", directory / "child"
    base.mkdir()
    for number in range(6):
        (base / f"file-{number}").write_bytes(os.urandom(150_000) + bytes(150_000))
    shutil.copytree(base, child)
    for number in (1, 4):
        (child / f"file-{number}").write_bytes(os.urandom(200_000))
    (child / "file-5").unlink()
    below = firn.build(base, directory / "base.firn", "--prefix", PREFIX)
    layer = firn.build(child, directory / "layer.firn", "--prefix", PREFIX, "--base", below)
    place = directory / "place"
    place.mkdir()
    with firn.mounted(layer, directory=place):
        readers = Readers(place, write_sums(child, directory / "sums"), 2)
        for _ in range(4):
            pool = node.pool()
            os.kill(pool["worker"], signal.SIGKILL)
            node.wait_for(lambda: node.pool()["restarts"] > pool["restarts"], "no other worker")
        rounds, _ = readers.finish()
        assert rounds >= 2
        assert sorted(os.listdir(place)) == sorted(os.listdir(child))


def test_the_next_keeper_goes_on_with_a_layers_view(firn, node, images, job):
    """firnd is replaced by exec while a job has the view; nothing is detached before it goes."""
    place = job(images[1])
    subprocess.run([firn.firnd, "--upgrade"], check=True, stdout=subprocess.DEVNULL)
    assert {image["stage"] for image in node.images()} == {"attached"}
    assert job(images[1]).stat().st_dev == place.stat().st_dev
    assert tree_at(place) == listing(firn, images[2])


@pytest.mark.parametrize("who", ["root", "ordinary"])
def test_a_layer_is_mounted_and_unmounted(firn, node, images, ordinary_user, directory, who):
    user = ordinary_user if who == "ordinary" else None
    place = directory / "place"
    place.mkdir()
    os.chown(place, ordinary_user.uid if user else 0, -1)
    whole = listing(firn, images[2])
    with firn.mounted(images[1], directory=place, user=user):
        assert tree_at(place) == whole
        for image in node.images():
            (lease,) = image["leases"]
            assert (lease["kind"], lease["name"]) == ("mount", str(place))
        assert names_of(node) == ["base.firn", "layer.firn"]
    assert list(place.iterdir()) == []
    wait_until_empty(node)


def test_a_prolog_attaches_a_layer_with_its_bases(firn, node, images):
    attach(firn, images[1], "job-7")
    assert names_of(node) == ["base.firn", "layer.firn"]
    firn.run("detach", "--lease", "job-7")
    wait_until_empty(node)


def test_requests_that_do_not_add_up_get_a_message(node, images):
    fd = os.open(images[1], os.O_RDONLY)
    try:
        for below, fds in (([{"path": "x"}], [fd]), ([{"path": "x"}] * 20, [fd] * 21),
                           ("no", [fd]), (["x"], [fd, fd])):
            answer = ask(node, {"op": "attach", "path": "x", "below": below}, fds)
            assert "message" in answer["error"], below
    finally:
        os.close(fd)
    wait_until_empty(node)
