"""``distil embed`` and ``distil.embed``: embeddings of images or texts, into a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distil.cli.executors import ExecutorName, executor_named
from distil.cli.options import PathLike, optional_path, out_of, path_of, print_note, refuse_inputs
from distil.cli.pools import OnError, Quoting, embedded, warn_of
from distil.errors import InvalidInput, counted

if TYPE_CHECKING:
    from distil.system.executor import Executor


def embed(
    pool: PathLike,
    *,
    model: PathLike,
    out: PathLike | None = None,
    shards: PathLike | None = None,
    rows_per_shard: int | None = None,
    shard: str | None = None,
    force: bool = False,
    weights: PathLike | None = None,
    column: str | None = None,
    quoting: Quoting | None = None,
    ids: PathLike | None = None,
    on_error: OnError = "raise",
    device: str | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    executor: ExecutorName | None = None,
    address: str | None = None,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Embed images or texts into a file, or into a folder of shards.

    The model embeds a folder of images, or a table of texts or of image paths. Nothing is downloaded. Examples::

        distil embed images/ --model timm:resnet18 --weights resnet18.safetensors --out emb.npy
        distil embed texts.csv --model path/to/sentence-transformers-model --out emb.parquet
        distil embed texts.jsonl --model my_package.my_module:encode --out emb.npy

    The pool is streamed once, whatever its size. A second time, nothing is left to do; after a kill, embedding goes on where it
    stopped; after items were added, changed or removed, only new content goes through the model. Next to emb.npy are emb.ids.txt,
    one id a line, emb.contents, a hash of each item's content, and emb.info.json, which says from which model and pool it was made
    and how many rows were reused; emb.parquet holds ids and embeddings in one file. A pool counts as changed when the name, size or
    time of change of one of its files has changed. Of files with these names, only those that embed wrote are replaced, as it left
    them.

    A pool that is larger than one process should embed goes into a folder of shards, a file for every 65,536 items::

        distil embed images/ --model timm:resnet18 --weights resnet18.safetensors --shards emb/
        distil embed images/ --model pixels --shards emb/ --executor processes
        seq 8 | xargs -P 8 -I K distil embed images/ --model pixels --shards emb/ --shard K/8

    Complete shards are not embedded again; one that was edited or damaged is kept under another name, and embedded again. Once all
    shards are there, emb/manifest.json is written, and emb/ is accepted wherever a file of embeddings is.

    Args:
        pool: A folder of images, or a ``.csv``, ``.tsv``, ``.xlsx``, ``.jsonl``, ``.parquet`` or ``.txt`` file.
        model: The model of the embeddings: ``timm:NAME`` with weights; ``pixels``, which needs no weights; a folder or package of
            sentence-transformers; or ``package.module:callable``, which takes a list of items and returns (B, D).
        out: The file to write, ``.npy`` or ``.parquet``.
        shards: The folder to write shards to, in place of ``out``.
        rows_per_shard: Items of one shard, a multiple of 4,096; default: 65,536.
        shard: ``K/N``: embed only the K-th of N equal parts of the shards; calls for other parts may run at the same time, also on
            other machines.
        force: Replace files of these names that other programs wrote, or that were edited.
        weights: The file with the weights of a timm model.
        column: The column of texts or image paths, where the pool is a table; ``title,body`` joins two columns of texts.
        quoting: Whether cells of csv and tsv may be quoted (minimal) or not (none); default: none for tsv without quoted names.
        ids: The ids of the items: a file, or a column of the table; default: the column id, or image paths.
        on_error: Stop at an item that cannot be read (raise), or leave it out and list it (skip).
        device: The device of the model, such as ``cuda``.
        batch_size: Items in one forward pass.
        workers: Processes that share the work; default: 1, or with an executor one for each core.
        executor: Where shards are embedded: in this process (serial), in processes of this machine, or in a Ray cluster (ray),
            whose machines see the files at the same paths. With device cuda, each process of a Ray cluster has a GPU.
        address: The head of the Ray cluster, ``HOST:PORT``; default: the cluster that was started on this machine, or else Ray is
            started for this command.
        progress: Show a progress bar; default: when the output is a terminal.

    Returns:
        The document that ``distil embed --json`` prints: ``path``, ``rows``, ``dims``, ``skipped`` (id -> what was wrong),
        ``made``, the number of items that this call embedded, and ``read``, sentences on how the pool was read and how many rows
        of the earlier file were reused. With ``shards`` also ``missing``, the numbers of the shards that are not there yet.

    Raises:
        InvalidInput: An item that cannot be read, weights that do not fit, or a model for other items.
        DataNotFound: There is no pool at that path.
        RunError: Another process is writing the file.
    """
    inputs = {"pool": pool, "model": model, "weights": weights, "ids": ids}
    if (out is None) == (shards is None):
        raise InvalidInput("pass out, the file to write, or shards, the folder to write (--out, --shards)")
    given: dict[str, Any] = {
        "weights": weights,
        "force": force,
        "column": column,
        "ids": ids,
        "quoting": quoting,
        "on_error": on_error,
        "device": device,
        "batch_size": batch_size,
        "progress": progress,
    }
    if shards is not None:
        where = executor_named(executor, address, workers, device=device)
        return _in_shards(path_of("pool", pool), model, path_of("shards", shards), rows_per_shard, shard, where, given)
    if executor is not None or workers is not None or address is not None:
        raise InvalidInput("executor, workers and address share out shards; pass their folder too (--shards)")
    if shard is not None or rows_per_shard is not None:
        raise InvalidInput("shard and rows_per_shard belong to a folder of shards; pass it (--shards)")
    from distil.embedding.own_files import own_paths

    path = out_of(out, (".npy", ".parquet"))
    for file in [] if path is None else own_paths(path):
        refuse_inputs(file, inputs)
    found = embedded(path_of("pool", pool), model, out=path, **given)
    rows, dims = found.shape
    document = {"path": str(found.path), "rows": rows, "dims": dims, "skipped": found.skipped, "made": found.made}
    return {**document, "read": [found.note] if found.note else []}


