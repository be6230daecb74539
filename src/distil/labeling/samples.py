"""Samples of a pool with the labels of people, from files and projects, and how each of their items was drawn.

A statement about the whole pool needs a sample whose chances are known. These are the sources:

- a sheet of ``distil evaluate``, whose columns ``draw``, ``draws``, ``sampling`` and ``probability`` keep how each item was drawn;
- a project, whose record says which items were drawn at random;
- any other list of ids with labels, which is taken for draws at random and refused where it cannot be that.

A sheet of ``distil evaluate`` is believed as long as all of its draws are there, from the pool that there is now. Labels that a
model gave are no labels of people, so a file of ``distil finish`` is refused wherever labels are read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from distil.data.file_readers import ending
from distil.data.ids import ListedIds, merged, normal, read_ids
from distil.data.labels import as_labels
from distil.data.table_files import TABLE_FILES, open_table
from distil.errors import InvalidInput, counted
from distil.measuring.source import ArraySource
from distil.rng import Rng
from distil.selection.from_files import classes_of, read_arrays
from distil.signals import Probs
from distil.system.runtime import Runtime

if TYPE_CHECKING:
    from distil.data.columns import Table
    from distil.selection.request import Arrays

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
Sampling = Literal["uniform", "stratified", "active"]

SAMPLINGS: Final[tuple[Sampling, ...]] = get_args(Sampling)
"""The designs."""
PLAN: Final = ("draw", "draws", "sampling", "probability")
"""The columns of a sheet that keep how its items were drawn."""
_SHEET: Final = ("key", "who", "answer")
_PICKS: Final = ("rank", "score", "why")
_FINISHED: Final = ("label", "source", "probability")
_UNLIKELY: Final = 1e-6  # a random sample is refused once in a million times
_SAME: Final = 1e-4  # relative difference of probabilities that a spreadsheet may round
_SHOWN: Final = 3


class Draw(NamedTuple):
    """How an item was drawn.

    Attributes:
        first: The number of its first draw, from 1 on.
        times: How often it was drawn.
        sampling: The design.
        probability: Its probability in one draw.
    """

    first: int
    times: int
    sampling: Sampling
    probability: float


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says about every item of a pool.

    Attributes:
        arrays: The file, with the ids of its rows.
        probs: The probabilities, (N, C).
        classes: The names of the columns; None: the columns are the labels.
    """

    arrays: Arrays
    probs: Floats
    classes: list[str] | None

    @property
    def guesses(self) -> Rows:
        """The most probable column of each item, (N,)."""
        found: Rows = self.probs.argmax(1)
        return found

    @property
    def sureness(self) -> Floats:
        """Its probability, (N,)."""
        found: Floats = np.minimum(self.probs.max(1), 1)
        return found

    def name(self, column: int) -> str:
        """The label that a column stands for."""
        return str(column) if self.classes is None else self.classes[column]

    def columns(self, labels: Sequence[str], what: str) -> Rows:
        """Labels as columns, (n,); -1 for an empty text.

        Raises:
            InvalidInput: A label is not one of the classes.
        """
        texts = [label for label in labels if label]
        other = next((label for label in texts if not (label.isascii() and label.isdecimal())), None)
        if self.classes is None and other is not None:
            raise InvalidInput(
                f"{what} must be whole numbers, columns of the probabilities, got {other!r}; for names, pass the classes in the "
                "order of these columns (--classes)"
            )
        values = texts if self.classes is not None else list(map(int, texts))
        found = np.full(len(labels), -1)
        known = range(self.probs.shape[1]) if self.classes is None else self.classes
        found[[bool(label) for label in labels]] = as_labels(values, what, classes=known).numpy()
        return found


