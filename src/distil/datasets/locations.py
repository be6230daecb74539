"""Where the files of a data set may lie, and what is said when they do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distil.datasets.download import DOWNLOADS, fetch
from distil.errors import DataNotFound


@dataclass(frozen=True)
class Places:
    """Where the files of a set may lie.

    Attributes:
        folders: Under the root, best first; all files of a set come from one of them.
        files: For each file, the names it goes by, best first.
        suffixes: What may be appended to each name.
    """

    folders: tuple[str, ...]
    files: tuple[tuple[str, ...], ...]
    suffixes: tuple[str, ...] = ("",)

    def find(self, root: Path) -> list[Path] | None:
        """The files, in order, from the first folder that has all of them."""
        for folder in self.folders:
            found = [self._first(root / folder, names) for names in self.files]
            if None not in found:
                return [path for path in found if path is not None]
        return None

    def missing(self, root: Path) -> list[str]:
        """A line for each folder: the files that it lacks."""
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
    """Find the files of a set, fetching them first if that is allowed, needed and possible.

    Args:
        name: The data set.
        root: The data root.
        download: Whether they may be fetched.
        *places: Forms in which the set is published, best first.

    Returns:
        Which of ``places`` was found, and its files in order.

    Raises:
        DataNotFound: None of them; the message lists what is missing from each folder.
    """
    for attempt in range(2):
        for index, place in enumerate(places):
            if found := place.find(root):
                return index, found
        if attempt or not download or name not in DOWNLOADS:
            break
        fetch(name, root)
    tried = "".join(f"\n  {line}" for place in places for line in place.missing(root))
    advice = "this set cannot be downloaded by distil"
    if name in DOWNLOADS:
        advice = f"or have it fetched from {DOWNLOADS[name].base} with download=True (--download)"
    raise DataNotFound(
        f"data set {name!r} was not found; these files are missing:{tried}\nSay where your data sets are "
        f"with --data, root=... or the environment variable DISTIL_DATA; {advice}"
    )


def given_file(name: str, path: str | Path, root: Path) -> Path:
    """The file that a user named: from the working directory, or else from the data root.

    Raises:
        DataNotFound: It is in neither.
    """
    asked = Path(path).expanduser()
    tried = [Path.cwd() / asked] + ([] if asked.is_absolute() else [root / asked])
    for place in tried:
        if place.is_file():
            return place
    raise DataNotFound(
        f"no file {str(path)!r} for data set {name!r}; looked for {' and '.join(map(str, tried))}. Give a "
        "full path, or say where your data sets are with --data, root=... or the variable DISTIL_DATA"
    )
