"""One page of a comparison: a file of HTML that needs nothing else, with every number that it shows.

``report_of`` makes the numbers and sentences, a JSON document; ``page_of`` puts it into the page, whose script draws it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from distil.errors import DistilError, InvalidInput
from distil.evaluation.compare import Comparison, PenaltyMatrix, Summary, penalty_matrix, summarize, verdict
from distil.evaluation.curves import SHARES, Curves, efficiency_curve, labels_for_shares
from distil.evaluation.metrics import METRICS
from distil.evaluation.statistics import ALPHA, LEVEL, Difference, rank_test, ranks
from distil.evaluation.tables import terminal_table, twin_notes
from distil.experiment.config.experiment_config import ExperimentConfig
from distil.experiment.results import (
    Runs,
    all_runs,
    baseline_of,
    bounds_of,
    comparable,
    comparisons,
    costs,
    identical,
)
from distil.experiment.selections import selections_of

Json = dict[str, Any]

# Of summaries: what the report says once for all strategies.
_SAID_ELSEWHERE = ("name", "baseline", "seeds", "labels", "target")
_MOST_IDS = 2_000_000  # in a page; more make it slow to open


def report_of(configs: Sequence[ExperimentConfig]) -> Json:
    """Everything there is to say about one or several experiments, as JSON.

    Several are taken for several data sets (or settings): strategies that all of them have are compared over them, too. What
    cannot be said - with one seed, of unfinished runs, without a training on the whole pool, without the data at hand - is
    said not to be known, and why.

    Args:
        configs: The experiments, such as ``open_config`` returns.

    Raises:
        InvalidInput: No experiments.
        RunError: The events of a run are damaged.
    """
    if not configs:
        raise InvalidInput("a report needs at least one experiment")
    names = _names(configs)
    experiments, curves = [], []
    for config, name in zip(configs, names, strict=True):
        made, own = _experiment(config, name)
        experiments.append(made)
        curves.append(own)
    return {
        "title": _title(experiments),
        "level": LEVEL,
        "alpha": ALPHA,
        "metric_names": {name: metric.words for name, metric in METRICS.items()},
        "higher_is_better": {name: metric.higher_is_better for name, metric in METRICS.items()},
        "experiments": experiments,
        "across": _across(curves) if len(configs) > 1 else None,
    }


def _names(configs: Sequence[ExperimentConfig]) -> list[str]:
    """The data sets' names, followed by the directories' where experiments have a data set in common."""
    names = [str(config.dataset["name"]) for config in configs]
    folders = [config.output.resolve().name for config in configs]
    long = [
        name if names.count(name) == 1 else f"{name} ({folder})" for name, folder in zip(names, folders, strict=True)
    ]
    return [name if long.count(name) == 1 else f"{name} #{number}" for number, name in enumerate(long, 1)]


def _title(experiments: Sequence[Json]) -> str:
    if len(experiments) > 1:
        return f"Strategies over {len(experiments)} data sets: {', '.join(e['name'] for e in experiments)}"
    (only,) = experiments
    return f"{only['name']}: {_counted(len(only['strategies']), 'strategy', 'strategies')}, {_counted(len(only['seeds']), 'seed')}"


def _experiment(config: ExperimentConfig, name: str) -> tuple[Json, Mapping[str, Mapping[str, Curves]]]:
    """What there is to say about one experiment, and its curves by metric."""
    everything = all_runs(config)
    runs = {label: own for label, own in everything.items() if all(run.finished for run in own)}
    found = {metric: comparable(runs, config.seeds, metric) for metric in METRICS}
    accuracy = found["accuracy"]
    curves = {metric: own for metric, own in found.items() if own and own.keys() == accuracy.keys()}
    twins = {name: like for name, like in identical(config, runs).items() if {name, like} <= accuracy.keys()}
    baseline = baseline_of(accuracy) if accuracy else None
    order = [] if baseline is None else [baseline, *(label for label in accuracy if label != baseline)]
    shown = {label: runs[label] for label in order}
    metrics = {metric: _metric(config, runs, metric, own, order, twins) for metric, own in curves.items()}
    selections = _selections(config, shown) if order else None
    ids = _ids(config, runs)
    notes = [*_notes(config, everything, runs, accuracy, metrics, ids), *twin_notes(twins)]
    made: Json = {
        "name": name,
        "facts": _facts(config, runs),
        "seeds": config.seeds,
        "strategies": order,
        "baseline": baseline,
        "twins": twins,
        "labels": accuracy[order[0]].labels.tolist() if order else [],
        "target": config.target_accuracy,
        "notes": notes,
        "metrics": metrics,
        "costs": {label: dataclasses.asdict(cost) for label, cost in costs(shown).items()},
        "selections": selections,
        "provenance": _provenance(config, runs),
        "ids": ids,
        "table": _table(config, accuracy, baseline, twins) if baseline else "\n".join(notes),
    }
    return made, curves


def _metric(
    config: ExperimentConfig,
    runs: Runs,
    metric: str,
    curves: Mapping[str, Curves],
    order: Sequence[str],
    twins: Mapping[str, str],
) -> Json:
    """The numbers of one metric."""
    target = config.target_accuracy if metric == "accuracy" else None
    bounds = bounds_of(config, runs, metric)
    full = None if bounds is None else bounds.full
    summaries = summarize(curves, baseline=order[0], target=target)
    made: Json = {
        "full": full,
        "majority": None if bounds is None else bounds.majority,
        "values": {name: curves[name].values.tolist() for name in order},
        "summaries": {
            s.name: {
                f.name: _finite(getattr(s, f.name))
                for f in dataclasses.fields(Summary)
                if f.name not in _SAID_ELSEWHERE
            }
            for s in summaries
        },
    }
    return made | (_tests(curves, order, twins, full) if METRICS[metric].higher_is_better else {})


def _tests(curves: Mapping[str, Curves], order: Sequence[str], twins: Mapping[str, str], full: float | None) -> Json:
    """Comparisons of the strategies, for a metric of which the larger is the better."""
    tested = comparisons(curves, order[0], twins)
    means = {name: curves[name].values.mean(axis=0) for name in order}
    labels = curves[order[0]].labels
    efficiency = {name: efficiency_curve(labels, mean, means[order[0]]) for name, mean in means.items()}
    alone = {name: curves[name] for name in order if name not in twins}
    return {
        "comparisons": {name: _comparison(c) for name, c in tested.items()},
        "efficiency": {
            name: {"ratio": e.at_least.tolist(), "known": np.isfinite(e.ratio).tolist()}
            for name, e in efficiency.items()
        },
        "reach": {
            name: [
                {"share": r.share, "target": r.target, "labels": _finite(r.labels), "text": str(r)}
                for r in labels_for_shares(labels, mean, full, SHARES)
            ]
            for name, mean in means.items()
        }
        if full
        else None,
        "penalty": _penalty([alone], order[0]),
    }


def _comparison(c: Comparison) -> Json:
    return {
        "p": c.difference.p,
        "p_holm": c.p_holm,
        "wilcoxon_p": c.wilcoxon_p,
        "wilcoxon_holm": c.wilcoxon_holm,
        "family": c.family,
        "spread": c.spread,
        "d_z": _finite(c.effect.d_z),
        "g_z": _finite(c.effect.g_z),
        "wins": c.wins,
        "ties": c.ties,
        "losses": c.losses,
        "better": list(c.better),
        "outcome": "same" if c.ties == c.seeds else c.outcome(),
        "verdict": f"{verdict(c)}.",
    }


def _penalty(settings: Sequence[Mapping[str, Curves]], baseline: str | None) -> Json | None:
    """The penalty matrix, where there is enough for one, with its own words on how to read it."""
    try:
        matrix: PenaltyMatrix = penalty_matrix(settings, baseline=baseline)
    except InvalidInput:  # one strategy, seed or point
        return None
    return {
        "strategies": matrix.strategies,
        "beats": matrix.beats.tolist(),
        "penalties": matrix.penalties.tolist(),
        "note": str(matrix).rsplit("\n", 1)[-1],
    }


def _selections(config: ExperimentConfig, runs: Runs) -> Json:
    """What was selected; without distances, and why, where the data is not at hand."""
    local = {key: value for key, value in config.dataset.items() if key != "download"}
    try:
        data = dataclasses.replace(config, dataset=local).load_data()
        return {**dataclasses.asdict(selections_of(config, runs, data)), "missing": None}
    except (DistilError, OSError) as error:
        return {**dataclasses.asdict(selections_of(config, runs, None)), "missing": str(error).split("\n", 1)[0]}


def _notes(
    config: ExperimentConfig,
    everything: Runs,
    runs: Runs,
    accuracy: Mapping[str, Curves],
    metrics: Mapping[str, Json],
    ids: Json | None,
) -> list[str]:
    """What is missing, and why, in words."""
    notes = []
    for label, own in everything.items():
        if label not in runs:
            done = sum(run.finished for run in own)
            notes.append(
                f"{label} is left out: {done} of {_counted(len(own), 'seed')} finished. Go on with: distil resume"
            )
        elif label not in accuracy:
            notes.append(f"{label} is left out: its runs have other numbers of labels than the baseline's.")
    if runs and not accuracy:
        notes.append(
            "There are no curves: a round of the baseline added no label, or its seeds differ in their numbers of labels."
        )
    if accuracy and len(config.seeds) == 1:
        notes.append("One seed: no intervals, and no test of any difference.")
    if accuracy and metrics["accuracy"]["full"] is None:
        notes.append(
            "No training on the whole pool, so shares of its accuracy are not known: `distil compare` makes one a seed."
        )
    missing = [metric.words for name, metric in METRICS.items() if name not in metrics]
    if accuracy and missing:
        notes.append(f"Not measured by all of these runs, which may be older: {', '.join(missing)}.")
    if ids is None:
        notes.append("There are too many ids for a page; they are in the files events.jsonl of the runs.")
    return notes


def _facts(config: ExperimentConfig, runs: Runs) -> list[list[str]]:
    """What was run, in a few words."""
    begun = _started(runs)
    sizes = [f"{begun[0]['pool']:,} in the pool, {begun[0]['test']:,} to test on"] if begun else []
    more = [
        f"{key} {value}" for key, value in config.dataset.items() if key in ("redundancy", "imbalance", "label_noise")
    ]
    rounds = _counted(config.rounds - 1, "round")
    return [
        ["Data", ", ".join([str(config.dataset["name"]), f"{config.num_classes} classes", *sizes, *more])],
        ["Network", f"{config.model['architecture']}, trained from {config.retrain.replace('_', ' ')} each round"],
        ["Labels", f"{config.initial_points:,} at the start, then {rounds} of {config.budget:,}"],
        [
            "Seeds",
            f"{len(config.seeds)}, paired: split, initial labels, weights and minibatches are the same for all strategies",
        ],
    ]


def _provenance(config: ExperimentConfig, runs: Runs) -> Json:
    """What the runs were made with; several values where runs differ."""
    begun = _started(runs)
    packages = dict.fromkeys(name for event in begun for name in event.get("versions", {}))
    return {
        "versions": {name: _distinct(event.get("versions", {}).get(name) for event in begun) for name in packages},
        "device": _distinct(event.get("device") for event in begun),
        "threads": _distinct(event.get("threads") for event in begun),
        "seeds": {str(seed): dataclasses.asdict(config.seeds_of(seed)) for seed in config.seeds},
        "config": config.document,
    }


def _started(runs: Runs) -> list[Json]:
    return [event for own in runs.values() for run in own if (event := run.last("started")) is not None]


def _distinct(values: Any) -> list[str]:  # noqa: ANN401 - any iterable of what events hold
    return [str(value) for value in dict.fromkeys(values) if value is not None]


def _ids(config: ExperimentConfig, runs: Runs) -> Json | None:
    """The ids of every round, the user's own where the data has some; None where they are too many for a page.

    The initial ones come first, then selections in pick order.
    """
    ids = {
        label: {
            str(seed): [e.get("names", e["ids"]) for e in (run.all("labeled")[0], *run.all("asked"))]
            for seed, run in zip(config.seeds, own, strict=True)
        }
        for label, own in runs.items()
    }
    count = sum(len(round_) for own in ids.values() for rounds in own.values() for round_ in rounds)
    return ids if count <= _MOST_IDS else None


def _table(config: ExperimentConfig, curves: Mapping[str, Curves], baseline: str, twins: Mapping[str, str]) -> str:
    """The accuracies for those who read without scripts."""
    summaries = summarize(curves, baseline=baseline, target=config.target_accuracy)
    tests = comparisons(curves, baseline, twins)
    return terminal_table(summaries, config.target_accuracy, comparisons=tests, twins=twins)


def _across(curves: Sequence[Mapping[str, Mapping[str, Curves]]]) -> Json:
    """The strategies that all experiments have, over all of them, by metric."""
    metrics = {}
    for metric in (name for name, kind in METRICS.items() if kind.higher_is_better):
        settings = [own.get(metric, {}) for own in curves]
        common = [name for name in settings[0] if all(name in own for own in settings)]
        if common:
            metrics[metric] = _ranking([{name: own[name] for name in common} for own in settings])
    return {"metrics": metrics}


def _ranking(settings: Sequence[Mapping[str, Curves]]) -> Json:
    """Ranks by mean area, whether they differ, and the penalty matrix of all settings."""
    scores = {name: [float(own[name].values.mean()) for own in settings] for name in settings[0]}
    made: Json = {
        "scores": scores,
        "ranks": {name: own.tolist() for name, own in ranks(scores).items()},
        "penalty": _penalty(settings, baseline_of(scores)),
        "test": None,
        "why_not": None,
    }
    try:
        test = rank_test(scores)
    except InvalidInput as error:
        return {**made, "why_not": f"No critical difference diagram. {error}."}
    return {
        **made,
        "test": {
            "strategies": test.strategies,
            "mean_ranks": test.ranks.tolist(),
            "data_sets": test.data_sets,
            "chi2": test.chi2,
            "p": test.p,
            "f": _finite(test.f),
            "f_p": test.f_p,
            "critical_difference": test.critical_difference,
            "groups": test.groups,
        },
    }


def _finite(x: Any) -> Any:  # noqa: ANN401 - a number or numbers, None or without those that JSON has no word for
    """The number or numbers; None in place of what is NaN or infinite."""
    if isinstance(x, Difference):
        x = x[:3]
    if x is None:
        return None
    if isinstance(x, (float, int)):
        return float(x) if math.isfinite(x) else None
    return [_finite(float(value)) for value in x]


def _counted(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
