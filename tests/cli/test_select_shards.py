"""``distil select --shards``: the document, the files and the refusals; the selections are tested in tests/distributed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from distil.cli import main
from distil.data.shards import write_manifest


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    """Run the command in a folder with a pool of 9,000 rows in three shards."""
    monkeypatch.chdir(tmp_path)
    p = np.random.default_rng(0).dirichlet(np.ones(3), 9000).astype(np.float32)
    np.save("p.npy", p)
    Path("pool").mkdir()
    for k in range(3):
        np.save(f"pool/p{k}.npy", p[4096 * k : 4096 * (k + 1)])
    write_manifest(Path("pool"), [4096, 4096, 808], {"probs": ["p0.npy", "p1.npy", "p2.npy"]})
    Path("labeled.csv").write_text("id,label\n5,1\n8500,0\n")

    def call(*argv, strategy="margin_sampling"):
        capsys.readouterr()
        code = main(["select", "--strategy", strategy, "--n", "50", *argv])
        return code, *capsys.readouterr()

    return call


def test_shards_give_the_document_of_the_whole_pool(said):
    one = json.loads(said("--probs", "p.npy", "--labeled", "labeled.csv", "--json")[1])
    asked = ("--shards", "pool", "--executor", "serial", "--labeled", "labeled.csv", "--json")
    found = json.loads(said(*asked, "--out", "picks.csv")[1])
    assert found.pop("messages")["rounds"] == 4
    assert found == one
    assert len(Path("picks.csv").read_text().splitlines()) == 51
    assert json.loads(said(*asked, "--out", "picks.csv")[1])["read"] == ["picks.csv holds these picks already"]
    code, _, err = said("--shards", "pool", "--seed", "1", "--n", "4", "--out", "picks.csv")
    assert (code, "given 2 times" in err) == (2, True)


def test_labels_train_a_head_and_auto_is_the_default(said):
    x = np.random.default_rng(1).normal(size=(9000, 6)).astype(np.float32)
    np.save("x.npy", x)
    for k in range(3):
        np.save(f"pool/x{k}.npy", x[4096 * k : 4096 * (k + 1)])
    write_manifest(Path("pool"), [4096, 4096, 808], {"embeddings": ["x0.npy", "x1.npy", "x2.npy"]})
    Path("labeled.csv").write_text("id,label\n5,cat\n8500,dog\n4100,cat\n17,\n")  # one is not answered yet
    for strategy, note in (("auto", "auto chose uherding"), ("entropy_sampling", "a linear head was trained")):
        argv = ("--labeled", "labeled.csv", "--json")
        one = json.loads(said("--embeddings", "x.npy", *argv, strategy=strategy)[1])
        found = json.loads(said("--shards", "pool", *argv, strategy=strategy)[1])
        assert found.pop("messages")["rounds"] > 5
        assert found == one
        assert any(note in each for each in one["notes"])


def test_faults(said):
    for argv, message in (
        (("--probs", "p.npy", "--shards", "pool"), "--probs: not with --shards"),
        (("--shards", "pool", "--query", "q.csv"), "--query: not with --shards"),
        (("--shards", "pool", "--private-embeddings", "q.npy"), "--private-embeddings: not with --shards"),
        (("--shards", "pool", "--no-duplicates"), "--no-duplicates: not with --shards"),
        (("--probs", "p.npy", "--executor", "processes"), "pass them too (--shards)"),
        (("--shards", "none"), "there is no folder none"),
        (("--shards", "pool", "--executor", "threads"), "'threads' is not one of"),
    ):
        code, out, err = said(*argv)
        assert (code, out) == (2, ""), argv
        assert message in err, err


@pytest.mark.slow
def test_processes_give_the_document_of_this_process(said):
    x = np.random.default_rng(1).normal(size=(9000, 6)).astype(np.float32)
    for k in range(3):
        np.save(f"pool/x{k}.npy", x[4096 * k : 4096 * (k + 1)])
    files = {name: [f"{name[0]}{k}.npy" for k in range(3)] for name in ("probs", "xs")}
    write_manifest(Path("pool"), [4096, 4096, 808], {"probs": files["probs"], "embeddings": files["xs"]})
    for strategy in ("core_set", "badge", "uherding"):
        argv = ("--shards", "pool", "--labeled", "labeled.csv", "--json")
        one = main_document(strategy, *argv)
        assert main_document(strategy, *argv, "--executor", "processes") == one


def main_document(strategy, *argv):
    """The document of a selection, from a command of its own."""
    command = [sys.executable, "-m", "distil", "select", "--strategy", strategy, "--n", "40", *argv]
    document = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert document["messages"].pop("bytes") > 0  # pickled tensors differ a little in size
    return document
