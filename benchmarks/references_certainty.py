"""The numbers of the commands that judge models, certify labels and compare curves, against published packages on the same draws.

It needs the packages glide-py, ppi-python, confseq and statsmodels, which nothing else needs. (confseq 0.0.11 reads
``numpy.float_``, which NumPy 2 no longer has: set it to ``numpy.float64`` before.) The first table compares numbers that have to be
equal; the second compares intervals that are made in other ways: how often they miss the truth, and how wide they are.

Run as ``python -m benchmarks references_certainty``.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from benchmarks.evaluate_coverage import sure
from benchmarks.finish_coverage import Pool
from benchmarks.machine import write
from distil.evaluation import statistics
from distil.evaluation.learning_curves import FAMILIES, fitted
from distil.evaluation.stopping import cohen_kappa
from distil.functional.bounds import betting_bounds, binomial_bounds
from distil.functional.estimates import active_chances, active_draws, active_estimate, uniform_estimate

Floats = NDArray[np.float64]

PACKAGES = ("glide-py", "ppi-python", "confseq", "statsmodels", "scipy")
REPEATS = 200
HELD = 100  # intervals of each kind in the second table
HELD_LOSSES = 20  # confseq's search over a grid is slow
ALPHA = 0.05
HEAD = """# References

The numbers behind `distil evaluate`, `finish`, `forecast`, `compare` and `verify`, and the same numbers from published packages on
the same draws; written by `python -m benchmarks references_certainty`. glide-py is GLIDE (arXiv 2605.31278), with active
statistical inference (Zrnic and Candes 2024); ppi-python is by the authors of prediction-powered inference, and confseq by those of
the betting bounds. {versions}.

## Numbers that have to be equal

*Difference* is the largest one over all cases in which the reference gives a number; statsmodels' power is NaN in some.

- The estimates and the chances are those of GLIDE and ppi-python, and the capital of the betting bounds is that of confseq, to
  rounding.
- distil's Jeffreys interval begins at 0 where none succeed and ends at 1 where all do, as Brown, Cai and DasGupta (2001) advise,
  because the share may be 0 or 1; statsmodels has the quantiles there too. Between these ends, the two are equal.
- POW4 is searched on a grid that is then refined, so no start decides. A difference below 0 is a smaller residual than SciPy's."""
INTERVALS = """## Intervals that are made in other ways

{pool}
*Missed*: how often a 95 % interval misses the truth, of {held} ({losses} of rare losses, whose mean is 0.01); *width*: its mean.
All intervals are cut off at 0 and 1. GLIDE draws each item at most once, by a throw of its own, so the number of its labels varies.

- GLIDE's intervals are normal, and narrower. From uniform draws they miss the truth up to eight times as often as they may, because
  errors are rare: a sample without any has an interval of length 0. From active draws they miss it up to twice as often, which is
  little for so few repeats. Those of distil keep the 5 % at every number of labels, and are wider for it.
- Where the values are losses, confseq's betting intervals, whose bets follow the variance of the values before, are narrower than
  distil's, whose bets are constant. Neither missed the mean here."""


@dataclass(frozen=True)
class Equal:
    """Numbers that have to be equal.

    Attributes:
        name: What they are.
        reference: The function that they are compared with.
        pairs: Ours and theirs, in turn.
    """

    name: str
    reference: str
    pairs: Callable[[np.random.Generator], Iterator[tuple[float, float]]]


def ask(name: str) -> Any:
    """A module of a reference package."""
    return importlib.import_module(name)


def version(name: str) -> str:
    """The name and version of a package; of one that runs from its source, the name."""
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return name


# ---------------------------------------------------------------------------------------------------------- active draws


def drawn(random: np.random.Generator) -> tuple[Floats, Floats, Floats, NDArray[np.int64], Floats]:
    """A pool of 5,000: guesses, values, chances; 60 draws that are all distinct; and the values with NaN where not drawn."""
    guesses = 1 - 0.5 * random.beta(0.2, 1.5, 5000)
    values = (random.random(5000) < guesses).astype(float)
    chances = active_chances(np.sqrt(guesses * (1 - guesses)))
    rows = active_draws(chances, random.random(60))
    while len(set(rows.tolist())) < 60:  # a package whose items are drawn at most once cannot express a repeated draw
        rows = active_draws(chances, random.random(60))
    known = np.full(5000, np.nan)
    known[rows] = values[rows]
    return guesses, values, chances, rows, known


def active(random: np.random.Generator) -> Iterator[tuple[float, float]]:
    """The prediction-powered estimate from active draws."""
    asi = ask("glide.estimators").ASIMeanEstimator()
    for _ in range(REPEATS):
        guesses, values, chances, rows, known = drawn(random)
        theirs = asi.estimate(known, guesses, 60 * chances, power_tuning=False).confidence_interval.mean
        yield active_estimate(values[rows], rows, guesses, chances).mean, min(theirs, 1)


