"""Finding the files of data sets on disk, and the message that lists missing files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distil.datasets.download import DOWNLOADS, fetch
from distil.errors import DataNotFound


@dataclass(frozen=True)
class Places:
    """The folders and names under which the files of a set are searched.

    Attributes:
        folders: Folders below the root, preferred ones first; all files of a set come from one of them.
        files: For each file, the names that it may have, preferred ones first.
        suffixes: Endings that may follow each name, preferred ones first.
    """

    folders: tuple[str, ...]
    files: tuple[tuple[str, ...], ...]
    suffixes: tuple[str, ...] = ("",)

    def find(self, root: Path) -> list[Path] | None:
        """The files, in order, in the first folder that has all of them; None if no folder has."""
        for folder in self.folders:
            paths = [self._first(root / folder, names) for names in self.files]
            if None not in paths:
                return [path for path in paths if path is not None]
        return None

    def missing(self, root: Path) -> list[str]:
        """One line for each folder with the files that it lacks."""
        packed = "|".join(suffix for suffix in self.suffixes if suffix)
        optional = f"[{packed}]" if packed else ""
        lines = []
        for folder in self.folders:
            lacking = (names for names in self.files if self._first(root / folder, names) is None)
            files = (" or ".join(name + optional for name in names) for names in lacking)
            lines.append(f"{root / folder}: {', '.join(files)}")
        return lines

    def _first(self, folder: Path, names: Sequence[str]) -> Path | None:
        paths = (folder / (name + suffix) for name in names for suffix in self.suffixes)
        return next((path for path in paths if path.is_file()), None)


def locate(name: str, root: Path, download: bool, *places: Places) -> tuple[int, list[Path]]:
    """Find the files of a set; download missing ones if that is allowed and possible.

    Args:
        name: The name of the data set.
        root: The data root.
        download: Whether to download missing files.
        *places: The forms of the set (unpacked files, an archive), preferred ones first.

    Returns:
        The index of the form that was found, and its files in order.

    Raises:
        DataNotFound: No form is complete; the message lists the files that each folder lacks.
    """
    for attempt in range(2):
        for index, place in enumerate(places):
            if paths := place.find(root):
                return index, paths
        if attempt or not download or name not in DOWNLOADS:
            break
        fetch(name, root)
    tried = "".join(f"\n  {line}" for place in places for line in place.missing(root))
    advice = "this set cannot be downloaded by distil"
    if name in DOWNLOADS:
        advice = f"or download it from {DOWNLOADS[name].base} with download=True (run or compare with --download)"
    raise DataNotFound(
        f"data set {name!r} was not found. Each of these places lacks files; one complete place is enough:"
        f"{tried}\nName the folder of your data sets with --data, root=... or the environment variable DISTIL_DATA; {advice}"
    )


def user_file(name: str, path: str | Path, root: Path, *, folders: bool = False) -> Path:
    """The path of a user's file, in the working directory or else in the data root.

    Args:
        name: The name of the data set, for the message.
        path: The path as the user wrote it.
        root: The data root.
        folders: Whether it may be a folder.

    Raises:
        DataNotFound: It is in neither folder.
    """
    file = Path(os.path.expanduser(path))
    tried = [Path.cwd() / file] + ([] if file.is_absolute() or ".." in file.parts else [root / file])
    for place in tried:
        if place.is_file() or (folders and place.is_dir()):
            return place
    what = "file or folder" if folders else "file"
    raise DataNotFound(
        f"no {what} {str(path)!r} for data set {name!r}; tried {' and '.join(map(str, tried))}. Pass the "
        "full path, or name the folder of your data sets with --data, root=... or the environment variable DISTIL_DATA"
    )
