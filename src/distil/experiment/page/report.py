"""The numbers and sentences of a report, as a JSON document; the script of the page draws it: see ``page_of``."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from distil.datasets.data_set import outputs_text
from distil.errors import DistilError, DistilWarning, InvalidInput, argument
from distil.evaluation.ceiling import Ceiling
from distil.evaluation.compare import Comparison, PenaltyMatrix, Summary, p_text, penalty_matrix, summarize, verdict
from distil.evaluation.curves import SHARES, Bound, Curves, Reach, efficiency_curve, labels_for_shares
from distil.evaluation.labels_saved import Saving, labels_saved
from distil.evaluation.metrics import METRICS_OF, Metric, main_metric
from distil.evaluation.statistics import ALPHA, LEVEL, Difference, rank_test, ranks
from distil.evaluation.tables import (
    cell_texts,
    curve_texts,
    labels_text,
    saving_text,
    share_text,
    terminal_table,
    twin_notes,
)
from distil.experiment.config.experiment_config import ExperimentConfig
from distil.experiment.config.strategy_section import CEILING, FULL_DATA
from distil.experiment.files_read import read_data
from distil.experiment.notes import notes_of
from distil.experiment.page.outlook import outlook_of
from distil.experiment.results import (
    Runs,
    all_runs,
    alone_notes,
    baseline_of,
    baselines_of,
    bounds_of,
    ceiling_notes,
    ceiling_of,
    ceiling_runs,
    comparable,
    comparisons,
    costs,
    data_name,
    full_data_runs,
    identical,
    left_out_notes,
    lost_models,
    metric_words,
    table_of,
    untimed,
    without_copies,
)
from distil.experiment.selections import selections_of
from distil.experiment.timeline import timeline_of

Json = dict[str, Any]

# Fields of summaries that the report has once for all strategies.
_COMMON = ("name", "baseline", "seeds", "labels", "target", "saving", "unit")
_MOST_IDS = 2_000_000  # more make the page slow to open


def report_of(configs: Sequence[ExperimentConfig]) -> Json:
    """The results of one or several experiments, as JSON.

    Several experiments count as several data sets (or settings): the strategies that all of them have are compared over them
    too. Directories that share runs count once. A note gives the reason for each missing result: one seed, unfinished
    runs, no training on the whole pool, no data.

    Args:
        configs: The configurations of the experiments, as ``open_config`` returns them.

    Raises:
        InvalidInput: No configuration is given.
        RunError: The events of a run are damaged.
    """
    if not configs:
        raise InvalidInput("a report needs at least one experiment")
    given = without_copies(configs)
    experiments, curves = [], []
    known: dict[str, Metric] = {}
    for config, name in zip(given.kept, _names(given.kept), strict=True):
        known |= METRICS_OF[config.task]
        content, own = _experiment(config, name)
        experiments.append(content)
        curves.append(own)
    return {
        "title": _title([experiments[position] for position in given.data_sets]),
        "notes": given.notes,
        "level": LEVEL,
        "alpha": ALPHA,
        "metric_names": {name: metric.words for name, metric in known.items()},
        "higher_is_better": {name: metric.higher_is_better for name, metric in known.items()},
        "fractions": {name: metric.fraction for name, metric in known.items()},
        "experiments": experiments,
        "across": _across([curves[position] for position in given.data_sets], known)
        if len(given.data_sets) > 1
        else None,
    }


def _names(configs: Sequence[ExperimentConfig]) -> list[str]:
    """Names of the data sets, with the directory in parentheses if several experiments have the same data set."""
    names = [data_name(config) for config in configs]
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
    """The results of one experiment, and its curves by metric."""
    experiment, everything = config, all_runs(config)
    config, runs = table_of(experiment, everything)
    by_metric = {metric: comparable(config, runs, metric) for metric in METRICS_OF[config.task]}
    main = by_metric[main_metric(config.task)]
    curves = {metric: own for metric, own in by_metric.items() if own}
    twins = {name: like for name, like in identical(config, runs).items() if {name, like} <= main.keys()}
    baselines = baselines_of(config, main) if main else {}
    order = list(baselines)
    shown = {label: runs[label] for label in order}
    metrics = {metric: _metric(config, runs, metric, own, baselines, twins) for metric, own in curves.items()}
    selections = _selections(config, shown) if order else None
    ids = _ids(config, runs)
    recorded = {**everything, FULL_DATA: full_data_runs(config), CEILING: ceiling_runs(config)}
    lost = lost_models(recorded)
    lost += untimed(shown)
    for sentence in lost:
        warnings.warn(sentence, DistilWarning, stacklevel=3)
    notes = [
        *left_out_notes(experiment, everything, config.seeds, main),
        *(alone_notes(config, baselines) if baselines else []),
        *ceiling_notes(config),
        *_notes(config, runs, main, metrics, ids),
        *twin_notes(twins),
        *notes_of(config, runs),
        *lost,
    ]
    content: Json = {
        "name": name,
        "facts": _facts(config, runs),
        "seeds": config.seeds,
        "strategies": order,
        "baseline": order[0] if order else None,
        "baselines": baselines,
        "twins": twins,
        "labels": main[order[0]].labels.tolist() if order else [],
        "metric": main_metric(config.task),
        "target": config.target_accuracy,
        "outlook": outlook_of(main, baselines, config.budget) if config.task == "classification" else [],
        "notes": notes,
        "metrics": metrics,
        "costs": {label: dataclasses.asdict(cost) for label, cost in costs(shown).items()},
        "timeline": timeline_of(run for own in recorded.values() for run in own),
        "selections": selections,
        "provenance": _provenance(config, runs),
        "ids": ids,
        "table": _table(config, runs, main, baselines, twins) if baselines else "\n".join(notes),
    }
    return content, curves


def _metric(
    config: ExperimentConfig,
    runs: Runs,
    metric: str,
    curves: Mapping[str, Curves],
    baselines: Mapping[str, str],
    twins: Mapping[str, str],
) -> Json:
    """The results for one metric."""
    target = config.target_accuracy if metric == main_metric(config.task) else None
    kind = METRICS_OF[config.task][metric]
    bounds = bounds_of(config, runs, metric)
    full = None if bounds is None else bounds.full
    summaries = summarize(curves, baseline=baselines, target=target)
    tested = comparisons(curves, baselines, twins) if kind.tested else {}
    ceiling = ceiling_of(config, runs, curves, baselines, metric) if kind.tested else None
    content: Json = {
        "full": full,
        "majority": None if bounds is None else bounds.majority,
        "ceiling": None if ceiling is None else _ceiling(ceiling),
        "values": {name: curves[name].values.tolist() for name in baselines},
        "summaries": {
            s.name: {f.name: _finite(getattr(s, f.name)) for f in dataclasses.fields(Summary) if f.name not in _COMMON}
            | {"saving": None if s.saving is None else _saving(s.saving)}
            for s in summaries
        },
        "cells": {s.name: {"curve": curve_texts(s), **cell_texts(s, tested.get(s.name))} for s in summaries},
    }
    return content | (_tests(curves, baselines, twins, tested, full, kind) if kind.tested else {})


def _ceiling(ceiling: Ceiling) -> Json:
    """The area of the ceiling; the share of its gain of each strategy, as numbers and as a cell."""
    return {
        "area": ceiling.area,
        "shares": {
            name: [_finite(share.share), _finite(share.low), _finite(share.high)]
            for name, share in ceiling.shares.items()
        },
        "cells": {name: share_text(share) for name, share in ceiling.shares.items()},
    }


def _tests(
    curves: Mapping[str, Curves],
    baselines: Mapping[str, str],
    twins: Mapping[str, str],
    tested: Mapping[str, Comparison],
    full: float | None,
    metric: Metric,
) -> Json:
    """Comparisons of the strategies by a metric."""
    means = {name: metric.unit.sign * curves[name].values.mean(axis=0) for name in baselines}
    first = next(iter(baselines))
    labels = curves[first].labels
    efficiency = {name: efficiency_curve(labels, mean, means[baselines[name]]) for name, mean in means.items()}
    alone = {name: curves[name] for name in baselines if name not in twins}
    return {
        "comparisons": {name: _comparison(c) for name, c in tested.items()},
        "efficiency": {name: {"ratio": e.at_least.tolist(), "bound": e.bound} for name, e in efficiency.items()},
        "reach": {
            name: [
                _reach(r, curves[name], curves[baselines[name]])
                for r in labels_for_shares(labels, mean, full, SHARES, unit=metric.unit, metric=metric.words)
            ]
            for name, mean in means.items()
        }
        if full and metric.higher_is_better and full > 0
        else None,
        "penalty": _penalty([alone], first),
    }


def _reach(reach: Reach, own: Curves, other: Curves) -> Json:
    """The labels needed for a share of the accuracy with all labels, and how many times fewer they are than the baseline's."""
    bound: Bound = "at most" if reach.at_once else "" if reach.reached else "at least"
    return {
        "share": reach.share,
        "target": reach.target,
        "labels": _finite(reach.labels),
        "bound": bound,
        "text": str(reach),
        "cell": labels_text(reach.labels, own.labels, at_once=reach.at_once),
        "saving": _saving(labels_saved(own.labels, own.values, other.values, reach.target)),
    }


