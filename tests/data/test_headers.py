"""The content of a table decides what its first row and its columns are, by one rule for all readers."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re

import numpy as np
import pytest

from distil.data.array_files import read_column
from distil.data.ids import read_ids
from distil.data.pools import open_pool
from distil.data.table_files import open_table
from distil.datasets.tables import read_csv
from distil.errors import InvalidInput

X = np.array([[0.5, 2, -1], [3, 4.25, 7], [8, 9, 0]])


def write(path, text):
    path.write_text(text, encoding="utf-8", newline="")
    return path


def pandas_csv(x, header, index):
    """The text that ``DataFrame(x).to_csv(index=index)`` writes."""
    names = [str(place) for place in range(x.shape[1])] if header is None else header
    rows = [[*([""] if index else []), *names]]
    rows += [[*([row] if index else []), *values] for row, values in enumerate(x.tolist())]
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def check_tables_as_pandas_writes_them(tmp_path, index, header, columns, whole):
    x = (X * 4 if whole else X)[:, :columns]
    x = x.astype(int) if whole else x
    path = write(tmp_path / "x.csv", pandas_csv(x, header and header[:columns], index))
    if whole and header is None and not index and columns < 3:
        if columns == 2:
            with pytest.raises(
                InvalidInput, match="may be the names of the columns or the first example; begin the file"
            ):
                read_column(path)
        else:  # a list of numbers
            assert read_column(path).values.ravel().tolist() == [0, *x.ravel().tolist()]
        return
    found = read_column(path)
    np.testing.assert_array_equal(found.values, x)
    assert found.names is None
    count = "1 column" if columns == 1 else f"{columns} columns"
    left = "; `Unnamed: 0` counts rows and is left out" if index else ""
    assert re.sub(r" \(`.*?\)", "", found.note) == f"read {count} of numbers in x.csv{left}"
    assert read_column(path, column="Unnamed: 0").values.ravel().tolist() == [0, 1, 2] if index else True


def test_tables_as_pandas_writes_them(case, tmp_path):
    for index in [False, True]:
        for header in [None, ["a", "b", "c"], ["e0", "e1", "e2"]]:
            for columns in [1, 2, 3]:
                for whole in [False, True]:
                    with case(index, header, columns, whole):
                        check_tables_as_pandas_writes_them(tmp_path, index, header, columns, whole)


def test_advice_on_a_header_that_may_be_an_example(tmp_path):
    write(tmp_path / "x.csv", "e0,e1\n0,1\n5,7\n")
    assert read_column(tmp_path / "x.csv").values.tolist() == [[0, 1], [5, 7]]


def test_the_header(case, tmp_path):
    for text, names, header in [
        ("0,1,2\n3,4,5\n", ["0", "1", "2"], True),
        ("1,2\n3,4\n", ["0", "1"], False),
        ("1,2,3\n4,5,6\n", ["0", "1", "2"], False),
        ("1,2,3,label\n4,5,6,x\n", ["1", "2", "3", "label"], True),
        ("0,1\n1,0\n2,1\n", ["0", "1"], False),  # ids and labels
        ("0\n1\n2\n", ["0"], False),
        ("e0,e1\n1,2\n", ["e0", "e1"], True),
        ("2019,2020,won\n7,8,1\n4,5,0\n", ["2019", "2020", "won"], True),
        ("a.png,cat\nb.png,dog\n", ["0", "1"], False),
        ("n001\nn002\n", ["0"], False),
        ("scan\nscan-1\nscan-2\n", ["scan"], True),
        ("utterance\nhow do you do\nvery well thanks\n", ["utterance"], True),
        ("how do you do\nvery well thanks\n", ["0"], False),
        ("title,x\ntitle,y\n", ["0", "1"], False),  # a class with the name of a column
        ("\ufeffid;label\na;b\n", ["id", "label"], True),
        ("a,a,b\n1,2,3\n", ["a", "a.1", "b"], True),
        ("1_000,b\n1_000,c\n", ["0", "1"], False),
    ]:
        with case(text, names, header):
            table = open_table(write(tmp_path / "x.csv", text))
            assert (table.columns, table.header) == (names, header)


def test_every_user_finds_the_same_header(tmp_path):
    path = write(tmp_path / "x.csv", ",0,1,2,label\n0,7,8,9,1\n1,4,5,6,0\n")
    assert read_column(path).values.tolist() == read_csv(path).x.tolist() == [[7, 8, 9], [4, 5, 6]]
    assert read_csv(path).labels.tolist() == ["1", "0"]
    path = write(tmp_path / "y.csv", ",id,label\n0,a,x\n1,b,y\n")
    assert (read_ids(path).names, read_ids(path).labels) == (("a", "b"), ("x", "y"))
    path = write(tmp_path / "z.csv", ",id,text\n0,a,one two\n1,b,three four\n")
    assert (open_pool(path).names, open_pool(path).read(1)) == (["a", "b"], "three four")
    path = write(tmp_path / "ids.csv", ",e0,e1\na.png,1,2\nb.png,3,4\n")  # an index of text holds the ids
    assert read_column(path).names == ["a.png", "b.png"]
    assert read_column(path).note.endswith("`Unnamed: 0` holds the ids")


def test_an_index_in_parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = {"a": [0.5, 1.5], "b": [2.0, 3.0], "__index_level_0__": [4, 9]}
    parquet.write_table(arrow.table(table), tmp_path / "x.parquet")
    found = read_column(tmp_path / "x.parquet")
    assert found.values.tolist() == [[0.5, 2], [1.5, 3]]
    assert (found.names, found.note.split("; ")[1]) == (["4", "9"], "`__index_level_0__` holds the ids")
    parquet.write_table(arrow.table({**table, "__index_level_0__": [0, 1]}), tmp_path / "x.parquet")
    assert read_column(tmp_path / "x.parquet").names is None
    assert read_column(tmp_path / "x.parquet", ids="__index_level_0__").names == ["0", "1"]
    parquet.write_table(arrow.table({**table, "__index_level_0__": ["p", "q"]}), tmp_path / "y.parquet")
    assert read_column(tmp_path / "y.parquet").names == ["p", "q"]


def test_the_index_of_a_frame_is_its_ids_unless_it_counts_rows(case, tmp_path):
    for index in ([3, 7, 12], [2, 0, 1], [1, 2, 3]):  # filtered, shuffled, as R counts
        for name in ["", "index"]:
            with case(index, name):
                names = [str(entry) for entry in index]
                path = write(tmp_path / "x.csv", f"{name},a,b\n" + "".join(f"{i},{i / 7},{i / 3}\n" for i in index))
                found = read_column(path)
                assert (found.names, found.values.shape) == (names, (3, 2))
                assert found.note.endswith(f"`{name or 'Unnamed: 0'}` holds the ids")
                assert read_csv(path).x.shape == (3, 1)
                path = write(tmp_path / "y.csv", f"{name},text\n" + "".join(f"{i},the {i}th text\n" for i in index))
                assert open_pool(path).names == names
                assert read_ids(path).names == tuple(names)  # sentences are not ids
                path = write(tmp_path / "z.csv", f"{name},a,label\n" + "".join(f"{i},{i / 7},x\n" for i in index))
                assert read_ids(path).names == tuple(names)  # nor are numbers with fractions


def test_names_beside_an_index_are_the_ids_of_a_list(tmp_path):
    for names in (("a.png", "b.png"), ("907", "15")):
        path = write(tmp_path / "x.csv", f",image,label\n4,{names[0]},cat\n9,{names[1]},dog\n")
        assert (read_ids(path).names, read_ids(path).labels) == (names, ("cat", "dog"))


def test_two_columns_of_ids_or_labels_are_refused(case, tmp_path):
    for header in ["id,a,id,label", "id,a,ID,label", "id,label,a,label"]:
        with case(header):
            path = write(tmp_path / "x.csv", f"{header}\n5,1,6,0\n7,2,8,1\n")
            for read in (read_column, read_ids, read_csv):
                with pytest.raises(
                    InvalidInput, match=r"more than one column called '(id|label)'; rename or remove all but one"
                ):
                    read(path)


def test_a_list_of_labels_alone_has_no_ids(tmp_path):
    with pytest.raises(InvalidInput, match="has the columns label and no column `id`, so it is unknown which"):
        read_ids(write(tmp_path / "x.csv", "label\n2\n0\n1\n"))
    with pytest.raises(
        InvalidInput, match=r"has the columns label, score and no column `id`, .* each label belongs to; add the"
    ):
        read_ids(write(tmp_path / "x.csv", "label,score\ncat,0.5\ndog,0.25\n"))
    found = read_ids(write(tmp_path / "x.csv", "text,label\nhello there,cat\nhi you,dog\n"))
    with pytest.raises(
        InvalidInput, match=r"; read `text` of x\.csv as ids and `label` as labels, because it has no column id"
    ):
        found.rows(None, 2)


def test_an_index_that_stops_counting_behind_the_rows_looked_at(tmp_path):
    index = [*range(500), *range(501, 600)]  # as after dropna
    path = write(tmp_path / "x.csv", ",a\n" + "".join(f"{i},{i / 7}\n" for i in index))
    assert read_column(path).names == [str(i) for i in index]
    path = write(tmp_path / "x.csv", ",a\n" + "".join(f"{i % 300},{i / 7}\n" for i in index))  # as after concat
    found = read_column(path)
    assert (found.names, found.values.shape) == (None, (599, 1))
    assert found.note.endswith("`Unnamed: 0` has repeats, so it names no row, and is left out")


def test_a_number_that_is_missing_from_an_index_or_next_to_it(case, tmp_path):
    for text in ["{},a,b\n1,2,3\n,4,5\n", "1,2.5\n,3.5\n3,1.5\n4,1.5\n", ",a,b,label\n3,1,5,x\n7,,6,y\n"]:
        for name in ["", "index"]:
            with case(text, name):
                path = write(tmp_path / "x.csv", text.format(name))
                with pytest.raises(InvalidInput, match="is missing"):
                    read_column(path)
                assert len(read_ids(path).names) == 2 if "label" in text else True


def test_rows_that_are_counted_without_a_header(tmp_path):
    rows = [(i, i / 7, i / 3, i % 2) for i in range(5)]  # DataFrame.to_csv(header=False)
    path = write(tmp_path / "x.csv", "".join(",".join(map(str, row)) + "\n" for row in rows))
    assert read_column(path).values.shape == (5, 3)
    assert read_csv(path).x.shape == (5, 2)


def test_booleans_are_numbers_in_every_table(tmp_path):
    values = {"id": ["x", "y", "z"], "red": [True, False, True], "size": [0.5, 2.0, 3.0]}
    rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    write(tmp_path / "x.csv", "id,red,size\n" + "".join(",".join(map(str, row.values())) + "\n" for row in rows))
    write(tmp_path / "x.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(arrow.table(values), tmp_path / "x.parquet")
    for name in ("x.csv", "x.jsonl", "x.parquet"):
        assert read_column(tmp_path / name).values.tolist() == [[1, 0.5], [0, 2], [1, 3]]


def test_numbers_in_quotes_are_text_in_json(tmp_path):
    path = write(tmp_path / "x.jsonl", '{"id": 1, "text": "123"}\n{"id": 2, "text": "4 5"}\n{"id": 3, "text": "6"}\n')
    assert [open_pool(path).read(row) for row in range(3)] == ["123", "4 5", "6"]
    path = write(tmp_path / "x.jsonl", '{"id": 1, "a": "1.5"}\n{"id": 2, "a": "2"}\n')
    with pytest.raises(InvalidInput, match=r"line 1, column 'a': a number in quotes, '1\.5', is text"):
        read_column(path)


def test_labels_that_begin_late_in_json_are_not_ignored(tmp_path):
    rows = [f'{{"id": {row}}}\n' for row in range(120)]
    path = write(tmp_path / "x.jsonl", "".join(rows) + '{"id": 500, "label": "cat"}\n')
    with pytest.raises(InvalidInput, match="line 121 is the first with 'label'; give every line one, or none"):
        read_ids(path)


# -------------------------------------------------------------------------------------------------------------- delimiters


def test_quotes_in_tsv_are_text(tmp_path):
    texts = ['"Yes", she said', 'no "quotes" close', 'one " alone', '"']
    path = write(tmp_path / "x.tsv", "id\ttext, with commas\n" + "".join(f"{i}\t{t}\n" for i, t in enumerate(texts)))
    pool = open_pool(path)
    assert [pool.read(row) for row in range(4)] == texts
    assert pool.names == ["0", "1", "2", "3"]


def test_delimiters(case, tmp_path):
    for kind, text in zip(
        ["plain", "blank lines first", "declared", "commas in quotes", "semicolons in quotes"],
        [
            "id;a;b\nx;1;2\ny;3;4\n",
            "\n \nid;a;b\nx;1;2\ny;3;4\n",
            "sep=;\r\nid;a;b\r\nx;1;2\r\ny;3;4\r\n",
            '"id";"a, in cm, more or less";b\nx;1;2\ny;3;4\n',
            'id,"a; in cm; more or less",b\nx,1,2\ny,3,4\n',
        ],
        strict=True,
    ):
        with case(kind):
            path = write(tmp_path / "x.csv", text)
            assert (read_column(path).names, read_column(path).values.tolist()) == (["x", "y"], [[1, 2], [3, 4]])
            assert read_ids(path).names == ("x", "y")


def test_decimal_commas(tmp_path):
    for header, delimiter, quote in [("", ";", ""), ("a;b\n", ";", ""), ("a\tb\n", "\t", ""), ("a,b\n", ",", '"')]:
        rows = [["1,5", "2"], ["-3,25", "4,5e1"]]
        text = header + "".join(delimiter.join(f"{quote}{cell}{quote}" for cell in row) + "\n" for row in rows)
        assert read_column(write(tmp_path / "x.csv", text)).values.tolist() == [[1.5, 2], [-3.25, 45]]
        with pytest.raises(InvalidInput, match="the value is missing"):
            read_column(write(tmp_path / "x.csv", f"{text}{delimiter}7\n"))
    for text in ["a;b\n1,5;2.5\n", 'a,b\n"1,234.5",2\n', "a;b\n1.234,5;0.5\n", "a;b\n1,234;2\n", 'a\n"1,234,567"\n']:
        with pytest.raises(
            InvalidInput, match=r"line 2, column 1 .* is not a number; write numbers with a decimal point"
        ):
            read_column(write(tmp_path / "x.csv", text))
    path = write(tmp_path / "x.csv", 'text,price\na fine text,"1,234"\na worse text,"2,345"\n')
    assert open_pool(path).read(1) == "a worse text"


def test_a_first_line_of_another_width(tmp_path):
    path = write(tmp_path / "x.csv", "# mine\nid,a\nx,1\n")
    for read in (read_column, read_ids, open_pool, read_csv):
        with pytest.raises(InvalidInput, match=r"line 2: expected . columns as in line 1, got .; remove any title"):
            read(path)


def test_tables_that_r_and_numpy_write(tmp_path):
    rows = [("s1", 0.5, 1.5), ("s2", 2.5, 3.5), ("s3", 4.5, 5.5)]
    for delimiter in [",", "\t", ";", " "]:  # the header of write.table lacks the name of the row names
        table = delimiter.join(['"a"', '"b"']) + "\n"
        table += "".join(delimiter.join([f'"{name}"', str(a), str(b)]) + "\n" for name, a, b in rows)
        found = read_column(write(tmp_path / "x.csv", table))
        assert (found.names, found.values.tolist()) == (["s1", "s2", "s3"], [[a, b] for _, a, b in rows])
        counted = table.replace("s1", "1").replace("s2", "2").replace("s3", "3")
        found = read_column(write(tmp_path / "x.csv", counted))
        assert (found.names, found.values.tolist()) == (["1", "2", "3"], [[a, b] for _, a, b in rows])
    np.savetxt(tmp_path / "x.csv", X := np.array([[0.5, 1.5], [2.5, -3.5]]))
    assert read_column(tmp_path / "x.csv").values.tolist() == X.tolist()
    found = read_column(write(tmp_path / "x.csv", "a,b\n1.5,2,\n3.5,4,\n"))  # rows end with a delimiter
    assert (found.names, found.values.tolist()) == (None, [[1.5, 2], [3.5, 4]])


def test_delimiters_by_content(tmp_path):
    for text in ["a|b\n1.5|2\n3.5|4\n", "a;b\n1.5;2\n3.5;4\n", "sep=|\na|b\n1.5|2\n3.5|4\n"]:
        assert read_column(write(tmp_path / "x.csv", text)).values.tolist() == [[1.5, 2], [3.5, 4]]
    path = write(tmp_path / "x.csv", "well, really, yes;1\nno;0\nwell, yes;1\nnot at all, no;0\n")
    found = open_pool(path)
    assert [found.read(row) for row in range(2)] == ["well, really, yes", "no"]


def test_a_broken_quote_in_csv_is_named_by_the_line_it_begins_in(tmp_path):
    path = write(tmp_path / "x.csv", 'id,text\n1,"fine, ""really"""\n2,"never\n3,closed\n4,x\n')
    with pytest.raises(InvalidInput, match=r"x\.csv, line 3: a quoted cell does not end correctly"):
        open_pool(path)
    path = write(tmp_path / "y.csv", 'id,text\n1,"' + "long " * 30_000 + '"\n')
    with pytest.raises(InvalidInput, match=r"line 2: .* more than 131,072 characters .* store longer texts in \.jsonl"):
        open_pool(path)


