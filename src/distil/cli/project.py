"""``distil project``: make a labeling project, add items, look at it, export and import labels, withdraw answers, and more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from distil.cli import project_classes, project_record
from distil.cli.commands import Act
from distil.cli.options import PathLike, as_json, listed, optional_path, path_of, print_note
from distil.cli.project_progress import progress_lines
from distil.cli.project_quality import act_suspects, quality_lines, quality_of, suspects
from distil.cli.projects import left_out, moved_on, person, unread, writing
from distil.errors import InvalidInput, argument

if TYPE_CHECKING:
    from distil.labeling.project import Project

HELP = "A project to label: its items, and everything that people said about them, in a folder."


def create(project: PathLike, *, classes: str | Sequence[str] | None = None, copies: int = 1) -> dict[str, Any]:
    """Make a new project.

    Then add items, and ask for a sheet of those to label next::

        distil project create reviews --classes good,bad
        distil project add reviews reviews.csv
        distil next reviews --n 20 --out sheet.csv

    Args:
        project: The folder of the project, which must be new or empty.
        classes: The names of the classes: a list, or text such as ``cat,dog``; more may be added later.
        copies: The number of people who are to answer each item.

    Returns:
        The document that ``--json`` prints: ``project`` and ``classes``.

    Raises:
        RunError: There is something else at the path.
    """
    from distil.labeling.project import Project

    path = path_of("project", project)
    with Project.create(path, classes=listed(classes), copies=copies, who=person(None)) as made:
        return {"project": path, "classes": made.classes}


def act_create(given: dict[str, Any]) -> int:
    """Make a project and say so."""
    done = create(**given)
    print(
        f"made {done['project']} with {len(done['classes'])} classes; add items: distil project add {argument(done['project'])} "
        "SOURCE"
    )
    return 0


def add(
    project: PathLike, source: PathLike, *, column: str | None = None, ids: str | None = None, moved: bool = False
) -> dict[str, Any]:
    """Add the items of a source to a project, or what is new in it.

    Items that the project has already keep their answers. Those whose content changed are counted, and those that the source no
    longer has are not handed out until they are back. Images that cannot be read, such as links to files that are gone, are listed
    and left out in the same way.

    Args:
        project: The folder of the project.
        source: A folder of images, a table of texts or image paths, or an array.
        column: The column of texts or image paths, where the source is a table; default: as before, or found by its name.
        ids: The ids: a column of the table, or a file of ids; default: as before, or found by name.
        moved: Let the answers to items that are gone follow to the items that have their content, as after files were renamed.

    Returns:
        The document that ``--json`` prints: ``new``, ``known``, ``changed``, ``gone``, ``note``; ``moved``: the ids of each item
        that is gone and has answers, and of the one item of the source that has its content; and ``unreadable``: id and reason of
        each image that cannot be read.

    Raises:
        DataNotFound: There is nothing at the path.
        InvalidInput: It is no source of items, none can be read, or an id is that of another item.
    """
    with writing(project) as opened:
        found = opened.add(path_of("source", source), column=column, ids=ids, moved=moved, who=person(None))
    return as_json(asdict(found))


def act_add(given: dict[str, Any]) -> int:
    """Add, and say what was found."""
    done = add(**given)
    if done["note"]:
        print_note(done["note"])
    if done["unreadable"]:
        print_note(unread(done["unreadable"]))
    if done["moved"]:
        print_note(
            moved_on(done["moved"], "the answers followed" if given["moved"] else "--moved lets the answers follow")
        )
    print(
        f"{done['new']:,} new items, {done['known']:,} as before, {len(done['changed']):,} changed, {len(done['gone']):,} gone"
    )
    return 0


def status(project: PathLike) -> dict[str, Any]:
    """Show how far a project is: labels by class, answers by person, agreement, and how often the model is right.

    How often it is right is measured on the items that were drawn at random; docs/labeling.md explains the numbers.

    Args:
        project: The folder of the project.

    Returns:
        The document that ``--json`` prints; its keys are the attributes of :class:`distil.labeling.status.Status`, ``quality``:
        ``judged``, ``errors`` and ``suspects`` when the labels were last judged, and for each of its ``people`` the shares
        ``with_others`` and ``with_self``, ``quality`` (CROWDLAB) and ``confusion``; and ``progress``, whose keys are the
        attributes of :class:`distil.labeling.progress.Progress`.

    Raises:
        RunError: It is not a project.
    """
    from distil.labeling.progress import progress_of
    from distil.labeling.project import Project

    with Project.open(path_of("project", project)) as opened:
        return {
            **as_json(asdict(opened.status())),
            "quality": quality_of(opened),
            "progress": as_json(asdict(progress_of(opened))),
        }


def act_status(given: dict[str, Any]) -> int:
    """Print the numbers."""
    found = status(**given)
    print(f"{found['labeled']:,} of {found['items']:,} items have a label")
    for name, text in _LINES.items():
        if found[name]:
            print(f"  {found[name]:,} {text}")
    for title in ("classes", "people"):
        print(f"{title}: {', '.join(f'{name} {count:,}' for name, count in found[title].items()) or 'none'}")
    if found["agreement"] is not None:
        alpha = "" if found["alpha"] is None else f", Krippendorff's alpha {found['alpha']:.3f}"
        print(f"agreement of two people on one item: {found['agreement']:.1%}{alpha}")
    for line in (*progress_lines(found["progress"]), *quality_lines(found["quality"])):
        print(line)
    return 0


_LINES = {
    "tied": "tied: people disagree, and no label has the most votes (distil next --ties)",
    "unlabeled": "only skipped or not sure",
    "flagged": "flagged",
    "unreadable": "not handed out, because their content cannot be read; repair them, and add their source again",
    "leased": "handed out and not answered",
    "gone": "no longer in their source",
    "outdated": "answers older than the content of their item",
}


def export(
    project: PathLike,
    out: PathLike,
    *,
    format: str = "table",  # noqa: A002 - the word for it
    answers: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Write the labels of a project to a file or folder.

    Args:
        project: The folder of the project.
        out: The file: ``.csv``, ``.jsonl``, ``.parquet`` or ``.xlsx`` for a table, ``.json`` for label-studio and coco; a new
            folder for huggingface.
        format: The format: ``table``, ``label-studio``, ``coco`` or ``huggingface``.
        answers: Write every person's answers, decisions and flags, in place of one label for each item.
        force: Replace a file of that name that has other content; without it, no file is replaced.

    Returns:
        The document that ``--json`` prints: ``out``, and ``rows``, the number of labels or answers.

    Raises:
        InvalidInput: There is a file with other content, the format does not fit the items, or there is nothing to export.
    """
    from distil.labeling.exchange import as_format, export_labels
    from distil.labeling.project import Project

    path = path_of("out", out)
    with Project.open(path_of("project", project)) as opened:
        return {"out": path, "rows": export_labels(opened, path, as_format(format), answers=answers, force=force)}


