"""Labels as a folder that ``datasets.load_dataset`` opens: images with their metadata, or Parquet files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from distil.errors import InvalidInput, counted
from distil.labeling.items import Item
from distil.labeling.rows import Row
from distil.labeling.table_rows import label_records, read_rows, write_records
from distil.system.files import check_free, new_folder, remove_unfinished_folders

_CARD = "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/train-*.parquet\n---\n"


def write_folder(rows: Sequence[Row], items: Mapping[str, Item], folder: Path) -> None:
    """Write a new folder: ``train/`` with the images and ``metadata.jsonl``, or ``data/train-00000-of-00001.parquet``.

    Raises:
        InvalidInput: There are images and other items, or an image is no longer in its place.
        RunError: The folder exists and holds something.
    """
    check_free(folder)
    remove_unfinished_folders(folder)
    images = [row for row in rows if items[row.id].path is not None]
    if images and len(images) < len(rows):
        raise InvalidInput(f"{folder}: expected images only, or none; export to .csv, .jsonl or .parquet")
    if not images:
        with new_folder(folder) as temporary:
            write_records(label_records(rows, items), temporary / "data" / "train-00000-of-00001.parquet")
            (temporary / "README.md").write_text(_CARD, encoding="utf-8")
        return
    lost = [row.id for row in images if not Path(str(items[row.id].path)).is_file()]
    if lost:
        raise InvalidInput(
            f"{folder} was not written: {counted(len(lost), 'labeled image')} cannot be copied, because the files are gone; the "
            f"first: {lost[0]!r}; put them back, add the folder to which they moved, or export to .csv, .jsonl or .parquet"
        )
    names = _file_names([row.id for row in images], items)
    records = [{"file_name": names[row.id], "id": row.id, "label": row.label} for row in images]
    with new_folder(folder) as temporary:
        for row in images:
            target = temporary / "train" / names[row.id]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(items[row.id].path), target)
        write_records(records, temporary / "train" / "metadata.jsonl")


def _file_names(ids: Sequence[str], items: Mapping[str, Item]) -> dict[str, str]:
    """Id -> the name of the file of an image in the folder, different for each."""
    taken = set(ids)
    return {
        item: _file_name(item, Path(str(items[item].path)).suffix, number, taken) for number, item in enumerate(ids)
    }


def _file_name(item: str, suffix: str, number: int, taken: Collection[str]) -> str:
    """The id of an image where it can be a path below the folder, else a number that is no id."""
    path = PurePosixPath(item)
    fits = item.isprintable() and not path.is_absolute() and ".." not in path.parts and path.suffix == suffix
    if fits and "\\" not in item and not path.name.startswith(("metadata.", ".")):
        return item
    name = f"{number:06}{suffix}"
    while name in taken:
        name = f"_{name}"
    return name


def read_folder(folder: Path) -> list[Row]:
    """The rows in the tables of a folder: metadata of images, or Parquet files; else those of a folder for each class.

    Labels that are numbers of a ``ClassLabel`` become its names.
    """
    metadata = [path for ending in (".jsonl", ".csv", ".parquet") for path in sorted(folder.rglob(f"metadata{ending}"))]
    tables = metadata or sorted(folder.rglob("*.parquet"))
    return [row for path in tables for row in _named(path, read_rows(path))] if tables else read_rows(folder)


def _named(path: Path, rows: list[Row]) -> Iterator[Row]:
    names = _class_names(path) if path.suffix == ".parquet" else []
    for row in rows:
        number = int(row.label) if row.label is not None and row.label.isdecimal() else -1
        yield Row(row.id, names[number], row.answer) if 0 <= number < len(names) else row


def _class_names(path: Path) -> list[str]:
    """The names of the ``ClassLabel`` that ``datasets`` wrote as the column of labels; none without one."""
    from distil.system.imports import optional

    parquet = optional("pyarrow.parquet", "reading Parquet")
    about = (parquet.read_schema(path).metadata or {}).get(b"huggingface", b"{}")
    features: Any = json.loads(about).get("info", {}).get("features", {})
    return [str(name) for name in features.get("label", {}).get("names", [])]