def read_predictions(
    probs: str, classes: Sequence[str], ids: str | None = None, runtime: Runtime | None = None
) -> Predictions:
    """Read the probabilities of a pool, all of them checked.

    Args:
        probs: A file of class probabilities, (N, C).
        classes: The names of the columns in their order; empty: the columns are the labels.
        ids: The ids of the rows; see :func:`distil.data.array_files.read_column`.
        runtime: The memory for decoded values, and whether to show a progress bar.
    """
    runtime = Runtime() if runtime is None else runtime
    arrays = read_arrays({"probs": probs}, ids, runtime)
    source = ArraySource(torch.arange(len(arrays)), {"probs": arrays.columns["probs"].values}, names=arrays.names)
    values = source.table((Probs(),), runtime, Rng(0))[Probs()].double().numpy()
    return Predictions(arrays, values, classes_of(arrays, classes) if classes else None)


@dataclass(frozen=True, eq=False)
class Sample:
    """A sample of a pool.

    Attributes:
        rows: The rows of its items, distinct, in the order in which they were drawn, (n,).
        draws: How each was drawn.
        labels: The label of each; empty where people could not give one, which only a project knows.
        known: Row -> label, of every item that a person labeled, drawn or not.
        earlier: The rows that were labeled before the sample was drawn and are no part of what it was drawn from, ascending.
        origin: Where the labels come from, for messages.
        notes: Sentences on what was read, and on what had to be assumed.
        of_project: Whether a project drew its items.
        waiting: Number of further draws that have no label yet.
    """

    rows: Rows
    draws: tuple[Draw, ...]
    labels: tuple[str, ...]
    known: Mapping[int, str]
    earlier: Rows
    origin: str
    notes: tuple[str, ...]
    of_project: bool = False
    waiting: int = 0

    @property
    def sampling(self) -> Sampling:
        """How its items were drawn."""
        return self.draws[0].sampling

    @property
    def repeated(self) -> Rows:
        """The place in ``rows`` of every draw, an item that was drawn twice twice, (d,)."""
        return np.repeat(np.arange(len(self.rows)), [draw.times for draw in self.draws])


def read_sample(predictions: Predictions, labels: Sequence[str], labeled: Sequence[str] = (), seed: int = 0) -> Sample:
    """Read a sample and its labels.

    Args:
        predictions: The pool.
        labels: Files of ids with labels, and at most one project. If some are sheets of ``distil evaluate``, their items are the
            sample, and the other files give labels. Else the random items of the project are, or else all items of the files.
        labeled: Files of ids with labels that people gave before the sample was drawn, such as those that the model was trained on.
        seed: Seed of the draws among the items of a project that the strategy chose; see ``_of_project``.

    Raises:
        InvalidInput: A file was chosen by a strategy, or a model gave its labels; an item of the sample has no label; an id has two
            labels or is not in the pool; designs are mixed; or draws of a sheet are missing, or were made from another pool.
    """
    arrays = predictions.arrays
    projects = [path for path in labels if _is_project(path)]
    files = [path for path in labels if path not in projects]
    if len(projects) > 1:
        raise InvalidInput(f"{projects[1]}: labels come from one project at most, and {projects[0]} is one")
    lists = _lists(files)
    drawn = _drawn(arrays, files)
    before, given = read_labels(arrays, labeled), _known(arrays, lists)
    known = agreed(arrays, {"labeled": before, "labels": given})
    notes = [each.note for each in lists if each.note]
    origin = " and ".join(labels)
    if projects:
        answered = _answers(arrays, projects[0])
        if not answered:
            raise InvalidInput(
                f"{projects[0]}: no item has an answer yet; label items that `distil next` draws at random"
            )
        known = agreed(arrays, {"a file": known, projects[0]: {row: label for row, _, label in answered if label}})
        if not drawn:
            if files:
                raise InvalidInput(
                    f"{files[0]} does not say how its items were drawn; pass the project alone, or a sheet of `distil evaluate`"
                )
            return _of_project(predictions, answered, before, known, projects[0], seed)
    if drawn:
        return _of_sheets(arrays, drawn, before, known, origin, notes)
    return _of_list(predictions, lists, before, known, origin, notes)


def _is_project(path: str) -> bool:
    from distil.labeling.store import FILE

    return (Path(path).expanduser() / FILE).is_file()


def _rows(arrays: Arrays, listed: ListedIds) -> Rows:
    found = arrays.rows(listed, "labels")
    assert found is not None  # it is None for no list
    return found


