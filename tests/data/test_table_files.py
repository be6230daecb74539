"""The same table in every format, and through every reader: what a column is, is decided by its content."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from distil.data.array_files import read_column
from distil.data.file_readers import json_records
from distil.data.ids import read_ids
from distil.data.items import items_of
from distil.data.pools import open_pool
from distil.datasets.tables import read_csv
from distil.errors import InvalidInput

ROWS = 12
WORDS = ["red", "green", "blue"]


def write(path, text):
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def records():
    rng = np.random.default_rng(0)
    return [
        {
            "id": f"r{row}",
            "a": round(float(rng.normal()), 3),
            "note": f"{WORDS[row % 3]} words here {row}",
            "b": round(float(rng.normal()), 3),
            "kind": WORDS[row % 3],
            "flag": row % 2 == 0,
            "when": f"2024-01-{row + 1:02}",
            "label": WORDS[row % 3],
        }
        for row in range(ROWS)
    ]


def delimited(rows, delimiter):
    lines = [delimiter.join(map(str, cells)) for cells in ([*rows[0]], *(row.values() for row in rows))]
    return "\n".join(lines) + "\n"


def every_format(folder, rows):
    """The files of one table in each format."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    texts = {
        "x.csv": delimited(rows, ","),
        "semicolon.csv": delimited(rows, ";").replace("\n", "\r\n"),
        "x.csv.gz": "\ufeff" + delimited(rows, ","),
        "x.tsv": delimited(rows, "\t"),
        "x.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
        "x.json": json.dumps(rows, indent=1),
        "columns.json": json.dumps(columns),
        "pandas.json": json.dumps(
            {name: {str(row): cell for row, cell in enumerate(columns[name])} for name in columns}
        ),
        "wrapped.json": json.dumps({"version": 1, "data": rows}),
        "lines.json": "".join(json.dumps(row) + "\n" for row in rows),
        "x.json.gz": json.dumps(rows),
    }
    files = [write(folder / name, text) for name, text in texts.items()]
    arrow = pytest.importorskip("pyarrow")
    import datetime

    from pyarrow import parquet

    columns["kind"] = arrow.array(columns["kind"]).dictionary_encode()
    columns["when"] = [datetime.date.fromisoformat(day) for day in columns["when"]]
    parquet.write_table(arrow.table(columns), folder / "x.parquet")
    return [*files, folder / "x.parquet"]


def test_one_table_is_the_same_in_every_format_and_reader(tmp_path):
    rows = records()
    values = np.float32([[row["a"], row["b"], row["flag"]] for row in rows])
    for path in every_format(tmp_path, rows):
        found = read_column(path)
        np.testing.assert_allclose(found.values, values, rtol=1e-6, err_msg=path.name)
        assert found.names == [row["id"] for row in rows], path
        assert found.note.startswith(f"read 3 columns of numbers in {path.name} (`a`, `b`, `flag`); "), path
        assert "`note` holds text and is left out" in found.note, path
        assert "`kind` holds text and is left out" in found.note, path
        pool = open_pool(path, column="note")
        assert [pool.read(row) for row in range(ROWS)] == [row["note"] for row in rows], path
        assert pool.names == found.names, path
        both = open_pool(path, column="kind, note")
        assert both.read(1) == "green\ngreen words here 1", path
        assert "`kind` and `note`" in both.note
        listed = read_ids(path)
        assert (list(listed.names), list(listed.labels)) == (found.names, [row["label"] for row in rows]), path
        with pytest.raises(InvalidInput, match="has no column 'notes'; did you mean 'note'"):
            open_pool(path, column="kind,notes")


def test_text_is_left_out_and_damaged_numbers_are_not(tmp_path):
    rows = records()
    for place, cell in [(3, "O.5"), (3, "1,234.5"), (3, ""), (7, "12%"), (11, "?")]:
        damaged = [{**row, "a": cell if at == place else str(row["a"])} for at, row in enumerate(rows)]
        for name in ("x.csv", "x.tsv"):
            text = "\n".join("\t".join(map(str, row.values())) for row in [dict.fromkeys(rows[0], 0), *damaged])
            text = "\t".join(rows[0]) + text[text.index("\n") :] + "\n"
            with pytest.raises(InvalidInput, match=rf"{name}, line {place + 2}, column 2 \('a'\)"):
                read_column(write(tmp_path / name, text))
    path = write(tmp_path / "x.jsonl", "".join(json.dumps({**row, "a": str(row["a"])}) + "\n" for row in rows))
    with pytest.raises(InvalidInput, match="line 1, column 'a': a number in quotes"):
        read_column(path)
    path = write(tmp_path / "x.csv", "file,a,b\nx.png,1.5,2\ny.png,2.5,3\n")
    found = read_column(path)
    assert found.names is None
    assert found.note.endswith(
        "`file` holds text and is left out; if `file` holds the ids, say so with ids='file' (--ids file)"
    )
    assert read_column(path, ids="file").names == ["x.png", "y.png"]


