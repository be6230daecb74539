"""Relative paths of a configuration: on disk relative to its file, in memory to the working directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from distil.datasets.load import data_root
from distil.experiment.config.document import PROJECT, text_in

DATA_ARRAYS: Final = ("embeddings", "test_embeddings")
"""Keys of the section ``dataset`` that name an array."""
DATA_FILES: Final = (
    *DATA_ARRAYS,
    *("path", "test_path", "labels", "test_labels", "images", "test_images", "texts", "test_texts"),
)
"""Keys of the section ``dataset`` that name a file or a folder of data."""
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "dataset": (*DATA_FILES, "weights", "encoder"),
    "train_parameters": ("logs_location",),
    "experiment": ("output", "data"),
}


def rebased(document: Mapping[str, Any], start: Path, to: Path, root: str | None = None) -> dict[str, Any]:
    """The document with its relative paths, which are relative to one folder, written relative to another.

    Arguments of a data set's own callable stay as they are, and so do names of files that are not in the folder but in the data
    root, where data sets are searched too.

    Args:
        document: A JSON object, which need not be checked.
        start: The folder that the paths are relative to.
        to: The folder that they shall be relative to.
        root: The folder of the data sets, if it is not the document's ``experiment.data``.
    """
    start, to = start.resolve(), to.resolve()
    given = text_in(document.get("experiment"), "data")
    base = data_root(root or (start / os.path.expanduser(given) if given else None))
    called = ":" in text_in(document.get("dataset"), "name") and not text_in(document.get("dataset"), "encoder")
    found = dict(document)
    for section, keys in _KEYS.items():
        content = document.get(section)
        if isinstance(content, Mapping) and not (section == "dataset" and called):
            found[section] = {
                key: _moved(value, start, to) if key in keys and _moves(key, value, start, base) else value
                for key, value in content.items()
            }
    oracle = text_in(found.get("experiment"), "oracle")
    path = oracle.removeprefix(PROJECT)
    if path != oracle and _moves("output", path, start, base):
        found["experiment"] = {**found["experiment"], "oracle": PROJECT + _moved(path, start, to)}
    return found


def _moves(key: str, value: object, start: Path, base: Path) -> bool:
    """Whether a value is a relative path."""
    if not isinstance(value, str) or not value or value.startswith("~") or Path(value).is_absolute():
        return False
    if key == "encoder":
        return _exists(start / value / "modules.json")  # other models have names
    if key == "weights":
        return value != "random"
    return key not in DATA_FILES or _holds(start, value) or not _holds(base, value)


def _moved(value: str, start: Path, to: Path) -> str:
    try:
        return os.path.relpath(start / value, to)
    except ValueError:  # on another drive
        return str(start / value)


def _holds(folder: Path, value: str) -> bool:
    """Whether a folder holds the file, which may be followed by ``#`` and the name of an array in it."""
    return _exists(folder / value) or _exists(folder / value.partition("#")[0])


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long
        return False
