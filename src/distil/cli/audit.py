"""``distil audit`` and ``distil.audit``: what is wrong with a pool, before a budget is spent on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distil.cli.options import PathLike, optional_path, out_of, path_of, paths_of, print_note
from distil.cli.pools import OnError, Quoting, embedded
from distil.errors import InvalidInput

if TYPE_CHECKING:
    from distil.data.array_files import Column
    from distil.data.ids import ListedIds
    from distil.data.items import Items
    from distil.embedding.embed import Embedded


def audit(
    pool: PathLike,
    *,
    embeddings: PathLike | None = None,
    labeled: PathLike | Sequence[PathLike] | None = None,
    labeled_embeddings: PathLike | None = None,
    test: PathLike | Sequence[PathLike] | None = None,
    test_embeddings: PathLike | None = None,
    labels: PathLike | Sequence[PathLike] | None = None,
    near: float | None = None,
    rows: int = 20_000,
    seed: int = 0,
    model: PathLike | None = None,
    weights: PathLike | None = None,
    column: str | None = None,
    quoting: Quoting | None = None,
    ids: PathLike | None = None,
    on_error: OnError = "raise",
    device: str | None = None,
    batch_size: int | None = None,
    out: PathLike | None = None,
    suspects: PathLike | None = None,
    force: bool = False,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Find duplicates, leaks, outliers, missing classes, wrong labels and drift.

    An audit shows, before you pay for labels, exact and near duplicates, items of the test set among the labeled ones, outliers,
    classes without a label, labels that are probably wrong, parts of the pool that are far from every label, and whether the
    labeled set still looks like the pool. Examples::

        distil audit emb.npy --labeled labeled.csv --out audit.html
        distil audit images/ --model timm:resnet18 --weights resnet18.safetensors --labeled labeled.csv --test test/

    The pool is an array of embeddings, or images or texts with --embeddings or --model; without either, an audit finds only exact
    duplicates and missing classes. --labeled and --test are lists of ids of the pool, or pools of their own, depending on what the
    file holds.

    Args:
        pool: Embeddings, a folder of images, or a table of texts.
        embeddings: A file of the pool's embeddings, where the pool does not hold them.
        labeled: The labeled set: a file of ids with labels, or a pool of its own; several files of ids count as one.
        labeled_embeddings: A file of the labeled set's embeddings, where it is a pool of its own.
        test: The test set: a file of ids, or a pool of its own; several files of ids count as one.
        test_embeddings: A file of the test set's embeddings, where it is a pool of its own.
        labels: A file of ids with labels, as many as are known; or a folder with a folder of images for each class; one or several.
            Default: the labels in the labeled set's file.
        near: The share of the typical distance within which two items are near-duplicates; default: 0.05.
        rows: The number of items that are compared with all others, and of labels that are judged; of more, a random sample.
        seed: The seed of the samples.
        model: The model of the embeddings: ``timm:NAME`` with weights; ``pixels``, which needs no weights; a folder or package of
            sentence-transformers; or ``package.module:callable``, which takes a list of items and returns (B, D).
        weights: The file with the weights of a timm model.
        column: The column of texts or image paths, where the pool is a table; ``title,body`` joins two columns of texts.
        quoting: Whether cells of csv and tsv may be quoted (minimal) or not (none); default: none for tsv without quoted names.
        ids: The ids of the items: a file, or a column of the table; default: the column id, or image paths.
        on_error: Stop at an item that cannot be read (raise), or leave it out and list it (skip).
        device: The device of the model, such as ``cuda``.
        batch_size: Items in one forward pass.
        out: The file to write the report to: a page, ``.html``, or the numbers, ``.json``.
        suspects: The file to write all labels to that are probably wrong, the most probable error first, ``.csv``: id, label,
            guess (of a model that has not seen the label) and p, its probability.
        force: Replace a file of that name that has other content; without it, no file is replaced.
        progress: Show a progress bar; default: when the output is a terminal.

    Returns:
        The document that ``distil audit --json`` prints: ``findings`` (sentences), ``notes`` (what could not be looked at),
        ``pool``, ``duplicates``, ``outliers``, ``classes``, ``label_errors``, ``coverage``, ``leakage`` and ``drift``; ``items``,
        the texts or files of listed ids; and ``read``, sentences on what was read of tables, and whether ``out`` held this report
        already.

    Raises:
        InvalidInput: A file called ``out`` with other content, ids that are not in the pool, embeddings that do not fit it, or an
            item that cannot be read.
        DataNotFound: There is no pool at that path.
    """
    from distil.auditing.audit import audit as report_of
    from distil.auditing.page import audit_page
    from distil.data.distances import NEAR
    from distil.data.ids import read_ids
    from distil.data.items import Items, items_of
    from distil.data.pools import open_pool
    from distil.system.files import publish
    from distil.system.runtime import Runtime

    inputs = {"pool": pool, "embeddings": embeddings, "labels": labels, "weights": weights, "ids": ids}
    inputs |= {
        "labeled": labeled,
        "labeled_embeddings": labeled_embeddings,
        "test": test,
        "test_embeddings": test_embeddings,
    }
    path, place = out_of(out, (".html", ".json"), inputs=inputs), path_of("pool", pool)
    list_of_suspects = out_of(suspects, (".csv",), "suspects", inputs=inputs)
    opened = open_pool(place, column=column, ids=optional_path("ids", ids), quoting=quoting)
    files = {"labeled": paths_of("labeled", labeled), "test": paths_of("test", test)}
    own = {
        "labeled": optional_path("labeled_embeddings", labeled_embeddings),
        "test": optional_path("test_embeddings", test_embeddings),
    }
    make = None
    if model is not None:
        make = partial(embedded, model=model, weights=weights, column=column, on_error=on_error)
        make = partial(make, device=device, batch_size=batch_size, progress=progress)
    sets = _sets(items_of(opened), optional_path("embeddings", embeddings), files, own, make, quoting)
    known = [read_ids(path, quoting).answered() for path in paths_of("labels", labels)]
    given = [items_of(opened), *known, *(found for found in sets.values() if found is not None)]
    report = report_of(
        items_of(opened),
        **sets,
        labels=_labels(known, files["labeled"], sets, quoting),
        near=NEAR if near is None else near,
        rows=rows,
        seed=seed,
        runtime=Runtime(progress=progress),
    )
    report["read"] = list(dict.fromkeys(found.note for found in given if found.note))
    if list_of_suspects is not None:
        _write_suspects(report["label_errors"], list_of_suspects, force)
    if path is not None:
        page = path.suffix.lower() == ".html"
        others = {name: found for name in files if isinstance(found := sets.get(name), Items)}
        text = audit_page(report, place, items_of(opened), others) if page else json.dumps(report, indent=2) + "\n"
        content = text.encode(errors="backslashreplace")  # ids may be names of files
        if not publish(path, content, force=force):
            report["read"].append(f"{path} holds this report already")
    return report


