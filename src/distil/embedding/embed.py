"""``embed``: embeddings of a pool of images or texts, written to a file once; a call that was stopped can be continued.

The function behind ``distil embed``. Next to the array it writes a file of ids, and a file that identifies the model and the pool;
a second call for the same model and pool does nothing, and after a change of the pool only new content goes through the model.
During a call, rows are appended to a hidden file and synced every other second; after a kill, the next call continues from there.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from distil.data.ids import is_utf8
from distil.data.items import Items, Minibatches, items_of
from distil.data.pools import open_pool
from distil.data.table_files import Quoting
from distil.embedding.earlier import Earlier, earlier_rows, model_key
from distil.embedding.encoders import Encoder, Loaded, encoder_named, imports_code
from distil.embedding.journal import HASH_BYTES, Journal, key_of, remove_journal
from distil.embedding.own_files import OwnFiles, before_path, hashed_paths, hashes_path, info_path, own_paths, read_info
from distil.errors import InvalidInput
from distil.measuring.network_source import NetworkSource
from distil.rng import Rng
from distil.signals import Embedding
from distil.system.files import cache_folder, digest, remove_unfinished, replacing, write_text
from distil.system.imports import optional
from distil.system.runtime import Runtime, as_runtime

OnError = Literal["raise", "skip"]

_PARQUET_ROWS = 8192
_ADDED_ROWS = 4096
# Errors of an item that cannot be read.
_FAULTS = (InvalidInput, OSError, ValueError, Image.DecompressionBombError)
_BATCH_SIZES = {"images": 32, "texts": 32, "rows": 1024, "items": 64}


@dataclass(frozen=True, eq=False)
class Embedded:
    """Embeddings in a file.

    Attributes:
        path: File of the array, (N, D) float32; its ids are in ``NAME.ids.txt`` in the same folder, or in the Parquet file.
        shape: Shape of the array, (N, D).
        skipped: Id of each item that was left out -> the reason.
        made: Number of items that this call embedded; 0 if the file existed already.
        reused: Number of items whose row is from the file that was there before.
        note: How the pool was read (columns found by their content, the scale of gray values), and how many rows of an earlier file
            were reused, or why none; empty if there is nothing to say.
    """

    path: Path
    shape: tuple[int, int]
    skipped: dict[str, str]
    made: int
    reused: int = 0
    note: str = ""


def embed(
    pool: Any,  # noqa: ANN401 - any argument of open_pool
    model: str | Encoder,
    *,
    weights: str | Path | None = None,
    out: str | Path | None = None,
    column: str | None = None,
    ids: str | Path | None = None,
    quoting: Quoting | None = None,
    on_error: OnError = "raise",
    force: bool = False,
    aside: bool = False,
    empty: bool = False,
    runtime: Runtime | None = None,
) -> Embedded:
    """Embed every item of a pool, once.

    Args:
        pool: A pool, or an argument of :func:`distil.data.pools.open_pool`.
        model: ``"timm:NAME"`` with ``weights``; ``"pixels"``, the values of images at 32 x 32 pixels; a folder that
            sentence-transformers saved, or an installed package that holds one; ``"package.module:callable"``, which is called with
            a list of items (``PIL.Image`` in RGB, texts, rows) and returns (B, D); or an Encoder.
        weights: For timm: a weights file (``.safetensors``, or ``.pth`` that holds tensors only), or ``"random"``. Nothing is
            downloaded.
        out: Output file: ``.npy``, with ids in ``NAME.ids.txt`` in the same folder, or ``.parquet`` with the columns id and
            embedding. If it holds embeddings by the same model, the rows of items with the same content are reused. Default: a file
            in the user's cache folder, named by a hash of the model and of the content of the pool.
        column: Column of the items, if the pool is a table.
        ids: Ids of the items; see :func:`distil.data.pools.open_pool`.
        quoting: Whether cells of csv and tsv may be quoted; see :func:`distil.data.table_files.open_table`.
        on_error: What to do with items that cannot be read: ``"raise"`` an error, or ``"skip"`` and list them.
        force: Replace files of these names that ``embed`` did not write, or that were edited since; without it, only its own files
            are replaced.
        aside: Where its own files were edited or damaged, keep them under another name, with a warning, in place of an error.
        empty: Where no item can be read, write an array without rows, in place of an error.
        runtime: Device, minibatch size (default: 32 images or texts), progress bar, and ``num_workers`` threads that read items
            (default: one per core).

    Raises:
        InvalidInput: An item cannot be read, the weights do not fit the model, the model is for another kind of items, an id cannot
            be written, or a file is there that ``embed`` did not write, or that was edited.
        RunError: Another process is writing the file.

    A pool with the names, sizes and modification times of an earlier one is taken for the same. Otherwise the content of each item
    decides. A row that is reused is that of the earlier file, bit for bit. Memory: a few minibatches, the names, and a hash for
    each item.
    """
    runtime = as_runtime(runtime)
    items = items_of(
        pool if isinstance(pool, (Items, Minibatches)) else open_pool(pool, column=column, ids=ids, quoting=quoting)
    )
    encoder = model if isinstance(model, Encoder) else encoder_named(model, weights)
    if encoder.kind is not None and items.kind != encoder.kind:
        read = f" ({items.note})" if items.note else ""
        raise InvalidInput(
            f"{encoder.name} embeds {encoder.kind}, but the pool holds {items.kind}{read}; choose another model, or name the "
            f"column of {encoder.kind} with column=... (--column)"
        )
    if on_error not in ("raise", "skip"):
        raise InvalidInput(f"on_error must be 'raise' or 'skip', got {on_error!r}")
    ending = ".npy" if out is None else Path(out).suffix.lower()
    if ending not in (".npy", ".parquet"):
        raise InvalidInput(f"out must be a .npy or .parquet file, got {out}")
    _check_names(items, parquet=ending == ".parquet")
    key = key_of_pool(items, encoder, items.fingerprint)
    force = force or out is None  # the cache is ours
    path, key = _cached(items, encoder, key) if out is None else (Path(out).expanduser(), key)
    if ending == ".parquet":
        optional("pyarrow", f"writing {path.name}")  # before the work, not after it
    path.parent.mkdir(parents=True, exist_ok=True)
    embedded = _finished(path, key)
    if embedded is None:
        OwnFiles(path, force=force or aside)  # refuses them before hidden files are made
        with Journal.locked(path, key) as journal:
            files = OwnFiles(path, force=force, aside=aside)
            earlier, why = earlier_rows(files, encoder)
            made, reused = _append(items, encoder, journal, earlier, on_error, runtime)
            if not journal.kept and not empty:
                raise InvalidInput(none_read(len(items), next(iter(journal.faults.values()))))
            embedded = _finish(items, encoder, journal, files, made, reused, why)
    if embedded.skipped and on_error == "raise":
        name, fault = next(iter(embedded.skipped.items()))
        raise InvalidInput(
            f"{name}: {fault}; {embedded.path} was written with on_error='skip' (--on-error skip): pass it again, or repair the "
            "item and write another file"
        )
    return embedded


def made_before(items: Items, model: str, weights: str | Path | None) -> Embedded:
    """The embeddings in the user's cache folder that ``embed`` made before of these items, without loading the model.

    Raises:
        InvalidInput: There are none, or only code of the user's own can tell which they are.
    """
    if imports_code(model):
        raise InvalidInput(f"the images or texts are embedded by {model}, which is not loaded to look at results")
    encoder = encoder_named(model, weights)
    path, key = _cached(items, encoder, key_of_pool(items, encoder, items.fingerprint))
    embedded = _finished(path, key)
    if embedded is None:
        raise InvalidInput(f"the embeddings by {model} are no longer in {path.parent}; distil embed makes them again")
    return embedded


# ------------------------------------------------------------------------------------------------------------- streaming


class _Prepared:
    """The items of a pool, prepared for a model by several threads; items that cannot be read are replaced by a blank item.

    Attributes:
        faults: Row of each item that could not be read -> the reason.
        hashes: Row of each item that was read -> the hash of its content.
    """

    def __init__(self, items: Items, on_error: OnError, threads: int) -> None:
        self.faults: dict[int, str] = {}
        self.hashes: dict[int, bytes] = {}
        self._items = items
        self._skips = on_error == "skip"
        self._threads = (
            ThreadPoolExecutor(threads, "distil-decoder") if items.kind == "images" and threads > 1 else None
        )
        self._loaded: Loaded

    def prepare_for(self, loaded: Loaded) -> None:
        """Set the model that minibatches are prepared for."""
        self._loaded = loaded

    def __len__(self) -> int:
        return len(self._items)

    def batch(self, rows: Tensor) -> Any:  # noqa: ANN401
        """The minibatch of these rows."""
        return self._loaded.collate(list(self._mapped(self._ready, rows.tolist())))

    def unchanged(self, rows: Sequence[int], earlier: Earlier, runtime: Runtime) -> dict[int, int]:
        """Row of each item that an earlier file has with the same content -> its row there."""
        self.hashes.update(zip(rows, self._mapped(self._hash, runtime.bar(rows, "comparing items")), strict=True))
        return {row: earlier.rows[self.hashes[row]] for row in rows if self.hashes[row] in earlier.rows}

    def close(self) -> None:
        """End the threads."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)

    def _mapped(self, function: Callable[[int], Any], rows: Iterable[int]) -> Iterator[Any]:
        return map(function, rows) if self._threads is None else self._threads.map(function, rows)

    def _hash(self, row: int) -> bytes:
        """The hash of an item's content; zeros if the content cannot be read."""
        try:
            if self._items.content is not None:
                return hashlib.blake2b(self._items.content(row), digest_size=HASH_BYTES).digest()
        except _FAULTS:
            pass
        return bytes(HASH_BYTES)

    def _ready(self, row: int) -> Any:  # noqa: ANN401
        if row not in self.hashes:
            self.hashes[row] = self._hash(row)
        try:
            item = self._items.read(row)
        except _FAULTS as error:
            fault = str(error).removeprefix(f"{self._items.name(row)}: ")
            if not self._skips:
                raise InvalidInput(
                    f"{self._items.name(row)}: {fault}; to leave out unreadable items, embed with on_error='skip' (distil embed "
                    "--on-error skip)"
                ) from error
            self.faults[row] = fault
            blanks = {"images": Image.new("RGB", (64, 64)), "texts": "text"}
            item = blanks[self._items.kind] if self._items.kind in blanks else self._items.read(0)
        return self._loaded.prepare(item)