def test_joined_columns_without_a_text_are_missing(tmp_path):
    path = write(tmp_path / "x.csv", "id,title,body\n1,A,one\n2,,two\n3,C,\n4,,\n")
    pool = open_pool(path, column="title,body")
    assert [pool.read(row) for row in range(3)] == ["A\none", "two", "C"]
    with pytest.raises(InvalidInput, match="4: the text is missing"):
        pool.read(3)
    path = write(tmp_path / "y.csv", "9,one word,more words\n8,two words,other words\n")
    assert open_pool(path, column="1,2").read(0) == "one word\nmore words"
    path = write(tmp_path / "z.csv", '"a,b",c\nfine words,x\nother words,y\n')
    assert open_pool(path, column="a,b").read(1) == "other words"


def test_json_documents(tmp_path):
    for document, expected in [
        ([[1.5, 2], [3, 4]], [[1.5, 2], [3, 4]]),
        ([{"e": [1.5, 2]}, {"e": [3, 4]}], [[1.5, 2], [3, 4]]),
        ({"x": [1.5, 3], "y": [2, 4]}, [[1.5, 2], [3, 4]]),
        ({"columns": ["x", "y"], "index": [0, 1], "data": [[1.5, 2], [3, 4]]}, [[1.5, 2], [3, 4]]),
        ({"0": {"x": 1.5, "y": 2}, "1": {"x": 3, "y": 4}}, [[1.5, 2], [3, 4]]),
        ({"x": {"0": 1.5, "1": 3}, "y": {"0": 2, "1": 4}}, [[1.5, 2], [3, 4]]),
    ]:
        found = read_column(write(tmp_path / "x.json", json.dumps(document)))
        assert (found.values.tolist(), found.names) == (expected, None)
    found = read_column(write(tmp_path / "x.json", '{"x": {"p": 1.5, "q": 3}, "y": {"p": 2, "q": 4}}'))
    assert (found.names, found.values.tolist()) == (["p", "q"], [[1.5, 2], [3, 4]])
    found = read_column(write(tmp_path / "x.json", '{"columns": ["x"], "index": [5, 7, 6], "data": [[1.5], [2], [3]]}'))
    assert (found.names, found.values.tolist()) == (["5", "7", "6"], [[1.5], [2], [3]])
    assert read_ids(write(tmp_path / "ids.json", '["a", "b", 7]')).names == ("a", "b", "7")
    listed = read_ids(write(tmp_path / "ids.json", '{"id": [1, 2], "label": ["x", 3.0]}'))
    assert (listed.names, listed.labels) == (("1", "2"), ("x", "3"))
    for text, fault in [
        ('{"a": [1, 2], "b": [3]}', "expected a list of records, or a dict of columns of one length"),
        ("7", "expected a list of records"),
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[1" + "0" * 5_000 + "]", "is not JSON"),
        ('[{"a": 1}, [2]]', "row 1: expected an object in every row"),
        ('[{"a": 1}, {"a": null}]', "row 1, column 'a': the value is missing"),
    ]:
        with pytest.raises(InvalidInput, match=fault):
            read_column(write(tmp_path / "x.json", text))
    assert json_records(write(tmp_path / "x.json", '{"a": 1}\n{"a": 2}\n')) == ("line", [(1, {"a": 1}), (2, {"a": 2})])


def test_a_split_document_may_have_numbered_columns(tmp_path):
    found = read_column(
        write(tmp_path / "x.json", '{"columns": [0, 1], "index": ["p", "q"], "data": [[1, 2], [3, 4]]}')
    )
    assert (found.names, found.values.tolist()) == (["p", "q"], [[1, 2], [3, 4]])


def test_dicts_of_cells_by_id_are_rows_and_not_columns(tmp_path):
    rows = {name: {"x": place, "y": 2.5} for place, name in enumerate(["cat.png", "dog.png", "owl.png"])}
    found = read_column(write(tmp_path / "x.json", json.dumps(rows)))  # pandas' orient="index"
    assert (found.names, found.values.tolist()) == (list(rows), [[0, 2.5], [1, 2.5], [2, 2.5]])
    columns = {name: {"0": place, "1": 2.5} for place, name in enumerate(["age", "height", "weight"])}
    found = read_column(write(tmp_path / "x.json", json.dumps(columns)))  # two rows that are counted
    assert (found.names, found.values.tolist()) == (None, [[0, 1, 2], [2.5, 2.5, 2.5]])


