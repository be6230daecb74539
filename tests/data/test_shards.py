"""Folders of shards as arrays: manifests, and the rows that several files hold together."""

import json
from pathlib import Path

import numpy as np
import pytest

from distil.data.array_files import read_column
from distil.data.shards import read_manifest, write_manifest
from distil.errors import InvalidInput
from distil.selection.from_files import chosen, read_arrays, request
from distil.system.runtime import Runtime


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Embeddings and probabilities of 9 rows in three shards, and the same in one file each."""
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    p = np.random.default_rng(1).dirichlet(np.ones(4), 9).astype(np.float32)
    np.save("x.npy", x)
    np.save("p.npy", p)
    Path("parts").mkdir()
    for k, (start, stop) in enumerate([(0, 4), (4, 5), (5, 9)]):
        np.save(f"parts/x{k}.npy", x[start:stop])
        np.savez(f"parts/p{k}.npz", ids=np.arange(start, stop) + 100, probs=p[start:stop])
    files = {"embeddings": [f"x{k}.npy" for k in range(3)], "probs": [f"p{k}.npz#probs" for k in range(3)]}
    write_manifest(Path("parts"), [4, 1, 4], files)
    return x, p


def test_a_folder_of_shards_is_an_array(parts):
    x, p = parts
    assert read_manifest(Path("parts")).starts == [0, 4, 5, 9]
    assert np.array_equal(read_column("parts#embeddings").values, x)
    column = read_column("parts", column="probs", runtime=Runtime(memory=0))
    assert np.array_equal(column.values, p)
    assert column.names == [str(i) for i in range(100, 109)]
    Path("ids.txt").write_text("".join(f"n{i}\n" for i in range(9)))
    assert read_column("parts#embeddings", ids="ids.txt").names == [f"n{i}" for i in range(9)]


def test_a_folder_of_shards_is_a_pool(parts):
    one = chosen(request("badge", 4, read_arrays({"embeddings": "x.npy", "probs": "p.npy"}), seed=3))
    sharded = chosen(request("badge", 4, read_arrays({"embeddings": "parts", "probs": "parts"}), seed=3))
    assert sharded.rows == one.rows
    assert sharded.ids == [str(100 + row) for row in one.rows]


def test_parquet_shards(parts, tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    x, _ = parts
    Path("table").mkdir()
    for k, (start, stop) in enumerate([(0, 5), (5, 9)]):
        ids = [f"r{i}" for i in range(start, stop)]
        parquet.write_table(arrow.table({"id": ids, "embedding": x[start:stop].tolist()}), f"table/{k}.parquet")
    write_manifest(Path("table"), [5, 4], {"embeddings": ["0.parquet#embedding", "1.parquet#embedding"]})
    column = read_column("table")
    assert np.allclose(column.values, x)
    assert column.names == [f"r{i}" for i in range(9)]


def test_faults(parts):
    def refused(match, shards=None, text=None, column="embeddings"):
        document = {"version": 1, "shards": shards}
        Path("parts/manifest.json").write_text(json.dumps(document) if text is None else text)
        with pytest.raises(InvalidInput, match=match):
            read_column("parts", column=column)

    refused("damaged", text="{")
    refused('must begin with {"version": 1', text='{"version": 2, "shards": []}')
    refused("at least one shard", [])
    refused("`rows`, a whole number from 1", [{"rows": 0, "embeddings": "x0.npy"}])
    refused("`rows`, a whole number from 1", [{"rows": 4}])
    refused("name of a file in this folder, got '../x.npy'", [{"rows": 9, "embeddings": "../x.npy"}])
    refused("name of a file in this folder, got ''", [{"rows": 9, "embeddings": ""}])
    refused("name of a file in this folder, got '..'", [{"rows": 9, "embeddings": ".."}])
    refused("shard 1: it has rows, probs", [{"rows": 4, "embeddings": "x0.npy"}, {"rows": 1, "probs": "p1.npz"}])
    one, two = {"rows": 4, "embeddings": "x0.npy"}, {"rows": 3, "embeddings": "x1.npy"}
    refused("x1.npy has 1 rows, and the manifest of parts says 3", [one, two])
    refused("two shards have the embeddings of x0.npy; list each file once", [one, two, one])
    refused("has no 'prob'", [one], column="prob")
    np.save("parts/x1.npy", np.zeros((3, 2), np.float32))
    refused("the shards of a pool must agree", [one, two])
    np.save("parts/x1.npy", np.zeros((3, 3), np.float32))
    Path("parts/x0.ids.txt").write_text("a\nb\nc\nd\n")
    refused("some shards of parts have ids", [one, two])
    Path("parts/x1.ids.txt").write_text("e\na\nf\n")
    refused("'a'", [one, two])
