"""What the commands share: how they print, and how their functions read paths and lists."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from distil.cli.endings import harmless, say
from distil.errors import InvalidInput

PathLike = str | os.PathLike[str]


def print_note(text: str) -> None:
    """Print a note on standard error."""
    say(f"note: {text}")


def print_json(document: Any) -> None:  # noqa: ANN401 - what JSON can hold
    """Print a document."""
    print(json.dumps(document, indent=2))


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on a terminal; elsewhere, lines of values with tabs in between, for other programs."""
    if not sys.stdout.isatty():
        for row in rows:
            print(*row, sep="\t")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(harmless(cell)) for cell in row))  # Text is printed as it is: an id may look like markup
    Console().print(table)


def as_json(document: dict[str, Any]) -> dict[str, Any]:
    """The document as ``--json`` prints it: lists in place of tuples."""
    found: dict[str, Any] = json.loads(json.dumps(document))
    return found


def listed(given: str | Sequence[str] | None) -> list[str]:
    """Names from a sequence of them, or from text with commas in between."""
    if given is None:
        return []
    if not isinstance(given, (str, Sequence)) or not all(isinstance(name, str) for name in given):
        raise InvalidInput(f"expected a list of names, or text with commas in between, got {given!r}")
    return [name for text in ([given] if isinstance(given, str) else given) for name in text.split(",")]


def path_of(what: str, given: PathLike, instead: str = "") -> str:
    """A path as text.

    Args:
        what: What the caller calls it.
        given: The path.
        instead: What the error adds about values that are not paths.

    Raises:
        InvalidInput: It is something else, such as an array.
    """
    if not isinstance(given, (str, os.PathLike)):
        raise InvalidInput(f"{what} must be a path, got {type(given).__name__}{instead}")
    return os.fspath(given)


def optional_path(what: str, given: PathLike | None, instead: str = "") -> str | None:
    """The same of a path that may be left out."""
    return None if given is None else path_of(what, given, instead)


def paths_of(what: str, given: PathLike | Sequence[PathLike] | None, instead: str = "") -> list[str]:
    """The paths of an argument that takes one or several; ``instead`` as for :func:`path_of`."""
    if given is None:
        return []
    if isinstance(given, str) or not isinstance(given, Sequence):
        return [path_of(what, given, instead)]
    return [path_of(what, path, instead) for path in given]


def out_of(
    out: PathLike | None,
    endings: tuple[str, ...],
    what: str = "out",
    *,
    inputs: Mapping[str, object] | None = None,
) -> Path | None:
    """The file to write; refuses a name that cannot be written to, before any work.

    Args:
        out: The path that the caller gave.
        endings: The endings that its name may have.
        what: What the caller calls it.
        inputs: Argument -> the paths that are read, none of which may be the file to write; values that are not paths are left to
            those who read them.
    """
    if out is None:
        return None
    path = Path(path_of(what, out)).expanduser()
    if path.suffix.lower() not in endings:
        raise InvalidInput(f"{path}: expected a name that ends in {' or '.join(endings)}")
    if path.exists() and not path.is_file():
        raise InvalidInput(f"{path} is {'a folder' if path.is_dir() else 'no ordinary file'}; expected a file")
    blocked = next((folder for folder in path.parents if folder.exists() and not folder.is_dir()), None)
    if blocked is not None:
        raise InvalidInput(f"{path} cannot be written: {blocked} is a file; expected a folder")
    refuse_inputs(path, inputs or {}, what)
    return path


def refuse_inputs(path: Path, inputs: Mapping[str, object], what: str = "out") -> None:
    """Refuse to write to a file that is read too; see :func:`out_of`."""
    for name, given in inputs.items():
        several = given if isinstance(given, (list, tuple)) else [given]
        if any(_is_file_of(path, read) for read in several if isinstance(read, (str, os.PathLike))):
            raise InvalidInput(
                f"{path} is the file of {name} too, which is never replaced; choose another name for {what}"
            )


def _is_file_of(path: Path, read: PathLike) -> bool:
    """Whether ``read``, FILE or FILE#NAME, names the file at ``path``, by whatever path or link."""
    place = Path(read).expanduser()
    if not place.exists():
        place = place.with_name(place.name.rpartition("#")[0] or place.name)
    if path.exists() and place.exists():
        return path.samefile(place)
    return os.path.realpath(path) == os.path.realpath(place)  # two files to write


def size_of(size: str | int) -> int:
    """Bytes from ``512MB``, ``2G`` or a number."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*", str(size), re.IGNORECASE)
    if found is None:
        raise InvalidInput(f"{size!r} is not a size; expected one such as 512MB or 2GB")
    return int(float(found[1]) * 1024 ** " kmgt".index(found[2].lower() or " "))


def parameters_of(entries: Sequence[str]) -> dict[str, Any]:
    """Parameters from ``NAME=VALUE``; values are JSON where they can be, else text."""
    found: dict[str, Any] = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not equals or not name:
            raise InvalidInput(f"--set {entry}: expected NAME=VALUE")
        if name in found:
            raise InvalidInput(f"--set {name} is given twice; give it once")
        try:
            found[name] = json.loads(value)
        except json.JSONDecodeError:
            found[name] = value
    return found
