"""Items of a project into Label Studio, with what its model guesses and in the order in which they are to be labeled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from distil.errors import InvalidInput, counted
from distil.labeling.choosing import RANDOM_SHARE
from distil.labeling.features import item_features
from distil.labeling.fitting import Fit
from distil.labeling.handing_out import hand_out
from distil.labeling.items import Item
from distil.labeling.label_studio.annotations import version_number, version_of
from distil.labeling.label_studio.client import Client
from distil.labeling.label_studio.config import shown_in
from distil.labeling.label_studio.images import Images, addresses
from distil.labeling.label_studio.pull import WHO, open_tasks
from distil.labeling.label_studio.remote import ID_FIELD, REASON_FIELD, Remote, Task
from distil.labeling.label_studio_json import choice, shown_of
from distil.labeling.model import CACHE
from distil.labeling.project import Project
from distil.rng import Rng
from distil.strategies.base import Strategy
from distil.system.runtime import Runtime

_QUEUED: Final = "queued"


@dataclass(frozen=True, eq=False)
class PushSettings:
    """How items are chosen and sent.

    Attributes:
        strategy: The strategy; default: ``auto``.
        share: Share of random items.
        seed: Seed of the random choices.
        model: The model that embeds the items; see :func:`distil.labeling.features.item_features`.
        weights: Weights of a timm model.
        runtime: Device and progress bar of the model.
        images: See :func:`distil.labeling.label_studio.images.addresses`.
        root: The folder of files that Label Studio may read, for ``local-files``.
    """

    strategy: Strategy | None = None
    share: float = RANDOM_SHARE
    seed: int = 0
    model: str | None = None
    weights: str | Path | None = None
    runtime: Runtime | None = None
    images: Images = "upload"
    root: Path = Path("/")


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Attributes:
        page: The address at which people label.
        new: Number of new tasks.
        open: Number of tasks that wait for an answer.
        guesses: Number of tasks with the model's guess; 0 while fewer than two classes have labels.
        dropped: For each task or prediction that Label Studio left out without an error, which one.
        left_out: Id of an item that cannot be sent -> the reason.
    """

    page: str
    new: int
    open: int
    guesses: int
    dropped: tuple[str, ...]
    left_out: Mapping[str, str]

    @property
    def notes(self) -> list[str]:
        """Sentences on what is missing in Label Studio."""
        lines = []
        if self.dropped:
            lines.append(
                f"Label Studio left out {', '.join(self.dropped[:3])} without saying why ({len(self.dropped)} in all)"
            )
        if self.left_out:
            first = next(iter(self.left_out.values()))
            lines.append(f"{counted(len(self.left_out), 'item')} cannot be sent; the first: {first}")
        return lines


def remote_of(project: Project, client: Client) -> Remote:
    """The project in Label Studio that belongs to a project; a new one if there is none.

    Raises:
        InvalidInput: The project has no classes, or its items are not all images or all texts.
    """
    found = Remote.find(project, client)
    return found if found is not None else Remote.make(project, client, _kind(project))


def _kind(project: Project) -> str:
    """What people see of the items: ``image`` or ``text``."""
    kinds = sorted({item.kind for item in project.items() if not item.gone})
    if kinds not in (["images"], ["texts"]):
        raise InvalidInput(
            f"Label Studio shows the items of a project as images or as texts; {project.path} has {', '.join(kinds) or 'no items'}"
        )
    return {"images": "image", "texts": "text"}[kinds[0]]


def push(project: Project, remote: Remote, n: int, how: PushSettings) -> Pushed:
    """Hand out the next items to Label Studio, and send new guesses and a new order for all tasks that are open there.

    A task is made for each item that has none there. The score of a prediction is the place of its task: 0 for the one to label
    first, 1 for the last; earlier selections come first. Items stay handed out until they are answered, or their task is deleted.

    Args:
        project: The project, of which this process is the only writer.
        remote: Its project in Label Studio.
        n: Number of items.
        how: How they are chosen and sent.

    Raises:
        RunError: Label Studio does not answer or refuses something; the next push or pull sees what it has.
    """
    remote.refresh()
    remote.add_classes(project.classes)
    before = remote.tasks()
    waiting = open_tasks(project, before)
    project.lease(WHO, len(waiting), [str(task.item) for task in waiting], tab=remote.mark, lasting=True)
    features = item_features(
        project.items(), project.path / CACHE, model=how.model, weights=how.weights, runtime=how.runtime
    )
    fit = Fit.of(project, features)
    added = _hand_out(project, remote, n, how, fit, before)
    waiting, guesses = open_tasks(project, added.tasks), _guesses(fit)
    created = _predict(remote, waiting, guesses)
    dropped = [f"the task for {name!r}" for name in added.missing]
    if created < len(waiting):
        dropped.append(f"{len(waiting) - created} of {len(waiting)} predictions")
    return Pushed(
        page=remote.page,
        new=added.new,
        open=len(waiting),
        guesses=sum(task.item in guesses for task in waiting),
        dropped=tuple(dropped),
        left_out=added.left_out,
    )