def read_labels(arrays: Arrays, paths: Sequence[str]) -> dict[int, str]:
    """Row -> label, of the ids in some files and projects that have a label, which people gave."""
    found = {
        path: {row: label for row, _, label in _answers(arrays, path) if label} for path in paths if _is_project(path)
    }
    files = [path for path in paths if path not in found]
    return agreed(arrays, {"the files": _known(arrays, _lists(files)), **found})


def agreed(arrays: Arrays, given: Mapping[str, Mapping[int, str]]) -> dict[int, str]:
    """Row -> label, of several sources of labels with their names for messages.

    Raises:
        InvalidInput: Two of them give an item different labels.
    """
    found: dict[int, tuple[str, str]] = {}
    for origin, labels in given.items():
        for row, label in labels.items():
            before, first = found.setdefault(row, (label, origin))
            if before != label:
                raise InvalidInput(
                    f"{arrays.name(row)!r} has the label {before!r} in {first} and {label!r} in {origin}; keep one of them"
                )
    return {row: label for row, (label, _) in found.items()}


def _lists(paths: Sequence[str]) -> list[ListedIds]:
    """The ids and labels in some files; refuses files with labels that a model gave."""
    for path in paths:
        table = _table(path)
        if table is not None and _is_finished(table):
            raise InvalidInput(
                f"{path} was written by `distil finish`, and a model gave some of its labels; pass files with labels that people "
                "gave, such as the sheet that --rest writes"
            )
    return [read_ids(path) for path in paths]


def _is_finished(table: Table) -> bool:
    """Whether ``distil finish`` wrote a table: its columns, and a source of each label."""
    source = table.named("source")
    if source is None or not all(table.named(name) for name in _FINISHED):
        return False
    return {*table.sample[source]} <= {"human", "model", "second"}


def _table(path: str) -> Table | None:
    """The table at a path; None for a file of another kind, or a folder."""
    place = Path(path).expanduser()
    is_table = not place.is_dir() and ending(place) in TABLE_FILES
    return open_table(place, errors="surrogateescape") if is_table else None


def _known(arrays: Arrays, lists: Sequence[ListedIds]) -> dict[int, str]:
    """Row -> label, of the ids that have one."""
    if not lists:
        return {}
    bare = next((each for each in lists if each.labels is None), None)
    if bare is not None:
        raise InvalidInput(f"{bare.origin} has no labels; expected the columns id and label")
    one = merged(lists, None if arrays.names is None else arrays.reader.index, len(arrays))
    return {int(row): label for row, label in zip(_rows(arrays, one).tolist(), one.labels or (), strict=True) if label}


# ------------------------------------------------------------------------------------------------------------------ lists


def _of_list(
    predictions: Predictions,
    lists: Sequence[ListedIds],
    before: Mapping[int, str],
    known: Mapping[int, str],
    origin: str,
    notes: Sequence[str],
) -> Sample:
    """A list of ids as draws at random, which is assumed."""
    arrays = predictions.arrays
    listed = dict.fromkeys(row for each in lists for row in _rows(arrays, each).tolist())
    rows = np.array([row for row in listed if row not in before], dtype=np.int64)
    _check_answered(arrays, rows, known, origin)
    earlier = np.array(sorted(before), dtype=np.int64)
    _check_random(predictions, rows, earlier, origin)
    note = (
        f"{origin} does not say how its {counted(len(rows), 'item')} were drawn, so they are taken to be drawn at random from the "
        "pool; labels that a strategy chose would break every promise made here, and so would a sheet of `distil evaluate` without "
        f"its columns {', '.join(PLAN)}"
    )
    draws = tuple(Draw(place, 1, "uniform", 1 / len(arrays)) for place in range(1, len(rows) + 1))
    return Sample(rows, draws, tuple(known[int(row)] for row in rows), known, earlier, origin, (*notes, note))


