"""Embeddings of a pool in shards: a file for every so many items, written by one process or by many independent ones.

Each shard is a file of :func:`distil.embedding.embed.embed` with its own record, so a complete one is not embedded again, one that
was stopped is continued, and one that was edited or damaged is kept under another name and embedded again. The manifest comes last,
from the call that finds all shards complete.
"""

from __future__ import annotations

import platform
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from distil.data.items import Items, items_of
from distil.data.pools import open_pool
from distil.data.shards import MANIFEST, manifest_text, read_manifest, write_manifest
from distil.data.table_files import Quoting
from distil.embedding.embed import Embedded, OnError, embed, key_of_pool, none_read
from distil.embedding.encoders import Encoder, encoder_named
from distil.embedding.own_files import read_info
from distil.errors import DistilError, DistilWarning, InvalidInput, RunBusy, RunError, counted, whole_number
from distil.system.executor import Executor, Report
from distil.system.runtime import Runtime, as_runtime

ROWS_PER_SHARD: Final = 65_536
"""Default number of items of a shard, and a multiple of 4,096, the rows that sums and draws run over at a time."""

_BLOCK: Final = 4096
_DIGITS: Final = 5
_SECONDS: Final = 0.5  # between two looks at whether another process still writes a shard


@dataclass(frozen=True, eq=False)
class Sharded:
    """Embeddings in a folder of shards, as far as they exist.

    Attributes:
        folder: The folder.
        rows: Number of rows in all shards; those of this call's shards while others are missing.
        dims: D, the numbers in a row.
        made: Number of items that this call embedded.
        skipped: Id of each item of this call's shards that was left out -> the reason.
        missing: Numbers of the shards that other calls have yet to write; the manifest exists once there are none.
        notes: How the pool was read, and how many rows of earlier shards were reused.
    """

    folder: Path
    rows: int
    dims: int
    made: int
    skipped: dict[str, str]
    missing: tuple[int, ...]
    notes: tuple[str, ...]


def embed_shards(
    pool: Any,  # noqa: ANN401 - any argument of open_pool
    model: str | Encoder,
    folder: str | Path,
    *,
    rows_per_shard: int = ROWS_PER_SHARD,
    part: tuple[int, int] = (1, 1),
    weights: str | Path | None = None,
    column: str | None = None,
    ids: str | Path | None = None,
    quoting: Quoting | None = None,
    on_error: OnError = "raise",
    force: bool = False,
    runtime: Runtime | None = None,
    executor: Executor | None = None,
    device: str | None = None,
) -> Sharded:
    """Embed the items of a pool into a folder of shards, or those of one part of the shards.

    Args:
        pool: As for ``embed``, and so are the arguments that are not listed here.
        model: The model.
        folder: The folder of the shards; it is made where it does not exist.
        rows_per_shard: Number of items of a shard, a multiple of 4,096; the last may have fewer.
        part: ``(k, n)``: embed the k-th of n equal parts of the shards, k from 1; there is nothing to do in a part beyond the last
            shard. Calls for different parts may run at the same time, on several machines that share the folder.
        weights: The weights of a timm model.
        column: The column of the items, if the pool is a table.
        ids: The ids of the items.
        quoting: Whether cells of csv and tsv may be quoted.
        on_error: What to do with items that cannot be read.
        force: Replace files with the names of shards, and a manifest, that ``embed`` did not write, or that were edited. Without
            it, a shard that was edited or damaged is kept under another name, and embedded again.
        runtime: Device, minibatch size, progress bar.
        executor: The processes that share the shards, each of which loads the model once; default: this one embeds all of them.
            They see the pool, the model and the folder at the paths where this one sees them, and write the shards themselves.
        device: The device of the model in each process of the executor, in place of the runtime's: this process may lack it.

    Raises:
        InvalidInput: See ``embed``; or a count is out of range, shards have embeddings of different widths, or the manifest in
            the folder is not one that this function wrote.
        RunError: Another process is writing a shard of this part, or processes of the executor were lost again and again.
    """
    if whole_number(rows_per_shard, _BLOCK) is None or rows_per_shard % _BLOCK:
        raise InvalidInput(f"rows_per_shard must be a multiple of {_BLOCK:,}, got {rows_per_shard!r}")
    k, n = part
    if not 1 <= k <= n:
        raise InvalidInput(f"the part of the shards must be K/N with K from 1 to N, got {k}/{n}")
    folder, runtime = Path(folder).expanduser(), as_runtime(runtime)
    if not force:
        _check_manifest(folder)
    job = _Job(pool, model, folder, rows_per_shard, weights, column, ids, quoting, on_error, force, runtime, device)
    opened = job.opened()
    own = range(len(opened.shards))[k - 1 :: n]
    if executor is None or not own:
        found = [opened.embedded(number, runtime) for number in own]
    else:
        job.folder.mkdir(parents=True, exist_ok=True)
        with runtime.counting(len(own), "shards") as bar:
            found = executor.map(partial(_in_process, job), _done, own, bar.update)
    return _summed(job.folder, opened.shards, found)


@dataclass(frozen=True, eq=False)
class _Job:
    """The embedding of a pool into shards; the attributes are arguments of ``embed_shards``."""

    pool: Any
    model: str | Encoder
    folder: Path
    rows_per_shard: int
    weights: str | Path | None
    column: str | None
    ids: str | Path | None
    quoting: Quoting | None
    on_error: OnError
    force: bool
    runtime: Runtime
    device: str | None

    def opened(self) -> _Opened:
        """The shards of the pool, and the model."""
        pool, model = self.pool, self.model
        if not isinstance(pool, Items):
            pool = open_pool(pool, column=self.column, ids=self.ids, quoting=self.quoting)
        items = items_of(pool)
        encoder = model if isinstance(model, Encoder) else encoder_named(model, self.weights)
        shards = [
            _shard(self.folder, number, items.part(start, min(start + self.rows_per_shard, len(items))), encoder)
            for number, start in enumerate(range(0, len(items), self.rows_per_shard))
        ]
        return _Opened(self, shards, encoder)


