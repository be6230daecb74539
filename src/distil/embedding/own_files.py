"""The files that ``embed`` writes, and which of those that are there it may replace: only its own, as it left them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distil.data.embedded_files import INFO_SUFFIX
from distil.errors import InvalidInput
from distil.system.files import digest, move_aside, name_new, naming, replacing, sync_folder

Stamp = tuple[int, int, int]
"""What changes with a file: its number, size and time of change."""


class OwnFiles:
    """The files of an array of embeddings, as they are at the start of a call.

    The file of information holds the hashes of the others. When it has to be replaced, what it said before goes to a hidden file
    first, so that a call that was stopped between two files still finds each of them to be its own.

    Args:
        path: The array.
        force: Replace files that others wrote or edited.
        aside: Give files that were edited or damaged another name, with a warning, in place of an error.

    Raises:
        InvalidInput: One of them is a link, or a file is there that ``embed`` did not write, or that was edited, and no ``force``.
    """

    def __init__(self, path: Path, *, force: bool = False, aside: bool = False) -> None:
        self.path, self._force = path, force
        link = next((file for file in own_paths(path) if file.is_symlink()), None)
        if link is not None:
            raise InvalidInput(
                f"{link} is a link to {link.readlink()}, so nothing was written; choose another name for out, or remove the link"
            )
        now, earlier = read_info(path), _read(before_path(path))
        known = [each for each in (now, earlier) if _suffix(each) == path.suffix.lower()]
        found = {key: digest(file) for key, file in hashed_paths(path).items()}
        paths = hashed_paths(path)
        wrong = [paths[key] for key, sha256 in found.items() if sha256 and sha256 not in [e.get(key) for e in known]]
        if not force and not known and info_path(path).exists():
            raise InvalidInput(_foreign(path, info_path(path), now))
        if not force and wrong and not aside:
            raise InvalidInput(_foreign(path, wrong[0], now))
        for file in wrong if aside and not force else ():
            move_aside(file)
        self._stamps = {file: _stamp(file) for file in own_paths(path)}
        self.info: dict[str, Any] = next((each for each in known if each.get("sha256") == found["sha256"]), {})

    @contextmanager
    def replacing(self, file: Path) -> Iterator[Path]:
        """Give a temporary path to write one of the files to, which then gets its name, if no other program wrote it meanwhile."""
        self._check(file)
        try:
            with replacing(file, new=self._is_new(file)) as temporary:
                yield temporary
        except FileExistsError:
            raise InvalidInput(_meanwhile(file)) from None

    def name_array(self, written: Path) -> None:
        """Give the array its name; until then, the file ``written`` stays."""
        self._check(self.path)
        try:
            with naming(self.path, written):
                if self._is_new(self.path):
                    name_new(written, self.path)
                else:
                    written.replace(self.path)
                sync_folder(self.path.parent)
        except FileExistsError:
            raise InvalidInput(_meanwhile(self.path)) from None

    def keep_info(self) -> None:
        """Keep what is known of the present files while they are replaced."""
        if self.info:
            with replacing(before_path(self.path)) as temporary:
                temporary.write_text(json.dumps(self.info), encoding="utf-8")

    def _is_new(self, file: Path) -> bool:
        return self._stamps[file] is None and not self._force

    def _check(self, file: Path) -> None:
        if not self._force and _stamp(file) != self._stamps[file]:
            raise InvalidInput(_meanwhile(file))


def hashed_paths(path: Path) -> dict[str, Path]:
    """Entry of the information -> the file whose hash it is: the array, its ids (Parquet holds them), the hashes of its items."""
    ids = {} if path.suffix.lower() == ".parquet" else {"ids": path.with_suffix(".ids.txt")}
    return {"sha256": path, **ids, "contents": hashes_path(path)}


def own_paths(path: Path) -> list[Path]:
    """The files of an array of embeddings, itself the first."""
    return [*hashed_paths(path).values(), info_path(path)]


def hashes_path(path: Path) -> Path:
    """The file with the hash of each item's content, in the order of the rows of ``path``."""
    return path.with_suffix(".contents")


def info_path(path: Path) -> Path:
    """The file that identifies the model and the pool of ``path``."""
    return path.with_suffix(INFO_SUFFIX)


def before_path(path: Path) -> Path:
    """The hidden file that keeps the earlier information while the files of ``path`` are replaced."""
    return path.with_name(f".{path.name}.before")


def read_info(path: Path) -> dict[str, Any]:
    """What the file that identifies model and pool says; empty without one, or if it is damaged."""
    return _read(info_path(path))


def _read(file: Path) -> dict[str, Any]:
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return info if isinstance(info, dict) else {}


def _suffix(info: dict[str, Any]) -> str:
    """The ending of the array that information is of."""
    return Path(str(info.get("file", ""))).suffix.lower()


def _stamp(file: Path) -> Stamp | None:
    if not file.exists():
        return None
    stat = file.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _foreign(path: Path, file: Path, info: dict[str, Any]) -> str:
    why = "is not as distil embed left it"
    if info and _suffix(info) != path.suffix.lower() and path.with_suffix(_suffix(info)).exists():
        why = f"belongs to {path.with_suffix(_suffix(info)).name}"
    return f"{file} {why}, so nothing was written; choose another name for out, or replace it with force=True (--force)"


def _meanwhile(file: Path) -> str:
    return f"{file} was written by another program meanwhile, and was left as it is; choose another name for out"
