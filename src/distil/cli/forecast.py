"""``distil forecast`` and ``distil.forecast``: what further labels will bring."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distil.cli.options import PathLike, as_json, out_of, path_of, print_note
from distil.errors import DataNotFound, DistilWarning, InvalidInput, argument, counted, finite_number, whole_number

if TYPE_CHECKING:
    from distil.evaluation.curves import Curves
    from distil.evaluation.forecast import Forecast

_COLUMNS = (
    "name",
    "labels",
    "more",
    "score",
    "then",
    "low",
    "high",
    "gain",
    "gain_low",
    "gain_high",
    "level",
    "cost_per_point",
    "unknown",
)


def forecast(
    source: PathLike,
    *,
    labels: int = 50,
    cost: float | None = None,
    out: PathLike | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Forecast what further labels will bring, from the scores so far.

    Three families of learning curves are fitted to the scores, and an 80 % interval comes from resampling. Where the scores say too
    little, the forecast says that it cannot tell yet. Examples::

        distil forecast runs/digits --labels 100
        distil forecast reviews --labels 200 --cost 0.12
        distil forecast curve.csv

    The source is the output directory of `distil run` or `distil compare`, whose strategies are forecast one by one, by their test
    accuracy; a labeling project, by the share of random items that the model guessed right; or a table with the columns labels
    and score, a fraction, and seed, fold or both where there are several curves.

    Args:
        source: A directory of runs, a labeling project, or a table.
        labels: The number of further labels.
        cost: What a label costs, in any unit; the forecast then says what a point of the score will cost.
        out: A file to write the forecasts to, ``.csv``.
        force: Replace a file of that name that has other content; without it, no file is replaced.

    Returns:
        The document that ``distil forecast --json`` prints: ``source``, and ``forecasts``, one for each strategy: ``name``, the
        attributes of :class:`distil.evaluation.forecast.Forecast`, ``cost_per_point`` (None where it is not known) and
        ``sentence``.

    Raises:
        DataNotFound: There is nothing at that path.
        InvalidInput: The table has no such columns, a score is no fraction, or a file called ``out`` has other content.
        RunError: The directory is damaged, or holds neither runs nor a project.
    """
    from distil.data.cells import csv_text
    from distil.evaluation.forecast import forecast as forecast_of
    from distil.system.files import publish

    path = Path(path_of("source", source)).expanduser()
    file = out_of(out, (".csv",), inputs={"source": path})
    if whole_number(labels, 1) is None:
        raise InvalidInput(f"labels must be a whole number from 1, got {labels!r}")
    price = finite_number(cost)
    if cost is not None and (price is None or price <= 0):
        raise InvalidInput(f"cost must be a number above 0, got {cost!r}")
    found = [_document(name, forecast_of(own.labels, own.values, labels), price) for name, own in _curves(path).items()]
    if file is not None:
        rows = [["" if each[key] is None else each[key] for key in _COLUMNS] for each in found]
        publish(file, csv_text([_COLUMNS, *rows], str(file)).encode(), force=force)
    return as_json({"source": str(path), "forecasts": found})


def act(given: dict[str, Any]) -> int:
    """Forecast, and print a sentence for each curve."""
    done = forecast(**given)
    several = len(done["forecasts"]) > 1
    for each in done["forecasts"]:
        print(f"{each['name']}: {each['sentence']}" if several else each["sentence"])
    if given["out"] is not None:
        print_note(f"the forecasts are in {given['out']}")
    return 0


def _document(name: str, found: Forecast, cost: float | None) -> dict[str, Any]:
    price = cost * found.more / (100 * found.gain) if cost is not None and found.gain > 0 else None
    sentence = str(found)
    if cost is not None and found.unknown is None:
        sentence += f"; a point costs {price:,.2f}" if price is not None else "; no cost buys a point"
    return {"name": name, **dataclasses.asdict(found), "cost_per_point": price, "sentence": sentence}