def test_a_first_column_called_index_holds_the_ids_if_its_texts_are_distinct(tmp_path):
    found = read_column(write(tmp_path / "x.csv", "index,x,y\np,1,2\nq,3,4\n"))
    assert (found.names, found.values.tolist()) == (["p", "q"], [[1, 2], [3, 4]])
    assert read_column(write(tmp_path / "x.csv", "index,x\nDAX,1\nDAX,3\n")).names is None
    assert read_column(write(tmp_path / "x.csv", "x,index\n1,p\n3,q\n")).names is None


def test_several_blanks_separate_numbers_as_one_does(tmp_path):
    found = read_column(write(tmp_path / "x.csv", "  1.5   20\n 10.5    2\n  0.5  -7\n"))
    assert found.values.tolist() == [[1.5, 20], [10.5, 2], [0.5, -7]]


def test_embeddings_by_id_are_rows_and_not_columns(tmp_path):
    rows = {"cat.png": [1.5, 2], "dog.png": [3, 4], "owl.png": [5, 6]}
    found = read_column(write(tmp_path / "x.json", json.dumps(rows)))
    assert (found.names, found.values.tolist()) == (list(rows), list(rows.values()))
    counted = {
        f"e{place}": [place, 10 + place] for place in range(3)
    }  # three columns of two rows, as pandas writes them
    found = read_column(write(tmp_path / "x.json", json.dumps(counted)))
    assert (found.names, found.values.tolist()) == (None, [[0, 1, 2], [10, 11, 12]])
    few = {"width": [1, 2, 3], "height": [4, 5, 6]}
    assert read_column(write(tmp_path / "x.json", json.dumps(few))).values.tolist() == [[1, 4], [2, 5], [3, 6]]


def test_a_json_list_on_the_only_line_of_json_lines(tmp_path):
    texts = [{"id": "a", "text": "more words here"}, {"id": "b", "text": "and some others"}]
    pool = items_of(open_pool(write(tmp_path / "x.jsonl", json.dumps(texts) + "\n")))
    assert ([pool[0], pool[1]], pool.names) == ([each["text"] for each in texts], ["a", "b"])
    assert read_column(write(tmp_path / "x.jsonl", "[[1, 2], [3, 4], [5, 6]]")).values.tolist() == [
        [1, 2],
        [3, 4],
        [5, 6],
    ]
    assert read_column(write(tmp_path / "x.jsonl", "[1, 2]")).values.tolist() == [[1, 2]]  # one row
    with pytest.raises(InvalidInput, match="row 1"):
        read_column(write(tmp_path / "x.jsonl", '[{"e": [1, 2]}, [3]]'))


def test_the_index_of_pandas_in_parquet(tmp_path):
    """Metadata as pandas 2.3 writes them."""
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def file(columns, indices):
        table = arrow.table(columns)
        meta = {b"pandas": json.dumps({"index_columns": indices, "columns": [], "pandas_version": "2.3.0"}).encode()}
        parquet.write_table(table.replace_schema_metadata(meta), tmp_path / "x.parquet")
        return tmp_path / "x.parquet"

    x = {"a": [0.5, 1.5, 2.5], "b": [3.0, 4.0, 5.0]}
    values = [[0.5, 3], [1.5, 4], [2.5, 5]]

    def counting(start, stop, step=1, name=None):
        return [{"kind": "range", "name": name, "start": start, "stop": stop, "step": step}]

    for columns, indices, names in [
        (x, counting(0, 3), None),
        (x, counting(5, 8), ["5", "6", "7"]),
        (x, counting(6, 0, -2, "key"), ["6", "4", "2"]),
        (x, counting(5, 9), None),  # rows were removed by another program
        ({**x, "key": ["p", "q", "r"]}, ["key"], ["p", "q", "r"]),
        ({**x, "key": [30, 10, 20]}, ["key"], ["30", "10", "20"]),
        ({**x, "key": [0, 1, 2]}, ["key"], None),
        ({**x, "__index_level_0__": [7, 8, 9]}, ["__index_level_0__"], ["7", "8", "9"]),
        ({**x, "u": [0, 0, 1], "v": [1, 2, 1]}, ["u", "v"], None),
        ({"id": ["p", "q", "r"], **x}, counting(5, 8), ["p", "q", "r"]),
    ]:
        path = file(columns, indices)
        found = read_column(path)
        assert (found.values.tolist(), found.names) == (values, names), indices
        assert items_of(open_pool(path)).names == names
        if indices[0] == "u":
            assert "`u` is an index and is left out; `v` is an index and is left out" in found.note
    texts = {"text": ["one text", "two texts", "three texts"]}
    assert open_pool(file(texts, counting(5, 8))).names == ["5", "6", "7"]
    assert open_pool(file({**texts, "key": ["p", "q", "r"]}, ["key"])).names == ["p", "q", "r"]
    assert read_ids(file({"label": ["x", "y", "x"]}, counting(5, 8))).names == ("5", "6", "7")