@dataclass(frozen=True, eq=False)
class _Opened:
    """A job whose pool and model were opened.

    Attributes:
        job: The job.
        shards: All shards of the pool.
        encoder: The model.
    """

    job: _Job
    shards: Sequence[_Shard]
    encoder: Encoder

    def embedded(self, number: int, runtime: Runtime) -> Embedded:
        """Embed one shard, unless it is complete; a file of ``embed`` that was edited or damaged is kept, with a warning."""
        shard = self.shards[number]
        if not shard.is_named():
            (shard.path.parent / MANIFEST).unlink(missing_ok=True)  # it would list files of another pool or model
        job, aside = self.job, not self.job.force and bool(read_info(shard.path))
        force, on_error = job.force, job.on_error
        options: dict[str, Any] = {"on_error": on_error, "force": force, "aside": aside, "runtime": runtime}
        return embed(shard.items, self.encoder, out=shard.path, empty=True, **options)


def _in_process(job: _Job) -> tuple[_Opened, Runtime]:
    """What a process of an executor needs; it loads the model once, and has one core to decode images."""
    if not job.folder.is_dir():
        raise RunError(
            f"the machine {platform.node()} has no folder {job.folder}; all machines must see the pool and the shards at the same "
            "paths: write the shards to storage that they share"
        )
    runtime = replace(job.runtime, progress=False, num_workers=job.runtime.num_workers or 1)
    if job.device is not None:
        runtime = replace(runtime, device=job.device)
    opened = job.opened()
    return replace(opened, encoder=replace(opened.encoder, load=cache(opened.encoder.load))), runtime


def _done(opened: tuple[_Opened, Runtime], number: int, report: Report) -> Embedded:
    """Embed one shard. The process that had it before may still write it: a machine can be cut off before its processes end."""
    job, runtime = opened
    warned = False
    while True:
        try:
            embedded = job.embedded(number, runtime)
        except RunBusy as error:
            if not warned:
                warnings.warn(f"{error}; waiting until that process ends", DistilWarning, stacklevel=1)
            warned = True
            time.sleep(_SECONDS)
        else:
            report(1)
            return embedded


@dataclass(frozen=True, eq=False)
class _Shard:
    """One shard of a pool for a model.

    Attributes:
        path: The file of its embeddings.
        items: Its items.
        key: Hash of the model and the items.
    """

    path: Path
    items: Items
    key: str

    def is_named(self) -> bool:
        """Whether its file and information are there, without a look at their contents."""
        return self.path.exists() and read_info(self.path).get("key") == self.key


def _shard(folder: Path, number: int, items: Items, encoder: Encoder) -> _Shard:
    key = key_of_pool(items, encoder, items.fingerprint)
    if not key:
        raise InvalidInput(
            "this pool has no content or files to identify its shards by; embed it into one file (--out)"
        )
    return _Shard(folder / _name(number), items, key)


def _check_manifest(folder: Path) -> None:
    """Refuse a folder with a manifest that ``embed_shards`` did not write, as of shards that other programs made."""
    path = folder / MANIFEST
    if not path.exists():
        return
    try:
        manifest = read_manifest(folder)
        files = {"embeddings": [name for name in manifest.files["embeddings"] if _is_name(name)]}
        own = path.read_text(encoding="utf-8") == manifest_text(manifest.rows, files)
    except (DistilError, LookupError):
        own = False
    if not own:
        raise InvalidInput(
            f"{path} is not as distil embed wrote it, so nothing was written; choose another folder for the shards, or replace it "
            "with force=True (--force)"
        )


def _name(number: int) -> str:
    """The name of the file of a shard."""
    return f"{number:0{_DIGITS}}.npy"


def _is_name(file: str) -> bool:
    """Whether a file has the name of a shard."""
    stem = file.removesuffix(".npy")
    return stem.isdecimal() and file == _name(int(stem))


def _summed(folder: Path, shards: Sequence[_Shard], found: Sequence[Embedded]) -> Sharded:
    """The result of a call, after the manifest is written if all shards are there."""
    missing = tuple(number for number, shard in enumerate(shards) if not shard.is_named())
    skipped = {name: fault for each in found for name, fault in each.skipped.items()}
    rows, widths = [each.shape[0] for each in found], [each.shape[1] for each in found]
    if not missing:
        infos = [read_info(shard.path) for shard in shards]
        rows = [info["rows"] for info in infos]
        if not any(rows):
            raise InvalidInput(
                none_read(sum(len(shard.items) for shard in shards), next(iter(infos[0]["skipped"].values())))
            )
        widths = sorted({info["dims"] for info in infos})
        if len(widths) > 1:
            raise InvalidInput(f"the shards in {folder} have embeddings of {widths[0]} and of {widths[-1]} numbers")
        kept = [number for number, size in enumerate(rows) if size]  # of others, all items were left out
        write_manifest(folder, [rows[number] for number in kept], {"embeddings": [_name(number) for number in kept]})
    notes = tuple(dict.fromkeys(each.note for each in found if each.note))
    if not found:
        notes = (f"the pool has {counted(len(shards), 'shard')}, and none of them is in this part",)
    return Sharded(folder, sum(rows), max(widths, default=0), sum(each.made for each in found), skipped, missing, notes)