def act_export(given: dict[str, Any]) -> int:
    """Write, and say how much."""
    done = export(**given)
    print(
        f"{done['rows']:,} {'answers' if given['answers'] or given['format'] == 'label-studio' else 'labels'} in {done['out']}"
    )
    return 0


def import_(project: PathLike, source: PathLike, *, who: str = "import") -> dict[str, Any]:
    """Read labels that exist already into a project.

    What people said before is never changed; rows that contradict it are counted and listed. Labels that are no class yet become
    classes.

    Args:
        project: The folder of the project.
        source: What ``distil project export`` writes, a table with ids and labels, a Label Studio export (JSON), COCO, a folder
            with a folder of images for each class, or the output of ``distil project classes --json``.
        who: The name under which labels without a person are recorded.

    Returns:
        The document that ``--json`` prints: ``recorded``, ``known``, ``conflicts``, ``unknown``, ``blank``, ``classes`` and
        ``refused``.

    Raises:
        InvalidInput: There are no labels in it, or none of its ids is that of an item.
    """
    from distil.labeling.exchange import import_labels

    with writing(project) as opened:
        return as_json(asdict(import_labels(opened, path_of("source", source), who)))


def act_import(given: dict[str, Any]) -> int:
    """Import, and say what was left out."""
    done = import_(**given)
    for line in left_out(done):
        print_note(line)
    print(
        f"{done['recorded']:,} answers recorded, {done['known']:,} known before, {done['blank']:,} rows without a label"
    )
    return 0


def withdraw(
    project: PathLike, *, of: str | None = None, ids: PathLike | None = None, unanswered: bool = False
) -> dict[str, Any]:
    """Take back answers, of a person or to some items, so that the items are open again; or items that were handed out in vain.

    The answers stay in the record, and count no more.

    Args:
        project: The folder of the project.
        of: The person whose answers are taken back; default: all people, and decisions.
        ids: A file of the ids of items; default: all items.
        unanswered: Take back items that were handed out and not answered, such as those of a lost sheet, in place of answers.

    Returns:
        The document that ``--json`` prints: ``withdrawn`` and ``released``, numbers of answers and of items.

    Raises:
        InvalidInput: Neither ``of`` nor ``ids`` was given, or an id is that of no item.
    """
    if of is None and ids is None:
        raise InvalidInput("say whose answers to take back (--of), or to which items (--ids)")
    chosen = optional_path("ids", ids)
    with writing(project) as opened:
        wanted = None if chosen is None else _items_in(opened, chosen)
        if unanswered:
            leases = [each for each in opened.leases() if _matches(each, wanted, of)]
            with opened.together():
                for item, who in leases:
                    opened.release([item], who, person(None))
            return {"withdrawn": 0, "released": len(leases)}
        answers = [each for each in opened.state().answers if _matches(each, wanted, of)]
        opened.withdraw(answers, person(None))
        return {"withdrawn": len(answers), "released": 0}


def _items_in(project: Project, path: str) -> set[str]:
    """The ids of the items that a file lists."""
    from distil.data.ids import index_of, read_ids

    names = [item.id for item in project.items()]
    return {names[row] for row in read_ids(path).rows(index_of(names), len(names))}


def _matches(place: tuple[str, str], items: set[str] | None, of: str | None) -> bool:
    return (items is None or place[0] in items) and (of is None or place[1] == of)


def act_withdraw(given: dict[str, Any]) -> int:
    """Take back, and say how much."""
    done = withdraw(**given)
    print(f"{done['withdrawn']:,} answers withdrawn, {done['released']:,} items taken back")
    return 0


COMMANDS: dict[str, tuple[Callable[..., Any], Act]] = {
    "create": (create, act_create),
    "add": (add, act_add),
    "status": (status, act_status),
    "export": (export, act_export),
    "import": (import_, act_import),
    "withdraw": (withdraw, act_withdraw),
    "classes": (project_classes.classes, project_classes.act),
    "history": (project_record.history, project_record.act_history),
    "undo": (project_record.undo, project_record.act_undo),
    "ties": (project_record.ties, project_record.act_ties),
    "decide": (project_record.decide, project_record.act_decide),
    "suspects": (suspects, act_suspects),
}
