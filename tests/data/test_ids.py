"""Several lists of ids as one, and folders as lists of ids and labels."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import numpy as np
import pytest
from PIL import Image

from distil import pick
from distil.data.array_files import read_column
from distil.data.ids import ListedIds, index_of, merged, read_ids
from distil.data.pools import open_pool
from distil.errors import InvalidInput

INDEX = {"a": 0, "b": 1, "7": 2, "c": 3}


def listed(*names, labels=None, origin="x.csv", positions=False):
    return ListedIds(names, labels, origin, positions)


def test_an_id_counts_once_and_keeps_its_label():
    one, two = listed("a", "7", labels=("1", "cat")), listed("7.0", " b", labels=("cat", "2"), origin="y.csv")
    found = merged([one, two], INDEX, 4)
    assert (found.names, found.labels, found.origin) == (("a", "7", " b"), ("1", "cat", "2"), "x.csv and y.csv")
    assert found.rows(INDEX, 4).tolist() == [0, 2, 1]
    assert merged([one], INDEX, 4) is one
    assert merged([one, one], INDEX, 4).names == one.names
    assert merged([listed("a", labels=("1.0",)), listed("a", labels=("1",))], INDEX, 4).labels == ("1.0",)


def test_names_and_row_numbers():
    found = merged([listed("7", "c"), listed("0", "2", positions=True)], INDEX, 4)
    assert found.rows(INDEX, 4).tolist() == [2, 3, 0]
    assert merged([listed("1", "2"), listed("2", positions=True)], None, 4).rows(None, 4).tolist() == [1, 2]


def test_faults():
    for lists, message in (
        (
            [listed("a", labels=("1",)), listed("b", "a", labels=("1", "2"), origin="y.csv")],
            "'a' has the label '1' in x.csv and '2' in y.csv; keep one of them",
        ),
        ([listed("a", labels=("1",)), listed("b", origin="y.txt")], "x.csv has labels and y.txt has none; give labels"),
        ([listed("a"), listed("d", origin="y.txt")], "y.txt: 1 of 1 ids are not in the pool: 'd'"),
    ):
        with pytest.raises(InvalidInput) as found:
            merged(lists, INDEX, 4)
        assert message in str(found.value)


def test_class_folders(tmp_path):
    """As in ImageFolder: the first folder is the class, whatever is below it."""
    for name in ["dog/1.png", "cat/2.JPG", "cat/deep/3.png", "cat/notes.txt", ".hidden/4.png", "dog/.5.png"]:
        (tmp_path / "pool" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pool" / name).write_text("")
    (tmp_path / "pool" / "empty").mkdir()
    found = read_ids(tmp_path / "pool")
    assert found.names == ("cat/2.JPG", "cat/deep/3.png", "dog/1.png")
    assert found.labels == ("cat", "cat", "dog")
    assert found.note == "read the folders in pool as labels: cat, dog"
    with pytest.raises(InvalidInput, match=r"empty: expected one folder for each class.*cat/1\.png; got no image"):
        read_ids(tmp_path / "pool/empty")
    with pytest.raises(InvalidInput, match=r"got '2\.JPG', which is in none"):
        read_ids(tmp_path / "pool/cat")


def test_labels_that_differ_only_in_case_are_two_and_named(tmp_path, case):
    """In every file that holds labels, and in the names of folders."""
    for name in ("pool/cat/1.png", "pool/Cat/2.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a.csv").write_text("id,label\n1,cat\n2,dog\n3,Cat\n4,DOG\n")
    (tmp_path / "a.jsonl").write_text('{"id": 1, "label": "cat"}\n{"id": 3, "label": "Cat"}\n')
    for name, pair in (("a.csv", "'cat' and 'Cat'"), ("a.jsonl", "'cat' and 'Cat'"), ("pool", "'Cat' and 'cat'")):
        with case(name):
            found = read_ids(tmp_path / name)
            assert {"cat", "Cat"} <= {*found.labels}
            assert found.note.endswith(f"the labels {pair} differ only in case, and are two classes")
    (tmp_path / "a.csv").write_text("id,label\na,cat\nA,dog\nb,cat\n")
    assert read_ids(tmp_path / "a.csv").note == ""


def test_a_column_that_may_hold_labels_is_not_ignored_in_silence(tmp_path):
    for name in ("y", "category", "answer"):
        (tmp_path / "ids.csv").write_text(f"id,{name}\na,1\nb,\n")
        found = read_ids(tmp_path / "ids.csv")
        assert (found.names, found.labels) == (("a", "b"), None)
        known = "a column of labels is called label, labels, class or target"
        assert found.note == f"`{name}` of ids.csv is not read; {known}"
    (tmp_path / "ids.csv").write_text("id,label,y\na,1,2\n")
    assert read_ids(tmp_path / "ids.csv").note == ""


def test_control_characters_are_in_no_id_and_in_no_label(tmp_path, case):
    for name, content, message in [
        (
            "nul.jsonl",
            '{"id": "a", "label": "cat"}\n{"id": "b", "label": "dog\\u0000"}',
            r"line 2: the label 'dog\\x00' holds",
        ),
        (
            "bell.jsonl",
            '{"id": "a\\u0007", "label": "cat"}',
            r"line 1: the id 'a\\x07' holds a control character; take it out",
        ),
        ("doc.json", '[{"id": "a"}, {"id": "b\\u001b[1m"}]', r"row 1: the id 'b\\x1b\[1m' holds"),
        ("c.csv", "id,label\na,cat\nb,d\x1bog\n", r"line 3: the label 'd\\x1bog' holds"),
        ("c.txt", "a\nb\x85c\n", r"the id 'b\\x85c' holds"),
    ]:
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        with case(name), pytest.raises(InvalidInput, match=f"{name}.*{message}"):
            read_ids(path)
    (tmp_path / "kept.jsonl").write_text('{"id": "a\\tb\\nc", "label": "cat"}')
    assert read_ids(tmp_path / "kept.jsonl").names == ("a\tb\nc",)


def test_a_pool_takes_no_id_that_is_missing_or_holds_a_control_character(tmp_path, case):
    for ids, message in [
        (["a", None], "ids: the id of row 1 is empty; give each row an id"),
        ([float("nan"), "b"], "ids: the id of row 0 is empty"),
        (["a", " "], "ids: the id of row 1 is empty"),
        (["a", "b\0"], r"ids: the id 'b\\x00' holds a control character; take it out"),
    ]:
        with case(ids), pytest.raises(InvalidInput, match=message):
            open_pool(["one text", "two texts"], ids=ids)
    Image.new("RGB", (2, 2)).save(tmp_path / "a\x1bb.png")
    with pytest.raises(InvalidInput, match=r"the id 'a\\x1bb\.png' holds a control character"):
        open_pool(tmp_path)


def test_an_id_of_parquet_is_that_of_csv(tmp_path, case):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    day, noon = datetime(2024, 1, 1), datetime(2024, 1, 2, 12)
    for name, ids, kind, texts in (
        ("decimal", [Decimal("11.00"), Decimal("12.50")], arrow.decimal128(9, 2), ["11.00", "12.50"]),
        ("times", [day, noon], arrow.timestamp("ns"), ["2024-01-01 00:00:00", "2024-01-02 12:00:00"]),
        ("midnight", [day], arrow.timestamp("us"), ["2024-01-01"]),
        ("day", [day.date()], arrow.date32(), ["2024-01-01"]),
        ("categories", ["a", "b"], arrow.dictionary(arrow.int8(), arrow.string()), ["a", "b"]),
        ("large", ["a", "b"], arrow.large_string(), ["a", "b"]),
        ("bytes", [b"a", "ä".encode()], arrow.binary(), ["a", "ä"]),
        ("single", [11.0, 12.1], arrow.float32(), ["11.0", "12.1"]),
        ("half", [11.0, 12.1], arrow.float16(), ["11.0", "12.1"]),
        ("large number", [2**63 + 1], arrow.uint64(), [str(2**63 + 1)]),
    ):
        with case(name):
            values = np.array(ids, np.float16) if name == "half" else ids
            parquet.write_table(arrow.table({"id": arrow.array(values, kind)}), tmp_path / "p.parquet")
            (tmp_path / "p.csv").write_text("\n".join(["id,n", *(f"{text},1" for text in texts)]))
            found = [read_ids(tmp_path / f"p.{ending}") for ending in ("parquet", "csv")]
            for one, other in (found, found[::-1]):
                assert one.rows(index_of(other.names), len(ids)).tolist() == list(range(len(ids)))
    nested = arrow.table({"id": [["a"], ["b"]], "x": [1.0, 2.0]})
    parquet.write_table(nested, tmp_path / "p.parquet")
    with pytest.raises(InvalidInput, match=r"row 0: expected a text or a number as id, got \['a'\]"):
        read_column(tmp_path / "p.parquet")


def test_rows_of_two_files_may_write_one_id_differently(tmp_path):
    pytest.importorskip("pyarrow")
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"id": ["1.0", "2.00", "é"], "e0": [0.1, 0.2, 0.4], "e1": [1.0, 2.0, 3.0]})
    frame.to_csv(tmp_path / "e.csv", index=False)
    probs = pandas.DataFrame({"id": ["1", "2", "e\u0301"], "a": [0.1, 0.2, 0.4], "b": [0.9, 0.8, 0.6]})
    probs.to_parquet(tmp_path / "p.parquet")
    found = pick("margin_sampling", 2, embeddings=tmp_path / "e.csv", probs=tmp_path / "p.parquet")
    assert [each["id"] for each in found["picks"]] == ["é", "2.00"]
    probs[::-1].to_parquet(tmp_path / "p.parquet")
    with pytest.raises(InvalidInput, match=r"row 0 is '1\.0' in .*e\.csv and .* the rows must be in the same order"):
        pick("margin_sampling", 2, embeddings=tmp_path / "e.csv", probs=tmp_path / "p.parquet")


def test_row_numbers_that_occur_again_may_be_classes(tmp_path):
    path = tmp_path / "y.npy"
    np.save(path, np.array([3, 1, 2]))
    assert read_ids(path).names == ("3", "1", "2")
    np.save(path, np.array([0, 1, 1, 0]))
    with pytest.raises(InvalidInput, match=r"each once; got 4 numbers, of which 2 are different.*columns id and label"):
        read_ids(path)
