"""The linear head against scikit-learn's LogisticRegressionCV and the head trained by steps: accuracy, calibration and time.

Paired: for one set, seed and number of labels, every model is fitted to the same random examples. Nothing is selected here.

Run as ``python -m benchmarks linear_head``. Features and every finished cell are files under ``runs/linear_head``; what is there is
not done again, so an interrupted benchmark goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_svmlight_files
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV

from benchmarks.machine import write
from benchmarks.texts import Texts, ag_news, minilm, sst2, tfidf
from distil.datasets.load import load
from distil.evaluation.metrics import calibration_error
from distil.functional.logistic_regression import fit_logistic_regression, pool_scale
from distil.training.config import FitConfig
from distil.training.fit import fit

LABELS = (10, 20, 50, 100, 200, 500, 1000)
SMALL = (1_800, 800)  # texts of a pool and a test set that are embedded, where a whole set would take long
BEFORE = FitConfig(optimizer="adamw", lr=0.03, weight_decay=1.0, batch_size=64, n_epoch=50, window_size=None)
METHODS = ("head", "LRCV raw", "LRCV std", "by steps")


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows and classes of a pool, and of a test set."""

    x: NDArray[Any]
    y: NDArray[Any]
    x_test: NDArray[Any]
    y_test: NDArray[Any]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(max(self.y.max(), self.y_test.max())) + 1


def digits(_: Path) -> Rows:
    """scikit-learn's digits, 500 of them the test set."""
    data = load("digits")
    order = np.random.default_rng(0).permutation(len(data.x_train))
    x, y = data.x_train.numpy()[order], data.y_train.numpy()[order]
    return Rows(x[500:], y[500:], x[:500], y[:500])


def mnist(root: Path) -> Rows:
    """The pixels of the first 20,000 images, and of 5,000 test images."""
    data = load("mnist", root)
    x, x_test = (part.numpy().reshape(len(part), -1) / 255 for part in (data.x_train[:20_000], data.x_test[:5_000]))
    return Rows(x, data.y_train.numpy()[:20_000], x_test, data.y_test.numpy()[:5_000])


def cifar10(root: Path) -> Rows:
    """The pixels of 10,000 images, and of 2,000 test images."""
    file = np.load(root / "image/cifar10/cifar10_subset_10k_2k.npz")
    x, x_test = (file[f"X_{part}"].reshape(len(file[f"X_{part}"]), -1) / 255 for part in ("train", "test"))
    return Rows(x, file["y_train"], x_test, file["y_test"])


def satimage(root: Path) -> Rows:
    """UCI's satimage, in its units."""
    file = np.load(root / "tabular/satimage/satimage.npz")
    return Rows(*(file[f"{kind}_{part}"] for part in ("train", "test") for kind in "Xy"))


def pendigits(root: Path) -> Rows:
    """UCI's pendigits, in its units."""
    folder = root / "tabular/pendigits"
    x, y, x_test, y_test = load_svmlight_files([str(folder / "pendigits"), str(folder / "pendigits.t")])
    return Rows(x.toarray(), y.astype(int), x_test.toarray(), y_test.astype(int))


def ijcnn1(root: Path) -> Rows:
    """ijcnn1, one tenth positive, and 10,000 of its test set."""
    data = load("ijcnn1", root)
    return Rows(data.x_train.numpy(), data.y_train.numpy(), data.x_test.numpy()[:10_000], data.y_test.numpy()[:10_000])


def sms(root: Path) -> Texts:
    """SMS, one eighth spam; 1,500 random ones are the test set."""
    lines = (root / "text/sms_spam/SMSSpamCollection").read_text("utf-8").split("\n")
    rows = [line.split("\t", 1) for line in lines if "\t" in line]
    rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    labels = np.array([int(label == "spam") for label, _ in rows])
    return Texts("SMS", [text for _, text in rows], labels, len(rows) - 1_500)


def reduced(rows: Rows, n_components: int) -> Rows:
    """The first principal components, which are those of the pool."""
    pca = PCA(n_components, random_state=0).fit(rows.x)
    return Rows(pca.transform(rows.x), rows.y, pca.transform(rows.x_test), rows.y_test)


def svd(texts: Texts) -> Rows:
    """TF-IDF by 100 directions of truncated SVD, which are those of the pool."""
    x = tfidf("", texts, Path())
    x = TruncatedSVD(100, random_state=0).fit(x[: texts.pool]).transform(x)
    return Rows(x[: texts.pool], texts.y[: texts.pool], x[texts.pool :], texts.y[texts.pool :])