def _append(
    items: Items, encoder: Encoder, journal: Journal, earlier: Earlier | None, on_error: OnError, runtime: Runtime
) -> tuple[int, int]:
    """Add the items that the journal does not have yet; the numbers of rows that were made, and that were reused."""
    left = range(journal.done, len(items))
    if not left:
        return 0, 0
    skipped = len(journal.faults)
    with closing(_Prepared(items, on_error, runtime.num_workers or os.cpu_count() or 1)) as data:
        unchanged = {} if earlier is None else data.unchanged(left, earlier, runtime)
        new = torch.tensor([row for row in left if row not in unchanged], dtype=torch.long)
        if len(new):
            loaded = encoder.load(runtime)
            data.prepare_for(loaded)
            runtime = replace(runtime, batch_size=runtime.batch_size or _BATCH_SIZES[items.kind])
            runtime = replace(runtime, batch_size=runtime.rows() * loaded.window)
            source = NetworkSource(loaded.network, data, new, names=items.names)
            for chunk in source.chunks((Embedding(),), runtime, Rng(0)):
                rows = chunk.ids.tolist()
                made = dict(zip(rows, chunk[Embedding()].float().numpy(), strict=True))
                _add(journal, data, rows[-1] + 1, made, earlier, unchanged)
        _add(journal, data, len(items), {}, earlier, unchanged)
    journal.sync()
    return len(new) + skipped - len(journal.faults), len(unchanged)


