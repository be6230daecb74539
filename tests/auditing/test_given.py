"""Whether a set of an audit is a list of ids of the pool or items of its own: the content decides, or the user is asked."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import distil
from distil.auditing.audit import audit
from distil.auditing.given import given_set
from distil.data.array_files import Column
from distil.data.ids import ListedIds
from distil.data.items import items_of
from distil.data.pools import open_pool
from distil.errors import InvalidInput

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)


def write(path, header, rows):
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


@pytest.fixture
def texts(tmp_path):
    """A pool of forty texts whose ids are numbers."""
    return write(tmp_path / "pool.csv", "id,text", [(row, f"pool text {row}") for row in range(40)])


@pytest.fixture
def named(tmp_path):
    """The same with ids that are names."""
    return write(tmp_path / "named.csv", "id,text", [(f"n{row}", f"pool text {row}") for row in range(40)])


def leaks(pool, test, **options):
    (leak,) = audit(str(pool), test=str(test), **options)["leakage"]
    return leak["exact"]


def text_of(row):
    """Every second text of the test set is one of the pool's."""
    return f"pool text {39 - row}" if row % 2 else f"another text {row}"


def test_a_set_of_texts_whose_ids_look_like_row_numbers(case, tmp_path, texts):
    for header in ["id,text", "id,text,label", "text", "text,label", ",text", "id,message"]:
        for suffix in [".csv", ".jsonl"]:
            with case(header, suffix):
                cells = {
                    "id": range(40),
                    "": range(40),
                    "text": map(text_of, range(40)),
                    "label": [row % 3 for row in range(40)],
                }
                cells["message"] = map(text_of, range(40))
                names = header.split(",")
                rows = list(zip(*(list(cells[name]) for name in names), strict=True))
                test = write(tmp_path / "test.csv", header, rows)
                if suffix == ".jsonl":
                    test = tmp_path / "test.jsonl"
                    test.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))
                assert leaks(texts, test) == 20


def test_a_set_of_texts_one_per_line(tmp_path, texts):
    (tmp_path / "test.txt").write_text("".join(f"{text_of(row)}\n" for row in range(40)))
    assert leaks(texts, tmp_path / "test.txt") == 20


@pytest.mark.parametrize(
    "header", ["id", "id,label", "label,id", "id,text,label", "rank,id,score,why", "id,label,round"]
)
@pytest.mark.parametrize("kind", ["texts", "named"])
def test_lists_of_ids(tmp_path, request, kind, header):
    path = request.getfixturevalue(kind)
    ids = [row if kind == "texts" else f"n{row}" for row in range(5, 10)]
    cells = {"id": ids, "label": "ababa", "text": [f"pool text {row}" for row in range(5, 10)], "rank": range(5)}
    cells |= {"score": [0.5] * 5, "why": ["far from all"] * 5, "round": [0] * 5}
    test = write(tmp_path / "t.csv", header, zip(*(cells[name] for name in header.split(",")), strict=True))
    found = given_set("test", test, items_of(open_pool(path)))
    assert isinstance(found, ListedIds)
    assert found.names == tuple(map(str, ids))


def test_ids_that_the_pool_lacks_are_named(tmp_path, named):
    test = write(tmp_path / "t.csv", "id,label", [("n1", "a"), ("n99", "b")])
    with pytest.raises(InvalidInput, match=r"1 of 2 ids are not in the pool: 'n99'"):
        audit(str(named), test=str(test))


def test_an_ambiguous_set_is_refused_and_the_advice_works(tmp_path):
    np.save(tmp_path / "pool.npy", X)
    rows = [(row, f"a text {row}", "ab"[row % 2]) for row in range(20)]
    test = write(tmp_path / "test.csv", "id,text,label", rows)
    message = r"its ids are numbers .* has the column `text`.*keep the columns id and label only.*--test-embeddings"
    with pytest.raises(InvalidInput, match=message):
        audit(str(tmp_path / "pool.npy"), test=str(test))
    y = np.concatenate([X[:5], X[5:20] + 9])
    leak = audit(str(tmp_path / "pool.npy"), test=str(test), test_embeddings=Column(y, None, "y"))["leakage"][0]
    assert leak["near"] == 5
    write(test, "id,label", [(row, label) for row, _, label in rows])
    assert audit(str(tmp_path / "pool.npy"), test=str(test))["leakage"][0]["near"] == 0


def test_a_set_of_embeddings_in_a_table(case, tmp_path):
    for header in ["e0,e1,e2,e3", "id,e0,e1,e2,e3", "id,label,e0,e1,e2,e3", "0,1,2,3"]:
        with case(header):
            np.save(tmp_path / "pool.npy", X)
            y = np.concatenate([X[30:37], X[:5] + 5])
            names = header.split(",")
            front = [(row, "a")[: len(names) - 4] for row in range(12)]
            test = write(
                tmp_path / "t.csv",
                header,
                [(*own, *map(repr, map(float, row))) for own, row in zip(front, y, strict=True)],
            )
            assert leaks(tmp_path / "pool.npy", test) == 7


def test_labels_reach_ids_that_are_written_in_another_way(tmp_path, named):
    labeled = write(tmp_path / "l.csv", "id,label", [(" n1", "cat"), ("n2 ", "dog")])
    assert audit(str(named), labeled=str(labeled))["classes"]["labeled"] == {"cat": 1, "dog": 1}