def test_columns_of_other_types_in_parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from decimal import Decimal

    from pyarrow import parquet

    columns = {
        "price": [Decimal("1.50"), Decimal("2.25")],
        "half": arrow.array(np.float16([1, 2])),
        "size": arrow.array(["x", "y"]).dictionary_encode(),
        "grade": arrow.array([3, 4]).dictionary_encode(),
    }
    parquet.write_table(arrow.table(columns), tmp_path / "x.parquet")
    found = read_column(tmp_path / "x.parquet")
    assert found.values.tolist() == [[1.5, 1, 3], [2.25, 2, 4]]
    assert "`size` holds text and is left out" in found.note
    parquet.write_table(arrow.table({"a": [1.0, 2.0], "none": arrow.nulls(2)}), tmp_path / "x.parquet")
    with pytest.raises(InvalidInput, match="column 'none'"):
        read_column(tmp_path / "x.parquet")


def test_a_first_column_that_counts_rows_is_no_feature(tmp_path):
    x = [0.5, 0.1, 0.9, 0.3, 0.2, 0.8, 0.7, 0.4, 0.6, 0.0]
    for start, names in [(0, None), (1, [*map(str, range(1, 11))])]:
        path = write(tmp_path / "x.csv", "row,a\n" + "".join(f"{start + row},{value}\n" for row, value in enumerate(x)))
        found = read_column(path)
        assert (found.values.shape, found.names) == ((10, 1), names)
        assert "`row`" in found.note
    path = write(tmp_path / "x.csv", "x,y\n1,0.5\n2,0.25\n3,0.5\n")
    assert read_column(path).values.shape == (3, 2)
    path = write(
        tmp_path / "x.csv", "no,a,b,label\n" + "".join(f"{row + 1},{v},{1 - v},{row % 2}\n" for row, v in enumerate(x))
    )
    assert read_csv(path).x.shape == (10, 2)


def test_labels_that_are_written_as_other_numbers_are_one_class(tmp_path):
    path = write(tmp_path / "x.csv", "id,label\na,1\nb,1.0\nc, 1 \nd,-1.0\ne,cafe\u0301\n")
    assert read_ids(path).labels == ("1", "1", "1", "-1", "caf\u00e9")


def test_quoting_by_name(tmp_path):
    """Cells that begin with a quote, in files with quoting and without it."""
    quoted = write(tmp_path / "x.tsv", 'id\ttext\n1\t"She said ""no"" to it"\n2\t"two\tcells or one"\n')
    assert open_pool(quoted, quoting="minimal").read(1) == "two\tcells or one"
    with pytest.raises(InvalidInput, match="line 3: expected 2 columns, got 3"):
        open_pool(quoted)
    for name, delimiter in [("y.tsv", "\t"), ("y.csv", ",")]:
        path = write(
            tmp_path / name, 'id,text\n"1,"so true\n2,a "fine" day\n3,"\n4,"a" and "b"\n'.replace(",", delimiter)
        )
        pool = open_pool(path, quoting="none")
        assert [pool.read(row) for row in range(4)] == ['"so true', 'a "fine" day', '"', '"a" and "b"']
        assert pool.names == ['"1', "2", "3", "4"]
        assert read_ids(path, quoting="none").names == ('"1', "2", "3", "4")
    with pytest.raises(InvalidInput, match=r"line 2: a quoted cell .*quoting='none' \(--quoting none\)"):
        open_pool(path)
    path = write(tmp_path / "z.csv", '"a","b"\n1,2\n')
    assert read_column(path, column='"a"', quoting="none").values.tolist() == [[1]]
    for read in (open_pool, read_column, read_ids, read_csv):
        with pytest.raises(InvalidInput, match="quoting must be one of minimal, none; got 'all'"):
            read(path, quoting="all")


