"""Pools in shards: a folder of array files, and a manifest that says which of them hold which rows.

The manifest is ``manifest.json``. For each shard, in the order of the pool, it has the number of rows and the file of each array::

    {"version": 1, "shards": [{"rows": 65536, "embeddings": "00000.npy"}, {"rows": 40000, "embeddings": "00001.npy"}]}

The names of the arrays are those of the arguments of ``distil.select_from``. Any file that ``read_column`` reads can be a shard.
``FILE#COLUMN`` names a column, so that one Parquet file may hold the ids, the embeddings and the probabilities of its rows.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from distil.errors import DataNotFound, InvalidInput, nearest, whole_number
from distil.system.files import write_text

MANIFEST: Final = "manifest.json"
"""Name of the file that is written last: a folder without it is not complete."""

_VERSION: Final = 1


@dataclass(frozen=True)
class Manifest:
    """The shards of a pool.

    Attributes:
        folder: The folder of the files.
        rows: Number of rows of each shard.
        files: Name of an array -> its file in each shard, relative to the folder.
    """

    folder: Path
    rows: tuple[int, ...]
    files: dict[str, tuple[str, ...]]

    @property
    def starts(self) -> list[int]:
        """The row of the pool at which each shard begins, and the number of all rows."""
        return list(accumulate(self.rows, initial=0))

    def paths(self, array: str) -> list[Path]:
        """The file of each shard for an array; InvalidInput if the shards do not have it."""
        if array not in self.files:
            have = ", ".join(self.files)
            raise InvalidInput(f"{self.folder} has no {array!r}{nearest(array, self.files)}; its shards hold {have}")
        return [self.folder / name for name in self.files[array]]

    def check_ids(self, have: Iterable[bool]) -> None:
        """Refuse a pool of which only some files have ids: the positions of the others could be taken for ids."""
        if len(set(have)) > 1:
            raise InvalidInput(f"some shards of {self.folder} have ids and others have none; give all of them ids")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder of shards.

    Raises:
        DataNotFound: There is none.
        InvalidInput: It is damaged, or of a later version.
    """
    path = folder / MANIFEST
    if not folder.is_dir():
        raise DataNotFound(f"there is no folder {folder}")
    if not path.is_file():
        raise DataNotFound(
            f"{folder} is a folder without a {MANIFEST}; a file of an array, or a complete folder of shards was expected. distil "
            "embed --shards writes the manifest once every shard is there; embed a folder of images with distil embed first"
        )
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is damaged: {error}; write it again") from error
    if not isinstance(document, dict) or document.get("version") != _VERSION:
        raise InvalidInput(f'{path} must begin with {{"version": {_VERSION}, "shards": [...]}}')
    shards = document.get("shards")
    if not isinstance(shards, list) or not shards:
        raise InvalidInput(f"{path}: `shards` must be a list of at least one shard, got {shards!r}")
    for number, shard in enumerate(shards):
        _check_shard(f"{path}, shard {number}", shard, shards[0])
    arrays = [name for name in shards[0] if name != "rows"]
    files = {name: tuple(shard[name] for shard in shards) for name in arrays}
    for name, each in files.items():
        twice = next((file for file, count in Counter(each).items() if count > 1), None)
        if twice is not None:
            raise InvalidInput(f"{path}: two shards have the {name} of {twice}; list each file once")
    return Manifest(folder, tuple(shard["rows"] for shard in shards), files)


def _check_shard(where: str, shard: Any, first: dict[str, Any]) -> None:  # noqa: ANN401 - what JSON holds
    """Refuse an entry that is not the number of rows and the files of the arrays that the first entry has."""
    if not isinstance(shard, dict) or whole_number(shard.get("rows"), 1) is None or len(shard) < 2:
        raise InvalidInput(
            f"{where}: expected `rows`, a whole number from 1, and the file of each array; got {shard!r}"
        )
    if shard.keys() != first.keys():
        raise InvalidInput(f"{where}: it has {', '.join(shard)}, and the first shard has {', '.join(first)}")
    for name, file in shard.items():
        if name != "rows" and (not isinstance(file, str) or Path(file).name != file or file in ("", "..")):
            raise InvalidInput(f"{where}: {name} must be the name of a file in this folder, got {file!r}")


def manifest_text(rows: Sequence[int], files: Mapping[str, Sequence[str]]) -> str:
    """The text of a manifest; arguments as the attributes of ``Manifest``."""
    shards = [
        {"rows": count, **{name: each[number] for name, each in files.items()}} for number, count in enumerate(rows)
    ]
    lines = ",\n    ".join(map(json.dumps, shards))
    return f'{{"version": {_VERSION}, "shards": [\n    {lines}\n]}}\n'


def write_manifest(folder: Path, rows: Sequence[int], files: Mapping[str, Sequence[str]]) -> None:
    """Write the manifest of shards that are complete; arguments as the attributes of ``Manifest``."""
    write_text(folder / MANIFEST, manifest_text(rows, files))
