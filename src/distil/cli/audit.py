"""``distil audit`` and ``distil.audit``: what is wrong with a pool, before a budget is spent on it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distil.cli.options import (
    PathLike,
    add_command,
    add_output,
    add_progress,
    keywords,
    optional_path,
    path_of,
    print_json,
    print_notes,
)
from distil.cli.pool_options import INTERRUPTED, OnError, add_model, embedded, out_of

if TYPE_CHECKING:
    from distil.data.ids import ListedIds
    from distil.data.items import Items
    from distil.embedding.embed import Embedded

_DESCRIPTION = """\
Look a pool over before labels are paid for: exact and near duplicates, items of the test set that leak into what is labeled,
outliers, classes without a label, parts of the pool far from every label, and whether the labeled set still looks like the pool.

  distil audit emb.npy --labeled labeled.csv --out audit.html
  distil audit images/ --model timm:resnet18 --weights resnet18.safetensors --labeled labeled.csv --test test/ --out audit.html

POOL is an array of embeddings, or images or texts with --embeddings or --model; without either, only exact duplicates and classes
are looked at. --labeled and --test are lists of ids of the pool, or pools of their own: what the file holds decides.
"""


def audit(
    pool: PathLike,
    *,
    embeddings: PathLike | None = None,
    labeled: PathLike | None = None,
    labeled_embeddings: PathLike | None = None,
    test: PathLike | None = None,
    test_embeddings: PathLike | None = None,
    labels: PathLike | None = None,
    near: float | None = None,
    rows: int = 20_000,
    seed: int = 0,
    model: PathLike | None = None,
    weights: PathLike | None = None,
    column: str | None = None,
    ids: PathLike | None = None,
    on_error: OnError = "raise",
    device: str | None = None,
    batch_size: int | None = None,
    out: PathLike | None = None,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Find duplicates, leaks, outliers, missing classes and drift in a pool, as the command ``distil audit`` does.

    Args:
        pool: Embeddings, a folder of images, or a table of texts.
        embeddings: A file of the pool's embeddings, where the pool does not hold them.
        labeled: What is labeled: a file of ids with labels, or a pool of its own.
        labeled_embeddings: Embeddings of such a pool.
        test: What tests the model, likewise.
        test_embeddings: Embeddings of such a pool.
        labels: A file of ids with labels, as many as are known.
        near: Within what share of the typical distance two items are near-duplicates; default: 0.05.
        rows: Items that are compared with all others; of more, a random sample.
        seed: Of the samples.
        model: What embeds images and texts without embeddings; this and the next six as in :func:`distil.embed`.
        weights: Of a timm model.
        column: Of the texts or image paths.
        ids: What the items of the pool are called.
        on_error: ``"raise"``, or ``"skip"`` to leave out items that cannot be read.
        device: Where to run the model.
        batch_size: Items in one forward pass.
        out: Where to write the report too: a page, ``.html``, or the numbers, ``.json``.
        progress: Whether to show progress bars; default: when the output is a terminal.

    Returns:
        What ``distil audit --json`` prints: ``findings`` (sentences), ``notes`` (what could not be looked at), ``pool``,
        ``duplicates``, ``outliers``, ``classes``, ``coverage``, ``leakage`` and ``drift``, and ``read``, sentences on what was read
        of tables.

    Raises:
        InvalidInput: ListedIds that are not in the pool, embeddings that do not fit it, or an item that cannot be read.
        DataNotFound: There is no pool at that path.
    """
    from distil.auditing.audit import audit as report_of
    from distil.auditing.page import audit_page
    from distil.data.distances import NEAR
    from distil.data.items import items_of
    from distil.data.pools import open_pool
    from distil.system.files import write_text
    from distil.system.runtime import Runtime

    path, place = out_of(out, (".html", ".json")), path_of("pool", pool)
    opened = open_pool(place, column=column, ids=optional_path("ids", ids))
    files = {
        "labeled": optional_path("labeled", labeled),
        "labeled_embeddings": optional_path("labeled_embeddings", labeled_embeddings),
        "test": optional_path("test", test),
        "test_embeddings": optional_path("test_embeddings", test_embeddings),
    }
    make = None
    if model is not None:
        make = partial(embedded, model=model, weights=weights, column=column, on_error=on_error)
        make = partial(make, device=device, batch_size=batch_size, progress=progress)
    sets = _sets(items_of(opened), optional_path("embeddings", embeddings), files, make)
    given = [items_of(opened), *(found for found in sets.values() if found is not None)]
    report = report_of(
        items_of(opened),
        **sets,
        labels=optional_path("labels", labels),
        near=NEAR if near is None else near,
        rows=rows,
        seed=seed,
        runtime=Runtime(progress=progress),
    )
    report["read"] = list(dict.fromkeys(found.note for found in given if found.note))
    if path is not None:
        page = Path(path).suffix.lower() == ".html"
        text = audit_page(report, place, items_of(opened)) if page else json.dumps(report, indent=2) + "\n"
        write_text(Path(path), text.encode(errors="backslashreplace").decode())  # ids may be names of files
    return report


def _sets(
    pool: Items, embeddings: str | None, files: dict[str, str | None], make: Callable[[Items], Embedded] | None
) -> dict[str, Any]:
    """The sets with their embeddings, made by ``make`` for those that have none."""
    from distil.auditing.given import given_set
    from distil.data.array_files import read_column
    from distil.data.items import Items, items_of
    from distil.data.pools import open_pool

    def column(path: str | None, items: Items | ListedIds) -> Any:  # noqa: ANN401
        if path is None and make is not None and isinstance(items, Items) and items.kind != "rows":
            path = str(make(items).path)
        return None if path is None else read_column(path)

    found: dict[str, Any] = {"embeddings": column(embeddings, pool)}
    for name in ("labeled", "test"):
        file, own = files[name], files[f"{name}_embeddings"]
        if file is not None:
            items = given_set(name, file, pool, found["embeddings"]) if own is None else items_of(open_pool(file))
            found |= {name: items, f"{name}_embeddings": column(own, items)}
    return found


def add(commands: Any) -> None:  # noqa: ANN401 - what add_subparsers returns has no public name
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "audit",
        "find duplicates, leaks, outliers, missing classes and drift",
        _DESCRIPTION,
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
    parser.add_argument("--rows", metavar="N", type=int, help="items compared with all; default: 20000")
    parser.add_argument("--seed", metavar="S", type=int, help="of the samples; default: 0")
    add_model(parser)
    parser.add_argument("--ids", metavar="FILE|COLUMN", help="what the items of the pool are called")
    parser.add_argument("--out", metavar="FILE", help="the page, .html, or the report, .json")
    add_output(parser, "print the report as JSON")
    add_progress(parser)
    parser.set_defaults(run=_command, interrupted=INTERRUPTED)


def _command(arguments: argparse.Namespace) -> int:
    report = audit(**keywords(audit, arguments))
    print_notes(report, arguments)
    if arguments.json:
        print_json(report)
    else:
        print("\n".join([*report["findings"], *(f"note: {note}" for note in report["notes"])]))
        if "out" in arguments:
            print(f"\nReport: {arguments.out}")
    return 0
