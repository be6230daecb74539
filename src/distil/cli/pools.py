"""What the commands that read a pool share."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from distil.cli.options import PathLike, optional_path, path_of
from distil.errors import DistilWarning

if TYPE_CHECKING:
    from distil.embedding.embed import Embedded

OnError = Literal["raise", "skip"]
Quoting = Literal["minimal", "none"]

_SHOWN = 5


def embedded(
    pool: Any,  # noqa: ANN401 - a path or a pool
    model: PathLike,
    *,
    weights: PathLike | None = None,
    out: Path | None = None,
    force: bool = False,
    column: str | None = None,
    ids: PathLike | None = None,
    quoting: Quoting | None = None,
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
        path_of("model", model, "; a name such as timm:resnet18 is accepted too"),
        weights=optional_path("weights", weights),
        out=out,
        force=force,
        column=column,
        ids=optional_path("ids", ids),
        quoting=quoting,
        on_error=on_error,
        runtime=Runtime(device=device, batch_size=batch_size, progress=progress),
    )
    warn_of(found.skipped, f"{found.path.stem}.info.json")
    return found


def warn_of(skipped: Mapping[str, str], listing: str) -> None:
    """Issue a DistilWarning for each of the first skipped items; ``listing`` names the files that list all of them."""
    lines = [f"skipped {name}: {fault}" for name, fault in skipped.items()]
    if len(lines) > _SHOWN:
        lines[_SHOWN:] = [f"skipped {len(lines) - _SHOWN} more, listed in {listing}"]
    for line in lines:
        warnings.warn(line, DistilWarning, stacklevel=4)
