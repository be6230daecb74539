"""``distil finish`` and ``distil.finish``: label the rest of a pool with a model, with a bound on how many labels are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from distil.cli.options import PathLike, listed, optional_path, out_of, path_of, paths_of, print_note
from distil.cli.projects import queue_first, writing
from distil.errors import InvalidInput, counted, finite_number

_ENDINGS = (".csv", ".jsonl", ".parquet")


def finish(
    *,
    probs: PathLike,
    labels: PathLike | Sequence[PathLike],
    out: PathLike,
    error: float = 0.05,
    confidence: float = 0.95,
    rest: PathLike | None = None,
    project: PathLike | None = None,
    answers: PathLike | Sequence[PathLike] | None = None,
    labeled: PathLike | Sequence[PathLike] | None = None,
    second: PathLike | Sequence[PathLike] | None = None,
    second_cost: float = 0.1,
    classes: str | Sequence[str] | None = None,
    ids: PathLike | None = None,
    seed: int = 0,
    force: bool = False,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Label the rest of a pool with a model, so that at most a stated share of all labels is wrong.

    From a random sample with labels of people, a test that is exact at every size of the sample finds how far the model may be
    trusted: it labels the items of which it is surest, and the others are left to people::

        distil evaluate --probs p.npy --n 300 --out random.csv     # then fill in the column label
        distil finish --probs p.npy --labels random.csv --error .05 --out finished.csv --rest rest.csv
        distil finish --probs p.npy --labels random.csv --error .05 --out all.csv --answers rest.csv

    With --project, the people of a labeling project get the rest, and --answers takes the project.

    The file has the columns id, label, source (human or model) and probability, that of the label by the model, and each item of
    the pool once. Labels of people count as right. The sample must be random, and the model must not have seen its labels.
    docs/certainty.md says what the promise means and when it holds.

    Args:
        probs: A file of class probabilities, (N, C), one row for each item of the pool, such as ``.npy`` or ``.csv``.
        labels: The random sample: sheets of ``distil evaluate``, a file of ids with labels, or a labeling project, of which the
            items count that it drew at random; one or several.
        out: The file to write, ``.csv``, ``.jsonl`` or ``.parquet``.
        error: The largest share of wrong labels in the whole pool.
        confidence: The probability that the share is no larger.
        rest: The sheet to write of the items that are left to people, in the formats of out.
        project: A labeling project that hands out the items left to people first, before those that it has in its queue.
        answers: Files of ids with labels of such items, once people have filled them in, or the project; one or several.
        labeled: Files of ids with labels that the model was trained on, or a project; they keep these labels. One or several.
        second: Files of ids with the answers of a second labeler, such as a language model, for items of which the model is not
            sure enough. It has to answer the whole sample, on which its errors are measured. One or several.
        second_cost: The cost of an answer of the second labeler, where a person's is 1 and the model's is 0.
        classes: The classes of the columns of probs, in their order, where labels are their names: a list, or text such as
            ``cat,dog``.
        ids: The ids of the rows: a file, or a column; default: the ids in the file, else positions.
        seed: Seed of the draws among the chosen items of a project; docs/certainty.md says why there are any.
        force: Replace files of these names that have other content; without it, no file is replaced.
        progress: Show a progress bar; default: when the output is a terminal.

    Returns:
        The document that ``--json`` prints: ``items``; ``human``, ``model`` and ``second``, the numbers of labels of each source;
        ``to_people`` and ``to_second``, the numbers of items that still need a label; ``random``, the size of the sample,
        ``wrong``, how many of it the model or the second labeler labels wrongly where it labels, and ``allowed``, the number of
        labels that may be wrong; ``error``, ``confidence``, ``bound`` (at most this share of all labels is wrong), ``estimate``
        (the share that is expected), ``threshold`` (the least probability of a label of the model), ``out``, ``rest`` and
        ``notes``.

    Raises:
        InvalidInput: The sample is not random, has items without a label, or is too small for this error: the message says how many
            labels are needed. Or a file has other content.
    """
    from distil.labeling.finish import Second
    from distil.labeling.finish import finish as finished
    from distil.labeling.samples import read_labels, read_predictions, read_sample
    from distil.labeling.table_rows import write_records
    from distil.system.runtime import Runtime

    files = {
        name: paths_of(name, given)
        for name, given in (("labels", labels), ("answers", answers), ("labeled", labeled), ("second", second))
    }
    path = out_of(out, _ENDINGS, inputs={"probs": probs, **files})
    sheet = out_of(rest, _ENDINGS, "rest", inputs={"probs": probs, **files, "out": path})
    cost = finite_number(second_cost)
    if cost is None or cost < 0:
        raise InvalidInput(f"second_cost must be a number from 0 on, got {second_cost!r}")
    predictions = read_predictions(
        path_of("probs", probs), listed(classes), optional_path("ids", ids), Runtime(progress=progress)
    )
    sample = read_sample(predictions, files["labels"], files["labeled"], seed)
    given = {name: read_labels(predictions.arrays, files[name]) for name in ("answers", "second")}
    found = finished(
        predictions,
        sample,
        given["answers"],
        error=error,
        confidence=confidence,
        second=Second(given["second"], cost) if files["second"] else None,
    )
    assert path is not None
    to_people, to_second = found.open_rows("human"), found.open_rows("second")
    open_ids = [predictions.arrays.name(row) for row in to_people]
    with ExitStack() as stack:
        opened = None if project is None else stack.enter_context(writing(project))
        if opened is not None:
            opened.items(open_ids)  # refuses ids that the project does not have
        if sheet is not None and to_people:
            write_records([{"id": name, "label": None} for name in open_ids], sheet, force=force)
        write_records(found.records(predictions), path, force=force)
        if opened is not None:
            queue_first(opened, open_ids)
    return {
        "items": len(found.sources),
        **{name: found.sources.count(name) for name in ("human", "model", "second")},
        "to_people": len(to_people),
        "to_second": len(to_second),
        "random": found.random,
        "wrong": found.wrong,
        "allowed": found.allowed,
        "error": error,
        "confidence": confidence,
        "bound": found.bound,
        "estimate": found.estimate,
        "threshold": found.threshold,
        "out": str(path),
        "rest": None if sheet is None or not to_people else str(sheet),
        "notes": list(sample.notes),
    }


def act(given: dict[str, Any]) -> int:
    """Label, and say who labels what, and what is certain of the errors."""
    found = finish(**given)
    for note in found["notes"]:
        print_note(note)
    share = found["model"] / found["items"]
    print(f"the model labels {found['model']:,} of {counted(found['items'], 'item')} ({share:.0%}), in {found['out']}")
    if found["second"]:
        print(f"the second labeler labels {found['second']:,}; {found['to_second']:,} of its answers are still to come")
    print(
        f"with {100 * found['confidence']:g} % confidence, at most {found['bound']:.2%} of all labels are wrong; "
        f"{found['estimate']:.2%} are expected to be (from {counted(found['random'], 'random label')})"
    )
    if found["to_people"]:
        print(f"{counted(found['to_people'], 'item')} left to people{_whereabouts(found['rest'], given['project'])}")
    return 0


def _whereabouts(rest: str | None, project: PathLike | None) -> str:
    """Where people find the items that are left to them, and how their labels come back."""
    if project is not None:
        return f", first in the queue of {project}; once they are labeled, pass --answers {project}"
    return f" in {rest}: fill in the column label, then pass it with --answers" if rest else " (--rest, --project)"
