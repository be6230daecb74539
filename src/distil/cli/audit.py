"""``distil audit``: what is wrong with a pool, before a budget is spent on it."""

from __future__ import annotations

import argparse
import json
from typing import Any

from distil.cli.pool_options import add_model, check_out, embedded
from distil.cli.select import INTERRUPTED

_DESCRIPTION = """\
Look a pool over before labels are paid for: exact and near duplicates, items of the test set that leak into what is labeled,
outliers, classes without a label, parts of the pool far from every label, and whether the labeled set still looks like the pool.

  distil audit emb.npy --labeled labeled.csv --out audit.html
  distil audit images/ --model timm:resnet18 --weights resnet18.safetensors --labeled labeled.csv --test test/ --out audit.html

POOL is an array of embeddings, or images or texts with --embeddings or --model; without either, only exact duplicates and classes
are looked at. --labeled and --test are lists of ids of the pool, or pools of their own.
"""


def add(commands: Any) -> None:  # noqa: ANN401 - what add_subparsers returns has no public name
    """Add the command to the parser."""
    parser = commands.add_parser(
        "audit",
        help="find duplicates, leaks, outliers, missing classes and drift",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pool", metavar="POOL", help="embeddings, a folder of images, or a table of texts")
    parser.add_argument("--embeddings", metavar="FILE", help="of the pool, where it does not hold them")
    parser.add_argument("--labeled", metavar="FILE|POOL", help="what is labeled: ids with labels, or a pool of its own")
    parser.add_argument("--labeled-embeddings", metavar="FILE", help="of such a pool")
    parser.add_argument("--test", metavar="FILE|POOL", help="what tests the model, likewise")
    parser.add_argument("--test-embeddings", metavar="FILE", help="of such a pool")
    parser.add_argument("--labels", metavar="FILE", help="ids with labels, as many as are known")
    parser.add_argument(
        "--near", metavar="SHARE", type=float, help="what is near: a share of the typical distance; default: 0.05"
    )
    parser.add_argument("--rows", metavar="N", type=int, default=20_000, help="items compared with all; default: 20000")
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="of the samples; default: 0")
    add_model(parser)
    parser.add_argument("--ids", metavar="FILE|COLUMN", help="what the items of the pool are called")
    parser.add_argument("--out", metavar="FILE", help="the page, .html, or the report, .json")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--no-progress", action="store_true", help="show no progress bar")
    parser.set_defaults(run=run, interrupted=INTERRUPTED)


def run(arguments: argparse.Namespace) -> int:
    """Run it."""
    from pathlib import Path

    from distil.auditing.audit import audit
    from distil.auditing.page import audit_page
    from distil.data.distances import NEAR
    from distil.data.items import items_of
    from distil.data.pools import open_pool
    from distil.system.files import write_text
    from distil.system.runtime import Runtime

    if arguments.out is not None:
        check_out(arguments.out, (".html", ".json"))
    pool = open_pool(arguments.pool, column=arguments.column, ids=arguments.ids)
    report = audit(
        pool,
        **_sets(arguments, pool),
        labels=arguments.labels,
        near=NEAR if arguments.near is None else arguments.near,
        rows=arguments.rows,
        seed=arguments.seed,
        runtime=Runtime(progress=False if arguments.no_progress else None),
    )
    if arguments.out is not None:
        page = arguments.out.endswith(".html")
        text = audit_page(report, arguments.pool, items_of(pool)) if page else json.dumps(report, indent=2) + "\n"
        write_text(Path(arguments.out), text)
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        print("\n".join([*report["findings"], *(f"note: {note}" for note in report["notes"])]))
        if arguments.out is not None:
            print(f"\nReport: {arguments.out}")
    return 0


def _sets(arguments: argparse.Namespace, pool: Any) -> dict[str, Any]:  # noqa: ANN401 - classes are imported late
    """The sets and their embeddings, which are made where there is a model."""
    from distil.data.array_files import ARRAY_FILES
    from distil.data.ids import ID_FILES
    from distil.data.items import items_of

    found = {
        "embeddings": arguments.embeddings,
        "labeled": arguments.labeled,
        "labeled_embeddings": arguments.labeled_embeddings,
        "test": arguments.test,
        "test_embeddings": arguments.test_embeddings,
    }
    if arguments.model is None:
        return found
    if found["embeddings"] is None and items_of(pool).kind != "rows":
        found["embeddings"] = embedded(arguments, pool).path
    for name in ("labeled", "test"):
        given = found[name]
        if (
            given is not None
            and found[f"{name}_embeddings"] is None
            and not given.lower().endswith((*ARRAY_FILES, *ID_FILES))
        ):
            others = argparse.Namespace(**{**vars(arguments), "ids": None})
            found[f"{name}_embeddings"] = embedded(others, given).path
    return found
