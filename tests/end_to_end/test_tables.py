"""One table as different programs write it: every command and function that reads tables reads the same."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from distil.cli import main
from distil.datasets.labeled_items import labeled_items
from distil.experiment import outputs

ROWS = 24
KEYS = [str(100 + 7 * row) for row in range(ROWS)]
X = np.random.default_rng(0).normal(size=(ROWS, 2)).round(3)
LABELS = [("sport", "economy")[row % 2] for row in range(ROWS)]
TEXTS = [f"a {LABELS[row]} headline with number {row}" for row in range(ROWS)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(outputs, "picture_of", lambda *_, **__: b"picture")
    Path("lengths.py").write_text(
        "def encode(texts):\n    return [[len(text), float(text.split()[-1]), 'sport' in text] for text in texts]\n"
    )
    yield tmp_path
    sys.modules.pop("lengths", None)


def delimited(delimiter, corner, quote):
    """A data frame with its index, as pandas (corner ``""``) and R (corner None) write it."""
    header = [*([] if corner is None else [corner]), "headline", "a", "b", "label"]
    rows = [
        [key, text, *map(str, x), label] for key, text, x, label in zip(KEYS, TEXTS, X.tolist(), LABELS, strict=True)
    ]
    quoted = lambda cell: f"{quote}{cell}{quote}" if cell else cell  # noqa: E731
    return "".join(delimiter.join(map(quoted, row)) + "\r\n" for row in [header, *rows])


def files():
    """The same table, in a file of each kind."""
    texts = {
        "pandas.csv": delimited(",", "", ""),
        "unnamed.csv": delimited(";", "Unnamed: 0", ""),
        "r.csv": delimited(",", None, '"'),
        "x.tsv": delimited("\t", "", ""),
    }
    for name, text in texts.items():
        Path(name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    columns = {"headline": TEXTS, "a": X[:, 0].tolist(), "b": X[:, 1].tolist(), "label": LABELS}
    records = [dict(zip(["id", *columns], row, strict=True)) for row in zip(KEYS, *columns.values(), strict=True)]
    Path("x.json").write_text(
        json.dumps({name: dict(zip(KEYS, cells, strict=True)) for name, cells in columns.items()})
    )
    Path("x.jsonl.gz").write_bytes(gzip.compress("".join(json.dumps(record) + "\n" for record in records).encode()))
    found = [*texts, "x.json", "x.jsonl.gz"]
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return found
    index = {"kind": "range", "name": None, "start": 100, "stop": 100 + 7 * ROWS, "step": 7}
    table = pyarrow.table({**columns, "label": pyarrow.array(LABELS).dictionary_encode()})
    parquet.write_table(
        table.replace_schema_metadata({"pandas": json.dumps({"index_columns": [index], "columns": []})}), "x.parquet"
    )
    return [*found, "x.parquet"]


def said(capsys, *argv):
    assert main([*argv, "--json"]) == 0, argv
    return json.loads(capsys.readouterr().out)


@pytest.mark.filterwarnings("ignore::distil.errors.DistilWarning")
def test_every_command_reads_the_same(here, capsys):
    check_commands(capsys, [name for name in files() if name in ("r.csv", "x.json")])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::distil.errors.DistilWarning")
def test_every_command_reads_the_same_from_every_file(here, capsys):
    check_commands(capsys, files())


def check_commands(capsys, paths):
    expected = None
    for file in paths:
        model = ("--model", "lengths:encode")
        made = said(capsys, "embed", file, *model, "--out", f"{file}.npy")
        assert (made["rows"], made["dims"]) == (ROWS, 3)
        assert "`headline`" in made["read"][0]
        assert Path(f"{file}.ids.txt").read_text().split() == KEYS
        np.testing.assert_array_equal(np.load(f"{file}.npy")[:, 1], range(ROWS))
        given = ("--strategy", "core_set", "--n", "3", "--labeled", file)
        Path("few.csv").write_text(f"id,label\n{KEYS[4]},sport\n{float(KEYS[5])},economy\n")
        few = (*given[:-1], "few.csv")
        tables = [
            said(capsys, "select", "--embeddings", file, *few),
            said(capsys, "select", "--pool", file, *model, *few),
        ]
        assert "read 2 columns of numbers" in tables[0]["read"][0]
        assert "`headline` holds text and is left out" in tables[0]["read"][0]
        assert main(["select", "--embeddings", file, *given]) == 2  # the table labels every row
        assert "every example is labeled" in capsys.readouterr().err
        report = said(capsys, "audit", file, *model, "--labeled", "few.csv", "--labels", file, "--out", f"{file}.html")
        assert report["pool"]["items"] == ROWS
        assert report["classes"]["known"] == {"economy": 12, "sport": 12}
        loop = {"strategy": "margin_sampling", "budget": 3, "rounds": 2, "initial_points": 6}
        data = {"embeddings": file, "labels": file, "name": "table", "test_points": 6}
        Path("run.json").write_text(json.dumps({"active_learning": loop, "dataset": data}))
        assert main(["run", "run.json", "--output", f"out-{file}"]) == 0
        capsys.readouterr()
        labeled = next(Path(".").glob(f"out-{file}/**/labeled.csv")).read_text()
        items, classes = labeled_items(file, next(Path(".").glob(f"out-{file}/**/labeled.csv")))
        assert (len(items), classes) == (9, ("economy", "sport"))
        for text, y in items:
            assert classes[y] in text
        found = [[pick["id"] for pick in picks["picks"]] for picks in tables], labeled
        expected = expected or found
        assert found == expected, file


def test_the_same_option_in_every_command(here, capsys):
    """A tsv file with quoting, which ``--quoting`` names, and two columns of texts."""
    rows = [[key, text, f'say {row} ""', LABELS[row]] for row, (key, text) in enumerate(zip(KEYS, TEXTS, strict=True))]
    lines = ["\t".join(f'"{cell}"' for cell in row) for row in [["id", "headline", "body", "label"], *rows]]
    Path("x.tsv").write_text("\n".join(lines) + "\n")
    options = ("--quoting", "minimal", "--column", "body,headline", "--model", "lengths:encode")
    made = said(capsys, "embed", "x.tsv", *options, "--out", "e.npy")
    assert made["read"] == ["read `body` and `headline` of x.tsv as texts and `id` as ids"]
    lengths = np.load("e.npy")[:, 0].tolist()
    assert lengths == [len(f'say {row} "\n{text}') for row, text in enumerate(TEXTS)]
    picks = said(capsys, "select", "--pool", "x.tsv", *options, "--strategy", "core_set", "--n", "2")
    assert {pick["id"] for pick in picks["picks"]} <= {*KEYS}
    report = said(capsys, "audit", "x.tsv", *options, "--labels", "x.tsv")
    assert report["classes"]["known"] == {"economy": 12, "sport": 12}
    assert main(["embed", "x.tsv", *options[2:], "--quoting", "all", "--out", "f.npy"]) == 2


def test_numbers_of_one_class_in_two_files(here, capsys):
    np.save("emb.npy", X)
    Path("a.csv").write_text("id,label\n0,1\n1,0\n")
    Path("b.csv").write_text("id,label\n2,1.0\n3,0.0\n")
    report = said(capsys, "audit", "emb.npy", "--labeled", "a.csv", "--labels", "b.csv")
    assert report["classes"]["labeled"] == {"0": 1, "1": 1}
    assert report["classes"]["known"] == {"0": 2, "1": 2}
    report = said(capsys, "audit", "emb.npy", "--labeled", "a.csv", "--labeled", "b.csv")
    assert report["classes"]["labeled"] == {"0": 2, "1": 2}
