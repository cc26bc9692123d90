"""Metrics of a node's firnd, as curl gets them and a Prometheus parser reads them."""

import contextlib
import os
import socket
import stat
import subprocess

import pytest

from harness.jobs import DEADLINE
from harness.config import check_config, write_config
from harness.node import Node, ask_status, attach, own_run_directory, serving  # noqa: F401 (a fixture)

parser = pytest.importorskip("prometheus_client.parser")


def free_port(family=socket.AF_INET, host="127.0.0.1"):
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def scrape(*arguments):
    """The samples by name and labels, with the documentation and type of each family checked."""
    text = subprocess.run(["curl", "--silent", "--fail", "--show-error", "--max-time",
                           str(DEADLINE), *arguments],
                          capture_output=True, text=True, check=True).stdout
    samples = {}
    for family in parser.text_string_to_metric_families(text):
        assert family.type in ("counter", "gauge"), family.name
        assert family.documentation, family.name
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter")
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in samples, key
            samples[key] = sample.value
    return samples


def scrape_socket(path):
    return scrape("--unix-socket", path, "http://localhost/metrics")


def value(samples, metric, **labels):
    return samples[metric, tuple(sorted(labels.items()))]


def labels_of(samples):
    return {label for _, labels in samples for label, _ in labels}


@pytest.fixture(scope="module")
def image(firn, scratch):
    tree = scratch / "metrics-tree"
    tree.mkdir()
    (tree / "file").write_text("".join(f"line {number}\n" for number in range(50_000)))
    profile = scratch / "metrics.profile"
    profile.write_text("firn-profile 1\nlookup file\nread file 0 4096\n")
    image = firn.build(tree, scratch / "metrics.firn", "--prefix", "/opt/metrics",
                       "--name", "a \"name\"", "--profile", profile)
    image.chmod(0o644)
    return image


@contextlib.contextmanager
def measured(firnd, firn, directory, listen, *options):
    config = write_config(directory, f"metrics: {{listen: '{listen}'}}\n")
    with serving(firnd, firn, "--config", config, "--linger", "0", *options) as node:
        yield node


def test_metrics_are_what_status_says(firn, firnd, fuse, image, directory):
    path = directory / "metrics.sock"
    with measured(firnd, firn, directory, f"unix:{path}") as node:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        attach(firn, image, "job-1")
        attach(firn, image, "job-2")
        place = directory / "place"
        place.mkdir()
        firn.run("mount", image, place)
        assert (place / "file").read_bytes()
        os.kill(node.status()["pools"][0]["worker"], 9)
        assert attach(firn, directory, "bad", check=False).returncode != 0
        node.wait_until_proved()
        node.wait_for(lambda: node.status()["pools"][0]["restarts"] == 1, "no other worker")
        node.wait_for(lambda: node.images()[0]["prefetch"]["stage"] != "running", "it prefetches")
        result = firn.run("attach", "--lease", "", image, check=False)
        assert result.returncode != 0

        # Asked without `firn status`, which looks at the mount and has the worker count that.
        def agree():
            before = ask_status()["pools"]
            samples.clear()
            samples.update(scrape_socket(path))
            pools[:] = ask_status()["pools"]
            return pools == before

        samples, pools = {}, []
        node.wait_for(agree, "the counts do not stand still")
        (pool,) = pools
        (attached,) = pool["images"]
        for opcode, count in pool["requests"].items():
            assert value(samples, "firn_pool_requests_total", domain="0", opcode=opcode) == count
        assert pool["requests"]["READ"] > 0
        for cause, count in pool["errors"].items():
            assert value(samples, "firn_pool_errors_total", domain="0", cause=cause) == count
        for kind, count in pool["decoded"].items():
            assert value(samples, "firn_pool_blocks_decoded_total", domain="0",
                         kind=kind) == count
        assert sum(pool["decoded"].values()) > 0
        for name, expected in (("firn_pool_read_bytes_total", pool["bytes_read"]),
                               ("firn_pool_cache_hits_total", pool["cache"]["hits"]),
                               ("firn_pool_cache_bytes", pool["cache"]["bytes"]),
                               ("firn_pool_cache_capacity_bytes", pool["cache"]["capacity"]),
                               ("firn_pool_worker_restarts_total", 1),
                               ("firn_pools", 1), ("firn_pool_workers", 1)):
            assert value(samples, name, domain="0") == expected, name
        for pid, resident in ((pool["worker"], value(samples, "firn_pool_worker_resident_bytes",
                                                     domain="0")),
                              (node.pid, value(samples, "firn_keeper_resident_bytes"))):
            assert resident > 100_000 and os.path.exists(f"/proc/{pid}")
        image_labels = {"domain": "0", "id": attached["id"]}
        assert value(samples, "firn_image_info", name="a \"name\"", **image_labels) == 1
        assert value(samples, "firn_image_leases", **image_labels) == 3
        assert value(samples, "firn_image_shares_pages", **image_labels) == 1
        for name, key in (("steps", "steps"), ("steps_done", "done"), ("steps_failed", "failed")):
            assert value(samples, f"firn_image_prefetch_{name}",
                         **image_labels) == attached["prefetch"][key]
        assert (value(samples, "firn_image_prefetched_bytes", **image_labels)
                == attached["prefetch"]["bytes"])
        kinds = {kind: value(samples, "firn_leases", kind=kind)
                 for kind in ("name", "mount", "process")}
        assert kinds == {"name": 2, "mount": 1, "process": 0}
        assert value(samples, "firn_pool_images", domain="0", stage="attached") == 1
        assert value(samples, "firn_attaches_total") == 3
        assert value(samples, "firn_attach_failures_total") >= 1
        assert value(samples, "firn_build_info", version=node.status()["version"]) == 1
        assert (value(samples, "firn_client_connections_total")
                >= value(samples, "firn_attaches_total"))
        subprocess.run(["umount", place], check=True)
    assert not path.exists()