def _write_suspects(found: dict[str, Any] | None, path: Path, force: bool) -> None:
    """Write all suspected label errors as csv."""
    from distil.data.cells import csv_text
    from distil.system.files import publish

    if found is None:
        raise InvalidInput(
            f"{path} was not written: label errors are found with embeddings (--embeddings, or --model) and labels of at least two "
            "classes with two items each (--labeled, --labels)"
        )
    heads = ["id", "label", "guess", "p"]
    rows = [heads, *([*(each[name] for name in heads[:3]), round(each["p"], 4)] for each in found["suspects"])]
    publish(path, csv_text(rows, path.name).encode(errors="surrogateescape"), force=force)


def _sets(
    pool: Items,
    embeddings: str | None,
    files: dict[str, list[str]],
    own: dict[str, str | None],
    make: Callable[[Items], Embedded] | None,
    quoting: Quoting | None,
) -> dict[str, Any]:
    """The sets with their embeddings, made by ``make`` for those that have none."""
    from distil.auditing.given import own_items
    from distil.data.array_files import read_column
    from distil.data.items import Items

    def column(path: str | None, items: Items | ListedIds) -> Column | None:
        if path is None and make is not None and isinstance(items, Items) and items.kind != "rows":
            path = str(make(items).path)
        return None if path is None else read_column(path, quoting=quoting)

    whole = column(embeddings, pool)
    found: dict[str, Any] = {"embeddings": whole}
    for name, paths in files.items():
        if paths:
            if own[name] is None:
                items = _given(name, paths, pool, whole, quoting)
            else:
                items = own_items(Path(_only(name, paths)), pool, quoting)
            found |= {name: items, f"{name}_embeddings": column(own[name], items)}
    return found


def _labels(
    known: list[ListedIds], paths: list[str], sets: dict[str, Any], quoting: Quoting | None
) -> ListedIds | None:
    """The labels in their files; without one, those in the table of a labeled set of its own."""
    from distil.auditing.given import labels_of_items
    from distil.data.ids import united
    from distil.data.items import Items

    if known:
        return united(known)
    own = sets.get("labeled")
    return labels_of_items(Path(paths[0]), own, quoting) if isinstance(own, Items) else None


def _given(
    name: str, paths: list[str], pool: Items, embeddings: Column | None, quoting: Quoting | None
) -> ListedIds | Items:
    """The set that one file holds, or that several lists of ids name together."""
    from distil.auditing.given import given_set, names_of
    from distil.data.ids import ListedIds, index_of, merged

    sets = [given_set(name, path, pool, embeddings, quoting) for path in paths]
    lists = [found.answered() if name == "labeled" else found for found in sets if isinstance(found, ListedIds)]
    if len(lists) < len(paths):
        place = sets.index(next(found for found in sets if not isinstance(found, ListedIds)))
        _only(name, [paths[place], *paths[:place], *paths[place + 1 :]])
        return sets[0]
    return merged(lists, index_of(names_of(pool, embeddings)), len(pool))


def _only(name: str, paths: list[str]) -> str:
    """The first path; an error if there are more."""
    if len(paths) > 1:
        raise InvalidInput(
            f"{name}: {paths[0]} is a pool of its own, so give it alone; several files must be lists of ids"
        )
    return paths[0]


def act(given: dict[str, Any]) -> int:
    """Audit, and print what was found."""
    report = audit(**given)
    for note in report["read"]:
        print_note(note)
    print("\n".join([*report["findings"], *(f"note: {note}" for note in report["notes"])]))
    if given["out"] is not None:
        print(f"\nReport: {given['out']}")
    if given["suspects"] is not None:
        print(f"{len(report['label_errors']['suspects']):,} suspects: {given['suspects']}")
    return 0