def _add(
    journal: Journal,
    data: _Prepared,
    end: int,
    made: Mapping[int, NDArray[np.float32]],
    earlier: Earlier | None,
    unchanged: Mapping[int, int],
) -> None:
    """Add the items before ``end`` that the journal does not have yet, each with its new row or the earlier one."""
    for start in range(journal.done, end, _ADDED_ROWS):
        rows = range(start, min(end, start + _ADDED_ROWS))
        faults = {row: data.faults.pop(row) for row in rows if row in data.faults}
        kept = [row for row in rows if row not in faults]
        values = [made[row] if row in made or earlier is None else earlier.values[unchanged[row]] for row in kept]
        width = len(next(iter(made.values()))) if made else earlier.values.shape[1] if earlier is not None else 0
        journal.add(
            np.array(values, np.float32).reshape(len(kept), width),
            [data.hashes.pop(row) for row in kept],
            len(rows),
            sum(row not in made for row in kept),
            faults,
        )


# ------------------------------------------------------------------------------------------------------------- finishing


def _finished(path: Path, key: str) -> Embedded | None:
    """The embeddings, if they are complete, as they were written, and of the same model and pool; otherwise None."""
    if not key:
        return None
    info = read_info(path)
    if info.get("key") != key or any(
        not file.exists() or info.get(entry) != digest(file) for entry, file in hashed_paths(path).items()
    ):
        return None
    if key_of(path) == key:  # the call that finished them was stopped before it removed its hidden files
        _remove_hidden(path)
    return Embedded(path, (info["rows"], info["dims"]), info["skipped"], 0, note=info.get("read", ""))


