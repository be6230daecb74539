"""Mutated files: every reader gives a valid object or one error of the library, in bounded time and memory, without warnings."""

from __future__ import annotations

import csv
import gzip
import io
import json
import resource
import time
import tracemalloc
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from distil.data.array_files import read_column
from distil.data.ids import read_ids
from distil.data.items import items_of
from distil.data.pools import open_pool
from distil.datasets.tables import read_csv, read_libsvm, read_npz
from distil.errors import DistilError, InvalidInput
from distil.system.runtime import Runtime

ROWS = 12
X = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
TEXTS = [f'row {row} says "so, so", and more' for row in range(ROWS)]
LARGEST = 64 << 20  # bytes that a reader of these small files may hold at a time
LONGEST = 2.0  # seconds of this process


def delimited(delimiter):
    file = io.StringIO()
    options = {"delimiter": delimiter} | ({} if delimiter == "," else {"quoting": csv.QUOTE_NONE, "quotechar": None})
    csv.writer(file, **options).writerows(
        [["id", "label", "a", "b"], *([f"é{row}", row % 2, x, y] for row, (x, y, _) in enumerate(X.tolist()))]
    )
    return file.getvalue().encode()


def sentences():
    return (
        b"id,message\n"
        + "".join(f'{row},"{t.replace(chr(34), chr(34) * 2)}"\n' for row, t in enumerate(TEXTS)).encode()
    )


def saved(save, *arguments, **arrays):
    file = io.BytesIO()
    save(file, *arguments, **arrays)
    return file.getvalue()


def safetensors(tmp_path):
    save_file({"x": torch.from_numpy(X), "y": torch.ones(4).bfloat16()}, tmp_path / "s.safetensors")
    return (tmp_path / "s.safetensors").read_bytes()


def parquet(_):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as pq

    columns = {"id": [str(row) for row in range(ROWS)], "text": arrow.array(TEXTS).dictionary_encode(), "e": X.tolist()}
    return saved(lambda file: pq.write_table(arrow.table(columns), file))


def picture(kind):
    def save(_):
        pixels = (X.reshape(6, 6) * 40 + 100).astype(np.uint16 if kind == "TIFF" else np.uint8)
        exif = Image.Exif()
        exif[0x0112] = 6
        return saved(lambda file: Image.fromarray(pixels).save(file, kind, exif=exif))

    return save


def through_pool(path, quoting=None):
    pool = items_of(open_pool(path, quoting=quoting))
    for row in range(len(pool)):
        try:
            pool.read(row)
            pool.content(row)
        except InvalidInput:
            continue
    return pool


def through_folder(path):
    return through_pool(path.parent)


def arrays_of(path):
    found = read_column(path, runtime=Runtime(memory=1 << 20))
    with np.errstate(all="ignore"):
        np.asarray(found.values).sum(dtype=np.float64)
    return found


JSON = "".join(
    f'{{"id": "{row}", "text": "é {row}", "label": {row % 2}, "e": {X[row].tolist()}}}\n' for row in range(ROWS)
)