def _curves(path: Path) -> dict[str, Curves]:
    """The learning curves at a path, by name."""
    if not path.exists():
        raise DataNotFound(f"{path} does not exist; expected a directory of runs, a labeling project, or a table")
    if path.is_file():
        return {path.stem: _of_table(path)}
    from distil.labeling.store import FILE

    if (path / FILE).is_file():
        return {path.name: _of_project(path)}
    return _of_runs(path)


def _of_runs(path: Path) -> dict[str, Curves]:
    from distil.experiment.directory import open_config
    from distil.experiment.results import all_runs, curves_so_far

    found = curves_so_far(all_runs(open_config(path)))
    if not found:
        raise InvalidInput(f"no run in {path} has a score yet; continue with: distil resume {argument(path)}")
    return found


def _of_project(path: Path) -> Curves:
    from distil.labeling.outlook import random_curve
    from distil.labeling.progress import progress_of
    from distil.labeling.project import Project

    with Project.open(path) as opened:
        return random_curve(progress_of(opened).curve)


def _of_table(path: Path) -> Curves:
    from distil.data.array_files import ARRAY_FILES
    from distil.data.file_readers import ending
    from distil.data.table_files import TABLE_FILES, open_table
    from distil.system.runtime import Runtime

    if ending(path) in ARRAY_FILES and ending(path) not in TABLE_FILES:
        raise InvalidInput(
            f"{path} is an array, whose columns have no names; save the curve as a table with the columns labels and score, such "
            "as curve.csv"
        )
    table = open_table(path, asked=("labels", "score"))
    missing = [name for name in ("labels", "score") if table.named(name) is None]
    if missing:
        raise InvalidInput(
            f"{path} has no column {missing[0]!r}; expected the columns labels and score, and seed or fold where there are several "
            f"curves; it has {', '.join(table.columns) or 'no columns'}"
        )
    groups = [name for name in map(table.named, ("seed", "fold")) if name is not None]
    columns = [str(table.named(name)) for name in ("labels", "score")]
    rows = table.read(columns, groups, Runtime(progress=False), wide=True)
    if not len(rows.values):
        raise InvalidInput(f"{path} has no rows")
    by_group: dict[tuple[str, ...], dict[float, float]] = {}
    for number, (place, (labels, score)) in enumerate(zip(rows.places, rows.values.tolist(), strict=True)):
        _check_row(table.where(place), labels, score)
        own = by_group.setdefault(tuple(str(column[number]) for column in rows.cells), {})
        if labels in own:
            strategy = table.named("strategy")
            raise InvalidInput(
                f"{table.where(place)}: a second score for {labels:g} labels in one curve; "
                + (
                    "name the curve of each row in a column called seed or fold"
                    if strategy is None
                    else f"keep the rows of one strategy, by its column {strategy!r}"
                )
            )
        own[labels] = score
    return _together(path, list(by_group.values()))


def _check_row(where: str, labels: float, score: float) -> None:
    if labels < 1 or not labels.is_integer():
        advice = "; drop the row of a model without labels" if labels == 0 else ""
        raise InvalidInput(f"{where}: labels must be a whole number from 1, got {labels:g}{advice}")
    if not 0 <= score <= 1:
        advice = "; divide percentages by 100" if score > 1 else ""
        raise InvalidInput(f"{where}: score must be a fraction from 0 to 1, got {score:g}{advice}")


def _together(path: Path, curves: Sequence[dict[float, float]]) -> Curves:
    """Curves with the same numbers of labels, from each one's number of labels -> score."""
    import numpy as np

    from distil.evaluation.curves import Curves

    first, *others = curves
    grid = sorted(labels for labels in first if all(labels in own for own in others))
    if not grid:
        raise InvalidInput(f"{path}: the curves have no number of labels in common; score all of them at the same ones")
    every = {labels for own in curves for labels in own}
    if len(grid) < len(every):
        warnings.warn(
            f"{path}: the forecast reads the {counted(len(grid), 'point')} that all curves have, up to {grid[-1]:g} labels; "
            f"{len(every) - len(grid):,} more, up to {max(every):g} labels, are left out",
            DistilWarning,
            stacklevel=2,
        )
    return Curves(np.array(grid), np.array([[own[labels] for labels in grid] for own in curves]))