def weighted(random: np.random.Generator) -> Iterator[tuple[float, float]]:
    """The importance-weighted estimate."""
    ipw = ask("glide.estimators").IPWClassicalMeanEstimator()
    for _ in range(REPEATS):
        guesses, values, chances, rows, known = drawn(random)
        theirs = ipw.estimate(known, 60 * chances).confidence_interval.mean
        yield active_estimate(values[rows], rows, np.zeros(len(guesses)), chances).mean, min(theirs, 1)


def powered(random: np.random.Generator) -> Iterator[tuple[float, float]]:
    """The prediction-powered estimate from draws with equal chances, where the guesses of the whole pool are known."""
    mean = ask("ppi_py").ppi_mean_pointestimate
    for _ in range(REPEATS):
        guesses, values, _, rows, _ = drawn(random)
        theirs = float(mean(values[rows], guesses[rows], guesses, lam=1)[0])
        yield active_estimate(values[rows], rows, guesses, np.full(5000, 1 / 5000)).mean, min(theirs, 1)


def chances(random: np.random.Generator) -> Iterator[tuple[float, float]]:
    """The chances of active draws, times the number of draws."""
    sampler = ask("glide.samplers").ActiveSampler()
    for _ in range(20):
        spread = random.random(300) + 0.01
        probabilities, taken = sampler.sample(spread, 40, random_seed=int(random.integers(1000)))
        ours = 40 * active_chances(spread, 1e-12)
        yield from zip(ours[~np.isnan(taken)], probabilities[~np.isnan(taken)], strict=True)


# -------------------------------------------------------------------------------------------------------------- intervals


def counts(random: np.random.Generator) -> Iterator[tuple[int, int, float]]:
    """Successes, counts and levels, the ends included."""
    for count in (1, 7, 60, 1000):
        for successes in {0, count, *random.integers(0, count + 1, 10).tolist()}:
            for level in (0.8, 0.95, 0.99):
                yield successes, count, level


def proportion(
    ours: Callable[[int, int, float], tuple[float, float]], method: str
) -> Callable[[np.random.Generator], Iterator[tuple[float, float]]]:
    """The ends of an interval of a share against statsmodels'."""

    def pairs(random: np.random.Generator) -> Iterator[tuple[float, float]]:
        theirs = ask("statsmodels.stats.proportion").proportion_confint
        for successes, count, level in counts(random):
            yield from zip(ours(successes, count, level), theirs(successes, count, 1 - level, method), strict=True)

    return pairs


def jeffreys(successes: int, count: int, level: float) -> tuple[float, float]:
    """The Jeffreys interval."""
    return statistics.share_interval(successes, count, level)[1:]


def jeffreys_inside(random: np.random.Generator) -> Iterator[tuple[float, float]]:
    """The Jeffreys interval where neither none nor all succeed."""
    theirs = ask("statsmodels.stats.proportion").proportion_confint
    for successes, count, level in counts(random):
        if 0 < successes < count:
            yield from zip(
                jeffreys(successes, count, level), theirs(successes, count, 1 - level, "jeffreys"), strict=True
            )


def capital(random: np.random.Generator) -> Iterator[tuple[float, float]]:
    """The largest capital at our lower bound, in confseq's martingale of the same bets: 1 / alpha, as a share of it."""
    martingale = ask("confseq.betting").betting_mart
    for case in range(40):
        x = random.beta(0.3 + random.random(), 1, 50) if case % 2 else (random.random(50) < 0.6).astype(float)
        size = 400 if case % 4 > 1 else None
        low = betting_bounds(x, 0.95, size=size, sides=1).low

        before = np.concatenate([[0.0], x.cumsum()[:-1]])
        # without replacement, the mean of what is left moves with the draws, and the largest bet with it
        means = np.full(50, low) if size is None else (size * low - before) / (size - np.arange(50))
        parts = 0.5 ** np.arange(2 + math.ceil(math.log2(50) / 2))
        won = [
            martingale(x, low, lambdas_fn_positive=lambda _x, _m, bets=p / means: bets, N=size, theta=1, trunc_scale=1)
            for p in parts
        ]
        yield 1.0, float(np.mean(won, 0).max()) * ALPHA


# -------------------------------------------------------------------------------------------------------- tests and curves


def pairs_of_seeds(random: np.random.Generator) -> Iterator[Floats]:
    """Differences of 3 to 12 seeds, some with ties and zeros."""
    for case in range(60):
        values = random.normal(0.3, 1, 3 + case % 10)
        yield np.round(values, 1) if case % 3 == 0 else values


