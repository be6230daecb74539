"""Opening every kind of pool: its items, its names, and selecting from it."""

from __future__ import annotations

import json
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import Dataset, IterableDataset, TensorDataset

import distil
from distil.data.array_files import read_column
from distil.data.ids import read_ids
from distil.data.images import ImageTransform
from distil.data.items import Items, Minibatches, items_of
from distil.data.pools import open_pool
from distil.embedding.embed import embed
from distil.errors import DataNotFound, InvalidInput
from distil.system.imports import import_torchvision

RNG = np.random.default_rng(0)


def picture(path, size=(9, 6), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    for name in ("b/2.png", "b/10.PNG", "a.jpg", "c/d/e.gif", ".hidden/x.png", "b/._2.png"):
        picture(tmp_path / "images" / name)
    (tmp_path / "images" / "notes.txt").write_text("not an image")
    return tmp_path / "images"


def model():
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 3))


# ---------------------------------------------------------------------------------------------------------------- images


def test_a_table_of_several_texts_and_a_class_asks_which(tmp_path):
    path = tmp_path / "news.csv"  # the published form of AG News: class, title, description
    path.write_text("".join(f'"{row % 3}","Title of {row}","What happened on day {row}."\n' for row in range(9)))
    with pytest.raises(InvalidInput, match=r"has the columns 0, 1, 2; say which one holds the texts .*--column"):
        open_pool(path)
    assert open_pool(path, column="2").read(8) == "What happened on day 8."


def test_a_folder_of_images(folder):
    pool = open_pool(folder)
    assert pool.names == ["a.jpg", "b/10.PNG", "b/2.png", "c/d/e.gif"]
    assert pool.kind == "images"
    assert pool[0].shape == (3, 224, 224)
    assert pool[0].dtype == torch.float32
    assert pool.read(3).mode == "RGB"
    assert pool.content(2) == (folder / "b/2.png").read_bytes()


def test_select_gives_the_names_of_files(folder):
    pool = open_pool(folder, transform=ImageTransform(size=8))
    found = distil.select("margin_sampling", model(), pool, 2, names=pool.names)
    assert set(found.names) < set(pool.names)
    assert list(found.names) == [pool.names[row] for row in found]


def test_the_fingerprint_follows_the_files(folder):
    before = open_pool(folder).fingerprint
    assert open_pool(folder).fingerprint == before
    picture(folder / "b/2.png", (20, 20))
    after = open_pool(folder).fingerprint
    assert after != before
    (folder / "a.jpg").rename(folder / "z.jpg")
    assert open_pool(folder).fingerprint not in (before, after)


def test_an_image_that_cannot_be_read_is_named(folder):
    (folder / "b/2.png").write_bytes(b"nonsense")
    pool = open_pool(folder)
    with pytest.raises(InvalidInput, match=r"^b/2\.png: cannot be read as an image"):
        pool[2]
    whole = (folder / "b/10.PNG").read_bytes()
    (folder / "b/10.PNG").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidInput, match=r"^b/10\.PNG: cannot be read as an image"):
        pool[1]