@pytest.mark.parametrize("family, host, shown", [(socket.AF_INET, "127.0.0.1", "127.0.0.1"),
                                                 (socket.AF_INET6, "::1", "[::1]")])
def test_a_port_tells_nobody_what_others_have(firn, firnd, fuse, image, directory, family, host,
                                              shown):
    """Every user of the machine can read it."""
    try:
        port = free_port(family, host)
    except OSError:
        pytest.skip(f"no {host} here")
    with measured(firnd, firn, directory, f"{shown}:{port}") as node:
        assert node.status()["metrics"] == f"{shown}:{port}"
        attach(firn, image, "job-1")
        theirs = directory / "theirs.firn"
        theirs.write_bytes(image.read_bytes())
        os.chown(theirs, 65534, 65534)
        attach(firn, theirs, "job-2")
        node.wait_until_proved()
        samples = scrape("--globoff", f"http://{shown}:{port}/metrics")
        assert {dict(labels).get("domain", "all") for _, labels in samples} == {"all"}
        assert labels_of(samples) <= {"domain", "opcode", "cause", "kind", "stage", "version"}
        assert value(samples, "firn_pools", domain="all") == 2
        assert value(samples, "firn_pool_images", domain="all", stage="attached") == 2
        statuses = node.status()["pools"]
        assert (value(samples, "firn_pool_requests_total", domain="all", opcode="INIT")
                == sum(pool["requests"]["INIT"] for pool in statuses) == 2)


def test_a_taken_port_hinders_no_job(firn, firnd, fuse, image, directory):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        config = write_config(directory, f"metrics: {{listen: '127.0.0.1:{port}'}}\n")
        node = Node(firnd, firn, "--config", config)
        assert f"cannot serve metrics at 127.0.0.1:{port}" in node.first_line
        assert "serving the node" in node.process.stderr.readline()
        assert node.status()["metrics"] is None
        attach(firn, image, "job-1")
        node.end()
        assert node.process.returncode == 0


@pytest.mark.parametrize("address", ["0.0.0.0:9742", "[::]:9742", "192.168.1.1:9742",
                                     "localhost:9742", "unix:relative", "9742"])
def test_nothing_but_the_loopback_is_taken(firnd, directory, address):
    path = write_config(directory, f"metrics:\n  listen: '{address}'\n")
    result = check_config(firnd, path)
    assert (result.returncode, result.stdout) == (2, "")
    assert f"{path}:2:11: expected unix:/PATH" in result.stderr
    assert address in result.stderr


def test_without_a_word_there_are_no_metrics(firn, firnd, fuse):
    with serving(firnd, firn) as node:
        assert node.status()["metrics"] is None
