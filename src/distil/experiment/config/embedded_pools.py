"""Data sets of images or texts, embedded on the way by a pretrained model, once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from distil.data.array_files import read_column
from distil.data.file_readers import ending
from distil.data.headers import LABELS, is_no_text
from distil.data.ids import ListedIds, note_on_case, read_ids, text_in
from distil.data.images import images_below
from distil.data.items import Kind, items_of
from distil.data.pools import open_pool
from distil.data.table_files import TABLE_FILES, Quoting, open_table
from distil.datasets.data_set import DataSet
from distil.datasets.embeddings import data_set_of, read_labels
from distil.datasets.load import data_root
from distil.datasets.locations import user_file
from distil.embedding.embed import embed, made_before
from distil.errors import InvalidInput
from distil.system.runtime import Runtime
from distil.tasks import Task


def load_embedded(
    kind: Kind,
    pools: list[str],
    labels: list[str | None],
    *,
    encoder: str,
    weights: str | None = None,
    column: str | None = None,
    quoting: Quoting | None = None,
    name: str,
    root: str | Path | None = None,
    device: str | None = None,
    looking: bool = False,
    partly: bool = False,
    task: Task = "classification",
) -> DataSet:
    """Load a data set of images or texts, as their embeddings.

    The embeddings are in the user's cache folder, under the content of the pool and the identity of the model, so they are made
    once.

    Args:
        kind: What the pools hold: ``"images"`` or ``"texts"``.
        pools: The pool and, if there is one, the test set: folders of images, or tables.
        labels: For each of them a table of ids and labels, or a folder with a folder for each class; None: the pool has the labels,
            as names of its folders or in a column.
        encoder: The model; see :func:`distil.embedding.embed.embed`.
        weights: Weights of a timm model.
        column: The column of texts or image paths.
        quoting: Whether cells of csv and tsv may be quoted; see :func:`distil.data.table_files.open_table`.
        name: Name of the data set.
        root: Folder for files that are not in the working directory.
        device: Device of the encoder.
        looking: Whether only embeddings that were made before are used: no encoder is loaded.
        partly: Whether items of the pool may lack a label, because an oracle answers.
        task: What labels are.

    Raises:
        DataNotFound: There is no such file or folder.
        InvalidInput: The pool holds other items, an item cannot be read or has no label, or the encoder does not fit.
    """
    base = data_root(root)
    paths = [user_file(name, pool, base, folders=True) for pool in pools]
    tables = [
        _own_labels(path, quoting, partly=partly and path is paths[0])
        if given is None
        else read_labels(user_file(name, given, base, folders=True), quoting)
        for path, given in zip(paths, labels, strict=True)
    ]
    opened = [items_of(open_pool(path, column=column, quoting=quoting)) for path in paths]
    for pool, path in zip(opened, paths, strict=True):
        if pool.kind != kind:
            raise InvalidInput(f"dataset.{kind}: expected {kind}, but {path} holds {pool.kind}")
    if looking:
        made = [made_before(pool, encoder, weights) for pool in opened]
    else:
        made = [embed(pool, encoder, weights=weights, runtime=Runtime(device=device)) for pool in opened]
    data = data_set_of(name, [read_column(each.path) for each in made], tables, partly=partly, task=task)
    return replace(data, read=[*(each.note for each in made if each.note), *data.read])


def _own_labels(pool: Path, quoting: Quoting | None, *, partly: bool) -> ListedIds | None:
    """The labels that a pool has itself: the folders of its images, or the column of labels of its table, row by row.

    Args:
        pool: A folder or a file.
        quoting: Whether cells of csv and tsv may be quoted.
        partly: Whether labels may be missing; a pool that has none gives None.
    """
    if pool.is_dir():
        flat = all("/" not in name for name, _ in images_below(pool))
        return None if partly and flat else read_ids(pool)
    table = open_table(pool, quoting=quoting) if ending(pool) in TABLE_FILES else None
    label = None if table is None else table.named(*LABELS)
    if partly and label is None:
        return None
    if table is None or label is None:
        raise InvalidInput(
            f"{pool} has no labels: expected a column {', '.join(LABELS[:-1])} or {LABELS[-1]}; add it, or name a table of ids and "
            "labels in dataset.labels"
        )
    rows = table.read([], [label], Runtime())
    missing = next((place for place, cell in zip(rows.places, rows.cells[0], strict=True) if is_no_text(cell)), None)
    if missing is not None and not partly:
        raise InvalidInput(f"{table.where(missing)}: the label is missing; fill it in or take the {table.unit} out")
    labels = tuple("" if is_no_text(cell) else text_in(table, cell).strip() for cell in rows.cells[0])
    rows_of = tuple(map(str, range(len(labels))))
    found = ListedIds(rows_of, labels, str(pool), positions=True, note=note_on_case(labels))
    return found.answered() if any(labels) else None