def _check_answered(arrays: Arrays, rows: Rows, known: Mapping[int, str], origin: str) -> None:
    """Refuse a sample in which a label is missing."""
    missing = [arrays.name(int(row)) for row in rows if int(row) not in known]
    if not len(rows):
        raise InvalidInput(f"{origin}: all of its items are in labeled too, which leaves no sample; label other items")
    if len(missing) == len(rows):
        raise InvalidInput(f"{origin}: no item of the sample has a label yet; fill in the column label")
    if missing:
        shown = ", ".join(map(repr, missing[:_SHOWN])) + (", ..." if len(missing) > _SHOWN else "")
        raise InvalidInput(
            f"{origin}: {len(missing):,} of the {len(rows):,} items drawn have no label: {shown}; label all of them, because "
            "items that people leave out are unlike the others"
        )


def _check_random(predictions: Predictions, rows: Rows, earlier: Rows, origin: str) -> None:
    """Refuse items of which the model is far more or less sure than of the other items: they were not drawn at random."""
    from scipy.stats import mannwhitneyu

    sureness = predictions.sureness
    others = np.delete(sureness, np.concatenate([rows, earlier]))
    # the default is the exact test for up to 8 items, whose cost grows with the pool
    if len(others) == 0 or mannwhitneyu(sureness[rows], others, method="asymptotic").pvalue >= _UNLIKELY:
        return
    kind = "less" if np.median(sureness[rows]) <= np.median(others) else "more"
    raise InvalidInput(
        f"{origin}: these {len(rows):,} items are no random sample: the model is {kind} sure of them than of the others (median "
        f"{np.median(sureness[rows]):.3f} against {np.median(others):.3f}). If they were chosen to train the model, pass them as "
        "labeled (--labeled), and draw a random sample with `distil evaluate`"
    )


# ----------------------------------------------------------------------------------------------------------------- sheets


def _drawn(arrays: Arrays, files: Sequence[str]) -> dict[int, Draw]:
    """Row -> how it was drawn, from the sheets among some files. A copy of a sheet, filled in by someone else, adds no draws."""
    lines: dict[tuple[int, int], Draw] = {}
    for path in files:
        plan = _plan(path)
        rows = _rows(arrays, ListedIds(tuple(plan), None, path)).tolist() if plan else []
        for row, draw in zip(rows, plan.values(), strict=True):
            lines.setdefault((draw.first, row), draw)
    _check_all_there(arrays, lines)
    found: dict[int, Draw] = {}
    for (_, row), draw in sorted(lines.items()):
        earlier = found.get(row)
        found[row] = draw if earlier is None else earlier._replace(times=earlier.times + draw.times)
    return found


def _check_all_there(arrays: Arrays, lines: Mapping[tuple[int, int], Draw]) -> None:
    """Refuse sheets in several designs, of several samples, or with rows taken out, given (number of the first draw, row)."""
    designs = sorted({draw.sampling for draw in lines.values()})
    if len(designs) > 1:
        raise InvalidInput(
            f"the sheets were drawn in two ways, {' and '.join(designs)}; pass those of one way, and the others as labeled "
            "(--labeled)"
        )
    ordered = sorted(lines)
    twice = next(((one, other) for one, other in pairwise(ordered) if one[0] == other[0]), None)
    if twice is not None:
        (number, one), (_, other) = twice
        raise InvalidInput(
            f"the sheets hold two samples: draw {number} is {arrays.name(one)!r} in one and {arrays.name(other)!r} in another; "
            "pass one sample, which goes on with --labels and --n"
        )
    last, n_draws = (ordered[-1][0] if ordered else 0), sum(draw.times for draw in lines.values())
    if n_draws < last:
        raise InvalidInput(
            f"{last - n_draws:,} of the first {last:,} draws are missing from the sheets; pass all sheets of the sample, with all "
            "of their rows, because items that people leave out are unlike the others"
        )