def t_tests(random: np.random.Generator) -> Iterator[tuple[float, float]]:
    """P-value and interval of the paired t test."""
    described = ask("statsmodels.stats.weightstats").DescrStatsW
    for values in pairs_of_seeds(random):
        ours, theirs = statistics.paired_difference(values, np.zeros(len(values))), described(values)
        yield ours.p, float(theirs.ttest_mean()[1])
        yield from zip((ours.low, ours.high), theirs.tconfint_mean(), strict=True)


def signed_ranks(random: np.random.Generator) -> Iterator[tuple[float, float]]:
    """Wilcoxon's test against all sign changes, which SciPy's permutation method counts."""
    for values in pairs_of_seeds(random):
        kept = values[values != 0]
        method = stats.PermutationMethod(n_resamples=np.inf)
        yield statistics.wilcoxon(values, np.zeros(len(values))), float(stats.wilcoxon(kept, method=method).pvalue)


def holms(random: np.random.Generator) -> Iterator[tuple[float, float]]:
    """Holm's correction."""
    corrected = ask("statsmodels.stats.multitest").multipletests
    for count in range(1, 30):
        p = random.random(count) ** 3
        yield from zip(statistics.holm(p), corrected(p, method="holm")[1], strict=True)


def powers(random: np.random.Generator) -> Iterator[tuple[float, float]]:
    """The power of a paired t test."""
    power = ask("statsmodels.stats.power").TTestPower().power
    for seeds in (3, 5, 10, 30):
        for effect in random.uniform(0.1, 2, 10):
            yield statistics.paired_power(effect, seeds), float(power(effect, seeds, ALPHA, alternative="two-sided"))


def friedman(random: np.random.Generator) -> Iterator[tuple[float, float]]:
    """Friedman's test, ties included."""
    for case in range(30):
        scores = random.random((4, 6 + case % 5)).round(1 + case % 3)
        found = statistics.rank_test(dict(zip("abcd", scores, strict=True)))
        theirs = stats.friedmanchisquare(*scores)
        yield found.p, float(theirs.pvalue)


def kappas(random: np.random.Generator) -> Iterator[tuple[float, float]]:
    """Cohen's kappa of two lists of classes."""
    kappa = ask("statsmodels.stats.inter_rater").cohens_kappa
    for _ in range(30):
        a = random.integers(0, 4, 200)
        b = np.where(random.random(200) < 0.7, a, random.integers(0, 4, 200))
        table = np.zeros((4, 4))
        np.add.at(table, (a, b), 1)
        yield cohen_kappa(a, b), float(kappa(table).kappa)


def curve_fits(random: np.random.Generator) -> Iterator[tuple[float, float]]:
    """The root of the mean squared residual of POW4 against the best of 12 starts of SciPy's least squares."""
    n = np.arange(20.0, 420, 20)
    for _ in range(12):
        top, fall, slope = random.uniform(0.7, 0.99), random.uniform(0.3, 2), random.uniform(0.3, 1.2)
        scores = top - fall * (n + random.uniform(5, 200)) ** -slope + random.normal(0, 0.004, len(n))

        def residuals(p: Floats, scores: Floats = scores) -> Floats:
            return p[0] - p[1] * ((n + p[3]) / n[-1]) ** -p[2] - scores

        # the ranges that our grid has
        limits = ([-np.inf, 0, 0.05, 0.003 * n[-1]], [1, np.inf, 5, 3 * n[-1]])
        starts = [[0.9, 0.1 * random.random(), random.uniform(0.1, 4), random.uniform(5, 900)] for _ in range(12)]
        best = min(optimize.least_squares(residuals, start, bounds=limits).cost * 2 for start in starts)
        ours = float(fitted(FAMILIES["POW4"], n, scores[None]).error[0])
        yield math.sqrt(ours / len(n)), math.sqrt(best / len(n))


EQUAL = (
    Equal("estimate, active draws with guesses", "glide ASIMeanEstimator, power_tuning=False", active),
    Equal("estimate, active draws without guesses", "glide IPWClassicalMeanEstimator", weighted),
    Equal("estimate, uniform draws with guesses", "ppi_py ppi_mean_pointestimate, lam=1", powered),
    Equal("chances of active draws, without the uniform part", "glide ActiveSampler", chances),
    Equal("capital of the betting bound", "confseq betting_mart, the same bets", capital),
    Equal("exact interval of trials", "statsmodels proportion_confint, beta", proportion(binomial_bounds, "beta")),
    Equal(
        "Wilson interval",
        "statsmodels proportion_confint, wilson",
        proportion(lambda x, n, level: statistics.wilson_interval(x, n, level)[1:], "wilson"),
    ),
    Equal("Jeffreys interval, 0 < x < n", "statsmodels proportion_confint, jeffreys", jeffreys_inside),
    Equal("Jeffreys interval, all x", "statsmodels proportion_confint, jeffreys", proportion(jeffreys, "jeffreys")),
    Equal("paired t test and interval", "statsmodels DescrStatsW", t_tests),
    Equal("Wilcoxon's test, ties included", "scipy wilcoxon, PermutationMethod", signed_ranks),
    Equal("Holm's correction", "statsmodels multipletests, holm", holms),
    Equal("power of the paired t test", "statsmodels TTestPower", powers),
    Equal("Friedman's test, ties included", "scipy friedmanchisquare", friedman),
    Equal("Cohen's kappa", "statsmodels cohens_kappa", kappas),
    Equal("residual of the fitted POW4", "scipy least_squares, best of 12 starts", curve_fits),
)