def test_texts_are_equal_without_regard_to_blanks_case_and_accents(tmp_path):
    """Exact copies, apart from near ones; also between sets."""
    same = ["Café au lait", "cafe\u0301 au lait", "  CAFÉ\u00a0au   lait ", "STRASSE", "straße"]
    other = ["Cafe au lait", "caféau lait", "Café, au lait"]
    rows = [(f"t{row}", f'"{text}"') for row, text in enumerate([*same, *other])]
    pool = write(tmp_path / "pool.csv", "id,text", rows)
    report = audit(str(pool))
    assert report["duplicates"]["exact"]["examples"] == [["t0", "t1", "t2"], ["t3", "t4"]]
    assert report["duplicates"]["near"] is None
    test = write(tmp_path / "test.csv", "text", [("CAFE\u0301 AU LAIT",), ("Strasse ",), ("cafe au lait",), ("none",)])
    assert leaks(pool, test) == 3


def test_ids_of_the_pool_on_other_texts(tmp_path, named):
    """Texts decide also where the ids are names of the pool; a few corrected texts, or comments, change nothing."""
    leaked = write(tmp_path / "test.csv", "id,text", [(f"n{row}", text_of(row)) for row in range(40)])
    assert leaks(named, leaked) == 20
    at_their_place = [(f"n{row}", f"pool text {row}" if row % 2 else f"else {row}") for row in range(40)]
    assert leaks(named, write(tmp_path / "test.csv", "id,text", at_their_place)) == 20
    own = given_set("test", tmp_path / "test.csv", items_of(open_pool(named)))
    assert own.note.startswith("test.csv has ids of the pool, but 20 of its 40 texts differ from the pool's")
    corrected = [(f"n{row}", f"Pool  text {row}" if row else "corrected", "a") for row in range(10)]
    comments = [(f"n{row}", f"a remark on {row}", "a") for row in range(10)]
    for header, rows in [("id,text,label", corrected), ("id,comment,label", comments)]:
        labeled = write(tmp_path / "l.csv", header, rows)
        assert isinstance(given_set("labeled", labeled, items_of(open_pool(named))), ListedIds)


def test_a_text_that_looks_like_a_row_number(tmp_path, texts):
    (tmp_path / "test.txt").write_text("".join(f"{text_of(row)}\n" for row in range(40)) + "7\n")
    assert leaks(texts, tmp_path / "test.txt") == 20


def test_class_folders_of_the_pool_are_labels(tmp_path):
    for row in range(6):
        path = tmp_path / "pool" / ["cat", "dog"][row % 2] / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (40 * row, 9, 9)).save(path)
    report = audit(str(tmp_path / "pool"), labeled=str(tmp_path / "pool"))
    assert (report["classes"]["labeled"], report["leakage"][0]["exact"]) == ({"cat": 3, "dog": 3}, 0)
    (tmp_path / "other" / "cat").mkdir(parents=True)  # the same name with another content: items of its own
    Image.new("RGB", (4, 4), (40, 9, 9)).save(tmp_path / "other" / "cat" / "0.png")
    assert leaks(tmp_path / "pool", tmp_path / "other") == 1


def test_labels_of_no_item_are_refused(tmp_path, named):
    labels = write(tmp_path / "l.csv", "id,label", [("x1", "cat"), ("x2", "dog")])
    with pytest.raises(
        InvalidInput, match="no id is in the pool or in the labeled set; its ids begin with 'x1', and the pool's"
    ):
        audit(str(named), labels=str(labels))
    own = write(tmp_path / "own.csv", "id,text", [("x1", "a text"), ("x2", "another")])
    assert audit(str(named), labeled=str(own), labels=str(labels))["classes"]["labeled"] == {"cat": 1, "dog": 1}


def test_the_columns_of_the_pool_are_those_of_the_other_sets(tmp_path):
    """Two columns that were joined, and a column that only the user could name; ids that are numbers, or not of the pool."""
    rows = [(row, f"hello {row}", f"you {row}") for row in range(20)]
    pool = open_pool(write(tmp_path / "pool.csv", "id,head,rest", rows), column="head,rest")
    word = open_pool(write(tmp_path / "pool.csv", "id,head,rest", rows), column="rest")
    for first in [0, 100]:
        ids = range(first, first + 20)
        rows = [(id_, f"hello {19 - row}", f"you {19 - row if row % 2 else row}") for row, id_ in enumerate(ids)]
        test = write(tmp_path / "test.csv", "id,head,rest", rows)
        assert audit(pool, test=str(test))["leakage"][0]["exact"] == 10
        assert audit(word, test=str(test))["leakage"][0]["exact"] == 20


def test_the_labels_in_the_table_of_a_labeled_set_of_its_own(tmp_path):
    (tmp_path / "pool.csv").write_text("id,words\n" + "".join(f"p{row},the text number {row}\n" for row in range(6)))
    for head in ("id,words,label", "key,words,label"):
        rows = [f"q{row},another text number {row},{label}" for row, label in enumerate(["cat", "dog", "cat", ""])]
        (tmp_path / "own.csv").write_text("\n".join([head, *rows]))
        report = distil.audit(tmp_path / "pool.csv", column="words", labeled=tmp_path / "own.csv")
        assert report["classes"]["labeled"] == {"cat": 2, "dog": 1}
        assert report["classes"]["unknown"] == 1
    (tmp_path / "labels.csv").write_text("id,label\nq0,owl\n")
    labels = tmp_path / "labels.csv"
    (tmp_path / "own.csv").write_text("\n".join(["id,words,label", *rows]))
    report = distil.audit(tmp_path / "pool.csv", column="words", labeled=tmp_path / "own.csv", labels=labels)
    assert report["classes"]["labeled"] == {"owl": 1}
