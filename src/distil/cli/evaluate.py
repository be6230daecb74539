"""``distil evaluate`` and ``distil.evaluate``: the accuracy of a model from few labels, with an interval that holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distil.cli.options import PathLike, listed, optional_path, out_of, path_of, paths_of, print_note
from distil.cli.projects import queue_first, writing
from distil.errors import InvalidInput, as_share, counted

if TYPE_CHECKING:
    from distil.labeling.samples import Draw, Predictions, Sample

_WORDS = {"accuracy": "accuracy", "macro_f1": "macro F1", "loss": "mean loss"}
_WAYS = {"uniform": "at random", "stratified": "evenly over all degrees of sureness", "active": "actively"}


def evaluate(
    *,
    probs: PathLike,
    labels: PathLike | Sequence[PathLike] | None = None,
    labeled: PathLike | Sequence[PathLike] | None = None,
    classes: str | Sequence[str] | None = None,
    ids: PathLike | None = None,
    measure: str = "accuracy",
    confidence: float = 0.95,
    n: int | None = None,
    sampling: str | None = None,
    out: PathLike | None = None,
    project: PathLike | None = None,
    seed: int = 0,
    force: bool = False,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Estimate the accuracy of a model over a pool from few labels, with an interval that holds.

    The first command draws items to label, and the second reads the sheet, with its column label filled in; with --n it draws
    more::

        distil evaluate --probs p.npy --n 100 --out test-1.csv
        distil evaluate --probs p.npy --labels test-1.csv --n 100 --out test-2.csv
        distil evaluate --probs p.npy --labels test-1.csv --labels test-2.csv

    The interval holds the accuracy over the whole pool in at least 95 of 100 samples, at every number of labels. It needs items
    that were drawn as a sheet says, or at random; labels that a strategy chose are refused. Of a labeling project, the items that
    it drew at random count. docs/certainty.md explains the numbers.

    Args:
        probs: A file of class probabilities, (N, C), one row for each item of the pool, such as ``.npy`` or ``.csv``.
        labels: The labels: sheets that this command wrote, files of ids with labels, or a labeling project; one or several. With
            sheets, other files only give labels; without sheets, the ids of a file are taken to be drawn at random.
        labeled: Files of ids with labels that the model was trained on; they are no part of the pool. One or several.
        classes: The classes of the columns of probs, in their order, where labels are their names: a list, or text such as
            ``cat,dog``.
        ids: The ids of the rows: a file, or a column; default: the ids in the file, else positions.
        measure: accuracy; macro_f1, the mean F1 of the classes; or loss, the mean of labels that are numbers from 0 to 1.
        confidence: The probability that the interval holds.
        n: The number of items to draw, which are written to out.
        sampling: How they are drawn: uniform, at random; stratified, evenly over all degrees of sureness; or active, more often
            where the model is unsure, which pays for confident models and some 300 labels or more. Default: as before, first
            uniform.
        out: The sheet to write, ``.csv``, ``.jsonl`` or ``.parquet``. Keep it: it says how the items were drawn.
        project: A labeling project that hands these items out first, before those that it has in its queue; its labels are read by
            passing it among the labels.
        seed: The same seed draws the same items.
        force: Replace a file of that name that has other content; without it, no file is replaced.
        progress: Show a progress bar; default: when the output is a terminal.

    Returns:
        The document that ``--json`` prints: ``measure``, ``mean``, ``low`` and ``high`` (None without labels), ``confidence``,
        ``items`` (the size of the pool), ``labels`` and ``draws`` (the size of the sample), ``sampling``, ``next`` (id, draws and
        probability of each item drawn now) and ``notes``.

    Raises:
        InvalidInput: Labels that a strategy chose, items of the sample without a label, ids that are not in the pool, or two
            designs.
    """
    import numpy as np

    from distil.functional.estimates import Estimate
    from distil.labeling.evaluate import MEASURES, Test, next_draws, one_of
    from distil.labeling.evaluate import evaluate as estimate
    from distil.labeling.samples import SAMPLINGS, read_labels, read_predictions, read_sample
    from distil.system.runtime import Runtime

    confidence = as_share("confidence", confidence)
    mean_of = one_of("measure", measure, MEASURES)
    design = None if sampling is None else one_of("sampling", sampling, SAMPLINGS)
    files, earlier = paths_of("labels", labels), paths_of("labeled", labeled)
    sheet = out_of(out, (".csv", ".jsonl", ".parquet"), inputs={"probs": probs, "labels": files, "labeled": earlier})
    if not files and n is None:
        raise InvalidInput(
            "there is nothing to do: pass labels (--labels), or a number of items to draw (--n) and a file (--out)"
        )
    idle = next((name for name, its in (("sampling", sampling), ("project", project)) if its is not None), None)
    if n is None and idle is not None:
        raise InvalidInput(f"{idle} is for items to draw; pass n and out too (--n, --out), or leave {idle} out")
    if (n is None) != (sheet is None):
        raise InvalidInput(
            "n and out belong together: the sheet keeps how the items were drawn; pass both (--n, --out)"
        )
    predictions = read_predictions(
        path_of("probs", probs), listed(classes), optional_path("ids", ids), Runtime(progress=progress)
    )
    sample = read_sample(predictions, files, earlier, seed) if files else None
    found = None if sample is None else estimate(predictions, sample, mean_of, confidence)
    if sample is None:
        trained_on = read_labels(predictions.arrays, earlier)
        test = Test.without(predictions, np.array(sorted(trained_on), dtype=np.int64))
    else:
        test = Test.without(predictions, sample.earlier)
    draws: dict[int, Draw] = {}
    if sheet is not None:
        if sample is not None and sample.of_project:
            raise InvalidInput("a project draws its items itself (distil next); leave out n and out (--n, --out)")
        draws = next_draws(test, n, design, sample, seed)
        _write(predictions, draws, sample, sheet, project, force=force)
    return {
        "measure": measure,
        **(dict.fromkeys(Estimate._fields) if found is None else found._asdict()),
        "confidence": confidence,
        "items": len(test.rows),
        "labels": 0 if sample is None else len(sample.rows),
        "draws": 0 if sample is None else len(sample.repeated),
        "sampling": (design or "uniform") if sample is None else sample.sampling,
        "next": [
            {"id": predictions.arrays.name(row), "draws": draw.times, "probability": draw.probability}
            for row, draw in draws.items()
        ],
        "notes": [] if sample is None else list(sample.notes),
    }