def test_a_cell_of_several_lines(tmp_path):
    path = write(tmp_path / "x.csv", 'id,text\n1,"two\nlines"\n\n2,x,y\n')
    with pytest.raises(InvalidInput, match=r"line 5: expected 2 columns, got 3"):
        open_pool(path)


def test_files_that_are_not_text_tables(case, tmp_path):
    for content, message in [
        ("id,text\n1,x\n".encode("utf-16")[:-1], "is not UTF-16 text: .*; save it as UTF-8"),
        ("id,text\n1,x\n".encode("utf-16-le"), "is UTF-16 text without a byte order mark; save it as UTF-8"),
        ("id,text\n1,x\n".encode("utf-32"), "is UTF-32 text; save it as UTF-8"),
        (gzip.compress(b"id,text\n1,x\n"), r"x\.csv is compressed; give it the ending \.gz"),
        (bz2.compress(b"id,text\n1,x\n"), r"is compressed; give it the ending \.bz2"),
        (lzma.compress(b"id,text\n1,x\n"), r"is compressed; give it the ending \.xz"),
        (b"\x28\xb5\x2f\xfd\0\0", "is compressed with zstandard; unpack it"),
        (b"PAR1\x15\0", r"is a Parquet file; give it the ending \.parquet"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", r"is an old workbook \(\.xls\)"),
        (b"%PDF-1.7\n", "is a PDF; save its table as CSV"),
        (b"PK\x03\x04\0\0", r"is a workbook or another zip archive; save its sheet as CSV \(UTF-8\)"),
        ("id,text\n1,é\n".encode("latin1"), "is not UTF-8 text"),
        (b"id,text\n1,a\0b\n", "line 2 holds a NUL character"),
        (b"", "x.csv is empty"),
    ]:
        with case(content, message):
            (tmp_path / "x.csv").write_bytes(content)
            with pytest.raises(InvalidInput, match=message):
                open_pool(tmp_path / "x.csv")


def test_files_that_are_not_compressed_as_their_endings_say(case, tmp_path):
    for ending, compress in ((".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)):
        with case(ending):
            path = tmp_path / f"x.csv{ending}"
            path.write_bytes(compress(b"id,text\n1,two words\n"))
            assert list(open_pool(path).names) == ["1"]
            path.write_bytes(b"id,text\n1,two words\n")
            with pytest.raises(
                InvalidInput,
                match=rf"x\.csv\{ending} cannot be read: it is not compressed as its ending \{ending} says",
            ):
                open_pool(path)
    (tmp_path / "x.csv").write_text("PAR1,BZh9\n1,two words\n")  # names of columns, not signatures
    assert len(open_pool(tmp_path / "x.csv", column="BZh9")) == 1


def work_of(columns, tmp_path):
    """The number of Python lines that run while a table of this many columns is read."""
    import sys

    path = write(
        tmp_path / f"{columns}.csv", ",".join(f"e{i}" for i in range(columns)) + "\n" + ",".join(["1"] * columns)
    )
    count = 0

    def trace(frame, event, _):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        assert read_column(path).values.shape == (1, columns)
    finally:
        sys.settrace(before)
    return count


def test_work_is_linear_in_the_columns(tmp_path):
    assert work_of(4_000, tmp_path) < 5 * work_of(1_000, tmp_path)


@pytest.mark.slow
def test_a_table_of_many_columns(tmp_path):
    import time

    took = []
    for columns in (5_000, 20_000):
        path = write(tmp_path / "x.csv", ",".join(f"e{i}" for i in range(columns)) + "\n" + ",".join(["1.5"] * columns))
        times = []
        for _ in range(3):
            began = time.process_time()
            assert read_column(path).values.shape == (1, columns)
            times.append(time.process_time() - began)
        took.append(min(times))
    assert took[1] < 10 * took[0] + 0.1  # 4 times as many if the work is linear, 16 times if it is quadratic


def test_numbers_that_pandas_writes_above_texts_are_names(tmp_path):
    texts = ["hello there you", "what is this"]
    for text in ["0\n{}\n{}\n", ",0\n0,{}\n1,{}\n", "0,1\n{},5\n{},7\n", ",0,1\n0,{},a\n1,{},b\n"]:
        assert list(map(open_pool(write(tmp_path / "t.csv", text.format(*texts))).read, range(2))) == texts
    for text, names, labels in [
        ("0\nk1\nk2\n", ("k1", "k2"), None),
        ("0,1\nk1,cat\nk2,dog\n", ("k1", "k2"), ("cat", "dog")),
        (",0\nk1,cat\nk2,dog\n", ("k1", "k2"), ("cat", "dog")),
        (",0\n5,cat\n7,dog\n", ("5", "7"), ("cat", "dog")),
        (",0\n0,k1\n1,k2\n", ("k1", "k2"), None),
    ]:
        found = read_ids(write(tmp_path / "ids.csv", text))
        assert (found.names, found.labels) == (names, labels), text


def test_whole_numbers_called_ids_are_no_features(tmp_path):
    for name in ["image_id", "PassengerId", "Sample ID", "idx"]:
        found = read_column(write(tmp_path / "x.csv", f"{name},a,b\n1001,1,2\n1007,3,4\n"))
        assert (found.values.tolist(), found.names) == ([[1, 2], [3, 4]], ["1001", "1007"])
        found = read_column(write(tmp_path / "x.csv", f"a,b,{name}\n1,2,1001\n3,4,1007\n"))
        assert (found.values.shape, found.names) == ((2, 2), None)
        assert f"`{name}` holds ids and is left out" in found.note
        assert read_ids(write(tmp_path / "ids.csv", f"{name},name\n1001,p\n1007,q\n")).names == ("1001", "1007")
    assert read_column(write(tmp_path / "x.csv", "grid,a\n5,2\n7,4\n")).values.shape == (2, 2)


def test_two_columns_of_the_name_of_texts_are_refused(tmp_path):
    for header in ["id,text,text", "id,text,Text"]:
        with pytest.raises(InvalidInput, match="more than one column called 'text'; rename or remove all but one"):
            open_pool(write(tmp_path / "t.csv", f"{header}\n1,a b,c\n2,d e,f\n"))


def test_tsv_with_a_quoted_header_is_quoted(tmp_path):
    rows = '"k1"\t"what is this"\n"k2"\t"say ""it"" again"\n'
    pool = open_pool(write(tmp_path / "t.tsv", '"id"\t"text"\n' + rows))
    assert (pool.names, [*map(pool.read, range(2))]) == (["k1", "k2"], ["what is this", 'say "it" again'])
    pool = open_pool(write(tmp_path / "t.tsv", 'id\ttext\nk1\t"what is this\nk2\tand "that"\n'))
    assert [*map(pool.read, range(2))] == ['"what is this', 'and "that"']
    pool = open_pool(write(tmp_path / "t.tsv", '"what is this"\t"yes"\n"who is there\t"no"\n'), column="0")
    assert [*map(pool.read, range(2))] == ['"what is this"', '"who is there']