def embedded(name: str, texts: Texts, output: Path, size: tuple[int, int] | None) -> Rows:
    """Sentence embeddings, of so many texts of the pool and of the test set; None: of all."""
    if size is not None:
        kept = [*range(size[0]), *range(texts.pool, texts.pool + size[1])]
        texts = Texts(texts.title, [texts.texts[i] for i in kept], texts.y[kept], size[0])
    x = minilm(name, texts, output)
    return Rows(x[: texts.pool], texts.y[: texts.pool], x[texts.pool :], texts.y[texts.pool :])


def sets(root: Path, output: Path) -> dict[str, Callable[[], Rows]]:
    """A function that makes the rows of each set."""
    return {
        "digits": lambda: digits(root),
        "digits_pca40": lambda: reduced(digits(root), 40),
        "mnist_pca50": lambda: reduced(mnist(root), 50),
        "cifar10_pca50": lambda: reduced(cifar10(root), 50),
        "satimage": lambda: satimage(root),
        "pendigits": lambda: pendigits(root),
        "ijcnn1": lambda: ijcnn1(root),
        "sst2_svd": lambda: svd(sst2(root)),
        "ag_news_svd": lambda: svd(ag_news(root)),
        "sms_svd": lambda: svd(sms(root)),
        "sst2_minilm": lambda: embedded("sst2", sst2(root), output, SMALL),
        "ag_news_minilm": lambda: embedded("ag_news", ag_news(root), output, None),
        "sms_minilm": lambda: embedded("sms", sms(root), output, SMALL),
        "mnist": lambda: mnist(root),
    }


def head(x: NDArray[Any], y: NDArray[Any], rows: Rows) -> tuple[Callable[[], NDArray[Any]], float]:
    """The linear head: a function from nothing to its probabilities of the test set, and the seconds of CPU of the fit."""
    center, spread = pool_scale(torch.from_numpy(rows.x).split(4096))
    inputs, classes = (torch.from_numpy(x) - center) / spread, torch.from_numpy(y)
    start = time.process_time()
    model = fit_logistic_regression(inputs, classes, rows.classes)
    seconds = time.process_time() - start
    test = (torch.from_numpy(rows.x_test) - center) / spread
    return lambda: (test @ model.weight.T + model.bias).softmax(1).numpy(), seconds


def lrcv(x: NDArray[Any], y: NDArray[Any], rows: Rows, test: NDArray[Any]) -> tuple[Callable[[], NDArray[Any]], float]:
    """scikit-learn's; classes that it has not seen share what the head gives them. Where no class fills the folds: C = 1."""
    start = time.process_time()
    try:
        model = LogisticRegressionCV(cv=5, Cs=8, max_iter=300, scoring="accuracy").fit(x, y)
    except ValueError:
        model = LogisticRegression(max_iter=300).fit(x, y) if len(set(y)) > 1 else None
    seconds = time.process_time() - start
    seen = np.unique(y)
    share = 1 / (len(y) + rows.classes)

    def probs() -> NDArray[Any]:
        found = np.full((len(test), rows.classes), share)
        own = np.ones((len(test), 1)) if model is None else model.predict_proba(test)
        found[:, seen] = own * (1 - share * (rows.classes - len(seen)))
        return found

    return probs, seconds


def by_steps(
    x: NDArray[Any], y: NDArray[Any], test: NDArray[Any], n_classes: int, seed: int
) -> tuple[Callable[[], NDArray[Any]], float]:
    """A linear layer on standardized rows, trained by AdamW for 50 epochs: what the library did before."""
    torch.manual_seed(seed)
    module = torch.nn.Linear(x.shape[1], n_classes)
    inputs = torch.from_numpy(x).float()
    start = time.process_time()
    fit(module, inputs, torch.from_numpy(y), BEFORE, num_classes=n_classes, rng=seed)
    seconds = time.process_time() - start

    def probs() -> NDArray[Any]:
        with torch.no_grad():
            return module(torch.from_numpy(test).float()).softmax(1).double().numpy()

    return probs, seconds