def _saving(saving: Saving) -> Json:
    return {
        "ratio": saving.ratio,
        "bound": saving.bound,
        "low": _finite(saving.low),
        "high": _finite(saving.high),
        "level": saving.level,
        "cell": saving_text(saving, interval=True),
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
    """The penalty matrix and a note on how to read it; None with one strategy, one seed or one point."""
    try:
        matrix: PenaltyMatrix = penalty_matrix(settings, baseline=baseline)
    except InvalidInput:
        return None
    return {
        "strategies": matrix.strategies,
        "beats": matrix.beats.tolist(),
        "penalties": matrix.penalties.tolist(),
        "note": str(matrix).rsplit("\n", 1)[-1],
    }


def _selections(config: ExperimentConfig, runs: Runs) -> Json:
    """Diagnostics of the selections; if the data cannot be loaded, without distances and with the reason."""
    local = {key: value for key, value in config.dataset.items() if key != "download"}
    try:
        data = read_data(dataclasses.replace(config, dataset=local))[1]
        return {**dataclasses.asdict(selections_of(config, runs, data)), "missing": None}
    except (DistilError, OSError) as error:
        return {**dataclasses.asdict(selections_of(config, runs, None)), "missing": str(error).split("\n", 1)[0]}


def _notes(
    config: ExperimentConfig,
    runs: Runs,
    main: Mapping[str, Curves],
    metrics: Mapping[str, Json],
    ids: Json | None,
) -> list[str]:
    """One sentence for each missing result, with the reason."""
    notes = []
    if runs and not main:
        notes.append(
            "There are no curves: a round of the baseline added no label, or its seeds differ in their numbers of labels."
        )
    if main and len(config.seeds) == 1:
        notes.append("With one seed there are no intervals and no tests of differences.")
    if main and metrics[main_metric(config.task)]["full"] is None:
        why = (
            f"the trainings on the whole pool are not finished. Continue with: distil resume {argument(config.output)}"
            if config.full_data and not full_data_runs(config)
            else "there was no training on the whole pool; `distil compare` does one per seed."
        )
        notes.append(f"Shares of the {metric_words(config)} with all labels are unknown, because {why}")
    if ids is None:
        notes.append("The selected ids are too many for this page; the file events.jsonl of each run has them.")
    return notes


def _facts(config: ExperimentConfig, runs: Runs) -> list[list[str]]:
    """The data, network, labels and seeds, each as a name and a phrase."""
    begun = _started(runs)
    sizes = [f"{begun[0]['pool']:,} in the pool, {begun[0]['test']:,} to test on"] if begun else []
    more = [
        f"{key} {value}"
        for key, value in config.dataset.items()
        if key in ("redundancy", "imbalance", "label_noise") and value is not None
    ]
    rounds = _counted(config.rounds - 1, "round")
    start = f" (chosen by {config.initial_strategy.label})" if config.initial_strategy is not None else ""
    return [
        ["Data", ", ".join([data_name(config), outputs_text(config.task, config.num_classes), *sizes, *more])],
        ["Network", f"{config.model['architecture']}, trained from {config.retrain.replace('_', ' ')} each round"],
        ["Labels", f"{config.initial_points:,} at the start{start}, then {rounds} of {config.budget:,}"],
        [
            "Seeds",
            f"{len(config.seeds)}, paired: all strategies have the same split, initial labels, weights and minibatches",
        ],
    ]


def _provenance(config: ExperimentConfig, runs: Runs) -> Json:
    """Versions, device, threads, seeds and configuration of the runs; several values if runs differ."""
    begun = _started(runs)
    packages = dict.fromkeys(name for event in begun for name in event["versions"])
    return {
        "versions": {name: _distinct(event["versions"].get(name) for event in begun) for name in packages},
        "device": _distinct(event["device"] for event in begun),
        "threads": _distinct(event["threads"] for event in begun),
        "seeds": {str(seed): dataclasses.asdict(config.seeds_of(seed)) for seed in config.seeds},
        "config": config.document,
    }


def _started(runs: Runs) -> list[Json]:
    return [event for own in runs.values() for run in own if (event := run.last("started")) is not None]


def _distinct(values: Any) -> list[str]:  # noqa: ANN401 - an iterable of any values in events
    return [str(value) for value in dict.fromkeys(values) if value is not None]


def _ids(config: ExperimentConfig, runs: Runs) -> Json | None:
    """The ids of every round, the initial ones first, then selections in pick order; None if they are too many for a page.

    They are the user's own ids if the data has them.
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


def _table(
    config: ExperimentConfig,
    runs: Runs,
    curves: Mapping[str, Curves],
    baselines: Mapping[str, str],
    twins: Mapping[str, str],
) -> str:
    """The table of the main metric for readers without JavaScript."""
    summaries = summarize(curves, baseline=baselines, target=config.target_accuracy)
    tests = comparisons(curves, baselines, twins)
    ceiling = ceiling_of(config, runs, curves, baselines)
    tested: dict[str, Any] = {"comparisons": tests, "twins": twins, "ceiling": ceiling}
    return terminal_table(summaries, config.target_accuracy, metric=metric_words(config), **tested)


def _across(curves: Sequence[Mapping[str, Mapping[str, Curves]]], known: Mapping[str, Metric]) -> Json:
    """The strategies that all experiments have, over all of them, by metric."""
    metrics = {}
    for metric in (name for name, kind in known.items() if kind.tested):
        settings = [own.get(metric, {}) for own in curves]
        common = [name for name in settings[0] if all(name in own for own in settings)]
        if common:
            metrics[metric] = _ranking([{name: own[name] for name in common} for own in settings])
    return {"metrics": metrics}


def _ranking(settings: Sequence[Mapping[str, Curves]]) -> Json:
    """Ranks by mean area, the test of their differences, and the penalty matrix over all settings."""
    areas = {name: [float(own[name].values.mean()) for own in settings] for name in settings[0]}
    sign = next(iter(settings[0].values())).unit.sign
    scores = {name: [sign * area for area in own] for name, own in areas.items()}
    ranking: Json = {
        "scores": areas,
        "ranks": {name: own.tolist() for name, own in ranks(scores).items()},
        "penalty": _penalty(settings, baseline_of(scores)),
        "test": None,
        "why_not": None,
    }
    try:
        test = rank_test(scores)
    except InvalidInput as error:
        return {**ranking, "why_not": f"There is no critical difference diagram. {error}."}
    return {
        **ranking,
        "test": {
            "strategies": test.strategies,
            "mean_ranks": test.ranks.tolist(),
            "data_sets": test.data_sets,
            "chi2": test.chi2,
            "p": test.p,
            "p_cell": p_text(test.p),
            "f": _finite(test.f),
            "f_p": test.f_p,
            "f_p_cell": p_text(test.f_p),
            "critical_difference": test.critical_difference,
            "groups": test.groups,
        },
    }


def _finite(x: Any) -> Any:  # noqa: ANN401 - a number, a sequence of numbers, or None
    """The number or numbers, with None in place of NaN and infinities, which JSON does not have."""
    if isinstance(x, Difference):
        x = x[:3]
    if x is None:
        return None
    if isinstance(x, (float, int)):
        return float(x) if math.isfinite(x) else None
    return [_finite(float(value)) for value in x]


def _counted(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
