"""Whether the files of ``distil embed`` are still as it left them: nothing else says so of numbers that were edited."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from distil.errors import InvalidInput
from distil.system.files import digest

INFO_SUFFIX: Final = ".info.json"
"""End of the name of the file that has the hashes of an array of embeddings and of its ids."""

_HASHED_BYTES: Final = 1 << 26  # a larger array is hashed only if it was changed after its information was written


def check_as_embedded(path: Path, ids: Path | None) -> None:
    """Refuse an array of ``distil embed`` that was edited, or whose ids were; any other array is not looked at.

    Args:
        path: The array.
        ids: The file of its ids, if they are read from it.

    Raises:
        InvalidInput: A file has another hash than its information says; the message says what to do.
    """
    info, known = path.with_suffix(INFO_SUFFIX), _information(path)
    if not known:
        return
    array = path.stat()
    wrong = None
    if array.st_size <= _HASHED_BYTES or array.st_mtime_ns > info.stat().st_mtime_ns:
        wrong = path if known.get("sha256") != digest(path) else None
    if ids is not None and known.get("ids") != digest(ids):
        wrong = wrong or ids
    if wrong is not None:
        raise InvalidInput(
            f"{wrong} is not as distil embed left it: it was edited, or embedding was stopped while it wrote; run distil embed "
            f"again (with --force if it was edited), or remove {info.name} if the file is right as it is"
        )


def check_one_model(paths: Sequence[Path]) -> None:
    """Refuse arrays of ``distil embed`` that different models made; arrays of other programs are not looked at.

    Args:
        paths: The arrays, which are parts of one pool; ``FILE#COLUMN`` is a column of a file.
    """
    infos = {path: known for path in paths if (known := _information(path))}
    first = next(iter(infos), None)
    for path, known in infos.items():
        if first is not None and known.get("encoder") != infos[first].get("encoder"):
            raise InvalidInput(
                f"{path} was embedded by another model or other weights ({known.get('model')}) than {first} "
                f"({infos[first].get('model')}); run distil embed --shards with one of them again"
            )


def _information(path: Path) -> dict[str, Any]:
    """What ``distil embed`` wrote about an array; empty for an array of another program."""
    if "#" in path.name and not path.exists():
        path = path.with_name(path.name.rpartition("#")[0])
    try:
        known = json.loads(path.with_suffix(INFO_SUFFIX).read_text(encoding="utf-8"))
        own = isinstance(known, dict) and Path(known["file"]).suffix.lower() == path.suffix.lower()
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}
    return known if own else {}