def cell(rows: Rows, method: str, n: int, seed: int) -> dict[str, float]:
    """Accuracy, NLL, ECE and seconds of CPU of one model on n random labels."""
    chosen = np.random.default_rng(1000 + seed).permutation(len(rows.y))[:n]
    x, y, test = rows.x[chosen], rows.y[chosen], rows.x_test
    if method in ("LRCV std", "by steps"):
        mean, std = rows.x.mean(0, dtype=float), rows.x.std(0, dtype=float)
        std = np.where(std < 1e-12, 1, std)
        x, test = (x - mean) / std, (test - mean) / std
    if method == "head":
        probs, seconds = head(x, y, rows)
    elif method == "by steps":
        probs, seconds = by_steps(x, y, test, rows.classes, seed)
    else:
        probs, seconds = lrcv(x, y, rows, test)
    p, true = probs(), rows.y_test
    logits = torch.from_numpy(np.log(np.clip(p, 1e-12, 1)))
    return {
        "accuracy": float((p.argmax(1) == true).mean()),
        "nll": float(-np.log(np.clip(p[np.arange(len(true)), true], 1e-12, 1)).mean()),
        "ece": calibration_error(logits.softmax(1), torch.from_numpy(true)),
        "seconds": seconds,
    }


def done(path: Path, make: Callable[[], dict[str, float]]) -> dict[str, float]:
    """The content of the file, which is made if it is not there."""
    if not path.exists():
        result = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".tmp").write_text(json.dumps(result))
        path.with_suffix(".tmp").replace(path)
    return json.loads(path.read_text())


Cells = Mapping[tuple[str, int, int], Mapping[str, Mapping[str, float]]]
"""By set, number of labels and seed: the numbers of every method."""


def means(cells: Cells, n: int, method: str, number: str) -> NDArray[Any]:
    """The mean over seeds in every set, (sets,)."""
    names = list(dict.fromkeys(name for name, labels, _ in cells if labels == n))
    return np.array(
        [np.mean([c[method][number] for (s, k, _), c in cells.items() if (s, k) == (name, n)]) for name in names]
    )


def standard_error(differences: NDArray[Any]) -> float:
    """That of the mean; NaN for a single difference."""
    n = len(differences)
    return float(differences.std(ddof=1) / n**0.5) if n > 1 else float("nan")