def test_the_same_data_set_in_every_format(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {"id": [7, 8, 9], "a": [0.5, 1.5, 2.5], "flag": [True, False, True], "label": ["x", "y", "x"]}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "x.json").write_text(json.dumps(rows))
    (tmp_path / "x.csv").write_text(
        "id,a,flag,label\n" + "".join(",".join(map(str, row.values())) + "\n" for row in rows)
    )
    (tmp_path / "x.tsv").write_text((tmp_path / "x.csv").read_text().replace(",", "\t"))
    coded = {**columns, "label": arrow.array(columns["label"]).dictionary_encode()}
    parquet.write_table(arrow.table(coded), tmp_path / "x.parquet")
    for name in ("x.csv", "x.tsv", "x.json", "x.jsonl", "x.parquet"):
        found = read_csv(tmp_path / name)
        assert found.x.tolist() == [[0.5, 1], [1.5, 0], [2.5, 1]], name
        assert found.labels.tolist() == ["x", "y", "x"], name
    parquet.write_table(arrow.table({**columns, "label": [1.0, None, 0.0]}), tmp_path / "x.parquet")
    with pytest.raises(InvalidInput, match=r"row 1, column 4 .'label'.: the label is missing"):
        read_csv(tmp_path / "x.parquet")
    parquet.write_table(arrow.table({**columns, "e": [[1.0], [2.0], [3.0]]}), tmp_path / "x.parquet")
    with pytest.raises(InvalidInput, match="`e` holds lists and is not the only feature"):
        read_csv(tmp_path / "x.parquet")


def test_lists_of_words_are_not_lists_of_numbers(tmp_path):
    rows = [{"id": row, "e": [row, 2], "tags": ["x"] * row, "score": 0.5} for row in range(1, 4)]
    found = read_column(write(tmp_path / "x.jsonl", "".join(json.dumps(row) + "\n" for row in rows)))
    assert (found.values.tolist(), found.names) == ([[1, 2], [2, 2], [3, 2]], ["1", "2", "3"])
    assert "`tags` holds no numbers and is left out; `score` is not in the lists and is left out" in found.note
    with pytest.raises(
        InvalidInput, match=r"row 0: expected a text or a number as id and as label.* got \['cat', 'dog'"
    ):
        read_ids(write(tmp_path / "ids.json", '[{"id": 1, "label": ["cat", "dog"]}]'))


def test_a_table_without_rows_is_empty(tmp_path):
    with pytest.raises(InvalidInput, match="is empty; expected a row for each example"):
        open_pool(write(tmp_path / "x.json", '{"a": []}'))


def test_a_text_that_is_too_long_for_csv_is_named(tmp_path):
    with pytest.raises(
        InvalidInput, match=r"line 2: .* has more than 131,072 characters .*store longer texts in \.jsonl"
    ):
        open_pool(write(tmp_path / "x.csv", "id,text\na," + "y" * 200_000 + "\n"))


def test_the_levels_of_an_index_of_pandas_are_no_features(case, tmp_path):
    """As ``to_csv`` and ``to_json`` write a MultiIndex, and ``reset_index`` one without names."""
    values = [[0.5, 1.5], [2.5, 3.5], [4.5, 5.5], [6.5, 8.5]]
    levels = {"whole": [(5, 1), (5, 2), (7, 1), (7, 2)], "mixed": [("x", 0.5), ("x", 1.5), ("y", 0.5), ("y", 1.5)]}
    for name, index in levels.items():
        rows = [(*keys, *row) for keys, row in zip(index, values, strict=True)]
        body = "".join(",".join(map(str, row)) + "\n" for row in rows)
        split = {"columns": ["a", "b"], "index": index, "data": values}
        fields = [dict(zip(("site", "rep", "a", "b"), row, strict=True)) for row in rows]
        table = {"schema": {"fields": [], "primaryKey": ["site", "rep"]}, "data": fields}
        for ending, text in {
            "unnamed.csv": f",,a,b\n{body}",
            "reset.csv": f"level_0,level_1,a,b\n{body}",
            "split.json": json.dumps(split),
            "table.json": json.dumps(table),
        }.items():
            path = tmp_path / f"{name}-{ending}"
            path.write_text(text)
            with case(path.name):
                found = read_column(path)
                np.testing.assert_array_equal(found.values, values)
                assert found.names is None
                assert found.note.startswith(f"read 2 columns of numbers in {path.name} (`a`, `b`); ")
    (tmp_path / "named.csv").write_text("site,rep,a\nx,1,0.5\ny,1,1.5\n")
    assert read_column(tmp_path / "named.csv").note == (
        "read 2 columns of numbers in named.csv (`rep`, `a`); `site` holds text and is left out; if `site` holds the ids, say so "
        "with ids='site' (--ids site)"
    )
    (tmp_path / "one.csv").write_text("level_1,a\n1,0.5\n2,1.5\n4,1.5\n")  # a feature, such as a level of a game
    assert read_column(tmp_path / "one.csv").values.shape == (3, 2)
