"""``distil embed``: what it prints, and its exit codes; what it writes is tested in test_embed.py beside this folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distil.cli import main


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("images").mkdir()
    for row in range(5):
        Image.new("RGB", (4, 4), (row, 0, 0)).save(f"images/{row}.png")
    Path("red.py").write_text("def encode(items):\n    return [[item.getpixel((0, 0))[0], 1] for item in items]\n")
    yield tmp_path
    sys.modules.pop("red", None)


@pytest.fixture
def said(capsys):
    def call(*argv):
        capsys.readouterr()
        code = main(["embed", *argv])
        return code, *capsys.readouterr()

    return call


ASKED = ("images", "--model", "red:encode", "--out", "emb.npy")


def test_twice(here, said):
    assert said(*ASKED) == (0, "5 items embedded: emb.npy holds 5 x 2, 0 skipped\n", "")
    assert said(*ASKED) == (0, "nothing to do: emb.npy holds 5 x 2, 0 skipped\n", "")
    np.testing.assert_array_equal(np.load("emb.npy")[:, 0], range(5))
    document = json.loads(said(*ASKED, "--json")[1])
    assert document == {"path": "emb.npy", "rows": 5, "dims": 2, "skipped": {}, "made": 0, "read": []}


def test_shards(here, said, monkeypatch):
    monkeypatch.setattr("distil.embedding.shards._BLOCK", 2)
    asked = ("images", "--model", "red:encode", "--shards", "emb", "--rows-per-shard", "2")
    assert said(*asked, "--shard", "1/3") == (0, "2 items embedded: 2 shards of emb missing, 0 skipped\n", "")
    assert said(*asked) == (0, "3 items embedded: emb holds 5 x 2, 0 skipped\n", "")
    document = json.loads(said(*asked, "--json")[1])
    expected = {"path": "emb", "rows": 5, "dims": 2, "skipped": {}, "made": 0, "missing": [], "read": []}
    assert document == expected
    capture = ["select", "--embeddings", "emb", "--strategy", "core_set", "--n", "5", "--out", "picks.csv"]
    assert main(capture) == 0
    assert sorted(line.split(",")[1] for line in Path("picks.csv").read_text().splitlines()[1:]) == [
        f"{k}.png" for k in range(5)
    ]


@pytest.mark.filterwarnings("default")
def test_what_cannot_be_read(here, said):
    for row in range(6):
        Path(f"images/x{row}.png").touch()
    code, out, err = said(*ASKED)
    assert (code, out) == (2, "")
    assert err.startswith("distil: x0.png: cannot be read as an image")
    code, out, err = said(*ASKED, "--on-error", "skip")
    assert code == 0
    assert "5 x 2, 6 skipped" in out
    lines = err.splitlines()
    assert lines[0].startswith("distil: warning: skipped x0.png: cannot be read as an image")
    assert lines[5] == "distil: warning: skipped 1 more, listed in emb.info.json"


@pytest.mark.filterwarnings("always::distil.errors.DistilWarning")
def test_missing_texts_are_skipped_and_what_was_read_is_said(here, said):
    Path("size.py").write_text("def encode(texts):\n    return [[len(text), 1] for text in texts]\n")
    Path("t.csv").write_text("id,review\na,\nb,good and long\nc,\n")
    asked = ("t.csv", "--model", "size:encode", "--out", "t.npy")
    code, _, err = said(*asked)
    assert code == 2
    assert err.startswith(
        "distil: a: the text is missing; fill it in or take the row out; to leave out unreadable items"
    )
    code, out, err = said(*asked, "--on-error", "skip")
    assert (code, out) == (0, "1 item embedded: t.npy holds 1 x 2, 2 skipped\n")
    assert "note: read `review` of t.csv as texts and `id` as ids; 2 of 3 texts missing" in err.splitlines()
    assert Path("t.ids.txt").read_text() == "b\n"
    assert np.load("t.npy").tolist() == [[13, 1]]
    assert "note:" not in said(*asked, "--on-error", "skip", "--json")[2]
    sys.modules.pop("size", None)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize("name", [b"caf\xe9.png", b" front.png", "é.png".encode()])
def test_names_of_files_go_through_all_commands(here, capfdbinary, name):
    Image.new("RGB", (4, 4), (90, 0, 0)).save(b"images/" + name)
    assert main(["embed", *ASKED]) == 0
    select = ["select", "--embeddings", "emb.npy", "--strategy", "core_set", "--n", "6"]
    assert main([*select, "--out", "picks.csv"]) == 0
    assert name in Path("picks.csv").read_bytes()
    assert main([*select, "--out", "picks.jsonl"]) == 0
    for picks in ("picks.csv", "picks.jsonl"):
        assert main([*select[:-1], "1", "--exclude", picks]) == 2
        assert b"nothing to choose from" in capfdbinary.readouterr().err
    assert main(select) == 0
    assert main(["audit", "emb.npy", "--labeled", "picks.jsonl", "--out", "audit.html"]) == 0


def test_no_file_of_a_persons_is_replaced(here, said):
    """The array, and the files next to it, which may be inputs."""
    Path("emb.ids.txt").write_text("".join(f"n{row}\n" for row in range(5)))
    Path("texts.txt").write_text("".join(f"images/{row}.png\n" for row in range(5)))
    np.save("emb.npy", np.ones(3))
    mine = Path("emb.npy").read_bytes()
    code, _, err = said(*ASKED)
    assert (
        code,
        "distil: emb.npy is not as distil embed left it, so nothing was written; choose another name" in err,
    ) == (2, True)
    for argv, file in (
        (("emb.ids.txt", "--model", "red:encode", "--out", "emb.npy"), "emb.ids.txt is the file of pool too"),
        (
            ("texts.txt", "--ids", "emb.ids.txt", "--model", "red:encode", "--out", "emb.npy"),
            "emb.ids.txt is the file of ids too",
        ),
    ):
        code, _, err = said(*argv, "--force")
        assert (code, file in err) == (2, True)
    assert (Path("emb.npy").read_bytes(), Path("emb.ids.txt").read_text()[:3]) == (mine, "n0\n")
    assert said(*ASKED, "--force")[0] == 0
    assert np.load("emb.npy").shape == (5, 2)


def test_faults(here, said):
    for argv, message in (
        (("images", "--out", "emb.npy"), "Missing option '--model'"),
        (("images", "--model", "red:encode", "--out", "emb.csv"), "ends in .npy or .parquet"),
        (("nothing", "--model", "red:encode", "--out", "emb.npy"), "there is no file or folder nothing"),
        (("images", "--model", "timm:resnet18", "--out", "emb.npy"), "distil downloads none"),
        (("images", "--model", "no.such.module:encode", "--out", "emb.npy"), "cannot import"),
        (("images", "--model", "none-such", "--out", "emb.npy"), "expected a model as timm:NAME"),
        (("images", "--model", "red:encode"), "pass out, the file to write, or shards"),
        (("images", "--model", "red:encode", "--out", "emb.npy", "--shard", "1/2"), "belong to a folder of shards"),
        (("images", "--model", "red:encode", "--shards", "emb", "--shard", "1-2"), "K/N, such as 3/8"),
        (("images", "--model", "red:encode", "--shards", "red.py"), "red.py is a file; expected a folder"),
        (("images", "--model", "red:encode", "--shards", "emb", "--rows-per-shard", "5"), "a multiple of 4,096"),
    ):
        code, out, err = said(*argv)
        assert (code, out) == (2, "")
        assert message in err
        assert err.startswith("distil: ")
    assert not Path("emb.npy").exists()