def test_images_are_resized_cut_and_normalized(case, tmp_path):
    for size in [(8, 8), (8, 30), (301, 40), (3, 3)]:
        for mode in ["RGB", "L", "P", "RGBA"]:
            root = Path(mkdtemp(dir=tmp_path))
            with case(size, mode):
                path = picture(root / "images" / "a.png", size, mode)
                made = open_pool(root / "images", transform=ImageTransform(size=7, crop=1.0))[0]
                with Image.open(path) as image:
                    wide = size[0] * 7 // min(size), size[1] * 7 // min(size)
                    image = image.convert("RGB").resize(wide, Image.Resampling.BICUBIC)
                    left, top = round((wide[0] - 7) / 2), round((wide[1] - 7) / 2)
                    pixels = np.asarray(image)[top : top + 7, left : left + 7] / 255
                expected = (pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
                torch.testing.assert_close(made, torch.tensor(expected.transpose(2, 0, 1), dtype=torch.float32))


@pytest.mark.skipif(find_spec("torchvision") is None, reason='needs torchvision: pip install "distil[vision]"')
def test_the_transform_agrees_with_torchvision(tmp_path):
    transforms = import_torchvision() and import_module("torchvision.transforms")

    path = picture(tmp_path / "images" / "a.png", (300, 500))
    theirs = transforms.Compose(
        [
            transforms.Resize(256, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    with Image.open(path) as image:
        expected = theirs(image.convert("RGB"))
    torch.testing.assert_close(open_pool(tmp_path / "images")[0], expected)


def test_files_with_other_endings_are_counted(folder):
    one = "left out 1 file without the ending of an image (1 .txt); convert images to .png or .jpg"
    assert open_pool(folder).note == one
    before = open_pool(folder).fingerprint
    for name in ["1.heic", "2.HEIC", "b/scan.dcm", "b/page.pdf", "noending", ".hidden.heic", "__MACOSX/3.heic"]:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    pool = open_pool(folder)
    assert pool.names == ["a.jpg", "b/10.PNG", "b/2.png", "c/d/e.gif"]
    assert pool.note == (
        "left out 6 files without the ending of an image (2 .heic, 1 without an ending, 1 .dcm, 1 .pdf, 1 .txt); convert images to "
        ".png or .jpg"
    )
    assert pool.fingerprint != before  # so that embed says it too
    assert embed(folder, "pixels").note == pool.note == embed(folder, "pixels").note


def test_a_table_that_names_files_of_other_endings(tmp_path):
    (tmp_path / "1.heic").write_text("")
    (tmp_path / "t.csv").write_text("id,path\na,1.heic\nb,2.heic\n")
    with pytest.raises(
        InvalidInput, match=r"`path` names files, and '1\.heic' does not have the ending of an image .*convert images"
    ):
        open_pool(tmp_path / "t.csv")


def test_no_images(tmp_path):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/1.dcm").write_text("")
    with pytest.raises(
        InvalidInput, match=r"scans holds no image; expected .*; got 1 \.dcm: convert images to \.png or \.jpg"
    ):
        open_pool(tmp_path / "scans")
    with pytest.raises(InvalidInput, match=r"got no image, but 1 \.dcm; or pass a table"):
        read_ids(tmp_path)
    (tmp_path / "scans/1.dcm").unlink()
    with pytest.raises(InvalidInput, match="holds no image"):
        open_pool(tmp_path)
    with pytest.raises(DataNotFound, match="there is no file or folder"):
        open_pool(tmp_path / "nothing")


# ---------------------------------------------------------------------------------------------------------------- tables

TEXTS = ["one, two", "three\nfour", 'a "word"', "five"]


def write_table(path, entries):
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    elif path.suffix == ".json":
        path.write_text(json.dumps(entries))
    elif path.suffix == ".parquet":
        arrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(arrow.Table.from_pylist(entries), path)
    elif path.suffix == ".tsv":
        rows = [list(entries[0]), *(entry.values() for entry in entries)]
        path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    else:
        import csv

        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, entries[0], delimiter=",")
            writer.writeheader()
            writer.writerows(entries)
    return path


def test_tables_of_texts(case, tmp_path):
    for suffix in [".csv", ".tsv", ".jsonl", ".parquet"]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(suffix):
            texts = [text.replace("\n", " ") for text in TEXTS] if suffix == ".tsv" else TEXTS
            path = write_table(
                root / f"t{suffix}", [{"id": i * 3, "text": text, "n": 1} for i, text in enumerate(texts)]
            )
            pool = open_pool(path)
            assert pool.kind == "texts"
            assert [pool[row] for row in range(4)] == texts
            assert pool.names == ["0", "3", "6", "9"]
            assert open_pool(path, column="text", ids="n" if suffix == "none" else None).names == pool.names


def test_tables_of_images(case, tmp_path):
    for suffix in [".csv", ".jsonl", ".parquet"]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(suffix):
            for name in ("x/1.png", "2.png"):
                picture(root / name)
            path = write_table(root / f"t{suffix}", [{"file": name, "label": "?"} for name in ("x/1.png", "2.png")])
            pool = open_pool(path)
            assert pool.kind == "images"
            assert pool.names == ["x/1.png", "2.png"]
            assert pool.read(1).size == (9, 6)
            named = write_table(root / f"u{suffix}", [{"id": "k", "file": "2.png"}])
            assert open_pool(named).names == ["k"]
            missing = write_table(root / f"v{suffix}", [{"file": "3.png"}])
            with pytest.raises(DataNotFound, match=r"names '3\.png', and there is no file"):
                open_pool(missing)


def test_addresses_of_images_are_named(case, tmp_path):
    """An address stays as it is written; an image that was not downloaded does not hide the others."""
    why = "is an address, and images are read from files on disk; download them, and write the path of each file"
    for address in (
        "https://example.org/a//1.jpg",
        "http://example.org/1.png",
        "https://example.org/1?size=3",
        "s3://b/1.png",
    ):
        with case(address):
            path = write_table(tmp_path / "t.csv", [{"id": "a", "image": address}, {"id": "b", "image": "2.png"}])
            (tmp_path / "2.png").unlink(missing_ok=True)
            with pytest.raises(DataNotFound, match=re.escape(f"t.csv: {address} {why}")):
                open_pool(path)
            picture(tmp_path / "2.png")
            pool = open_pool(path)
            assert pool.read(1).size == (9, 6)
            with pytest.raises(InvalidInput, match=re.escape(f"a: cannot be read: {address} {why}")):
                pool.read(0)


def test_columns_that_have_to_be_named(tmp_path):
    path = write_table(tmp_path / "t.jsonl", [{"a": "x", "b": "y", "key": "k"}])
    with pytest.raises(InvalidInput, match=r"has the columns a, b, key; say which one"):
        open_pool(path)
    assert open_pool(path, column="b", ids="key").names == ["k"]
    assert open_pool(f"{path}#b")[0] == "y"
    with pytest.raises(InvalidInput, match="no column 'c'"):
        open_pool(path, column="c")
    twice = write_table(tmp_path / "u.jsonl", [{"id": 1, "text": "x"}, {"id": 1, "text": "y"}])
    with pytest.raises(InvalidInput, match="'1' occurs more than once"):
        open_pool(twice)
    wrong = write_table(tmp_path / "v.jsonl", [{"id": 1, "text": "x"}, {"id": 2, "text": [1]}])
    with pytest.raises(InvalidInput, match=r"line 2: expected text, got \[1\]"):
        open_pool(wrong)


def test_columns_of_texts_are_found_by_name_or_content(case, tmp_path):
    for suffix in [".csv", ".tsv", ".jsonl", ".parquet"]:
        for name in [
            "message",
            "Review",
            "tweet",
            "headline",
            "comment",
            "title",
            "body",
            "content",
            "what they wrote",
        ]:
            root = Path(mkdtemp(dir=tmp_path))
            with case(suffix, name):
                entries = [{"id": i, "city": "New York", "n": i, name: f"text number {i}"} for i in range(3)]
                pool = open_pool(write_table(root / f"t{suffix}", entries))
                assert (pool.kind, pool.read(2), pool.names) == ("texts", "text number 2", ["0", "1", "2"])
                assert pool.note == f"read `{name}` of t{suffix} as texts and `id` as ids"


def test_texts_that_begin_with_numbers(tmp_path):
    """A column that was asked for holds texts if its name says so, or if any of its cells does."""
    numbers = [str(37 * row) for row in range(120)]
    for column, cells in [("text", numbers), ("words", [*numbers, "forty two"]), ("text", [*numbers, "forty two"])]:
        path = tmp_path / "a.csv"
        path.write_text(f"id,{column}\n" + "".join(f"n{row},{cell}\n" for row, cell in enumerate(cells)))
        pool = open_pool(path, column=column)
        assert (pool.kind, [pool[row] for row in range(len(pool))]) == ("texts", cells)
    path.write_text("id,words\n" + "".join(f"n{row},{cell}\n" for row, cell in enumerate(numbers)))
    assert items_of(open_pool(path, column="words")).kind == "rows"
    path.write_text(path.read_text() + "n120,\n")
    with pytest.raises(InvalidInput, match="the value is missing"):
        open_pool(path, column="words")


def test_no_note_for_columns_with_usual_names(tmp_path):
    assert open_pool(write_table(tmp_path / "t.csv", [{"id": 1, "text": "x", "n": 2}])).note == ""


def test_texts_without_a_header(case, tmp_path):
    for text in ["one two,5\nthree four,6\n", "one two\nthree four\n"]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(text):
            (root / "t.csv").write_text(text)
            pool = open_pool(root / "t.csv")
            assert [pool.read(0), pool.read(1)] == ["one two", "three four"]
            assert pool.names is None
            assert pool.note == "read `0` of t.csv as texts; it has no header"


def test_the_advice_on_columns_helps(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("left,right,n\nfirst of all,then this,1\nsecond,and that too,2\n")
    pool = write_table(tmp_path / "t.jsonl", [{"left": "a b", "right": "c d"}, {"left": "e f", "right": "g h"}])
    with pytest.raises(
        InvalidInput, match=r"has the columns left, right; say which one .* with column=\.\.\. \(--column\)"
    ):
        open_pool(pool)
    assert open_pool(pool, column="right").read(1) == "g h"
    assert open_pool(path, column="right").read(1) == "and that too"


def test_missing_texts_are_faults_of_their_rows(case, tmp_path):
    for suffix in [".csv", ".tsv", ".jsonl", ".parquet"]:
        for missing in ["", "  ", None, float("nan")]:
            root = Path(mkdtemp(dir=tmp_path))
            with case(suffix, missing):
                if suffix in (".csv", ".tsv") and not isinstance(missing, str):
                    missing = ""
                if suffix == ".parquet" and isinstance(missing, float):
                    missing = None  # pyarrow keeps no NaN in a column of text
                entries = [{"id": f"n{i}", "text": missing if i < 2 else f"text {i}"} for i in range(4)]
                pool = open_pool(write_table(root / f"t{suffix}", entries))
                with pytest.raises(InvalidInput, match=r"^n1: the text is missing"):
                    pool[1]
                assert pool[2] == "text 2"
                assert pool.content(0) != pool.content(1)  # a missing text equals no other


def test_words_for_missing_numbers_are_texts(case, tmp_path):
    words = ["NA", "NaN", "null", "None", "n/a", "nan", "", "  ", "the end"]
    expected = [word.strip() or "missing" for word in words]
    entries = [{"id": f"n{i}", "text": word} for i, word in enumerate(words)]
    pools = {
        suffix: write_table(tmp_path / f"t{suffix}", entries)
        for suffix in (".csv", ".tsv", ".json", ".jsonl", ".parquet")
    }
    nulls = [{**entry, "text": entry["text"] if entry["text"].strip() else None} for entry in entries]
    pools |= {f"nulls{suffix}": write_table(tmp_path / f"n{suffix}", nulls) for suffix in (".jsonl", ".parquet")}
    for library in ("pandas", "polars"):
        if find_spec(library):
            pools[library] = import_module(library).DataFrame(
                {"id": [f"n{i}" for i in range(len(words))], "text": words}
            )
    for name, source in pools.items():
        with case(name):
            pool = open_pool(source)
            found = [pool.content(row).decode() for row in range(len(pool))]
            assert ["missing" if text.startswith("\0") else text for text in found] == expected
            assert pool.note.endswith("2 of 9 texts missing")


def test_texts_that_are_numbers(case, tmp_path):
    entries = [{"id": f"n{i}", "text": 10 + i, "label": i % 2} for i in range(3)]
    for suffix in (".csv", ".tsv", ".json", ".jsonl", ".parquet"):
        path = write_table(tmp_path / f"t{suffix}", entries)
        for column in (None, "text"):
            with case(suffix, column):
                pool = open_pool(path, column=column)
                assert (pool.kind, pool[2], pool.names) == ("texts", "12", ["n0", "n1", "n2"])
    path = write_table(tmp_path / "more.jsonl", [{**entry, "score": 0.5} for entry in entries])
    assert open_pool(path, column="text")[0] == "10"
    assert (
        open_pool(path).items.note == "read 2 columns of numbers in more.jsonl (`text`, `score`)"
    )  # counts of words, maybe


def test_rows_that_spreadsheets_write_below_a_table(tmp_path):
    path = tmp_path / "exported.csv"
    path.write_text("\ufeffid;text;label\r\na;hi you;x\r\nb;;y\r\n;;\r\n; ;\r\n", encoding="utf-8")
    pool = open_pool(path)
    assert (pool.names, pool.note) == (["a", "b"], "left out 2 empty rows of exported.csv; 1 of 2 texts missing")
    path.write_text("id;text\r\na;hi you\r\n;bye you\r\n;\r\n")
    with pytest.raises(InvalidInput, match="line 3: the id is missing"):
        open_pool(path)


def test_missing_texts_in_memory():
    pool = open_pool(["a", None, ""])
    assert pool.note == "2 of 3 texts missing"
    with pytest.raises(InvalidInput, match=r"^1: the text is missing"):
        pool[1]


def test_categories_of_text_and_numbers_in_parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {
        "id": arrow.array(["p", "q", "p2"]).dictionary_encode(),
        "text": ["a b", "c d", "a b"],
        "e": [1.5, 2.5, 1.5],
    }
    table = arrow.table(
        {name: arrow.array(cells).dictionary_encode() if name != "id" else cells for name, cells in columns.items()}
    )
    parquet.write_table(table, tmp_path / "t.parquet")
    pool = open_pool(tmp_path / "t.parquet")
    assert ([pool[row] for row in range(3)], pool.names) == (["a b", "c d", "a b"], ["p", "q", "p2"])
    assert read_column(tmp_path / "t.parquet", column="e").values.tolist() == [[1.5], [2.5], [1.5]]


def test_a_missing_path_of_an_image(tmp_path):
    picture(tmp_path / "a.png")
    pool = open_pool(write_table(tmp_path / "t.jsonl", [{"id": "x", "file": "a.png"}, {"id": "y", "file": None}]))
    assert pool.read(0).size == (9, 6)
    with pytest.raises(InvalidInput, match=r"^y: the path of the image is missing"):
        pool.read(1)
    with pytest.raises(InvalidInput, match=r"row 1: the path is missing, and there is no column id"):
        open_pool(write_table(tmp_path / "u.jsonl", [{"file": "a.png"}, {"file": None}]))


def test_a_text_a_line(tmp_path):
    (tmp_path / "t.txt").write_text("one\ntwo\n\n")
    pool = open_pool(tmp_path / "t.txt")
    assert [pool[0], pool[1]] == ["one", "two"]
    assert len(pool) == 2
    assert pool.names is None
    assert pool.name(1) == "1"


# --------------------------------------------------------------------------------------------------------------- objects


def picks(pool, n=4, **options):
    torch.manual_seed(0)
    found = distil.select("margin_sampling", nn.Linear(5, 3), pool, n, **options)
    return found.tolist()


class Tuples(Dataset):
    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, row):
        return self.x[row], 1


class Dicts(Tuples):
    def __getitem__(self, row):
        return {"input": self.x[row], "label": 1}


def test_arrays_and_data_sets_give_the_same_picks(tmp_path):
    x = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))
    expected = picks(x)
    np.save(tmp_path / "x.npy", x.numpy())
    names = [f"n{row}" for row in range(300)]
    for pool in (
        open_pool(x, ids=names),
        open_pool(x.numpy()),
        open_pool(tmp_path / "x.npy"),
        open_pool(TensorDataset(x)),
        open_pool(Tuples(x), ids=names),
        open_pool(Dicts(x)),
        open_pool(Tuples(x), collate_fn=lambda items: torch.stack([x for x, _ in items])),
    ):
        assert picks(pool) == expected
        assert len(pool) == 300
    named = open_pool(Tuples(x), ids=names)
    assert distil.select("margin_sampling", nn.Linear(5, 3), named, 2, names=named.names).names[0][0] == "n"
    assert isinstance(open_pool(x), Minibatches)
    assert isinstance(open_pool(Tuples(x)), Items)
    assert items_of(open_pool(x)).array is x


def test_a_users_collate_function():
    x = torch.randn(50, 5)
    ragged = [row[: 3 + i % 3].tolist() for i, row in enumerate(x)]
    seen = []

    def pad(items):
        seen.append(len(items))
        return torch.stack([torch.tensor(item + [0.0] * (5 - len(item))) for item in items])

    pool = open_pool(ragged, collate_fn=pad)
    assert len(picks(pool, runtime=distil.Runtime(batch_size=20))) == 4
    assert seen == [20, 20, 10]


def test_sources_that_are_not_pools():
    class Stream(IterableDataset):
        def __iter__(self):
            yield torch.zeros(2)

    for wrong in (Stream(), iter([1]), 3):
        with pytest.raises(InvalidInput, match="a pool is a path, an array"):
            open_pool(wrong)
    with pytest.raises(InvalidInput, match="the pool is empty"):
        open_pool([])
    with pytest.raises(InvalidInput, match="there are 1 ids for 2 items"):
        open_pool(torch.zeros(2, 2), ids=["a"])


def test_hugging_face(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    texts = datasets.Dataset.from_dict({"id": [5, 6], "text": ["a", "b"], "label": [0, 1]})
    pool = open_pool(texts)
    assert (pool.kind, pool.names, pool[1]) == ("texts", ["5", "6"], "b")
    texts.save_to_disk(str(tmp_path / "saved"))
    assert open_pool(tmp_path / "saved").names == ["5", "6"]
    images = datasets.Dataset.from_dict(
        {"image": [str(picture(tmp_path / f"{i}.png")) for i in range(3)], "name": ["x", "y", "z"]}
    ).cast_column("image", datasets.Image())
    pool = open_pool(images, ids="name", transform=ImageTransform(size=8))
    assert (pool.kind, pool.names) == ("images", ["x", "y", "z"])
    assert len(distil.select("entropy_sampling", model(), pool, 2, names=pool.names).names) == 2
    rows = datasets.Dataset.from_dict({"features": [[1.0, 2.0], [3.0, 4.0]]})
    assert open_pool(rows)[1].tolist() == [3.0, 4.0]
    with pytest.raises(InvalidInput, match="no column 'txt'; did you mean 'text'"):
        open_pool(texts, column="txt")
    with pytest.raises(InvalidInput, match="dictionary; open one of its values: train"):
        open_pool(datasets.DatasetDict({"train": texts}))


def test_blank_lines_are_missing_texts(tmp_path):
    (tmp_path / "t.txt").write_text("one\n\n  \nfour\n\n")
    pool = open_pool(tmp_path / "t.txt")
    assert (len(pool), pool.read(0), pool.read(3)) == (4, "one", "four")
    with pytest.raises(InvalidInput, match=r"^1: the text is missing; fill it in or take the row out"):
        pool.read(1)


def test_an_image_that_a_table_names_and_that_is_missing(tmp_path):
    picture(tmp_path / "1.png")
    (tmp_path / "dead.png").symlink_to("gone.png")
    pool = open_pool(write_table(tmp_path / "t.csv", [{"file": name} for name in ("1.png", "2.png", "dead.png")]))
    assert pool.read(0).size == (9, 6)
    with pytest.raises(InvalidInput, match=r"^2\.png: cannot be read: there is no file .*2\.png$"):
        pool.read(1)
    with pytest.raises(InvalidInput, match=r"^dead\.png: cannot be read: it links to gone\.png, which does not exist"):
        pool.read(2)
