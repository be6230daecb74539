"""``distil project history``, ``undo``, ``ties`` and ``decide``: what people did, and what overrules it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from distil.cli.options import PathLike, as_json, path_of, print_note, print_rows
from distil.cli.projects import left_out, person, writing
from distil.errors import InvalidInput, argument, whole_number

if TYPE_CHECKING:
    from distil.labeling.past import Recorded


def history(project: PathLike, *, item: str | None = None, who: str | None = None, n: int = 20) -> dict[str, Any]:
    """Show what people did in a project, the newest first.

    Nothing is removed from the record: what was undone or withdrawn is in it too.

    Args:
        project: The folder of the project.
        item: Only what concerns the item with this id.
        who: Only what this person did.
        n: The largest number of events.

    Returns:
        The document that ``--json`` prints: ``events``, each with ``seq``, ``at``, ``undone`` and the fields of
        :class:`distil.labeling.events.Event` that it has.

    Raises:
        InvalidInput: The project has no such item.
    """
    from distil.labeling.project import Project

    if whole_number(n, 1) is None:
        raise InvalidInput(f"n must be a whole number from 1 on, got {n!r}")
    with Project.open(path_of("project", project)) as opened:
        return {"events": [_entry(*past) for past in opened.history(item=item, who=who, n=n)]}


def _entry(recorded: Recorded, undone: bool) -> dict[str, Any]:
    event = {name: value for name, value in asdict(recorded.event).items() if value is not None}
    at = datetime.fromtimestamp(recorded.at, UTC).isoformat(timespec="seconds")
    return {"seq": recorded.seq, "at": at, "undone": undone, **event}


def act_history(given: dict[str, Any]) -> int:
    """Print the events."""
    rows = [
        (
            event["at"],
            event["who"],
            f"{event['kind']}{' (undone)' if event['undone'] else ''}",
            event.get("item", ""),
            " > ".join(event[name] for name in ("label", "name", "of", "target") if event.get(name)),
            event["key"],
        )
        for event in history(**given)["events"]
    ]
    print_rows(("time", "who", "what", "item", "label", "key"), rows)
    return 0


def undo(project: PathLike, key: str, *, redo: bool = False, who: str | None = None) -> dict[str, Any]:
    """Undo one event of the record, such as an answer, a flag, a decision or a merge of classes.

    People undo what they did themselves; ``distil project withdraw`` takes back answers of others, and ``distil project decide``
    overrules them. Merges of classes may be undone by everyone. ``distil project history`` shows the keys.

    Args:
        project: The folder of the project.
        key: The key of the event.
        redo: Take back that it was undone.
        who: The person whose event it is; default: the name of the user's account.

    Returns:
        The document that ``--json`` prints: ``key`` and ``undone``.

    Raises:
        InvalidInput: The record has no such event, it is another person's, or it cannot be undone.
    """
    from distil.labeling.events import Event

    with writing(project) as opened:
        opened.record_all([Event(kind="redo" if redo else "undo", who=person(who), target=key)])
        return {"key": key, "undone": not redo}


def act_undo(given: dict[str, Any]) -> int:
    """Undo, and say so."""
    done = undo(**given)
    print(f"{done['key']} {'is undone' if done['undone'] else 'counts again'}")
    return 0


def ties(project: PathLike, *, out: PathLike) -> dict[str, Any]:
    """Write the items that need a decision to a table: those whose labels tie, and flagged ones.

    Fill in the column decision with names of classes; rows may stay blank. Then::

        distil project decide PROJECT ties.csv

    ``distil next --ties`` asks one more person in place of a decision.

    Args:
        project: The folder of the project.
        out: The file to write, ``.csv``, ``.jsonl``, ``.parquet`` or ``.xlsx``, which must be new.

    Returns:
        The document that ``--json`` prints: ``out`` and ``items``, their number.

    Raises:
        InvalidInput: The file exists, or no item needs a decision.
    """
    from distil.cli.options import out_of
    from distil.labeling.decisions import write_undecided
    from distil.labeling.project import Project
    from distil.labeling.table_rows import ENDINGS

    out_of(out, ENDINGS)
    path = path_of("out", out)
    with Project.open(path_of("project", project)) as opened:
        return {"out": path, "items": write_undecided(opened, path)}


def act_ties(given: dict[str, Any]) -> int:
    """Write the table, and say what to do with it."""
    done = ties(**given)
    print(
        f"{done['items']:,} items in {done['out']}; then: distil project decide {argument(given['project'])} "
        f"{argument(done['out'])}"
    )
    return 0


def decide(
    project: PathLike,
    sheet: PathLike | None = None,
    *,
    item: str | None = None,
    label: str | None = None,
    who: str | None = None,
) -> dict[str, Any]:
    """Give items their final label, whatever people answered.

    The answers stay in the record. A decision on one item replaces an earlier one; those in a table change no earlier decision::

        distil project decide reviews --item t17 --label good
        distil project decide reviews ties.csv

    Args:
        project: The folder of the project.
        sheet: A table with the columns id and decision, such as ``distil project ties`` writes; blank rows are left out.
        item: The id of one item, in place of a table.
        label: The name of its class.
        who: The person who decides; default: the name of the user's account.

    Returns:
        The document that ``--json`` prints, with the keys of ``distil project import``.

    Raises:
        InvalidInput: Neither a table nor an item with its label was given, or there is no such item or class; nothing is recorded
            then.
    """
    from distil.labeling.decisions import decide_sheet
    from distil.labeling.events import Event
    from distil.labeling.rows import Imported

    if (item is None) != (label is None) or (item is None) == (sheet is None):
        raise InvalidInput("say what to decide: a table (SHEET), or one item and its class (--item and --label)")
    with writing(project) as opened:
        if sheet is not None:
            return as_json(asdict(decide_sheet(opened, path_of("sheet", sheet), person(who))))
        opened.record_all([Event(kind="decide", who=person(who), item=item, label=label)])
    return as_json(asdict(Imported(recorded=1)))


def act_decide(given: dict[str, Any]) -> int:
    """Decide, and say what was left out."""
    done = decide(**given)
    for line in left_out(done):
        print_note(line)
    print(f"{done['recorded']:,} decisions recorded, {done['known']:,} known before, {done['blank']:,} blank rows")
    return 0
