"""``distil embed``: embeddings of images or texts, into a file."""

from __future__ import annotations

import argparse
import json
from typing import Any

from distil.cli.pool_options import add_model, check_out, embedded

_DESCRIPTION = """\
Embed a folder of images, or a table of texts or of image paths, with a model that is on this machine:

  distil embed images/ --model timm:resnet18 --weights resnet18.safetensors --out emb.npy
  distil embed texts.csv --model path/to/sentence-transformers-model --out emb.parquet
  distil embed texts.jsonl --model my_package.my_module:encode --out emb.npy

The pool is streamed once, whatever its size. emb.npy goes with emb.ids.txt, an id a line, and emb.info.json, which says what it was
made of: the same command does nothing a second time, and goes on where it was killed. .parquet holds ids and embeddings in one
file. A pool has changed when a name, a size or a time of change of its files has.
"""


def add(commands: Any) -> None:  # noqa: ANN401 - what add_subparsers returns has no public name
    """Add the command to the parser."""
    parser = commands.add_parser(
        "embed",
        help="embed images or texts into a file",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pool", metavar="POOL", help="a folder of images, or a .csv, .tsv, .jsonl, .parquet or .txt")
    add_model(parser)
    parser.add_argument("--ids", metavar="FILE|COLUMN", help="what the items are called; default: `id`, or image paths")
    parser.add_argument("--out", metavar="FILE", required=True, help="where to write, .npy or .parquet")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument("--no-progress", action="store_true", help="show no progress bar")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run it."""
    from distil.errors import InvalidInput

    if arguments.model is None:
        raise InvalidInput(
            "say what to embed with: --model timm:NAME, a sentence-transformers folder, or module:callable"
        )
    check_out(arguments.out, (".npy", ".parquet"))
    found = embedded(arguments, arguments.pool, arguments.out)
    rows, dims = found.shape
    if arguments.json:
        document = {"path": str(found.path), "rows": rows, "dims": dims, "skipped": found.skipped, "made": found.made}
        print(json.dumps(document, indent=2))
    else:
        done = f"{found.made:,} items embedded" if found.made else "nothing to do"
        print(f"{done}: {found.path} holds {rows:,} x {dims:,}, {len(found.skipped):,} skipped")
    return 0