def _write(
    predictions: Predictions,
    draws: dict[int, Draw],
    sample: Sample | None,
    sheet: Path,
    project: PathLike | None,
    *,
    force: bool,
) -> None:
    """Write the sheet, and put its items that have no label yet into the queue of the project."""
    from distil.labeling.evaluate import sheet_of
    from distil.labeling.table_rows import write_records

    known = {} if sample is None else sample.known
    records = sheet_of(predictions, draws, known)
    wanted = [record["id"] for record in records if record["label"] is None]
    if project is None:
        write_records(records, sheet, force=force)
        return
    with writing(project) as opened:
        opened.items(wanted)  # refuses ids that the project does not have
        write_records(records, sheet, force=force)
        queue_first(opened, wanted)


def act(given: dict[str, Any]) -> int:
    """Estimate, and say what was found and what comes next."""
    found = evaluate(**given)
    for note in found["notes"]:
        print_note(note)
    if found["mean"] is not None:
        name, level = _WORDS[found["measure"]], found["confidence"]
        print(
            f"{name} {found['mean']:.3f}, {100 * level:g} % interval {found['low']:.3f} to {found['high']:.3f}, from "
            f"{counted(found['labels'], 'label')} of {found['items']:,} items, drawn {_WAYS[found['sampling']]}"
        )
    if found["next"]:
        print(
            f"{counted(len(found['next']), 'item')} in {given['out']}; fill in the column label, then pass the sheet with --labels"
        )
    return 0
