"""``distil audit``: what it prints and writes; what it finds is tested in test_audit.py beside this folder."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distil.auditing.audit import audit
from distil.cli import main


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4)).astype(np.float32)
    x[7] = x[3]
    np.save("emb.npy", x)
    Path("emb.ids.txt").write_text("".join(f"n{row}\n" for row in range(60)))
    Path("labeled.csv").write_text("id,label\n" + "".join(f"n{row},{'ab'[row % 2]}\n" for row in range(20)))
    yield tmp_path
    sys.modules.pop("corner", None)


@pytest.fixture
def said(capsys):
    def call(*argv):
        capsys.readouterr()
        code = main(["audit", *argv])
        return code, *capsys.readouterr()

    return call


def test_what_it_says_and_writes(here, said):
    code, out, err = said("emb.npy", "--labeled", "labeled.csv", "--out", "audit.html")
    assert (code, err) == (0, "")
    assert "1 of 60 items are exact copies of another item" in out
    assert "2 of 2 known classes have a labeled item, from 10 to 10 items each" in out
    assert out.endswith("\nReport: audit.html\n")
    assert "<h2>Exact duplicates</h2>" in Path("audit.html").read_text()
    assert said("emb.npy", "--labeled", "labeled.csv", "--out", "audit.json")[0] == 0
    code, out, _ = said("emb.npy", "--labeled", "labeled.csv", "--json")
    expected = audit("emb.npy", labeled="labeled.csv")
    assert (
        json.loads(out)
        == json.loads(Path("audit.json").read_text())
        == json.loads(json.dumps({**expected, "read": []}))
    )


@pytest.mark.parametrize("out", ["audit.html", "audit.json"])
def test_a_report_replaces_no_other_file(here, said, out):
    assert said("emb.npy", "--out", out)[0] == 0
    report = Path(out).read_bytes()
    assert said("emb.npy", "--out", out)[::2] == (0, f"note: {out} holds this report already\n")
    Path(out).write_text("mine")
    code, _, err = said("emb.npy", "--out", out)
    assert (code, f"{out} exists already, with other content" in err, Path(out).read_text()) == (2, True, "mine")
    assert said("emb.npy", "--out", out, "--force")[0] == 0
    assert Path(out).read_bytes() == report
    Path("labels.json").write_text(json.dumps([{"id": row, "label": "a"} for row in range(60)]))
    for name in ("labels", "labeled", "test"):
        code, _, err = said("emb.npy", f"--{name}", "labels.json", "--out", "labels.json", "--force")
        assert (code, f"labels.json is the file of {name} too" in err) == (2, True)


def test_suspects_are_written_as_csv(here, said):
    centers = np.array([[3, 0, 0, 0], [0, 3, 0, 0]])[[row % 2 for row in range(60)]]
    np.save("emb.npy", (np.random.default_rng(1).normal(size=(60, 4)) * 0.3 + centers).astype(np.float32))
    labels = ["=a" if row % 2 else "b" for row in range(60)]
    labels[4] = "=a"
    Path("labels.csv").write_text("id,label\n" + "".join(f"n{row},{label}\n" for row, label in enumerate(labels)))
    code, out, _ = said("emb.npy", "--labels", "labels.csv", "--suspects", "suspects.csv")
    assert code == 0
    assert "1 of 60 examined labels are suspect" in out
    assert out.endswith("1 suspects: suspects.csv\n")
    with open("suspects.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["id"], row["label"], row["guess"]) == ("n4", "'=a", "b")
    assert float(row["p"]) > 0.9
    assert said("emb.npy", "--labels", "labels.csv", "--suspects", "labels.csv")[0] == 2
    code, _, err = said("emb.npy", "--suspects", "none.csv", "--out", "report.json")
    assert (code, Path("report.json").exists()) == (2, False)
    assert "none.csv was not written: label errors are found with embeddings" in err


def test_interrupted(here, said, monkeypatch):
    def stops(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("distil.auditing.audit.audit", stops)
    code, out, err = said("emb.npy", "--model", "corner:encode", "--out", "audit.html")
    assert (code, out) == (130, "")
    assert err.endswith(
        "nothing was written; the same command begins again, and embeddings that are finished are kept\n"
    )
    assert not Path("audit.html").exists()


def test_images_and_a_test_set_are_embedded(here, said):
    Path("corner.py").write_text("def encode(items):\n    return [item.getpixel((0, 0)) for item in items]\n")
    colors = np.random.default_rng(0).integers(0, 255, (40, 3))
    for row, color in enumerate(colors.tolist()):
        folder = Path("pool" if row < 30 else "test")
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (3, 3), tuple(color)).save(folder / f"{row}.png")
    Image.new("RGB", (5, 5), tuple(colors[2].tolist())).save("test/again.png")
    code, out, _ = said("pool", "--test", "test", "--model", "corner:encode", "--json", "--near", "0.01")
    report = json.loads(out)
    assert code == 0
    (leak,) = report["leakage"]
    assert (leak["exact"], leak["near"]) == (0, 1)
    assert leak["examples"][0]["ids"] == ["again.png", "2.png"]


def test_what_was_read_is_said(here, said):
    Path("x.csv").write_text(",a,b\n" + "".join(f"{row},{row * 0.3 % 1},{row * 0.7 % 1}\n" for row in range(30)))
    Path("l.csv").write_text("".join(f"{row},cat\n" for row in range(9)))
    code, _, err = said("x.csv", "--labeled", "l.csv")
    assert (code, err.splitlines()) == (
        0,
        [
            "note: read 2 columns of numbers in x.csv (`a`, `b`); `Unnamed: 0` counts rows and is left out",
            "note: read `0` of l.csv as ids and `1` as labels",
        ],
    )
    assert said("x.csv", "--labeled", "l.csv", "--json")[2] == ""


def test_faults(here, said):
    Path("audit.html").mkdir()
    for argv, message in (
        (("nothing.npy",), "there is no file or folder nothing.npy"),
        (("emb.npy", "--out", "audit.pdf"), "ends in .html or .json"),
        (("emb.npy", "--out", "audit.html"), "audit.html is a folder; expected a file"),
        (("emb.npy", "--labeled", "emb.ids.txt", "--labels", "emb.ids.txt"), "has no labels"),
    ):
        code, out, err = said(*argv)
        assert (code, out) == (2, "")
        assert message in err
