"""Tables in their published or usual forms; faults by their messages."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch
from sklearn.datasets import dump_svmlight_file, load_svmlight_file
from sklearn.preprocessing import StandardScaler

from distil.datasets.embeddings import Standardize
from distil.datasets.load import load
from distil.datasets.tables import encode
from distil.errors import InvalidInput

PACK = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}


# ---------------------------------------------------------------------------------------------------- satimage


def satimage_rows(n, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(30, 140, (n, 36))
    x[:, 5] = 77  # a constant feature
    return x, np.resize([7, 1, 2, 3, 4, 5], n)


def as_text(x, y, separator, header):
    rows = [[*range(1, 38)]] if header else []
    rows += [[*row, label] for row, label in zip(x, y, strict=True)]
    return "".join(separator.join(map(str, row)) + "\r\n" for row in rows)


def test_satimage(case, tmp_path, write):
    for separator in ["\t", " ", "  "]:
        for header in [True, False]:
            for folder in ["tabular/satimage", "satimage", "."]:
                root = Path(mkdtemp(dir=tmp_path))
                with case(separator, header, folder):
                    (x, y), (x_test, y_test) = satimage_rows(30, 0), satimage_rows(12, 1)
                    write(root / folder / "sat.trn", as_text(x, y, separator, header))
                    write(root / folder / "sat.tst", as_text(x_test, y_test, separator, header) + "\n")
                    data = load("satimage", root)
                    scaler = StandardScaler().fit(x)
                    np.testing.assert_allclose(data.x_train, scaler.transform(x), rtol=1e-5, atol=1e-6)
                    np.testing.assert_allclose(data.x_test, scaler.transform(x_test), rtol=1e-5, atol=1e-6)
                    np.testing.assert_array_equal(data.y_train, np.where(y == 7, 5, y - 1))
                    np.testing.assert_array_equal(data.y_test, np.where(y_test == 7, 5, y_test - 1))
                    assert data.num_classes == len(data.class_names) == 6


def test_satimage_damaged(case, tmp_path, refuses, write):
    for change, message in [
        (lambda rows: [*rows[:2], rows[2][:-1], *rows[3:]], ["sat.trn, line 3", "36 features", "got 36 columns"]),
        (lambda rows: [rows[0], ["x", *rows[1][1:]], *rows[2:]], ["line 2, column 1", "'x'"]),
        (lambda rows: [rows[0], [*rows[1][:4], "nan", *rows[1][5:]], *rows[2:]], ["line 2, column 5", "'nan'"]),
        (lambda rows: [[*rows[0][:-1], "6"], *rows[1:]], ["line 1", "class 6", "1, 2, 3, 4, 5, 7"]),
        (lambda rows: [], ["holds no row"]),
    ]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(change, message):
            rows = [line.split() for line in as_text(*satimage_rows(8, 0), " ", False).splitlines()]
            write(root / "sat.tst", as_text(*satimage_rows(8, 0), " ", False))
            write(root / "sat.trn", "\n".join(map(" ".join, change(rows))))
            with refuses(InvalidInput, *message):
                load("satimage", root)


# ------------------------------------------------------------------------------------------- ijcnn1 and libsvm


def libsvm_text(n, seed, width=22, labels=(-1, 1)):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, width)).astype(np.float32) * (rng.random((n, width)) < 0.5)
    x[0, -1] = 1
    y, packed = np.resize(labels, n), io.BytesIO()
    dump_svmlight_file(x, y, packed, zero_based=False)
    return x, y, packed.getvalue()


def test_ijcnn1(case, tmp_path, write):
    for train, test in [
        ("tabular/ijcnn1/ijcnn1.trn.bz2", "tabular/ijcnn1/ijcnn1.tst.bz2"),
        ("ijcnn1/ijcnn1.tr", "ijcnn1/ijcnn1.t"),
        ("ijcnn1/ijcnn1", "ijcnn1/ijcnn1.t.gz"),
        ("ijcnn1.tr.gz", "ijcnn1.tst"),
    ]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(train, test):
            files = {}
            for name, n in ((train, 20), (test, 9)):
                x, y, raw = libsvm_text(n, n)
                write(root / name, PACK[{".gz": ".gz", ".bz2": ".bz2"}.get(Path(name).suffix, "")](raw))
                files[name] = x, y
            data = load("ijcnn1", root)
            np.testing.assert_allclose(data.x_train, files[train][0], rtol=1e-6)
            np.testing.assert_array_equal(data.y_train, (files[train][1] + 1) // 2)
            np.testing.assert_allclose(data.x_test, files[test][0], rtol=1e-6)
            np.testing.assert_array_equal(data.y_test, (files[test][1] + 1) // 2)
            assert (data.num_classes, data.class_names) == (2, ("-1", "1"))


def test_ijcnn1_damaged(case, tmp_path, refuses, write):
    for text, message in [
        ("1 1:2\n2 3:4\n", ["labels of ijcnn1 are -1 and 1", "[1. 2.]"]),
        ("1 1:2\n-1 23:4\n", ["ijcnn1.tr", "22"]),
        ("1 1:2\n-1 0:4\n", ["ijcnn1.tr"]),
        ("1 1:2\n-1 3:x\n", ["ijcnn1.tr, line 2", "label index:value", "'-1 3:x'"]),
    ]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(text, message):
            write(root / "ijcnn1.tr", text)
            write(root / "ijcnn1.t", libsvm_text(5, 0)[2])
            with refuses(InvalidInput, *message):
                load("ijcnn1", root)


def test_libsvm(case, tmp_path, write):
    for suffix in ["", ".gz", ".bz2"]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(suffix):
            _, y, raw = libsvm_text(15, 0, width=5, labels=(3, 1, 10))
            path = write(root / f"a.txt{suffix}", PACK[suffix](raw))
            data = load("libsvm", path=path)
            np.testing.assert_allclose(data.x_train, load_svmlight_file(str(path))[0].toarray(), rtol=1e-6)
            np.testing.assert_array_equal(data.y_train, np.searchsorted([1, 3, 10], y))
            assert data.class_names == ("1", "3", "10")
            assert data.x_test is None
            assert data.name == f"a.txt{suffix}"


def test_libsvm_keeps_what_float32_would_lose(tmp_path, write):
    """A column of times: as from csv, the differences of its numbers are kept."""
    times = [1.7e9 + 0.25 * row for row in range(8)]
    lines = "".join(f"{row % 2} 1:{time} 3:{row}\n" for row, time in enumerate(times))
    data = load("libsvm", path=write(tmp_path / "a", lines.encode()))
    assert data.x_train[:, 0].tolist() == times
    assert load("libsvm", path=write(tmp_path / "b", b"1 1:0.1\n0 1:0.7\n")).x_train.dtype == torch.float32


def test_libsvm_names_the_line_of_an_index_that_is_too_large(tmp_path, refuses, write):
    for index in ("3000000000", "9" * 30):
        raw = f"1 1:2 # 9:1\n0 1:3\n1 {index}:1\n".encode()
        with refuses(InvalidInput, "line 3: expected indices up to 2,147,483,647"):
            load("libsvm", path=write(tmp_path / "a", raw))


def test_libsvm_through_xz_and_with_a_byte_order_mark(tmp_path, write):
    text = b"1 1:1 2:2\n2 2:1\n"
    for name, raw in (("a.xz", lzma.compress(text)), ("b.txt", codecs.BOM_UTF8 + text)):
        assert load("libsvm", path=write(tmp_path / name, raw)).x_train.tolist() == [[1, 2], [0, 1]]


def test_libsvm_train_and_test_share_width_and_classes(tmp_path, write):
    write(tmp_path / "a", "1 1:1 2:2\n2 2:1\n")
    write(tmp_path / "b", "3 4:7\n1 1:5\n")
    data = load("libsvm", path=tmp_path / "a", test_path=tmp_path / "b")
    assert data.x_train.tolist() == [[1, 2, 0, 0], [0, 1, 0, 0]]
    assert data.x_test.tolist() == [[0, 0, 0, 7], [5, 0, 0, 0]]
    assert (data.y_train.tolist(), data.y_test.tolist(), data.num_classes) == ([0, 1], [2, 0], 3)


def test_libsvm_damaged(case, tmp_path, refuses, write):
    for raw, message in [
        (b"1 1:2\n1 3:4\n", ["every label is 1.0", "two classes"]),
        (b"1.5 1:2\n1 3:4\n", ["whole numbers or names", "1.5", "regression"]),
        (b"1 1:2\nfoo 3:4\n", ["line 2", "'foo 3:4'"]),
        (b"1,2 1:2\n3 3:4\n", ["line 1", "'1,2 1:2'"]),
        (b"1 3:2 1:2\n3 3:4\n", ["sorted"]),
        (b"1 1:nan\n3 3:4\n", ["example 1", "not finite"]),
        (b"1 1:1\n3 3:4 4:inf\n", ["example 2", "not finite"]),
        (b"nan 1:1\n3 3:4\n", ["example 1", "the label is not finite"]),
        (b"1 1:1\n2 99999999999:1\n", ["a, line 2: "]),
        (b"1 1:1\n2 2000000000:1\n1 1:1\n", ["22 GiB", "reduce the features"]),
        (b"", ["holds no example"]),
    ]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(raw, message), refuses(InvalidInput, str(root / "a"), *message):
            load("libsvm", path=write(root / "a", raw))


def test_libsvm_truncated_gzip(tmp_path, refuses, write):
    path = write(tmp_path / "a.gz", gzip.compress(libsvm_text(50, 0)[2])[:-30])
    with refuses(InvalidInput, str(path)):
        load("libsvm", path=path)


# --------------------------------------------------------------------------------------------------------- csv

IRIS = "a,b,kind\n1,2.5,cat\n-3,4e1,ant\n5,6,cat\n"


def test_csv(case, tmp_path, write):
    for suffix in ["", ".gz", ".bz2"]:
        for kind, change in zip(
            ["plain", "byte order mark", "semicolons", "tabs", "crlf", "blanks"],
            [
                str,
                lambda text: "\ufeff" + text,
                lambda text: text.replace(",", ";"),
                lambda text: text.replace(",", "\t"),
                lambda text: text.replace("\n", "\r\n"),
                lambda text: text.replace(",", " , ") + "\n \n",
            ],
            strict=True,
        ):
            root = Path(mkdtemp(dir=tmp_path))
            with case(suffix, kind):
                data = load("csv", path=write(root / f"a.csv{suffix}", PACK[suffix](change(IRIS).encode())))
                assert data.x_train.tolist() == [[1, 2.5], [-3, 40], [5, 6]]
                assert data.y_train.tolist() == [1, 0, 1]
                assert data.class_names == ("ant", "cat")
                assert data.x_test is None


def test_csv_label_column(case, tmp_path, write):
    for label in ["kind", 0, "0", -3]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(label):
            path = write(root / "a.csv", 'kind,a,b\n"x, y",2,3\nz,5,6\n')
            data = load("csv", path=path, label=label)
            assert data.x_train.tolist() == [[2, 3], [5, 6]]
            assert data.class_names == ("x, y", "z")


def test_csv_finds_the_label_by_its_name_and_takes_no_id_for_a_feature(tmp_path, write):
    for label in ("label", "Target", "class"):
        path = write(tmp_path / "a.csv", f"id,{label},a,b\n100,cat,2,3\n101,dog,5,6\n")
        data = load("csv", path=path)
        assert (data.x_train.tolist(), data.class_names) == ([[2, 3], [5, 6]], ("cat", "dog"))
    path = write(tmp_path / "a.csv", "id,a,b\nx.png,2,3\ny.png,5,6\n")
    assert load("csv", path=path, label="b").x_train.tolist() == [[2], [5]]


def test_csv_of_labels_alone(case, tmp_path, write, refuses):
    for text in ["id,label\n1,cat\n2,dog\n", "label\ncat\ndog\n"]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(text), refuses(InvalidInput, "at least one feature", "label"):
            load("csv", path=write(root / "a.csv", text))


def test_csv_without_header(tmp_path, write):
    data = load("csv", path=write(tmp_path / "a.csv", "1,2,no\n3,4,yes\n"))
    assert (data.x_train.tolist(), data.class_names) == ([[1, 2], [3, 4]], ("no", "yes"))


def test_csv_header_of_counted_columns_as_pandas_writes_it(tmp_path, write):
    data = load("csv", path=write(tmp_path / "a.csv", "0,1,2,label\n7,8,9,1\n4,5,6,0\n"))
    assert (data.x_train.tolist(), data.y_train.tolist()) == ([[7, 8, 9], [4, 5, 6]], [1, 0])
    data = load("csv", path=write(tmp_path / "b.csv", "label,1,2,3\n1,7,8,9\n0,4,5,6\n"), label=0)
    assert (data.x_train.tolist(), data.y_train.tolist()) == ([[7, 8, 9], [4, 5, 6]], [1, 0])


def test_csv_header_with_numbers_when_the_label_names_a_column(tmp_path, write):
    data = load("csv", path=write(tmp_path / "a.csv", "2019,2020,won\n7,8,1\n4,5,0\n"), label="won")
    assert data.x_train.tolist() == [[7, 8], [4, 5]]


def test_csv_the_index_that_pandas_writes_is_left_out(tmp_path, write):
    for name in ("", "Unnamed: 0"):
        data = load("csv", path=write(tmp_path / "a.csv", f"{name},b,y\n0,2,x\n1,3,z\n"))
        assert (data.x_train.tolist(), data.y_train.tolist()) == ([[2], [3]], [0, 1])


def test_csv_whole_numbers_are_sorted_as_numbers(tmp_path, write):
    data = load("csv", path=write(tmp_path / "a.csv", "x,y\n1,10\n2,9.0\n3,-1\n"))
    assert (data.class_names, data.y_train.tolist()) == (("-1", "9", "10"), [2, 1, 0])


def test_csv_with_a_test_file(tmp_path, refuses, write):
    train = write(tmp_path / "a.csv", "x,y\n1,0\n2,1\n")
    data = load("csv", path=train, test_path=write(tmp_path / "b.csv", "x,y\n4,1\n3,unsure\n"))
    assert data.class_names == ("0", "1", "unsure")  # one text makes all labels text
    assert (data.x_test.tolist(), data.y_test.tolist()) == ([[4], [3]], [1, 2])
    with refuses(InvalidInput, "c.csv has the columns z, y", "x, y"):
        load("csv", path=train, test_path=write(tmp_path / "c.csv", "z,y\n4,1\n3,0\n"))
    with refuses(InvalidInput, "training set are (1,)", "test set (2,)"):
        load("csv", path=train, test_path=write(tmp_path / "d.csv", "4,4,1\n3,3,0\n"))


def test_csv_agrees_with_numpy(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((200, 7)) * 10.0 ** rng.integers(-5, 6, 7), rng.integers(0, 4, 200)
    path = tmp_path / "a.csv"
    np.savetxt(path, np.column_stack([x, y]), delimiter=",")
    data, reference = load("csv", path=path), np.loadtxt(path, delimiter=",")
    np.testing.assert_array_equal(data.x_train, reference[:, :-1].astype(np.float32))
    np.testing.assert_array_equal(data.y_train, reference[:, -1])


def test_csv_damaged(case, tmp_path, refuses, write):
    for text, label, message in [
        ("a,b,y\n1,,x\n", None, ["line 2, column 2 ('b')", "missing"]),
        ("a,b,y\n1,2,x\n3,NA,z\n", None, ["line 3, column 2 ('b')", "missing"]),
        ("y,a,b\nx,1,2\nz,3,nan\n", 0, ["line 3, column 3 ('b')", "missing"]),
        ("1,2,x\n3,oops,z\n", None, ["line 2, column 2", "'oops' is not a number", "header row"]),
        ("a,b,y\nred,2,x\n", None, ["line 2, column 1 ('a')", "'red' is not a number", "encode"]),
        ("1,2,x\n3,inf,z\n", None, ["line 2, column 2", "inf is not finite"]),
        ("x,1,2\nz,1e39,2\n", 0, ["line 2, column 2", "1e+39 is not finite in float32"]),
        ("a,b,y\n1,2,x\n3,4\n", None, ["line 3", "expected 3 columns", "got 2"]),
        ("a,b,y\n1,2,x\n3,4,\n", None, ["line 3, column 3 ('y')", "the label is missing"]),
        ("a,b,y\n1,2,0.5\n3,4,0.25\n", None, ["0.5", "regression target"]),
        ("a,b,y\n1,2,x\n3,4,x\n", None, ["every label is x"]),
        ("a,b,y\n", None, ["no row below the header"]),
        ("", None, ["got 0 column(s)"]),
        ("a\n1\n", None, ["got 1 column(s)"]),
        ("alpha,b,y\n1,2,x\n", "alpah", ["no column named 'alpah'", "alpha, b, y", "did you mean 'alpha'?"]),
        ("a,a,y\n1,2,x\n", "a", ["2 columns named 'a'"]),
        ("a,b,y\n1,2,x\n", 3, ["there is no column 3 for the label", "3 columns"]),
        ("a,b,y\n1,2,x\n", -4, ["there is no column -4 for the label"]),
        ('a,b,y\n1,2,"x\n', None, ["line 2", "end of data"]),
    ]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(text, label, message), refuses(InvalidInput, str(root / "a.csv"), *message):
            load("csv", path=write(root / "a.csv", text), label=label)


def test_csv_that_is_not_text(tmp_path, refuses, write):
    with refuses(InvalidInput, "not UTF-8"):
        load("csv", path=write(tmp_path / "a.csv", b"a,b\n\xff\xfe\x00,1\n"))
    with refuses(InvalidInput, "cannot be read"):
        load("csv", path=write(tmp_path / "a.csv.gz", b"1,2\n3,4\n"))


# --------------------------------------------------------------------------------------------------------- npz


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_npz_table_with_a_test_split(tmp_path):
    x = np.random.default_rng(0).standard_normal((6, 3))
    path = save(tmp_path / "a.npz", X_train=x, y_train=np.arange(6) % 3, X_test=x[:2], y_test=[2, 0])
    data = load("npz", path=path)
    np.testing.assert_array_equal(data.x_train, x.astype(np.float32))
    assert data.x_train.dtype == torch.float32
    assert data.y_train.tolist() == [0, 1, 2, 0, 1, 2]
    assert data.y_test.tolist() == [2, 0]
    assert (data.num_classes, data.class_names, data.name, data.transform) == (3, (), "a.npz", None)


def test_npz_single_split_lower_case_and_class_names(tmp_path):
    path = save(tmp_path / "a.npz", x=np.ones((3, 2), np.float16), y=np.array([0, 2, 0], np.uint8), classes=list("abc"))
    data = load("npz", path=path)
    assert (data.num_classes, data.class_names, data.x_test) == (3, ("a", "b", "c"), None)


def test_npz_text_labels(tmp_path):
    data = load("npz", path=save(tmp_path / "a.npz", X=np.ones((3, 2)), y=["dog", "cat", "dog"]))
    assert (data.y_train.tolist(), data.class_names) == ([1, 0, 1], ("cat", "dog"))


def test_npz_uint8_table_is_a_table(tmp_path):
    data = load("npz", path=save(tmp_path / "a.npz", X=np.array([[1, 255], [0, 2]], np.uint8), y=[0, 1]))
    assert data.x_train.tolist() == [[1, 255], [0, 2]]
    assert data.x_train.dtype == torch.float32


def test_npz_images_become_nchw(case, tmp_path, refuses):
    for shape, to_nchw in [
        ((6, 8, 5, 3), lambda x: x.transpose(0, 3, 1, 2)),
        ((6, 8, 5, 1), lambda x: x.transpose(0, 3, 1, 2)),
        ((6, 8, 5), lambda x: x[:, None]),
        ((6, 3, 8, 5), lambda x: x),
    ]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(shape, to_nchw):
            x = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
            path = save(root / "a.npz", X=x, y=np.arange(6) % 2)
            data = load("npz", path=path)
            np.testing.assert_array_equal(data.x_train, to_nchw(x))
            assert data.x_train.dtype == torch.uint8
            ready = data.transform(data.x_train).transpose(0, 1).flatten(1)
            np.testing.assert_allclose(ready.mean(1), 0, atol=1e-5)
            np.testing.assert_allclose(ready.std(1, correction=0), 1, atol=1e-5)


def test_npz_damaged(case, tmp_path, refuses):
    for arrays, message in [
        ({"X": np.ones((3, 2))}, ["X_train, y_train", "got x"]),
        ({}, ["got none"]),
        ({"X_train": np.ones((3, 2)), "y": [0, 1, 0]}, ["got x_train, y"]),
        ({"X": np.ones((3, 2)), "y": [0, 1, 0], "X_test": np.ones((1, 2))}, ["[, X_test, y_test]"]),
        ({"X": np.ones(3), "y": [0, 1, 0]}, ["(N, ...)", "float64 (3,)"]),
        ({"X": np.ones((0, 3)), "y": np.ones(0, int)}, ["N > 0", "(0, 3)"]),
        ({"X": [["a"], ["b"]], "y": [0, 1]}, ["must be numbers", "<U1"]),
        ({"X": np.ones((3, 2)), "y": [0, 1]}, ["y must have shape (3,)", "(2,)"]),
        ({"X": np.ones((3, 2)), "y": np.ones((3, 2), int)}, ["got (3, 2)"]),
        ({"X": np.ones((3, 2)), "y": [0.0, 1.0, 2.0]}, ["whole numbers from 0, or text", "float64"]),
        ({"X": np.ones((3, 2)), "y": [0, 1, -1]}, ["y_train[2] is -1"]),
        ({"X": np.ones((3, 2)), "y": [0, 1, 2], "classes": ["a", "b"]}, ["0..1", "y_train[2] is 2"]),
        ({"X": np.array([[1.0], [np.nan]]), "y": [0, 1]}, ["x_train[1]", "NaN"]),
        ({"X": np.array([[1.0], [1e300]]), "y": [0, 1]}, ["x_train[1]", "infinity"]),
        ({"X": np.ones((3, 8, 8, 7), np.uint8), "y": [0, 1, 0]}, ["1, 3 or 4 channels", "(3, 8, 8, 7)"]),
        ({"X": np.ones((3, 2, 8, 8, 3), np.uint8), "y": [0, 1, 0]}, ["1, 3 or 4 channels"]),
        (
            {"X_train": np.ones((3, 2)), "y_train": [0, 1, 0], "X_test": np.ones((1, 4)), "y_test": [1]},
            ["(2,)", "(4,)"],
        ),
    ]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(arrays, message), refuses(InvalidInput, "a.npz", *message):
            load("npz", path=save(root / "a.npz", **arrays))


def test_npz_with_pickled_objects_is_refused_and_not_run(tmp_path, refuses):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    evil = np.array([Evil()], dtype=object)
    with refuses(InvalidInput, "a.npz", "unpickling can run code"):
        load("npz", path=save(tmp_path / "a.npz", X=np.ones((1, 2)), y=evil))
    assert not (tmp_path / "made").exists()


def test_a_file_that_is_not_npz(tmp_path, refuses, write):
    np.save(tmp_path / "a.npy", np.ones(3))
    with refuses(InvalidInput, "a.npy holds one array"):
        load("npz", path=tmp_path / "a.npy")
    for raw in (b"", b"text", b"PK\x03\x04 broken", save(tmp_path / "b.npz", X=np.ones((50, 9))).read_bytes()[:-60]):
        with refuses(InvalidInput, "c.npz"):
            load("npz", path=write(tmp_path / "c.npz", raw))


def test_classes_that_differ_only_in_how_accents_are_written_are_one():
    (classes,), names = encode("labels", np.array(["caf\u00e9", "tea", "cafe\u0301"]))
    assert classes.tolist() == [0, 1, 0]
    assert names == ("caf\u00e9", "tea")


def test_a_column_that_float32_would_round_to_one_value_stays_in_float64(tmp_path, write):
    times = [1_700_000_000 + step for step in (0, 1, 2, 3)]
    rows = "".join(f"{time},{step % 2}\n" for step, time in enumerate(times))
    x = load("csv", path=write(tmp_path / "a.csv", f"time,label\n{rows}")).x_train
    assert x[:, 0].tolist() == times
    scaled = Standardize.fitted(x, torch.arange(4))(x)
    assert scaled.dtype == torch.float32
    assert torch.allclose(scaled[:, 0], torch.tensor([-3.0, -1.0, 1.0, 3.0]) / 5**0.5)
    np.savez(tmp_path / "a.npz", X_train=np.array(times)[:, None], y_train=[0, 1, 0, 1])
    assert torch.equal(load("npz", path=tmp_path / "a.npz").x_train, x)
    assert load("csv", path=write(tmp_path / "b.csv", "x,y\n1000,0\n1001,1\n")).x_train.dtype == torch.float32


def test_labels_that_differ_only_in_case_are_two_classes(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,label\n1,cat\n2,Cat\n3,dog\n")
    found = load("csv", path=path)
    assert found.class_names == ("Cat", "cat", "dog")
    assert found.read == ["the labels 'cat' and 'Cat' differ only in case, and are two classes"]
