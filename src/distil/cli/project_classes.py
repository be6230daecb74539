"""``distil project classes``: show and change the classes of a labeling project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from distil.cli.options import PathLike, listed, path_of, print_rows
from distil.cli.projects import person, writing
from distil.errors import InvalidInput

if TYPE_CHECKING:
    from distil.labeling.events import Event
    from distil.labeling.project import Project

Pairs = Mapping[str, str] | Sequence[str] | None


def classes(
    project: PathLike,
    *,
    add: str | Sequence[str] | None = None,
    rename: Pairs = None,
    merge: Pairs = None,
    key: Pairs = None,
    who: str | None = None,
) -> dict[str, Any]:
    """Show the classes of a project, and change them.

    Labels that were given before follow their class. Without a change, nothing is recorded::

        distil project classes reviews --add mixed --rename bad=negative --key negative=n
        distil project classes reviews --merge mixed=negative

    A merge is taken back with ``distil project undo``. All changes are recorded, or none.

    Args:
        project: The folder of the project.
        add: Names of new classes: a list, or text such as ``cat,dog``.
        rename: OLD=NEW, another name for a class; once for each. The old name is still understood.
        merge: CLASS=INTO, a class that becomes part of another one; once for each.
        key: CLASS=KEY, the key of the keyboard that gives this label on the page; once for each. A key belongs to one class.
        who: The person who makes the change; default: the name of the user's account.

    Returns:
        The document that ``--json`` prints: ``classes``, each with ``name``, ``key``, ``labels`` (the number of items) and
        ``earlier``, its other names.

    Raises:
        InvalidInput: There is no class of that name, or one already, or the key is not one character.
    """
    new, renamed, merged, keys = listed(add), _pairs("rename", rename), _pairs("merge", merge), _pairs("key", key)
    if not (new or renamed or merged or keys):
        from distil.labeling.project import Project

        with Project.open(path_of("project", project)) as opened:
            return _described(opened)
    with writing(project) as opened:
        opened.record_all(_events(new, renamed, merged, keys, person(who)))
        return _described(opened)


def _events(
    add: Sequence[str],
    rename: Sequence[tuple[str, str]],
    merge: Sequence[tuple[str, str]],
    keys: Sequence[tuple[str, str]],
    who: str,
) -> list[Event]:
    from distil.labeling.events import Event

    pairs = {"class_rename": rename, "class_merge": merge, "class_key": keys}
    return [Event(kind="class_add", who=who, label=name) for name in add] + [
        Event(kind=kind, who=who, label=label, name=name) for kind, several in pairs.items() for label, name in several
    ]


def _pairs(what: str, given: Pairs) -> list[tuple[str, str]]:
    """Pairs from a dictionary, or from texts with ``=`` in between."""
    if isinstance(given, Mapping):
        return list(given.items())
    if isinstance(given, str):
        given = [given]
    pairs = [text.partition("=") for text in given or ()]
    wrong = next(("".join(parts) for parts in pairs if not parts[0] or not parts[2]), None)
    if wrong is not None:
        raise InvalidInput(f"{what}: expected two texts with = in between, such as cat=dog, got {wrong!r}")
    return [(left, right) for left, _, right in pairs]


def _described(project: Project) -> dict[str, Any]:
    keys, known, labels = project.class_keys, project.known_classes, project.status().classes
    rows = [
        {
            "name": name,
            "key": keys.get(name),
            "labels": labels[name],
            "earlier": [other for other, present in known.items() if present == name != other],
        }
        for name in project.classes
    ]
    return {"classes": rows}


def act(given: dict[str, Any]) -> int:
    """Print the classes."""
    rows = classes(**given)["classes"]
    print_rows(
        ("class", "key", "labels", "other names"),
        [(row["name"], row["key"] or "", f"{row['labels']:,}", ", ".join(row["earlier"])) for row in rows],
    )
    return 0
