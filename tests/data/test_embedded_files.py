"""Arrays of ``distil embed`` that were edited are noticed where they are read; any other array is read as it is."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from distil.data import embedded_files
from distil.data.array_files import read_column
from distil.data.embedded_files import check_one_model
from distil.errors import InvalidInput

REFUSED = r"is not as distil embed left it: it was edited, or .* run distil embed .*, or remove emb\.info\.json if"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The files as embed writes them, with hashes of their own making."""
    monkeypatch.chdir(tmp_path)
    np.save("emb.npy", np.arange(12, dtype=np.float32).reshape(4, 3))
    Path("emb.ids.txt").write_text("a\nb\nc\nd\n")
    files = {"sha256": "emb.npy", "ids": "emb.ids.txt"}
    hashes = {key: hashlib.sha256(Path(name).read_bytes()).hexdigest() for key, name in files.items()}
    Path("emb.info.json").write_text(json.dumps({"file": "emb.npy", **hashes}))
    return tmp_path


def test_what_was_edited_is_refused_by_name(here):
    assert read_column("emb.npy").names == ["a", "b", "c", "d"]
    for name, content in (
        ("emb.npy", Path("emb.npy").read_bytes()[:-1] + b"\1"),
        ("emb.ids.txt", b"b\na\nc\nd\n"),
        ("emb.ids.txt", b"a\nb\n"),
    ):
        whole = Path(name).read_bytes()
        Path(name).write_bytes(content)
        with pytest.raises(InvalidInput, match=f"^{name} {REFUSED}"):
            read_column("emb.npy")
        Path(name).write_bytes(whole)
    Path("emb.ids.txt").write_bytes(b"b\na\nc\nd\n")
    Path("mine.txt").write_text("4\n3\n2\n1\n")
    assert read_column("emb.npy", ids="mine.txt").names == ["4", "3", "2", "1"]  # the other ids are not read
    Path("emb.info.json").unlink()
    assert read_column("emb.npy").names == ["b", "a", "c", "d"]


def test_information_of_other_arrays_is_not_looked_at(here):
    np.save("emb.npy", np.zeros((4, 3)))
    for content in (
        b'{"file": "emb.parquet", "sha256": "1"}',
        b"[1]",
        b"{}",
        b"mine",
        b"\xff",
        b'{"file": 3}',
        b"[" * 100_000,
    ):
        Path("emb.info.json").write_bytes(content)
        assert len(read_column("emb.npy")) == 4


def test_a_large_array_is_hashed_only_after_a_change(here, monkeypatch):
    monkeypatch.setattr(embedded_files, "_HASHED_BYTES", 0)
    hashed = []
    whole = embedded_files.digest
    monkeypatch.setattr(embedded_files, "digest", lambda path: hashed.append(path.name) or whole(path))
    os.utime("emb.info.json", ns=(2_000, 2_000))
    for changed, expected in ((1_000, ["emb.ids.txt"]), (3_000, ["emb.npy", "emb.ids.txt"])):
        os.utime("emb.npy", ns=(changed, changed))
        hashed.clear()
        assert len(read_column("emb.npy")) == 4
        assert hashed == expected
    with Path("emb.npy").open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\1")
    with pytest.raises(InvalidInput, match=f"^emb.npy {REFUSED}"):
        read_column("emb.npy")


def test_columns_of_files_are_of_one_model(here):
    """A manifest may name a column of a file, which has the information of that file."""
    for number, encoder in enumerate(("a", "a", "b")):
        Path(f"{number}.parquet").touch()
        info = {"file": f"{number}.parquet", "encoder": encoder, "model": f"model {encoder}"}
        Path(f"{number}.info.json").write_text(json.dumps(info))
    columns = [Path(f"{number}.parquet#embedding") for number in range(3)]
    check_one_model(columns[:2])
    with pytest.raises(
        InvalidInput, match=r"2\.parquet#embedding was embedded by another model .* \(model b\) than 0\.parquet"
    ):
        check_one_model(columns)