class _Added(NamedTuple):
    """All tasks there, after new ones were added; the number of these; and which items have none, in spite of that."""

    tasks: list[Task]
    new: int
    missing: list[str]
    left_out: dict[str, str]


def _hand_out(project: Project, remote: Remote, n: int, how: PushSettings, fit: Fit, before: Sequence[Task]) -> _Added:
    """Hand out items, and make tasks of those that have none."""
    reasons = dict.fromkeys(project.queued(WHO), _QUEUED)

    def select(ids: Sequence[str]) -> Iterable[str]:
        rng = Rng(how.seed).child("labeling", project.id, project.last_event)
        chosen = fit.chosen(ids, n, rng, how.strategy, how.share)
        reasons.update(chosen)
        return chosen

    ids = hand_out(project, WHO, n, select, tab=remote.mark, lasting=True)
    try:
        has = {task.item for task in before}
        items = [item for item in project.items(ids) if item.id not in has]
        data, left_out = _data(remote, items, reasons, how)
        remote.add(list(data.values()))
        tasks = remote.tasks() if data else [*before]
    except BaseException:
        project.release(ids, WHO, WHO)
        raise
    has = {task.item for task in tasks}
    missing = [name for name in data if name not in has]
    project.release([*missing, *left_out], WHO, WHO)
    return _Added(tasks, len(data) - len(missing), missing, left_out)


def _data(
    remote: Remote, items: Sequence[Item], reasons: Mapping[str, str], how: PushSettings
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Id -> the data of its task; and id -> the reason, for items that cannot be sent."""
    shown = shown_in(remote.config)
    left_out = {item.id: why for item in items if (why := _fault(item, shown)) is not None}
    sound = [item for item in items if item.id not in left_out]
    values = {item.id: str(item.text) for item in sound}
    if shown == "image":
        values, faults = addresses(remote, sound, how.images, how.root)
        left_out |= faults
    return {
        name: {ID_FIELD: name, REASON_FIELD: reasons[name], shown: value} for name, value in values.items()
    }, left_out


def _fault(item: Item, shown: str) -> str | None:
    """Why an item cannot be a task; None if it can."""
    if item.kind == "rows" or shown_of(item) != shown:
        return f"{item.id}: the project in Label Studio shows items of another kind"
    try:
        (item.id + (item.text or "")).encode()
    except UnicodeEncodeError:
        return f"{item.id!r}: its id or text holds bytes that are not UTF-8"
    return f"{item.id!r}: its text holds a zero byte" if "\0" in (item.text or "") else None


def _guesses(fit: Fit) -> dict[str, tuple[str, float]]:
    """Id -> the model's guess and its probability; empty without a model."""
    if fit.guesses is None:
        return {}
    numbers, p = fit.guesses.classes.tolist(), fit.guesses.p.tolist()
    return {name: (fit.classes[c], at) for name, c, at in zip(fit.features.ids, numbers, p, strict=True)}


def _predict(remote: Remote, waiting: Sequence[Task], guesses: Mapping[str, tuple[str, float]]) -> int:
    """Send a prediction for each open task, without a result where there is no guess; returns how many were created."""
    version = version_of(
        1 + max((version_number(each) or 0 for task in waiting for each in task.predictions), default=0)
    )
    shown = shown_in(remote.config)
    predictions: list[dict[str, Any]] = [
        {
            "task": task.id,
            "model_version": version,
            "score": place / max(1, len(waiting) - 1),
            "result": _result(guesses.get(str(task.item)), shown),
        }
        for place, task in enumerate(waiting)
    ]
    created = remote.predict(predictions)
    if created:
        remote.show_version(version)
    return created


def _result(guess: tuple[str, float] | None, shown: str) -> list[dict[str, Any]]:
    return [] if guess is None else [{**choice(guess[0], shown), "score": guess[1]}]