# ------------------------------------------------------------------------------------------------- other kinds of intervals


def kinds(pool: Pool, count: int, random: np.random.Generator) -> dict[str, tuple[float, float]]:
    """Intervals of the accuracy of a sure model from ``count`` draws, ours and theirs on the same ones."""
    guesses, values, size = pool.sureness, pool.right.astype(float), len(pool.right)
    estimators = ask("glide.estimators")
    chosen = random.permutation(size)[:count]
    uniform = uniform_estimate(values[chosen], size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classical = estimators.ClassicalMeanEstimator().estimate(values[chosen]).confidence_interval
        q = active_chances(np.sqrt(guesses * (1 - guesses)))
        rows = active_draws(q, random.random(count))
        ours = active_estimate(values[rows], rows, guesses, q)
        taken = random.random(size) < count * q
        known = np.where(taken, values, np.nan)
        theirs = [
            estimators.ASIMeanEstimator().estimate(known, guesses, count * q, power_tuning=tuned).confidence_interval
            for tuned in (False, True)
        ]
    return {
        "uniform draws: distil, exact": (uniform.low, uniform.high),
        "uniform draws: glide, normal": (classical.lower_bound, classical.upper_bound),
        "active draws: distil, betting": (ours.low, ours.high),
        "active draws: glide, normal": (theirs[0].lower_bound, theirs[0].upper_bound),
        "active draws: glide, normal, power tuning": (theirs[1].lower_bound, theirs[1].upper_bound),
    }


def losses(_: Pool, count: int, random: np.random.Generator) -> dict[str, tuple[float, float]]:
    """Intervals of the mean of rare losses, 0.01, from ``count`` independent ones."""
    x = (random.random(count) < 0.02) * random.random(count)
    ours = betting_bounds(x)
    theirs = ask("confseq.betting").betting_ci(x, alpha=ALPHA, breaks=1000)
    half = 1.96 * x.std(ddof=1) / math.sqrt(count)
    return {
        "rare losses: distil, betting": (ours.low, ours.high),
        "rare losses: confseq, betting (predictable plug-in)": (theirs[0], theirs[1]),
        "rare losses: normal": (x.mean() - half, x.mean() + half),
    }


def intervals(pool: Pool) -> list[str]:
    """Rows of misses and widths."""
    lines = ["| labels | interval | missed | width |", "|---|---|---|---|"]
    for count in (50, 100, 300):
        for make, truth, repeats in ((kinds, float(pool.right.mean()), HELD), (losses, 0.01, HELD_LOSSES)):
            random = np.random.default_rng(count)
            found = [make(pool, count, random) for _ in range(repeats)]
            for name in found[0]:
                ends = np.clip([each[name] for each in found], 0, 1)
                missed = float(((ends[:, 0] > truth + 1e-9) | (ends[:, 1] < truth - 1e-9)).mean())
                lines.append(f"| {count} | {name} | {100 * missed:.1f} % | {np.diff(ends).mean():.3f} |")
    return lines


def largest(pairs: Floats) -> float:
    """The difference of the largest size among ours and theirs, (n, 2), with its sign."""
    found = pairs[:, 0] - pairs[:, 1]
    return float(found[np.abs(found).argmax()])


def main(_: list[str]) -> None:
    """Compare, and write the page."""
    lines = ["| numbers | reference | cases | difference |", "|---|---|---|---|"]
    for each in EQUAL:
        found = np.array(list(each.pairs(np.random.default_rng(0))))
        found = found[~np.isnan(found[:, 1])]
        lines.append(f"| {each.name} | `{each.reference}` | {len(found)} | {largest(found):.1e} |")
        print(lines[-1], flush=True)
    pool = sure()
    of_pool = (
        "The pool of 20,000 items, and a model that is sure of nearly all of them, are those of\n"
        f"[`evaluate_coverage`](evaluate_coverage.md); {pool.right.mean():.1%} of the labels of the model are right."
    )
    parts = [
        HEAD.format(versions=", ".join(map(version, PACKAGES))),
        "\n".join(lines),
        INTERVALS.format(pool=of_pool, held=HELD, losses=HELD_LOSSES),
        "\n".join(intervals(pool)),
    ]
    write("references_certainty", "\n\n".join(parts))