def none_read(size: int, fault: str) -> str:
    """What is wrong with a pool of so many items none of which can be read; ``fault`` is the reason for the first."""
    return f"none of the {size:,} items could be read; the reason for the first: {fault}"


def _finish(
    items: Items, encoder: Encoder, journal: Journal, files: OwnFiles, made: int, reused: int, why: str
) -> Embedded:
    """Write ids and information, then give the array its final name; this step marks the embeddings as complete."""
    path, rows, dims = journal.path, journal.kept, journal.dims
    names = [items.name(row) for row in range(len(items)) if row not in journal.faults]
    skipped = {items.name(row): fault for row, fault in journal.faults.items()}
    read = "; ".join(note for note in (items.note, *sorted(items.said)) if note)
    journal.number()
    info = {
        "file": path.name,
        "key": journal.key,
        "model": encoder.name,
        "rows": rows,
        "dims": dims,
        "skipped": skipped,
    }
    info |= {"made": rows - journal.reused, "reused": journal.reused, "read": read, "encoder": model_key(encoder)}
    if path.suffix.lower() == ".parquet":
        with _parquet(path, names, np.load(journal.rows_path, mmap_mode="r")) as written:
            _replace(journal, files, written, None, info)
    else:
        _replace(journal, files, journal.rows_path, "".join(f"{name}\n" for name in names), info)
    again = f"reused {reused:,} rows of {path.name}, whose items did not change" if reused else why
    note = "; ".join(part for part in (read, again) if part)
    return Embedded(path, (rows, dims), skipped, made, reused, note)


def _replace(journal: Journal, files: OwnFiles, array: Path, ids: str | None, info: dict[str, Any]) -> None:
    """Write the files next to the array, then give it its name. A call that was stopped in between begins again here."""
    path = journal.path
    contents = {hashes_path(path): journal.hashes_path.read_bytes()}
    info |= {"sha256": digest(array), "contents": _sha256(contents[hashes_path(path)])}
    if ids is not None:
        contents[path.with_suffix(".ids.txt")] = ids.encode(errors="surrogateescape")
        info["ids"] = _sha256(contents[path.with_suffix(".ids.txt")])
    files.keep_info()
    for file, content in {info_path(path): (json.dumps(info, indent=2) + "\n").encode(), **contents}.items():
        with files.replacing(file) as temporary:
            temporary.write_bytes(content)
    files.name_array(array)
    _remove_hidden(path)