def _in_shards(
    pool: str,
    model: PathLike,
    folder: str,
    rows: int | None,
    part: str | None,
    executor: Executor | None,
    given: dict[str, Any],
) -> dict[str, Any]:
    """Embed a pool into shards, and say what was done."""
    from distil.embedding.shards import ROWS_PER_SHARD, embed_shards
    from distil.system.runtime import Runtime

    given = dict(given)
    device = given.pop("device")
    runtime = Runtime(
        device=device if executor is None else None, batch_size=given.pop("batch_size"), progress=given.pop("progress")
    )
    given |= {name: optional_path(name, given[name]) for name in ("weights", "ids")}
    blocked = Path(folder).expanduser()
    if blocked.exists() and not blocked.is_dir():
        raise InvalidInput(f"{folder} is a file; expected a folder to write shards to")
    found = embed_shards(
        pool,
        path_of("model", model),
        folder,
        rows_per_shard=ROWS_PER_SHARD if rows is None else rows,
        part=(1, 1) if part is None else _part(part),
        runtime=runtime,
        executor=executor,
        device=device,
        **given,
    )
    warn_of(found.skipped, f"the .info.json files in {folder}")
    document = {"path": folder, "rows": found.rows, "dims": found.dims, "skipped": found.skipped, "made": found.made}
    return {**document, "missing": list(found.missing), "read": list(found.notes)}


def _part(text: str) -> tuple[int, int]:
    """The numbers of ``K/N``."""
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if match is None:
        raise InvalidInput(f"shard must be K/N, such as 3/8 for the third of 8 parts, got {text!r}")
    return int(match[1]), int(match[2])


def act(given: dict[str, Any]) -> int:
    """Embed, and print what was done."""
    found = embed(**given)
    for note in found["read"]:
        print_note(note)
    done = f"{found['made']:,} item{'s' * (found['made'] > 1)} embedded" if found["made"] else "nothing to do"
    size = f"{found['rows']:,} x {found['dims']:,}"
    missing = len(found.get("missing", []))
    if missing:
        print(f"{done}: {counted(missing, 'shard')} of {found['path']} missing, {len(found['skipped']):,} skipped")
    else:
        print(f"{done}: {found['path']} holds {size}, {len(found['skipped']):,} skipped")
    return 0
