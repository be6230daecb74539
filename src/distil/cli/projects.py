"""What the commands on labeling projects share."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from distil.cli.completions import strategy_names
from distil.cli.options import PathLike, path_of
from distil.errors import InvalidInput, UnknownName, counted, nearest

if TYPE_CHECKING:
    from distil.labeling.project import Project


@contextmanager
def writing(project: PathLike) -> Iterator[Project]:
    """The open project, in which no other process writes meanwhile."""
    from distil.labeling.project import Project

    with Project.open(path_of("project", project)) as opened, opened.only_writer():
        yield opened


def queue_first(project: Project, ids: Sequence[str]) -> None:
    """Put items in front of the queue of a project; those that are queued already come after them."""
    project.queue([*ids, *project.queue_ids()])


def person(who: str | None) -> str:
    """The name of a person; by default that of the user's account."""
    if who is not None:
        return who
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError) as error:
        raise InvalidInput("the account of this process has no name; say who answers (--who)") from error


def check_strategy(name: str) -> None:
    """Refuse the name of no strategy, without importing the strategies and with them torch.

    Raises:
        UnknownName: No strategy has that name; the message offers the nearest one.
    """
    known = strategy_names()
    if name not in known:
        raise UnknownName(f"there is no strategy called {name!r}{nearest(name, known)} (known: {', '.join(known)})")


def is_code(model: str) -> bool:
    """Whether a model is code: a callable, or a folder of sentence-transformers, which names the classes that load it."""
    return model not in ("", "pixels") and not model.startswith("timm:")


def judging_model(project: Project, model: str | None, weights: str | None) -> tuple[str | None, str | None]:
    """The model and weights by which labels are judged: those that were named, or else those of the page.

    Raises:
        InvalidInput: Those of the page are code, which is run only where it is named.
    """
    if model is not None or weights is not None:
        return model, weights
    kept = project.model
    code = str(kept.get("model", ""))
    if is_code(code):
        raise InvalidInput(
            f"the project names code as its model, {code!r:.200}, which is not run unasked; if you know the code, name it "
            "(--model), or name another model, such as pixels"
        )
    return code or None, str(kept["weights"]) if "weights" in kept else None


def left_out(done: dict[str, Any]) -> list[str]:
    """Sentences on what an import added besides answers, and on what it left out."""
    lines = []
    if done["classes"]:
        lines.append(f"new classes: {', '.join(done['classes'])}")
    if done["conflicts"]:
        item, has, says = done["conflicts"][0]
        lines.append(
            f"{len(done['conflicts']):,} rows contradict the project and changed nothing; the first: {item!r} has {has!r}, the row "
            f"says {says!r}"
        )
    for name, what in (("unknown", "ids that no item has"), ("refused", "records that could not be read")):
        if done[name]:
            lines.append(f"{len(done[name]):,} {what}; the first: {done[name][0]}")
    return lines


def moved_on(moved: Sequence[Sequence[str]], advice: str) -> str:
    """A sentence on items that are gone and whose content a source has under other ids; ``advice`` says what of their answers."""
    gone, here = moved[0]
    items = (
        "1 item that is gone has answers, and its"
        if len(moved) == 1
        else f"{len(moved):,} items that are gone have answers, and their"
    )
    return f"{items} content is now under another id; the first: {gone!r} is now {here!r}; {advice}"


def unread(unreadable: Mapping[str, str]) -> str:
    """A sentence on the images of a source that cannot be read."""
    return (
        f"{counted(len(unreadable), 'image')} cannot be read and will not be handed out until the source is added again and they "
        f"can be; the first: {next(iter(unreadable.values()))}"
    )
