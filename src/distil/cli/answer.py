"""``distil answer``: record the answers in a sheet."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from distil.cli.options import PathLike, as_json, path_of, print_note
from distil.cli.projects import writing
from distil.errors import counted


def answer(project: PathLike, sheet: PathLike, *, new_classes: bool = False) -> dict[str, Any]:
    """Record the answers in a sheet that ``distil next`` wrote.

    Blank rows stay with the person; fill them in later and give the same sheet again: every row counts once.

    Args:
        project: The folder of the project.
        sheet: The sheet, as ``.csv`` or ``.xlsx``.
        new_classes: Make a class of each label that is none yet; without this, such a label is taken for a misspelling.

    Returns:
        The document that ``--json`` prints: ``recorded``, ``duplicates``, ``blank``, ``changed``, ``repeated`` and
        ``note``.

    Raises:
        InvalidInput: It is not a sheet of this project, or a row holds an unknown class or word; nothing is recorded then.
    """
    from distil.labeling.sheets import answer_sheet

    with writing(project) as opened:
        return as_json(asdict(answer_sheet(opened, path_of("sheet", sheet), new_classes=new_classes)))


def act(given: dict[str, Any]) -> int:
    """Record, and say what became of the rows."""
    done = answer(**given)
    if done["note"]:
        print_note(done["note"])
    if done["changed"]:
        print_note(
            f"{len(done['changed']):,} rows were answered before, differently or by another person, and the first answer was kept; "
            f"the first: {done['changed'][0]!r}; to change an answer, take it back with `distil project withdraw` and ask for a "
            "new sheet; a further person needs a sheet of their own"
        )
    if done["repeated"]:
        print_note(f"the sheet repeats {counted(done['repeated'], 'row')}; each row counts once")
    print(f"{counted(done['recorded'], 'row')} recorded, {done['duplicates']:,} before, {done['blank']:,} blank")
    return 0
