"""``distil next``: the items to label next, as a sheet to fill in."""

from __future__ import annotations

from typing import Any

from distil.cli.options import PathLike, path_of
from distil.cli.projects import person, writing


def next_(project: PathLike, n: int, *, out: PathLike, who: str | None = None, seed: int = 0) -> dict[str, Any]:
    """Write the items to label next as a sheet to fill in, in any spreadsheet program.

    Fill in the column label with names of classes, or the column answer with skip, unsure or flag; rows may stay blank. Then::

        distil answer PROJECT sheet.csv

    The items stay with the person until then: no other sheet holds them. They come in a random order, after items that are queued.

    Args:
        project: The folder of the project.
        n: The number of items.
        out: The file to write, ``.csv``, which must be new.
        who: The person who fills in the sheet; default: the name of the user's account.
        seed: The same seed gives the same order.

    Returns:
        The document that ``--json`` prints: ``out``, ``who`` and ``ids``.

    Raises:
        InvalidInput: The file exists, or no item is left for this person.
    """
    from distil.cli.options import out_of
    from distil.errors import InvalidInput, whole_number
    from distil.labeling.handing_out import random_order
    from distil.labeling.sheets import write_sheet

    if whole_number(n, 1) is None:
        raise InvalidInput(f"n must be a whole number from 1 on, got {n!r}")
    out_of(out, (".csv",))
    path, name = path_of("out", out), person(who)
    with writing(project) as opened:
        return {"out": path, "who": name, "ids": write_sheet(opened, path, name, n, random_order(seed))}


def act(given: dict[str, Any]) -> int:
    """Write the sheet, and say what is in it."""
    done = next_(**given)
    print(
        f"{len(done['ids'])} items for {done['who']} in {done['out']}; then: distil answer {given['project']} {done['out']}"
    )
    return 0