def _plan(path: str) -> dict[str, Draw]:
    """Id -> how it was drawn, from one file; empty where the file does not say. Refuses files that a strategy chose."""
    from distil.labeling.table_rows import cells_of

    table = _table(path)
    if table is None:
        return {}
    if all(table.named(name) for name in _SHEET):
        raise InvalidInput(
            f"{path} is a sheet of `distil next`, most of whose items a strategy chose; record it with `distil answer`, and pass "
            "the project, which knows the items that were drawn at random"
        )
    if all(table.named(name) for name in _PICKS):
        raise InvalidInput(
            f"{path} was written by `distil select`, so a strategy chose its items; pass it as labeled (--labeled), and draw a "
            "random sample with `distil evaluate`"
        )
    missing = [name for name in ("id", *PLAN) if table.named(name) is None]
    if not _is_planned(table):
        return {}
    if missing:
        raise InvalidInput(
            f"{path} is a sheet of `distil evaluate` without {', '.join(missing)}; put back what is missing, "
            f"because the columns {', '.join(PLAN)} say how its items were drawn"
        )
    rows = cells_of(table, [str(table.named(name)) for name in ("id", *PLAN)])
    return {cells[0]: _draw(table, line, cells[1:]) for line, cells in rows if cells[0].strip()}


def _is_planned(table: Table) -> bool:
    """Whether a table is a sheet of ``distil evaluate``, also if some of the columns that say so were taken out."""
    sampling = table.named("sampling")
    of_designs = sampling is not None and {*table.sample[sampling]} <= {*SAMPLINGS}
    return of_designs or len([name for name in PLAN if table.named(name)]) > 1


def _draw(table: Table, line: int, cells: Sequence[str]) -> Draw:
    try:
        sampling = SAMPLINGS[SAMPLINGS.index(cells[2])]
        found = Draw(int(float(cells[0])), int(float(cells[1])), sampling, float(cells[3].replace(",", ".")))
    except (ValueError, OverflowError):  # no design, no number, or an infinite one
        found = Draw(0, 0, "uniform", 0)
    if found.first < 1 or found.times < 1 or not 0 < found.probability <= 1:
        raise InvalidInput(
            f"{table.where(line)}: expected the number of a draw, how often it was drawn, uniform, stratified or active, and a "
            f"probability, as `distil evaluate` wrote them; got {', '.join(map(repr, cells))}"
        )
    return found


def _of_sheets(
    arrays: Arrays,
    drawn: Mapping[int, Draw],
    before: Mapping[int, str],
    known: Mapping[int, str],
    origin: str,
    notes: Sequence[str],
) -> Sample:
    """The items of sheets, in the order of their draws. Uniform draws may end where the labels do."""
    overlap = next((row for row in drawn if row in before), None)
    if overlap is not None:
        raise InvalidInput(
            f"{arrays.name(overlap)!r} is in the sample and in labeled; a model may not have seen the labels of the sample, so "
            "draw a new sample without the labeled items"
        )
    _check_pool(drawn, len(arrays) - len(before), origin)
    ordered = sorted(drawn, key=lambda row: drawn[row].first)
    labeled = [row for row in ordered if row in known]
    uniform = all(draw.sampling == "uniform" for draw in drawn.values())
    notes = list(notes)
    waiting = 0
    if uniform and labeled and ordered[: len(labeled)] == labeled and len(labeled) < len(ordered):
        notes.append(
            f"{len(labeled):,} of {len(ordered):,} items drawn have a label; they are the first of a random order, so they are "
            "a random sample too"
        )
        waiting = len(ordered) - len(labeled)
        ordered = labeled
    rows = np.array(ordered, dtype=np.int64)
    _check_answered(arrays, rows, known, origin)
    draws, labels = tuple(drawn[row] for row in ordered), tuple(known[row] for row in ordered)
    earlier = np.array(sorted(before), dtype=np.int64)
    return Sample(rows, draws, labels, known, earlier, origin, tuple(notes), waiting=waiting)


def _check_pool(drawn: Mapping[int, Draw], size: int, origin: str) -> None:
    """Refuse draws with equal chances from a pool of another size; the chances of active draws are compared one by one later."""
    chances = [draw.probability for draw in drawn.values() if draw.sampling != "active"]
    other = next((chance for chance in chances if not math.isclose(chance * size, 1, rel_tol=_SAME)), None)
    if other is not None:
        raise InvalidInput(
            f"{origin}: its items were drawn from {counted(round(1 / other), 'item')}, and there are {size:,} now; pass the "
            "probabilities of the same items, and the same labeled, as when they were drawn, or draw a new sample"
        )


