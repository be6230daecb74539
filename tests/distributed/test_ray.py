"""The executor ray: the results of this process, whatever processes and nodes are lost on the way."""

import json
import os
import signal
import socket
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from distil.cli import main
from distil.data.array_files import read_column
from distil.data.shards import write_manifest
from distil.distributed.ray import RayExecutor, _joined
from distil.distributed.select import pick_from_shards
from distil.embedding.shards import embed_shards
from distil.errors import InvalidInput
from distil.strategies import strategy_named
from distil.system.executor import Actors, Executor, Serial

# ---------------------------------------------------------------------------------------------------- without a cluster


@pytest.fixture
def closed_port():
    """A port of this machine that nothing listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.mark.parametrize("where", ["option", "variable"])
def test_a_head_that_does_not_answer_is_refused_at_once(closed_port, where, tmp_path, monkeypatch, capsys):
    """Ray would try for a quarter of an hour."""
    pytest.importorskip("ray", reason='needs Ray: pip install "distil[ray]"')
    monkeypatch.chdir(tmp_path)
    pool_in_shards()
    command = ["select", "--shards", "pool", "--strategy", "core_set", "--n", "4", "--executor", "ray"]
    address = f"127.0.0.1:{closed_port}"
    if where == "option":
        command += ["--address", address]
    else:
        monkeypatch.setenv("RAY_ADDRESS", address)
    assert main(command) == 1
    printed = capsys.readouterr().err
    assert f"cannot join the Ray cluster at {address}: " in printed
    assert f":{closed_port} does not answer (" in printed


@pytest.mark.parametrize("address", ["", "localhost", ":6379", "head:6379x", "http://head:8265"])
def test_an_address_that_is_none_is_refused(address):
    """An empty one is that of a shell variable that is not set: a cluster on this machine is not what was asked for."""
    with pytest.raises(InvalidInput, match="address must be HOST:PORT of the head of a Ray cluster, or auto, got"):
        RayExecutor(address)


class Ray:
    """The module, as far as a command needs it to join the cluster whose address Ray finds on this machine."""

    def __init__(self, found):
        self.joined = None
        self._private = SimpleNamespace(
            services=SimpleNamespace(canonicalize_bootstrap_address=lambda address: address or found)
        )

    def is_initialized(self):
        return False

    def init(self, address, **_):
        self.joined = address

    def shutdown(self):
        sys.stdout.write("(raylet) A worker died [repeated 2x]")


def test_the_address_that_a_killed_cluster_left_does_not_count(closed_port, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ray = Ray(f"127.0.0.1:{closed_port}")
    with _joined(ray, None):
        assert ray.joined == "local"


def test_ray_prints_nothing_and_others_print_where_they_did(monkeypatch, capsys):
    """Ray prints 60 lines for a node that was killed."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with _joined(Ray(None), None):
        died = ("(raylet) A worker died",)
        thread = threading.Thread(target=print, args=died, name="ray_listen_error_messages")
        thread.start()
        thread.join()
        sys.stdout.write("mine")
    assert capsys.readouterr() == ("mine", "")


# ---------------------------------------------------------------------------------------------------- a cluster of two nodes


class Faulty(Executor):
    """Ray, where a fault happens before each of some rounds of messages.

    Args:
        faults: Number of a round -> what happens, called with the actors.
    """

    def __init__(self, faults):
        self.faults = faults

    def map(self, prepare, work, tasks, report):
        raise NotImplementedError

    @contextmanager
    def actors(self, make, keys):
        with RayExecutor().actors(make, keys) as actors:
            yield FaultyActors(actors, dict(self.faults))


class FaultyActors(Actors):
    def __init__(self, actors, faults):
        self.actors, self.faults, self.round = actors, faults, 0

    def ask(self, work, messages):
        self.round += 1
        if self.round in self.faults:
            self.faults.pop(self.round)(self.actors)
        return self.actors.ask(work, messages)


def _pid(state, message):
    return os.getpid()


