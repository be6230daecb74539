"""``distil embed`` and ``distil.embed``: embeddings of images or texts, into a file."""

from __future__ import annotations

from typing import Any

from distil.cli.options import PathLike, out_of, path_of, print_note, refuse_inputs
from distil.cli.pools import OnError, Quoting, embedded


def embed(
    pool: PathLike,
    *,
    model: PathLike,
    out: PathLike,
    force: bool = False,
    weights: PathLike | None = None,
    column: str | None = None,
    quoting: Quoting | None = None,
    ids: PathLike | None = None,
    on_error: OnError = "raise",
    device: str | None = None,
    batch_size: int | None = None,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Embed images or texts into a file.

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

    Args:
        pool: A folder of images, or a ``.csv``, ``.tsv``, ``.jsonl``, ``.parquet`` or ``.txt`` file.
        model: The model of the embeddings: ``timm:NAME`` with weights; ``pixels``, which needs no weights; a folder or package of
            sentence-transformers; or ``package.module:callable``, which takes a list of items and returns (B, D).
        out: The file to write, ``.npy`` or ``.parquet``.
        force: Replace files of these names that other programs wrote, or that were edited.
        weights: The file with the weights of a timm model.
        column: The column of texts or image paths, where the pool is a table; ``title,body`` joins two columns of texts.
        quoting: Whether cells of csv and tsv may be quoted (minimal) or not (none); default: none for tsv without quoted names.
        ids: The ids of the items: a file, or a column of the table; default: the column id, or image paths.
        on_error: Stop at an item that cannot be read (raise), or leave it out and list it (skip).
        device: The device of the model, such as ``cuda``.
        batch_size: Items in one forward pass.
        progress: Show a progress bar; default: when the output is a terminal.

    Returns:
        The document that ``distil embed --json`` prints: ``path``, ``rows``, ``dims``, ``skipped`` (id -> what was wrong),
        ``made``, the number of items that this call embedded, and ``read``, sentences on how the pool was read and how many rows
        of the earlier file were reused.

    Raises:
        InvalidInput: An item that cannot be read, weights that do not fit, or a model for other items.
        DataNotFound: There is no pool at that path.
        RunError: Another process is writing the file.
    """
    from distil.embedding.own_files import own_paths

    inputs = {"pool": pool, "model": model, "weights": weights, "ids": ids}
    path = out_of(out, (".npy", ".parquet"))
    for file in [] if path is None else own_paths(path):
        refuse_inputs(file, inputs)
    found = embedded(
        path_of("pool", pool),
        model,
        weights=weights,
        out=path,
        force=force,
        column=column,
        ids=ids,
        quoting=quoting,
        on_error=on_error,
        device=device,
        batch_size=batch_size,
        progress=progress,
    )
    rows, dims = found.shape
    document = {"path": str(found.path), "rows": rows, "dims": dims, "skipped": found.skipped, "made": found.made}
    return {**document, "read": [found.note] if found.note else []}


def act(given: dict[str, Any]) -> int:
    """Embed, and print what was done."""
    found = embed(**given)
    for note in found["read"]:
        print_note(note)
    done = f"{found['made']:,} item{'s' * (found['made'] > 1)} embedded" if found["made"] else "nothing to do"
    size = f"{found['rows']:,} x {found['dims']:,}"
    print(f"{done}: {found['path']} holds {size}, {len(found['skipped']):,} skipped")
    return 0