def _remove_hidden(path: Path) -> None:
    """Remove the hidden files of an array that has its name; the journal is the last."""
    for file in own_paths(path):
        remove_unfinished(path.parent, glob.escape(file.name))
    for hidden in (before_path(path), _written_path(path)):
        hidden.unlink(missing_ok=True)
    remove_journal(path)


def _written_path(path: Path) -> Path:
    """The hidden file of a Parquet array before it has its name."""
    return path.with_name(f".{path.name}.written")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _check_names(items: Items, *, parquet: bool) -> None:
    """Refuse ids that the files cannot hold, before any item is embedded."""
    for row in range(len(items)):
        name = items.name(row)
        if parquet and not is_utf8(name):
            raise InvalidInput(f"the id {name!r} is not UTF-8 text, which Parquet needs; write a .npy file")
        if not parquet and not _is_line(name, first=row == 0):
            raise InvalidInput(f"the id {name!r} cannot be a line of the file of ids; write a .parquet file")


def _is_line(name: str, first: bool) -> bool:
    """Whether a name is the same again after it was a line of a text file; the first one may not begin with a byte order mark."""
    try:
        name.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False
    return (
        not any(mark in name for mark in "\n\r\0") and bool(name.strip()) and not (first and name.startswith("\ufeff"))
    )


@contextmanager
def _parquet(path: Path, names: Sequence[str], rows: NDArray[np.float32]) -> Iterator[Path]:
    """A hidden file with ids and rows; it is removed unless it was given another name."""
    arrow, parquet = (optional(name, f"writing {path.name}") for name in ("pyarrow", "pyarrow.parquet"))
    kind = arrow.list_(arrow.float32(), rows.shape[1])
    schema = arrow.schema([("id", arrow.string()), ("embedding", kind)])
    hidden = _written_path(path)
    try:
        with replacing(hidden) as temporary, parquet.ParquetWriter(temporary, schema) as writer:
            for start in range(0, len(rows), _PARQUET_ROWS):
                part = np.array(rows[start : start + _PARQUET_ROWS]).ravel()
                lists = arrow.FixedSizeListArray.from_arrays(arrow.array(part), type=kind)
                writer.write_table(
                    arrow.table([arrow.array(names[start : start + _PARQUET_ROWS]), lists], schema=schema)
                )
        yield hidden
    finally:
        hidden.unlink(missing_ok=True)


def key_of_pool(items: Items, encoder: Encoder, fingerprint: str) -> str:
    """Hash of model and pool; empty if the pool cannot be identified, and then no call finds the embeddings of an earlier one.

    Args:
        items: The pool.
        encoder: The model.
        fingerprint: A text that identifies the content of the pool; empty: read all of it.
    """
    key = hashlib.sha256(f"{model_key(encoder)}\n{items.kind}\n{len(items)}\n{fingerprint}\n".encode())
    if not fingerprint:
        if items.content is None:
            return ""
        for row in range(len(items)):
            try:
                key.update(hashlib.sha256(items.content(row)).digest())
            except _FAULTS:  # an item that cannot be read
                key.update(b"\0")
    for row in range(len(items)):
        key.update(items.name(row).encode(errors="surrogateescape") + b"\0")
    return key.hexdigest()


def _cached(items: Items, encoder: Encoder, key: str) -> tuple[Path, str]:
    """The file in the cache for a pool, named by its content, and that name; ``key`` finds it again without reading the pool."""
    folder = cache_folder() / "embeddings"
    known = folder / f"{key[:32]}.txt"
    if known.exists():
        content = known.read_text(encoding="utf-8")
    else:
        content = key_of_pool(items, encoder, "" if items.content is not None else items.fingerprint)
        if not content:
            raise InvalidInput(
                "the embeddings cannot be cached, because this pool has no content or files to identify it by; pass out= (--out)"
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_text(known, content)
    return folder / f"{content[:32]}.npy", content