def kill_actor(actors):
    """Kill the process of shard 1: Ray says nothing before the next message, and what answers then is empty."""
    ((_, pid),) = actors.ask(_pid, {1: None})
    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def cluster(monkeypatch):
    """Two nodes with one core each on this machine, which this process has joined."""
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # all addresses are 127.0.0.1
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray = pytest.importorskip("ray", reason='needs Ray: pip install "distil[ray]"')
    utils = pytest.importorskip("ray.cluster_utils")
    dead_after = {
        "health_check_initial_delay_ms": 0,
        "health_check_period_ms": 500,
        "health_check_timeout_ms": 10_000,
        "health_check_failure_threshold": 4,
    }
    small = {"num_cpus": 1, "object_store_memory": 100 << 20}
    found = utils.Cluster(initialize_head=True, head_node_args={**small, "_system_config": dead_after})
    try:
        found.second = found.add_node(**small)
        ray.init(address=found.address, log_to_driver=False, logging_level="ERROR")
        yield found
    finally:
        ray.shutdown()
        found.shutdown()


def pool_in_shards():
    """A folder of three shards with embeddings and probabilities."""
    rng = np.random.default_rng(0)
    Path("pool").mkdir()
    rows = [4096, 4096, 808]
    for k, size in enumerate(rows):
        np.save(f"pool/x{k}.npy", rng.normal(size=(size, 6)).astype(np.float32))
        np.save(f"pool/p{k}.npy", rng.dirichlet(np.ones(3), size).astype(np.float32))
    files = {name: [f"{name[0]}{k}.npy" for k in range(3)] for name in ("probs", "xs")}
    write_manifest(Path("pool"), rows, {"embeddings": files["xs"], "probs": files["probs"]})


# The model kills its process at its first call for the second shard.
MODEL = """
import os, signal
def encode(texts):
    if "t4096" in texts and not os.path.exists("killed"):
        open("killed", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    with open("calls", "a") as file:
        file.writelines(f"{text}\\n" for text in texts)
    return [[float(text[1:]), 1] for text in texts]
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_two_nodes_give_the_results_of_one_process(cluster, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    # Shards of embeddings: the worker of one is killed, and every text is embedded once.
    monkeypatch.syspath_prepend(tmp_path)
    Path("model_of_ray.py").write_text(MODEL)
    Path("texts.csv").write_text("id,text\n" + "".join(f"{i},t{i}\n" for i in range(9000)))
    found = embed_shards("texts.csv", "model_of_ray:encode", "emb", rows_per_shard=4096, executor=RayExecutor())
    assert (found.rows, found.made, found.missing) == (9000, 9000, ())
    assert Path("killed").exists()
    assert read_column("emb").values[:, 0].tolist() == list(range(9000))
    assert len(Path("calls").read_text().split()) == 9000

    # Whole runs, by the command.
    document = {
        "model": {"architecture": "two_layer_net", "target_classes": 10, "hidden_units_1": 8},
        "train_parameters": {"lr": 0.1, "batch_size": 16, "n_epoch": 2},
        "active_learning": {"strategies": ["random_sampling", "badge"], "budget": 6, "rounds": 2, "initial_points": 8},
        "dataset": {"name": "digits", "test_points": 200},
    }
    Path("small.json").write_text(json.dumps(document))
    command = ["run", "small.json", "--seeds", "1", "--no-progress"]
    assert main([*command, "--output", "one"]) == 0
    assert main([*command, "--output", "two", "--executor", "ray", "--workers", "2"]) == 0
    for name in ("random_sampling", "badge"):
        one, two = (Path(output, name, "0", "events.jsonl").read_bytes() for output in ("one", "two"))
        assert one == two

    # Selections: one node is killed in the middle, then one actor.
    pool_in_shards()

    def kill_node(actors):
        cluster.remove_node(cluster.second, allow_graceful=False)

    for name, faults in (("core_set", {5: kill_node}), ("uherding", {12: kill_actor}), ("badge", {9: kill_actor})):
        expected = pick_from_shards(strategy_named(name), 40, "pool", Serial(), seed=1)
        assert expected.traffic.rounds > max(faults)
        found = pick_from_shards(strategy_named(name), 40, "pool", Faulty(faults), seed=1)
        assert found.picks.rows == expected.picks.rows
        assert found.picks.scores == expected.picks.scores

    # A command of its own joins the cluster by its address, leaves it, and prints its document alone.
    sys.modules["ray"].shutdown()
    before = signal.getsignal(signal.SIGTERM)
    command = ["select", "--shards", "pool", "--strategy", "badge", "--n", "40", "--seed", "1", "--json"]
    capsys.readouterr()
    assert main([*command, "--executor", "ray", "--address", cluster.address]) == 0
    picks = json.loads(capsys.readouterr().out)["picks"]
    assert [int(pick["id"]) for pick in picks] == expected.picks.rows
    assert not sys.modules["ray"].is_initialized()
    assert signal.getsignal(signal.SIGTERM) == before
