"""Reading arrays with ids, and lists of ids, from every kind of file; faults by their messages."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from distil.data import parquet_files
from distil.data.array_files import read_column
from distil.data.ids import index_of, read_ids, read_row_ids
from distil.data.pools import open_pool
from distil.errors import DataNotFound, InvalidInput
from distil.system.runtime import Runtime

X = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
NAMES = [f"a/{row}.png" for row in range(7)]


def is_mapped(values):
    while isinstance(values, np.ndarray):
        if isinstance(values, np.memmap):
            return True
        values = values.base
    return False


def lines(path, rows):
    path.write_text("".join(f"{row}\n" for row in rows))
    return path


# ---------------------------------------------------------------------------------------------------------------- arrays


def test_npy_is_mapped(tmp_path):
    np.save(tmp_path / "x.npy", X)
    found = read_column(tmp_path / "x.npy")
    assert is_mapped(found.values)
    assert found.names is None
    np.testing.assert_array_equal(found.values, X)


def test_npz_is_mapped_where_it_is_not_compressed(case, tmp_path):
    for save in [np.savez, np.savez_compressed]:
        for order in ["C", "F"]:
            for dtype in ["f2", "f4", "f8", "i8"]:
                root = Path(mkdtemp(dir=tmp_path))
                with case(save, order, dtype):
                    x = np.asarray(X * 10, dtype=dtype, order=order)
                    save(root / "x.npz", other=np.zeros(3), emb=x, ids=np.array(NAMES))
                    found = read_column(root / "x.npz", column="emb")
                    np.testing.assert_array_equal(found.values, x)
                    assert found.names == NAMES
                    assert is_mapped(found.values) == (save is np.savez)
                    assert read_column(f"{root}/x.npz#emb").names == NAMES
                    with pytest.raises(InvalidInput, match=r"x.npz holds other, emb; say which, as in x.npz#other"):
                        read_column(root / "x.npz")
                    with pytest.raises(InvalidInput, match=r"no 'embb'; did you mean 'emb'"):
                        read_column(root / "x.npz", column="embb")


def test_the_only_array_of_an_npz_file_needs_no_name(tmp_path):
    np.savez(tmp_path / "x.npz", anything=X)
    np.testing.assert_array_equal(read_column(tmp_path / "x.npz").values, X)


def test_safetensors_is_mapped(case, tmp_path):
    for dtype in ["f2", "f4", "f8", "i4", "u1"]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(dtype):
            x = (X * 5 + 20).astype(dtype)
            save_file({"a": np.zeros((2, 2)), "emb": x}, root / "x.safetensors")
            found = read_column(root / "x.safetensors", column="emb")
            assert is_mapped(found.values)
            np.testing.assert_array_equal(found.values, x)


def test_safetensors_of_a_type_that_numpy_lacks(tmp_path):
    from safetensors.torch import save_file as save_tensors

    x = torch.from_numpy(X).bfloat16()
    save_tensors({"emb": x}, str(tmp_path / "x.safetensors"))
    np.testing.assert_array_equal(read_column(tmp_path / "x.safetensors").values, x.float().numpy())


def test_a_safetensors_file_that_is_cut_off(tmp_path):
    save_file({"emb": X}, tmp_path / "x.safetensors")
    whole = (tmp_path / "x.safetensors").read_bytes()
    for size in (4, 20, len(whole) - 4):
        (tmp_path / "y.safetensors").write_bytes(whole[:size])
        with pytest.raises(InvalidInput, match=r"y\.safetensors"):
            read_column(tmp_path / "y.safetensors")


def test_pickled_objects_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.array([{}]), allow_pickle=True)
    np.savez(tmp_path / "x.npz", a=np.array([{}]))
    for name in ("x.npy", "x.npz"):
        with pytest.raises(InvalidInput, match=r"pickle|Python objects"):
            read_column(tmp_path / name)


def test_damaged_files(case, tmp_path):
    for name, content in [("x.npy", b"no array"), ("x.npz", b"no zip"), ("x.npy", b""), ("x.safetensors", b"")]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(name, content):
            (root / name).write_bytes(content)
            with pytest.raises(InvalidInput, match=name):
                read_column(root / name)


def test_files_that_are_not_arrays(tmp_path):
    with pytest.raises(DataNotFound, match=r"no file .*x\.npy"):
        read_column(tmp_path / "x.npy")
    with pytest.raises(DataNotFound, match=r"is a folder without a manifest\.json"):
        read_column(tmp_path)
    (tmp_path / "x.pt").touch()
    with pytest.raises(InvalidInput, match=r"arrays are read from \.npy.*got \.pt"):
        read_column(tmp_path / "x.pt")
    np.save(tmp_path / "text.npy", np.array(["a", "b"]))
    with pytest.raises(InvalidInput, match="must hold numbers"):
        read_column(tmp_path / "text.npy")
    np.save(tmp_path / "none.npy", np.empty((0, 3)))
    with pytest.raises(InvalidInput, match="has no rows"):
        read_column(tmp_path / "none.npy")


# --------------------------------------------------------------------------------------------------------------- parquet


@pytest.fixture
def parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as pq

    def write(name="x.parquet", **columns):
        pq.write_table(arrow.table(columns), tmp_path / name, row_group_size=4)
        return tmp_path / name

    write.arrow = arrow
    return write


def test_parquet(case, parquet):
    for kind in ["fixed", "list", "large", "columns"]:
        for dtype in ["float32", "float64", "float16"]:
            with case(kind, dtype):
                arrow = parquet.arrow
                x = X.astype(dtype)
                inner = arrow.from_numpy_dtype(x.dtype)
                if kind == "columns":
                    values = {f"e{i}": arrow.array(x[:, i]) for i in range(3)}
                elif kind == "fixed":
                    values = {"emb": arrow.FixedSizeListArray.from_arrays(arrow.array(x.ravel()), 3)}
                else:
                    values = {
                        "emb": arrow.array(list(x), type=(arrow.list_ if kind == "list" else arrow.large_list)(inner))
                    }
                path = parquet(id=NAMES, label=[1] * 7, **values)
                found = read_column(path)
                assert found.names == NAMES
                assert found.values.dtype == (np.float64 if dtype == "float64" else np.float32)
                np.testing.assert_array_equal(found.values, x)


def test_parquet_beyond_memory_goes_to_a_file(parquet, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_files, "_BATCH_ROWS", 2)
    path = parquet(e0=X[:, 0], e1=X[:, 1], key=[f"{i}" for i in range(7)])
    found = read_column(path, ids="key", column="e*", runtime=Runtime(memory=8, scratch=tmp_path))
    np.testing.assert_array_equal(found.values, X[:, :2])
    assert found.names == [str(i) for i in range(7)]


def test_parquet_faults(parquet):
    arrow = parquet.arrow
    with pytest.raises(InvalidInput, match=r"row 5: expected 3 numbers as before, got 2"):
        read_column(parquet(e=[*([[0.0, 1.0, 2.0]] * 5), [1.0, 2.0]]))
    with pytest.raises(InvalidInput, match=r"row 1: 'e' is missing"):
        read_column(parquet(e=arrow.array([[1.0], None])))
    with pytest.raises(InvalidInput, match=r"row 1: the id is missing"):
        read_column(parquet(id=["a", None], e=[1.0, 2.0]))
    with pytest.raises(InvalidInput, match=r"holds a, b; say which, as in x.parquet#a"):
        read_column(parquet(a=[[1.0]], b=[[2.0]]))
    with pytest.raises(InvalidInput, match="expected columns of numbers"):
        read_column(parquet(text=["a", "b"]))
    with pytest.raises(InvalidInput, match=r"the id 'a' occurs more than once"):
        read_column(parquet(id=["a", "a"], e=[1.0, 2.0]))
    path = parquet(e=[1.0])
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(InvalidInput, match="cannot be read as Parquet"):
        read_column(path)


# ------------------------------------------------------------------------------------------------------------------- csv


def test_csv(case, tmp_path):
    for separator in [",", ";", "\t"]:
        for ids in [None, "key"]:
            root = Path(mkdtemp(dir=tmp_path))
            with case(separator, ids):
                rows = [[ids or "ID", "u", "Label", "v"], *([f"n{i}", X[i, 0], "cat", X[i, 1]] for i in range(7))]
                path = lines(root / "x.csv", [separator.join(map(str, row)) for row in rows])
                found = read_column(path, ids=ids)
                assert found.names == [f"n{i}" for i in range(7)]
                np.testing.assert_array_equal(found.values, X[:, :2])
                np.testing.assert_array_equal(read_column(path, ids=ids, column="v").values, X[:, 1:2])


def test_csv_without_a_header(tmp_path):
    found = read_column(lines(tmp_path / "x.csv", ["1,2", "3,4"]))
    np.testing.assert_array_equal(found.values, [[1, 2], [3, 4]])
    assert found.names is None


def test_csv_faults(tmp_path):
    with pytest.raises(InvalidInput, match=r"line 3: expected 2 columns, got 1"):
        read_column(lines(tmp_path / "x.csv", ["a,b", "1,2", "3"]))
    with pytest.raises(InvalidInput, match=r"line 3, column 1 \('file'\): 'a.png' is not a number; .*--ids file"):
        read_column(lines(tmp_path / "x.csv", ["file,b", "1,2", "a.png,2"]))
    with pytest.raises(InvalidInput, match="no row below the header"):
        read_column(lines(tmp_path / "x.csv", ["a,b"]))
    with pytest.raises(InvalidInput, match="no column"):
        read_column(lines(tmp_path / "x.csv", []))


# ------------------------------------------------------------------------------------------------------------------- ids


def test_ids_beside_an_array(tmp_path):
    np.save(tmp_path / "x.npy", X)
    lines(tmp_path / "x.ids.txt", NAMES)
    assert read_column(tmp_path / "x.npy").names == NAMES
    assert read_column(tmp_path / "x.npy", ids=lines(tmp_path / "mine.txt", range(7))).names == [*map(str, range(7))]
    lines(tmp_path / "x.ids.txt", NAMES[:-1])
    with pytest.raises(InvalidInput, match=r"x\.ids\.txt has 6 ids, and .*x\.npy has 7 rows"):
        read_column(tmp_path / "x.npy")
    lines(tmp_path / "x.ids.txt", [*NAMES[:-1], NAMES[0]])
    with pytest.raises(InvalidInput, match=r"the id 'a/0\.png' occurs more than once"):
        read_column(tmp_path / "x.npy")


def test_a_file_called_as_a_column_is_not_taken_for_ids(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("key").write_text("hello")
    path = lines(tmp_path / "x.csv", ["key,text", "a,one two", "b,three four"])
    assert open_pool(path, ids="key").names == ["a", "b"]
    path = lines(tmp_path / "y.csv", ["key,e", "a,1", "b,2"])
    assert read_column(path, ids="key").names == ["a", "b"]


def test_a_list_of_ids_for_an_array_in_a_file(tmp_path):
    np.save(tmp_path / "x.npy", X)
    assert open_pool(tmp_path / "x.npy", ids=NAMES).names == NAMES


def test_ids_of_a_folder_of_images_are_not_ignored(tmp_path):
    for given in ({"ids": ["a"]}, {"ids": "ids.txt"}, {"column": "text"}):
        with pytest.raises(InvalidInput, match="is a folder of images, whose ids are their paths"):
            open_pool(tmp_path, **given)


def test_ids_as_bytes_and_as_floats(tmp_path):
    np.savez(tmp_path / "x.npz", x=X, ids=np.array([b"a%d" % row for row in range(7)]))
    assert read_column(tmp_path / "x.npz").names == [f"a{row}" for row in range(7)]
    np.save(tmp_path / "l.npy", np.array([b"a1", b"a2"]))
    assert (read_ids(tmp_path / "l.npy").names, read_ids(tmp_path / "l.npy").positions) == (("a1", "a2"), False)
    found = read_ids(lines(tmp_path / "l.csv", ["id,label", "4.0,1.0", "2.0,0.0"]))
    assert found.rows(None, 7).tolist() == found.rows({str(row): row for row in range(7)}, 7).tolist() == [4, 2]
    assert found.rows({"4.0": 0, "4": 1, "2.0": 2}, 3).tolist() == [0, 2]  # the exact name comes first


def test_lists_of_ids(tmp_path):
    texts = {
        "a.txt": "7\r\n8\n\n",
        "a.csv": "7\n8\n",
        "b.csv": "7,x\n8,y\n",
        "c.csv": "label,id\nx,7\ny,8\n",
        "d.csv": 'rank,id,score,why\n1,7,,"a, b"\n2,8,,c\n',
        "e.tsv": "file\tlabel\n7\tx\n8\ty\n",
        "a.jsonl": "7\n8.0\n",
        "b.jsonl": '{"id": 7, "label": "x"}\n{"id": "8", "label": "y"}\n',
    }
    labeled = {"b.csv", "c.csv", "e.tsv", "b.jsonl"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        found = read_ids(tmp_path / name)
        assert found.names == ("7", "8"), name
        assert found.labels == (("x", "y") if name in labeled else None), name
    np.save(tmp_path / "a.npy", np.array([7, 8]))
    assert read_ids(tmp_path / "a.npy").names == ("7", "8")


def test_ids_become_rows(tmp_path):
    found = read_ids(lines(tmp_path / "a.txt", ["b", "a"]))
    assert found.rows(index_of(["x", "a", "b"]), 3).tolist() == [2, 1]
    with pytest.raises(
        InvalidInput, match=r"a\.txt: 2 of 2 ids are not in the pool: 'b', 'a'; the pool's ids begin with 'x'"
    ):
        found.rows(index_of(["x"]), 1)
    with pytest.raises(InvalidInput, match=r"a pool without names has the ids 0 to 8"):
        found.rows(None, 9)
    numbers = read_ids(lines(tmp_path / "b.txt", [3, 0]))
    assert numbers.rows(None, 4).tolist() == [3, 0]
    with pytest.raises(InvalidInput, match="1 of 2 ids are not in the pool: '3'"):
        numbers.rows(None, 3)
    np.save(tmp_path / "c.npy", np.array([1, 0]))
    assert read_ids(tmp_path / "c.npy").rows(index_of(["x", "y"]), 2).tolist() == [1, 0]


def test_faults_of_lists(case, tmp_path):
    for name, content, message in [
        ("a.csv", "id,label\n,b\n", "line 2: the id is missing"),
        ("a.csv", "id,label\na,b\na,c\n", "a.csv, line 2 and 'c' in .*a.csv, line 3; keep one of them"),
        ("a.csv", "id,label\na\n", "line 2: expected 2 columns"),
        (
            "a.jsonl",
            '{"name": 1}\n',
            "has the columns name and no column `id`, so it is unknown which examples these are; add",
        ),
        ("a.jsonl", "{\n", "line 1 is not JSON"),
        ("a.jsonl", '{"label": 2}\n{"id": 2}\n', "line 1: the id is missing"),
        ("a.xml", "", "ids are read from"),
    ]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(name, content, message):
            (root / name).write_text(content)
            with pytest.raises(InvalidInput, match=message):
                read_ids(root / name)


def test_ids_of_rows_are_distinct_and_those_of_lists_count_once(tmp_path):
    path = lines(tmp_path / "a.txt", ["a", "b", "a"])
    assert read_ids(path).names == ("a", "b")
    with pytest.raises(InvalidInput, match=r"a\.txt: the id 'a' occurs more than once; list each id once"):
        read_row_ids(path)


def check_ids_are_kept_as_they_are(tmp_path, suffix):
    names = [" a.png", "a.png", "b.png ", "caf\udce9.png", "é.png"]
    path = tmp_path / f"ids{suffix}"
    if suffix == ".npy":
        np.save(path, np.array([name.strip() for name in names[1:3]]))
        assert read_ids(path).names == ("a.png", "b.png")
        return
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps(name) + "\n" for name in names))
    else:
        text = "".join(f"{name}\n" for name in (["id"] if suffix != ".txt" else []) + names)
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
    assert read_ids(path).names == tuple(names)
    assert read_ids(path).rows(index_of(names), 5).tolist() == [0, 1, 2, 3, 4]


def test_ids_are_kept_as_they_are(case, tmp_path):
    """Also with surrounding blanks, and with bytes that are not UTF-8, as file names may have."""
    for suffix in [".txt", ".csv", ".tsv", ".jsonl", ".npy"]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(suffix):
            check_ids_are_kept_as_they_are(root, suffix)


def test_blanks_around_ids_and_labels_do_not_matter(tmp_path):
    found = read_ids(lines(tmp_path / "a.csv", ["id, label", "a , cat", " b,dog "]))
    assert found.labels == ("cat", "dog")
    assert found.rows(index_of(["b", "a"]), 2).tolist() == [1, 0]
    assert read_ids(lines(tmp_path / "b.csv", ["id", " 1", "0 "])).rows(None, 2).tolist() == [1, 0]


def test_ids_that_are_not_utf_8_and_unknown(tmp_path):
    (tmp_path / "a.txt").write_bytes("é\n".encode("latin1"))
    with pytest.raises(InvalidInput, match=r"not in the pool.*the file is not UTF-8 text, save it as UTF-8"):
        read_ids(tmp_path / "a.txt").rows(index_of(["e"]), 1)
    assert read_ids(tmp_path / "a.txt").rows(index_of(["e", "é"]), 2).tolist() == [1]


def test_the_note_names_the_column_of_ids(tmp_path):
    assert read_ids(lines(tmp_path / "a.csv", ["id,label", "a,x"])).note == ""
    assert read_ids(lines(tmp_path / "b.csv", ["a,x", "b,y"])).note == "read `0` of b.csv as ids and `1` as labels"
    assert (
        read_ids(lines(tmp_path / "c.csv", ["file,class", "a,x"])).note
        == "read `file` of c.csv as ids and `class` as labels"
    )


def test_ids_in_parquet(parquet):
    found = read_ids(parquet(id=[3, 1], label=["x", "y"]))
    assert (found.names, found.labels) == (("3", "1"), ("x", "y"))


def test_arrays_in_json_lines(tmp_path):
    entries = [{"id": name, "text": "t", "embedding": row.tolist()} for name, row in zip(NAMES, X, strict=True)]
    path = lines(tmp_path / "x.jsonl", map(json.dumps, entries))
    found = read_column(path)
    np.testing.assert_array_equal(found.values, X)
    assert found.names == NAMES
    assert found.note == "read 1 column of lists of numbers in x.jsonl (`embedding`); `text` holds text and is left out"
    for row, message in (("[1.0, 2.0]", "line 2: expected 3 numbers as before, got 2"), ("[1, null, 2]", "missing")):
        path = lines(tmp_path / "y.jsonl", ['{"e": [1, 2, 3]}', f'{{"e": {row}}}'])
        with pytest.raises(InvalidInput, match=message):
            read_column(path)
    assert read_column(
        lines(tmp_path / "z.jsonl", ['{"a": 1, "b": 2}', f'{{"a": {10**400}, "b": 3}}'])
    ).values.tolist() == [
        [1, 2],
        [np.inf, 3],
    ]


def test_a_mask_is_no_list_of_ids(tmp_path):
    np.save(tmp_path / "a.npy", np.array([True, False]))
    with pytest.raises(InvalidInput, match="must hold row numbers or text"):
        read_ids(tmp_path / "a.npy")


def test_empty_rows_below_a_table_are_left_out(case, tmp_path):
    """As spreadsheets write them; an empty row between others is a fault."""
    below = {"semicolons": ";;\n;;\n", "blanks": " ; ; \n", "another number of cells": ";;;;\n", "many": ";;\n" * 200}
    for name, rows in below.items():
        with case(name):
            path = tmp_path / "e.csv"
            path.write_text(f"id;e0;e1\na;1,5;2\nb;3;4,5\n{rows}")
            column = read_column(path)
            assert (column.names, column.values.tolist()) == (["a", "b"], [[1.5, 2], [3, 4.5]])
            path.write_text(f"image_id;e0;e1\n7;1;2\n9;3;4\n{rows}")
            assert (read_column(path).names, read_column(path).values.shape) == (["7", "9"], (2, 2))
            path.write_text(f"text;topic;who\na b;x;y\n;x;y\n{rows}")
            left = {"many": "200 empty rows", "semicolons": "2 empty rows"}.get(name, "1 empty row")
            assert open_pool(path).note == f"left out {left} of e.csv; 1 of 2 texts missing"
    path.write_text("id;e0;e1\na;1;2\n;;\nb;3;4\n")
    with pytest.raises(InvalidInput, match=r"e\.csv, line 3, column 2 \('e0'\): the value is missing"):
        read_column(path)
    path.write_text('e0\n1\n""\n')  # as pandas writes a missing number
    with pytest.raises(InvalidInput, match=r"line 3, column 1 \('e0'\): the value is missing"):
        read_column(path)


def written(folder, ending, rows):
    """A table of some rows, dicts with the same keys, in one of the formats of tables."""
    path = folder / f"t{ending}"
    if ending in (".csv", ".tsv"):
        mark = {".csv": ",", ".tsv": "\t"}[ending]
        cells = [list(rows[0]), *(["" if cell is None else str(cell) for cell in row.values()] for row in rows)]
        path.write_text("".join(f"{mark.join(row)}\n" for row in cells))
    elif ending == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        table = pyarrow.table({name: [row[name] for row in rows] for name in rows[0]})
        pyarrow.parquet.write_table(table, path, row_group_size=2)
    else:
        path.write_text(json.dumps(rows) if ending == ".json" else "".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_empty_rows_below_are_reported_in_every_format(case, tmp_path):
    """Without a column of ids, the numbers of the rows are the ids; an empty row between others keeps its number, or is refused."""
    pytest.importorskip("pyarrow.parquet")
    texts = [{"text": text, "topic": "x"} for text in ("a b", "c d", "e f")]
    numbers = [{"e0": 1.5, "e1": 2.0}, {"e0": 3.0, "e1": 4.5}]
    labels = [{"id": "a", "label": "x"}, {"id": "b", "label": "y"}]
    for ending in (".csv", ".tsv", ".json", ".jsonl", ".parquet"):
        for n in (1, 2, 3):
            with case(ending, n):
                note = "left out 1 empty row of t" if n == 1 else f"left out {n} empty rows of t"
                pool = open_pool(written(tmp_path, ending, texts + n * [dict.fromkeys(texts[0])]))
                assert (len(pool), pool[2], pool.note) == (3, "e f", note + ending)
                column = read_column(written(tmp_path, ending, numbers + n * [dict.fromkeys(numbers[0])]))
                assert column.values.tolist() == [[1.5, 2], [3, 4.5]]
                assert column.note.endswith("; " + note + ending)
                listed = read_ids(written(tmp_path, ending, labels + n * [dict.fromkeys(labels[0])]))
                assert (listed.names, listed.labels, listed.note) == (("a", "b"), ("x", "y"), note + ending)
        with case(ending):
            assert open_pool(written(tmp_path, ending, texts)).note == ""
            pool = open_pool(written(tmp_path, ending, [texts[0], dict.fromkeys(texts[0]), texts[2]]))
            assert (len(pool), pool[2], pool.note) == (3, "e f", "1 of 3 texts missing")
            rows = [labels[0], dict.fromkeys(labels[0]), labels[1]]
            assert read_ids(written(tmp_path, ending, rows)).note == f"left out 1 empty row of t{ending}"
    for ending in (".csv", ".tsv", ".jsonl"):
        with case(ending), pytest.raises(InvalidInput, match="the value is missing; fill it in or drop the row"):
            read_column(written(tmp_path, ending, [numbers[0], dict.fromkeys(numbers[0]), numbers[1]]))
