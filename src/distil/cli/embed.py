"""``distil embed`` and ``distil.embed``: embeddings of images or texts, into a file."""

from __future__ import annotations

import argparse
from typing import Any

from distil.cli.options import (
    PathLike,
    add_command,
    add_output,
    add_progress,
    keywords,
    path_of,
    print_json,
    print_notes,
)
from distil.cli.pool_options import OnError, add_model, embedded, out_of
from distil.errors import InvalidInput

_DESCRIPTION = """\
Embed a folder of images, or a table of texts or of image paths, with a model that is on this machine:

  distil embed images/ --model timm:resnet18 --weights resnet18.safetensors --out emb.npy
  distil embed texts.csv --model path/to/sentence-transformers-model --out emb.parquet
  distil embed texts.jsonl --model my_package.my_module:encode --out emb.npy

The pool is streamed once, whatever its size. emb.npy goes with emb.ids.txt, an id a line, and emb.info.json, which says what it was
made of: the same command does nothing a second time, and goes on where it was killed. .parquet holds ids and embeddings in one
file. A pool has changed when a name, a size or a time of change of its files has.
"""


def embed(
    pool: PathLike,
    *,
    model: PathLike,
    out: PathLike,
    weights: PathLike | None = None,
    column: str | None = None,
    ids: PathLike | None = None,
    on_error: OnError = "raise",
    device: str | None = None,
    batch_size: int | None = None,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Embed images or texts into a file, as the command ``distil embed`` does.

    The pool is streamed once. The same call does nothing a second time, and one that was killed goes on where it was.

    Args:
        pool: A folder of images, or a ``.csv``, ``.tsv``, ``.jsonl``, ``.parquet`` or ``.txt``.
        model: ``"timm:NAME"`` with ``weights``, a folder or package of sentence-transformers, or ``"package.module:callable"``,
            which is called with a list of items and returns (B, D).
        out: The file to write, ``.npy`` or ``.parquet``.
        weights: A file with the weights of a timm model; nothing is downloaded.
        column: The column of texts or image paths, where the pool is a table.
        ids: What the items are called: a file of ids or a column of the table. Default: the column ``id``, or image paths.
        on_error: ``"raise"``, or ``"skip"`` to leave out items that cannot be read and to list them.
        device: Where to run the model, such as ``"cuda"``.
        batch_size: Items in one forward pass.
        progress: Whether to show a progress bar; default: when the output is a terminal.

    Returns:
        What ``distil embed --json`` prints: ``path``, ``rows``, ``dims``, ``skipped`` (id -> what was wrong), ``made``, the
        number of items that this call embedded, and ``read``, sentences on the columns of a table that were read.

    Raises:
        InvalidInput: An item that cannot be read, weights that do not fit, or a model for other items.
        DataNotFound: There is no pool at that path.
        RunError: Another process is writing the file.
    """
    found = embedded(
        path_of("pool", pool),
        model,
        weights=weights,
        out=out_of(out, (".npy", ".parquet")),
        column=column,
        ids=ids,
        on_error=on_error,
        device=device,
        batch_size=batch_size,
        progress=progress,
    )
    rows, dims = found.shape
    document = {"path": str(found.path), "rows": rows, "dims": dims, "skipped": found.skipped, "made": found.made}
    return {**document, "read": [found.note] if found.note else []}


def add(commands: Any) -> None:  # noqa: ANN401 - what add_subparsers returns has no public name
    """Add the command to the parser."""
    parser = add_command(commands, "embed", "embed images or texts into a file", _DESCRIPTION)
    parser.add_argument("pool", metavar="POOL", help="a folder of images, or a .csv, .tsv, .jsonl, .parquet or .txt")
    add_model(parser)
    parser.add_argument("--ids", metavar="FILE|COLUMN", help="what the items are called; default: `id`, or image paths")
    parser.add_argument("--out", metavar="FILE", required=True, help="where to write, .npy or .parquet")
    add_output(parser)
    add_progress(parser)
    parser.set_defaults(run=_command)


def _command(arguments: argparse.Namespace) -> int:
    if "model" not in arguments:
        raise InvalidInput(
            "say what to embed with: --model timm:NAME, a sentence-transformers folder, or module:callable"
        )
    found = embed(**keywords(embed, arguments))
    print_notes(found, arguments)
    if arguments.json:
        print_json(found)
    else:
        done = f"{found['made']:,} items embedded" if found["made"] else "nothing to do"
        size = f"{found['rows']:,} x {found['dims']:,}"
        print(f"{done}: {found['path']} holds {size}, {len(found['skipped']):,} skipped")
    return 0