def over_sets(cells: Cells) -> str:
    """A row for each number of labels: means over sets, and the paired differences of the head with their standard errors."""
    lines = [
        "| labels | sets | accuracy | minus LRCV raw (SE) | minus LRCV std | minus the better (SE) | minus by steps | "
        "NLL: head / raw / std / steps | ECE: head / raw / steps | CPU ms: head / raw |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for n in sorted({labels for _, labels, _ in cells}):
        accuracy, nll, ece, seconds = (
            {method: means(cells, n, method, number) for method in METHODS}
            for number in ("accuracy", "nll", "ece", "seconds")
        )
        own, count = accuracy["head"], len(accuracy["head"])
        raw, std, steps = (own - accuracy[method] for method in METHODS[1:])
        better = own - np.maximum(accuracy["LRCV raw"], accuracy["LRCV std"])
        lines.append(
            f"| {n} | {count} | {own.mean():.3f} | {raw.mean():+.3f} ({standard_error(raw):.3f}) | {std.mean():+.3f} | "
            f"{better.mean():+.3f} ({standard_error(better):.3f}) | {steps.mean():+.3f} | "
            + " / ".join(f"{nll[method].mean():.2f}" for method in METHODS)
            + " | "
            + " / ".join(f"{ece[method].mean():.3f}" for method in ("head", "LRCV raw", "by steps"))
            + " | "
            + " / ".join(f"{1e3 * seconds[method].mean():.0f}" for method in ("head", "LRCV raw"))
            + " |"
        )
    return "\n".join(lines)


def by_set(cells: Cells) -> str:
    """A row for each set: the head's accuracy minus that of LRCV raw at every number of labels."""
    labels = sorted({n for _, n, _ in cells})
    lines = [f"| set | {' | '.join(map(str, labels))} |", "|---" * (len(labels) + 1) + "|"]
    for name in dict.fromkeys(s for s, _, _ in cells):
        row = []
        for n in labels:
            found = [c for (s, k, _), c in cells.items() if (s, k) == (name, n)]
            differences = np.array([c["head"]["accuracy"] - c["LRCV raw"]["accuracy"] for c in found])
            row.append(f"{differences.mean():+.3f} ({standard_error(differences):.3f})" if found else "")
        lines.append(f"| {name} | {' | '.join(row)} |")
    return "\n".join(lines)


HEAD = """# The linear head

`python -m benchmarks linear_head`. Random labels, {seeds} seeds, paired. *head* is `distil.LinearHead`; *LRCV* is
scikit-learn's `LogisticRegressionCV(cv=5, Cs=8)` on features as they are (*raw*) and standardized by column (*std*), with C = 1
where no class fills five folds; *by steps* is a linear layer on standardized columns under AdamW (rate 0.03, decay 1, 50
epochs), the default before. Classes without a label get the head's share from LRCV too. Differences are in accuracy; SE is over
sets in the first table and over seeds in the second. `minilm` are sentence embeddings, `svd` 100 directions of TF-IDF, the
others pixels, principal components and tables in their units. Seconds were measured while other programs ran on the same two
cores, and are a guide only."""


GOALS = """## Against the goals

Set before the measurements, against LRCV: over the sets at least +0.015 (10 labels), +0.01 (20) and +0.005 (50), and not below one
standard error from 100 on, nor below the better of raw and std; NLL lower from 20 labels; mean ECE at most 0.04 from 100. All are
reached with 8 seeds.

In every set within two standard errors or 0.01 of LRCV raw: missed by ijcnn1 at 10, 20 and 50 labels. One tenth of it is
positive, and the answer "negative" everywhere is right for 90 %; LRCV, whose intercept has no penalty, gives it in every seed.
A head that penalizes its intercept expects more positives. A smaller penalty for all sets closes the gap, and costs more elsewhere
(AG News -0.03 at 20 labels, SMS -0.02); the penalty that depends on the class counts closes a quarter to a third of it.

Weaker penalties were tried once more, with 4 to 6 seeds at 10, 20 and 50 labels, on eight of these sets and on five others, among
them label 9 of yeast (9 % positive), abalone with 15 rings and more (8 % positive) and CIFAR-10 in gray. Changes of accuracy:

- 1 in place of 5 where classes are not equally frequent: yeast +0.094, +0.020, +0.016; abalone +0.011, +0.006, -0.001; ijcnn1
  +0.019, 0, 0. But AG News -0.022, -0.031, -0.010, with NLL +0.04, +0.06, +0.02, and SMS 0, -0.009, -0.007. CIFAR-10 in gray
  does not change: its counts are those of equally frequent classes.
- 1 only where the counts are hardly possible otherwise, 30^(1 - (1 - p)^1.8) with the probability p of equal frequencies: yeast
  +0.024, +0.013, +0.013; ijcnn1 +0.011, 0, +0.014; AG News within 0.005. But SMS +0.001, -0.007, -0.006, with NLL +0.02, +0.01,
  +0.01.
- The best of three penalties by held-out NLL: AG News -0.041, -0.003, -0.012. Only where p is below 0.3: no set loses more than
  0.001, the mean gains 0.006, 0.002, 0.001, but NLL rises by 0.05 on SMS at 10 labels and by 0.02 on ijcnn1 at 50.

None is at least as good in accuracy, NLL and calibration on all sets, so the penalty stays. Ten or twenty labels do not
distinguish a set in which the majority is the best answer everywhere (yeast, ijcnn1) from one in which the rare class is easily
seen (SMS); 50 labels close most of the gap.

A fit with its choice of decay in 100 ms of CPU at 500 labels and 512 columns: reached in all sets but on the pixels of MNIST (784
columns, 10 classes: 140 ms; 90 to 120 ms in their first 512 principal components)."""


def main(argv: list[str]) -> None:
    """Do what is missing, and write the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks linear_head", description="The linear head against LogisticRegressionCV."
    )
    parser.add_argument("--data", default=os.environ.get("DISTIL_DATA"), help="the data root; default: $DISTIL_DATA")
    parser.add_argument("--output", type=Path, default=Path("runs/linear_head"))
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--sets", help="some sets, separated by commas; default: all")
    options = parser.parse_args(argv)
    if options.data is None:
        parser.error("say where the data is: --data, or DISTIL_DATA")
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")  # of scikit-learn: small folds, iterations that end
    known = sets(Path(options.data), options.output)
    cells: dict[tuple[str, int, int], dict[str, dict[str, float]]] = {}
    for name in options.sets.split(",") if options.sets else known:
        rows = known[name]()
        for n in [n for n in LABELS if n <= 0.8 * len(rows.y)]:
            for seed in range(options.seeds):
                cells[name, n, seed] = {
                    method: done(
                        options.output / f"{name}-{n}-{seed}-{method.replace(' ', '_')}.json",
                        lambda r=rows, m=method, n=n, s=seed: cell(r, m, n, s),
                    )
                    for method in METHODS
                }
        print(name, flush=True)
    write(
        "linear_head",
        "\n\n".join(
            [
                HEAD.format(seeds=options.seeds),
                "## Over the sets",
                over_sets(cells),
                "## Head minus LRCV raw",
                by_set(cells),
                GOALS,
            ]
        ),
    )