# --------------------------------------------------------------------------------------------------------------- projects


class Answered(NamedTuple):
    """An item of a project with an answer: its row, whether it was drawn at random, and its label, or an empty text."""

    row: int
    random: bool
    label: str


def _answers(arrays: Arrays, path: str) -> list[Answered]:
    """The items of a project that have an answer, in the order of their first answers."""
    from distil.labeling.events import ANSWERS, RANDOM
    from distil.labeling.project import Project

    first: dict[str, bool] = {}
    with Project.open(path) as project:
        for _, _, sent in project.sent():
            if sent["kind"] in ANSWERS:
                first.setdefault(sent["item"], (sent.get("shown") or {}).get("reason") == RANDOM)
        truths = project.truths()
    kept = [item for item in first if item in truths and (truths[item].answers or truths[item].decided)]
    rows = _rows(arrays, ListedIds(tuple(kept), None, path))
    return [
        Answered(int(row), first[item], normal(truths[item].label or "")) for row, item in zip(rows, kept, strict=True)
    ]


def _of_project(
    predictions: Predictions,
    answered: Sequence[Answered],
    before: Mapping[int, str],
    known: Mapping[int, str],
    path: str,
    seed: int,
) -> Sample:
    """The random items of a project as a simple random sample.

    Items that were answered before the first random one are no part of what the sample is drawn from. Later a random item is drawn
    from the items that are open at that time, while the strategy takes others away; see :func:`completed`.
    """
    answered = [each for each in answered if each.row not in before]
    first = next((place for place, each in enumerate(answered) if each.random), None)
    if first is None:
        raise InvalidInput(
            f"{path}: none of its {counted(len(answered), 'answer')} is to an item drawn at random; draw some with `distil next "
            "--strategy random_sampling`, or label with a random share"
        )
    earlier = {*before, *(each.row for each in answered[:first])}
    chosen = completed(answered[first:], len(predictions.arrays) - len(earlier), seed)
    n_random, n_open = sum(each.random for each in answered), sum(not each.label for each in chosen)
    notes = [f"{n_random:,} random items of {len(answered):,} with an answer in {path} are the sample"]
    if n_chosen := sum(not each.random for each in chosen):
        notes.append(
            f"{n_chosen:,} items that the strategy chose were drawn in place of random ones, because random items are drawn from "
            "what the strategy leaves"
        )
    if n_open:
        notes.append(f"{counted(n_open, 'item')} of it that people could not label count as errors")
    draws = tuple(Draw(place, 1, "uniform", 1 / len(predictions.arrays)) for place in range(1, len(chosen) + 1))
    rows = np.array([each.row for each in chosen], dtype=np.int64)
    labels = tuple(each.label for each in chosen)
    return Sample(
        rows, draws, labels, known, np.array(sorted(earlier), dtype=np.int64), path, tuple(notes), of_project=True
    )


def completed(answered: Sequence[Answered], size: int, seed: int) -> list[Answered]:
    """The simple random sample, of as many items as there are random ones, that random items among others make up.

    One item after the other is drawn from all items that are not in the sample yet, those that the strategy chose included. Where
    the draw falls on one of these, whose label is known by then, it is that item; else it is one of the open items, each as
    likely, and so is the next random item, which takes its place. The number of draws is fixed: it may not depend on where they
    fall.

    Args:
        answered: The items in the order of their answers, a random one first.
        size: Number of items that there were, answered or not.
        seed: Seed of the draws.
    """
    generator = np.random.default_rng(Rng(seed).child("samples").integer())
    waiting: list[Answered] = []
    sample: list[Answered] = []
    for each in answered:
        if not each.random:
            waiting.append(each)
            continue
        while waiting and generator.random() * (size - len(sample)) < len(waiting):
            sample.append(waiting.pop(int(generator.integers(len(waiting)))))
        sample.append(each)
    return sample[: sum(each.random for each in answered)]
