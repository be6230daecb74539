"""Options of the commands that read a pool."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any


def add_model(group: Any) -> None:  # noqa: ANN401 - argument groups have no public name
    """Add what says how a pool is embedded."""
    group.add_argument(
        "--model",
        metavar="MODEL",
        help="timm:NAME; a folder or package of sentence-transformers; or package.module:callable, items -> (B, D)",
    )
    group.add_argument("--weights", metavar="FILE", help="weights of a timm model; nothing is downloaded")
    group.add_argument("--column", metavar="NAME", help="the column of texts or image paths, where the pool is a table")
    group.add_argument(
        "--on-error", choices=("raise", "skip"), default="raise", help="what to do about items that cannot be read"
    )
    group.add_argument("--device", help="where to run the model, such as cuda")
    group.add_argument("--batch-size", metavar="B", type=int, help="items in one forward pass")


def size_of(text: str) -> int:
    """Bytes from ``512MB``, ``2G`` or a number."""
    from distil.errors import InvalidInput

    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*", text, re.IGNORECASE)
    if found is None:
        raise InvalidInput(f"{text!r} is not a size; expected one such as 512MB or 2GB")
    return int(float(found[1]) * 1024 ** " kmgt".index(found[2].lower() or " "))


def parameters_of(entries: list[str]) -> dict[str, Any]:
    """Parameters from ``NAME=VALUE``; values are JSON where they can be, else text."""
    from distil.errors import InvalidInput

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


def check_out(path: str, endings: tuple[str, ...]) -> None:
    """Refuse a name that cannot be written to, before any work."""
    from distil.errors import InvalidInput

    if Path(path).suffix.lower() not in endings:
        raise InvalidInput(f"{path}: expected a name that ends in {' or '.join(endings)}")
    if Path(path).is_dir():
        raise InvalidInput(f"{path} is a folder; expected a file")


def embedded(arguments: argparse.Namespace, pool: Any, out: str | None = None) -> Any:  # noqa: ANN401 - classes are imported late
    """Embed a pool as the options say."""
    from distil.embedding.embed import embed
    from distil.system.runtime import Runtime

    runtime = Runtime(
        device=arguments.device,
        batch_size=arguments.batch_size,
        progress=False if arguments.no_progress else None,
    )
    found = embed(
        pool,
        arguments.model,
        weights=arguments.weights,
        out=out,
        column=arguments.column,
        ids=arguments.ids,
        on_error=arguments.on_error,
        runtime=runtime,
    )
    for name, fault in list(found.skipped.items())[:5]:
        sys.stderr.write(f"distil: warning: skipped {name}: {fault}\n")
    if len(found.skipped) > 5:
        sys.stderr.write(
            f"distil: warning: skipped {len(found.skipped) - 5} more, listed in {found.path.stem}.info.json\n"
        )
    return found
