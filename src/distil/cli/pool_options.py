"""Options of the commands that read a pool."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from distil.cli.options import PathLike, optional_path, path_of
from distil.errors import DistilWarning, InvalidInput

if TYPE_CHECKING:
    from distil.embedding.embed import Embedded

OnError = Literal["raise", "skip"]

_SHOWN = 5

# After Ctrl-C.
INTERRUPTED = (
    "nothing was written and nothing is lost: the same command begins again, with the embeddings that are made"
)


def add_model(group: Any) -> None:  # noqa: ANN401 - argument groups have no public name
    """Add what says how a pool is embedded."""
    group.add_argument(
        "--model",
        metavar="MODEL",
        help="timm:NAME; a folder or package of sentence-transformers; or package.module:callable, items -> (B, D)",
    )
    group.add_argument("--weights", metavar="FILE", help="weights of a timm model; nothing is downloaded")
    group.add_argument("--column", metavar="NAME", help="the column of texts or image paths, where the pool is a table")
    group.add_argument("--on-error", choices=("raise", "skip"), help="what to do about items that cannot be read")
    group.add_argument("--device", help="where to run the model, such as cuda")
    group.add_argument("--batch-size", metavar="B", type=int, help="items in one forward pass")


def size_of(size: str | int) -> int:
    """Bytes from ``512MB``, ``2G`` or a number."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*", str(size), re.IGNORECASE)
    if found is None:
        raise InvalidInput(f"{size!r} is not a size; expected one such as 512MB or 2GB")
    return int(float(found[1]) * 1024 ** " kmgt".index(found[2].lower() or " "))


def parameters_of(entries: list[str]) -> dict[str, Any]:
    """Parameters from ``NAME=VALUE``; values are JSON where they can be, else text."""
    found: dict[str, Any] = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not equals or not name:
            raise InvalidInput(f"--set {entry}: expected NAME=VALUE")
        try:
            found[name] = json.loads(value)
        except json.JSONDecodeError:
            found[name] = value
    return found


def out_of(out: PathLike | None, endings: tuple[str, ...]) -> str | None:
    """Where to write; refuses a name that cannot be written to, before any work."""
    path = optional_path("out", out)
    if path is not None and Path(path).suffix.lower() not in endings:
        raise InvalidInput(f"{path}: expected a name that ends in {' or '.join(endings)}")
    if path is not None and Path(path).is_dir():
        raise InvalidInput(f"{path} is a folder; expected a file")
    return path


def embedded(
    pool: Any,  # noqa: ANN401 - a path or a pool
    model: PathLike,
    *,
    weights: PathLike | None = None,
    out: str | None = None,
    column: str | None = None,
    ids: PathLike | None = None,
    on_error: OnError = "raise",
    device: str | None = None,
    batch_size: int | None = None,
    progress: bool | None = None,
) -> Embedded:
    """Embed a pool as the options say; DistilWarning names the items that were skipped."""
    from distil.embedding.embed import embed
    from distil.system.runtime import Runtime

    found = embed(
        pool,
        path_of("model", model),
        weights=optional_path("weights", weights),
        out=out,
        column=column,
        ids=optional_path("ids", ids),
        on_error=on_error,
        runtime=Runtime(device=device, batch_size=batch_size, progress=progress),
    )
    lines = [f"skipped {name}: {fault}" for name, fault in found.skipped.items()]
    if len(lines) > _SHOWN:
        lines[_SHOWN:] = [f"skipped {len(lines) - _SHOWN} more, listed in {found.path.stem}.info.json"]
    for line in lines:
        warnings.warn(line, DistilWarning, stacklevel=3)
    return found