FORMATS = {
    "csv": (lambda _: delimited(","), [arrays_of, read_ids, through_pool, read_csv]),
    "tsv": (lambda _: delimited("\t"), [arrays_of, read_ids, through_pool, read_csv]),
    "sentences.csv": (lambda _: sentences(), [read_ids, through_pool]),
    "jsonl": (lambda _: JSON.encode(), [arrays_of, read_ids, through_pool]),
    "json": (lambda _: f"[{','.join(JSON.splitlines())}]".encode(), [arrays_of, read_ids, through_pool]),
    "columns.json": (lambda _: json.dumps({"id": [*range(ROWS)], "text": TEXTS}).encode(), [read_ids, through_pool]),
    "csv.gz": (lambda _: gzip.compress(delimited(",")), [arrays_of, read_ids, through_pool]),
    "quoted.tsv": (
        lambda _: sentences().replace(b",message", b"\tmessage").replace(b',"', b'\t"'),
        [partial(read_ids, quoting="minimal"), partial(through_pool, quoting="minimal")],
    ),
    "txt": (lambda _: "\n".join(TEXTS).encode(), [read_ids, through_pool]),
    "npy": (lambda _: saved(np.save, X), [arrays_of, read_ids]),
    "ids.npy": (lambda _: saved(np.save, np.array(TEXTS)), [read_ids]),
    "npz": (lambda _: saved(np.savez, x=X, y=np.arange(ROWS) % 2), [lambda path: arrays_of(f"{path}#x"), read_npz]),
    "compressed.npz": (
        lambda _: saved(np.savez_compressed, x=X, y=np.arange(ROWS) % 2),
        [lambda path: arrays_of(f"{path}#x"), read_npz],
    ),
    "safetensors": (safetensors, [lambda path: arrays_of(f"{path}#x"), lambda path: read_column(f"{path}#y")]),
    "parquet": (parquet, [arrays_of, read_ids, through_pool]),
    "libsvm": (
        lambda _: "".join(f"{row % 2} 1:{x} 3:{y} # note\n" for row, (x, y, _) in enumerate(X.tolist())).encode(),
        [lambda path: read_libsvm([path])],
    ),
    "png": (picture("PNG"), [through_folder]),
    "tif": (picture("TIFF"), [through_folder]),
    "jpg": (picture("JPEG"), [through_folder]),
}


# Text that means something in one of the formats.
TOKENS = [
    *(token.encode() for token in ',;|\t "\r\n\r\n[]{}:'),
    *(
        b'""',
        b"\r\n",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"null",
        b"NaN",
        b"1e999",
        b"1,5",
        b"-",
        b"True",
        b"#",
        b"\x1b",
        b"=1+1",
    ),
    *(b"9" * 5_000, b"[" * 5_000, b'{"a":' * 2_000, b"," * 3_000, b"\n" * 500, b"a b " * 300),
]


def mutated(raw, rng):
    """Up to three changes: bytes flipped, removed, doubled or inserted, often near the start or end, where headers are."""
    data = bytearray(raw)
    for _ in range(rng.integers(1, 4)):
        size = max(1, len(data))
        place = int(
            rng.choice([rng.integers(size), rng.integers(min(size, 130)), size - 1 - rng.integers(min(size, 130))])
        )
        width = int(rng.choice([1, 2, 8, 40]))
        change = rng.integers(6)
        if change == 0 and data:
            data[place] ^= 1 << int(rng.integers(8))
        elif change == 1:
            del data[place : place + width]
        elif change == 2:
            data[place:place] = rng.choice([rng.bytes(width), b"9" * width, b"\x00" * width, b'"', b"\xff"])
        elif change == 3:
            data[place:place] = data[place : place + width]
        elif change == 4:
            data[place:place] = TOKENS[rng.integers(len(TOKENS))]
        elif data:
            data[place : place + width] = b"\xff" * width
    return bytes(data)


def check(name, cases, seed, tmp_path):
    make, readers = FORMATS[name]
    folder = tmp_path / "files"
    folder.mkdir()
    raw, path = make(tmp_path), folder / f"x.{name}"
    path.write_bytes(raw)
    assert any(not isinstance(outcome(read, path), DistilError) for read in readers)
    rng = np.random.default_rng(seed)
    tracemalloc.start()
    for case in range(cases):
        path.write_bytes(mutated(raw, rng))
        for read in readers:
            tracemalloc.reset_peak()
            began = time.process_time()
            outcome(read, path)
            assert time.process_time() - began < LONGEST, (name, case)
            assert tracemalloc.get_traced_memory()[1] < LARGEST, (name, case)
    tracemalloc.stop()


def outcome(read, path):
    try:
        return read(path)
    except DistilError as error:
        found = error
    assert path.name in str(found) or str(path.parent) in str(found)
    return found


@pytest.fixture(autouse=True)
def bounded():
    """With a limit on memory: a reader that asks for terabytes fails the test."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 28, before[1]))
    yield
    tracemalloc.stop()
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_files(name, tmp_path):
    check(name, 50, 0, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_many_mutated_files(name, tmp_path):
    check(name, 500, 1, tmp_path)
