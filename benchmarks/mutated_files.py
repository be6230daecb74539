"""Mutated files: every reader must give a valid object or one error of the library, in bounded time and memory.

Files of every format are changed at random, a few bytes at a time, and read by every reader of the format. ``make slow`` does the
same with fewer files.

Run as ``python -m benchmarks mutated_files``.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import tempfile
import time
import traceback
import tracemalloc
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from benchmarks.machine import write
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


def delimited(delimiter: str) -> bytes:
    """A table of ids, labels and numbers."""
    file = io.StringIO()
    options = {"delimiter": delimiter} | ({} if delimiter == "," else {"quoting": csv.QUOTE_NONE, "quotechar": None})
    csv.writer(file, **options).writerows(
        [["id", "label", "a", "b"], *([f"é{row}", row % 2, x, y] for row, (x, y, _) in enumerate(X.tolist()))]
    )
    return file.getvalue().encode()


def sentences() -> bytes:
    """A table of texts in quotes."""
    return (
        b"id,message\n"
        + "".join(f'{row},"{t.replace(chr(34), chr(34) * 2)}"\n' for row, t in enumerate(TEXTS)).encode()
    )


def saved(save: Callable[..., Any], *arguments: Any, **arrays: Any) -> bytes:
    """What a function writes to a file."""
    file = io.BytesIO()
    save(file, *arguments, **arrays)
    return file.getvalue()


def safetensors(folder: Path) -> bytes:
    """Two arrays, one of them in bfloat16."""
    save_file({"x": torch.from_numpy(X), "y": torch.ones(4).bfloat16()}, folder / "s.safetensors")
    return (folder / "s.safetensors").read_bytes()


def parquet(_: Path) -> bytes:
    """Ids, texts and lists of numbers."""
    arrow, pq = import_module("pyarrow"), import_module("pyarrow.parquet")

    columns = {"id": [str(row) for row in range(ROWS)], "text": arrow.array(TEXTS).dictionary_encode(), "e": X.tolist()}
    return saved(lambda file: pq.write_table(arrow.table(columns), file))


def picture(kind: str) -> Callable[[Path], bytes]:
    """A function that makes an image in a format of Pillow."""

    def save(_: Path) -> bytes:
        pixels = (X.reshape(6, 6) * 40 + 100).astype(np.uint16 if kind == "TIFF" else np.uint8)
        exif = Image.Exif()
        exif[0x0112] = 6
        return saved(lambda file: Image.fromarray(pixels).save(file, kind, exif=exif))

    return save


def through_pool(path: Path, quoting: Any = None) -> object:
    """Open a pool, and read every item that can be read."""
    pool = items_of(open_pool(path, quoting=quoting))
    for row in range(len(pool)):
        try:
            pool.read(row)
            pool.content(row)
        except InvalidInput:
            continue
    return pool


def through_folder(path: Path) -> object:
    """Open the folder of the file as a pool."""
    return through_pool(path.parent)


def arrays_of(path: Path | str) -> object:
    """Read an array, and all of its numbers."""
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


def mutated(raw: bytes, rng: np.random.Generator) -> bytes:
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


@dataclass
class Outcome:
    """What the readers made of the files of a format.

    Attributes:
        read: The number of files that a reader read.
        refused: The number of those that it refused by an error that names the file.
        slowest: The most seconds of CPU that a reader took.
        largest: The most bytes that Python held while a reader read.
        faults: What must not happen, one sentence each.
    """

    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    largest: int = 0
    faults: list[str] = field(default_factory=list)


def tried(name: str, cases: int, seed: int, folder: Path) -> Outcome:
    """Read ``cases`` mutated files of a format by every reader.

    Args:
        name: A key of ``FORMATS``.
        cases: Number of files.
        seed: The seed of the mutations.
        folder: An empty folder, to which the files are written.
    """
    make, readers = FORMATS[name]
    files = folder / "files"
    files.mkdir()
    raw, path, found = make(folder), files / f"x.{name}", Outcome()
    rng = np.random.default_rng(seed)
    path.write_bytes(raw)
    whole = Outcome()
    for reader in readers:  # before the measurements, because the first call imports packages
        _read(reader, path, name, whole)
    if not whole.read:
        found.faults.append(f"{name}: no reader reads the file without mutations")
    tracemalloc.start()
    try:
        for case in range(cases):
            path.write_bytes(mutated(raw, rng))
            for reader in readers:
                _read(reader, path, f"{name}, file {case}", found)
    finally:
        tracemalloc.stop()
    return found


def _read(reader: Callable[[Path], object], path: Path, title: str, found: Outcome) -> None:
    if tracemalloc.is_tracing():
        tracemalloc.reset_peak()
    began = time.process_time()
    try:
        reader(path)
        found.read += 1
    except DistilError as error:
        found.refused += 1
        if path.name not in str(error) and str(path.parent) not in str(error):
            found.faults.append(f"{title}: the error does not name the file: {error}")
    except Exception:  # noqa: BLE001 - what must not happen, whatever it is
        found.faults.append(f"{title}: {traceback.format_exc().splitlines()[-1]}")
    seconds, held = time.process_time() - began, tracemalloc.get_traced_memory()[1]
    found.slowest, found.largest = max(found.slowest, seconds), max(found.largest, held)
    if seconds >= LONGEST or held >= LARGEST:
        found.faults.append(f"{title}: {seconds:.1f} s and {held:,} bytes")


HEAD = """# Mutated files

`python -m benchmarks mutated_files`. {cases} mutated files of every format, each read by every reader of the format: a reader
either reads a file or refuses it by an error of the library that names it. Faults are other exceptions (warnings among them),
errors that do not name the file, {longest:g} s of CPU, and {largest} MB held by Python."""


def table(outcomes: dict[str, Outcome]) -> str:
    """A row for each format, and the faults."""
    lines = ["| format | readers | read | refused | slowest, ms | most memory, MB | faults |", "|---|" + "---:|" * 6]
    for name, one in outcomes.items():
        lines.append(
            f"| {name} | {len(FORMATS[name][1])} | {one.read:,} | {one.refused:,} | {1e3 * one.slowest:.0f} | "
            f"{one.largest / 2**20:.1f} | {len(one.faults)} |"
        )
    return "\n".join([*lines, "", *(f"- {fault}" for one in outcomes.values() for fault in one.faults)])


def main(argv: Sequence[str]) -> int:
    """Try every format, and write the table; 1 if there was a fault."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks mutated_files", description="Readers of mutated files.")
    parser.add_argument("--cases", type=int, default=500, help="files of every format; default: 500")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    warnings.simplefilter("error")
    outcomes = {}
    for name in FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            outcomes[name] = tried(name, options.cases, options.seed, Path(folder))
        print(name, flush=True)
    head = HEAD.format(cases=options.cases, longest=LONGEST, largest=LARGEST >> 20)
    write("mutated_files", f"{head}\n\n{table(outcomes)}")
    return int(any(one.faults for one in outcomes.values()))
