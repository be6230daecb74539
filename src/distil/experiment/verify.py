"""The promises of the library, checked anew on this machine: intervals, tests, certificates, and strategies by brute force.

Every check draws data whose truth is known, and compares what the library says with it. A share of broken promises is compared with
its limit by an exact binomial test at level 0.0001, so a right installation fails about once in a thousand runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from distil.evaluation.certify import Routes, certified, routed
from distil.evaluation.statistics import holm, t_test, wilcoxon
from distil.functional.bounds import betting_bounds, binomial_bounds
from distil.functional.estimates import (
    Estimate,
    active_chances,
    active_draws,
    active_estimate,
    stratified_draws,
    stratified_estimate,
    uniform_estimate,
)
from distil.rng import Rng
from distil.selection.select import select_from
from distil.system.runtime import Runtime, as_runtime

ALPHA: Final = 0.05
"""The level of the intervals and tests that are checked."""
_NEVER: Final = 1e-4  # level of the comparison of a share with its limit
_REPEATS: Final = 1000
_LONG: Final = 200  # repeats of what takes some milliseconds

Floats = NDArray[np.float64]
Random = np.random.Generator


@dataclass(frozen=True)
class Check:
    """One promise.

    Attributes:
        promise: What is promised.
        found: What was found.
        kept: Whether the promise was kept.
        seconds: How long it took.
    """

    promise: str
    found: str
    kept: bool
    seconds: float


def verify(seed: int = 0, runtime: Runtime | None = None) -> list[Check]:
    """Check every promise; about 7 seconds of one core.

    Args:
        seed: Seed of the data.
        runtime: Whether to show a progress bar.
    """
    checks: list[Check] = []
    for promise, check in as_runtime(runtime).bar(PROMISES.items(), "verifying", len(PROMISES)):
        start = time.perf_counter()
        found, kept = check(np.random.default_rng(Rng(seed).child("verify", promise).integer()))
        checks.append(Check(promise, found, kept, time.perf_counter() - start))
    return checks


def at_most(broken: int, repeats: int, limit: float = ALPHA) -> tuple[str, bool]:
    """What is said of a number of broken promises, and whether their share may be at most ``limit``."""
    least = binomial_bounds(broken, repeats, 1 - _NEVER, sides=1).low
    return f"wrong in {broken} of {repeats} ({broken / repeats:.1%}; {limit:.0%} are allowed)", least <= limit


# -------------------------------------------------------------------------------------------------------------- intervals


def _missed(estimate: Callable[[Random], Estimate], truth: float, random: Random, repeats: int) -> tuple[str, bool]:
    found = [estimate(random) for _ in range(repeats)]
    return at_most(sum(not each.low <= truth <= each.high for each in found), repeats)


def _pool(random: Random, size: int = 2000) -> tuple[Floats, Floats]:
    """The probability with which a model says that it is right, somewhat too large, and whether it is right, (N,) each."""
    said = 1 - 0.5 * random.beta(0.2, 1.5, size)
    return said, (random.random(size) < said - 0.03).astype(np.float64)


def _uniform(random: Random) -> tuple[str, bool]:
    _, right = _pool(random)
    size = len(right)
    return _missed(lambda r: uniform_estimate(right[r.permutation(size)[:60]], size), right.mean(), random, _LONG)


def _stratified(random: Random) -> tuple[str, bool]:
    said, right = _pool(random)
    return _missed(
        lambda r: stratified_estimate(right[stratified_draws(1 - said, r.random(60))]), right.mean(), random, _REPEATS
    )


def _active(random: Random) -> tuple[str, bool]:
    said, right = _pool(random)
    chances = active_chances(np.sqrt(said * (1 - said)))

    def estimate(r: Random) -> Estimate:
        rows = active_draws(chances, r.random(100))
        return active_estimate(right[rows], rows, said, chances)

    return _missed(estimate, right.mean(), random, _LONG)


def _bounded_mean(random: Random) -> tuple[str, bool]:
    """Rare large losses, where the normal interval fails."""

    def estimate(r: Random) -> Estimate:
        x = (r.random(80) < 0.02) * r.random(80)
        return Estimate(float(x.mean()), *betting_bounds(x))

    return _missed(estimate, 0.01, random, _LONG)


# ----------------------------------------------------------------------------------------------------------- certificates


def _broken(random: Random, *, two: bool) -> tuple[str, bool]:
    size, limit, broken = 2000, 100, 0
    wrong, second_wrong = random.random(size) < np.linspace(0, 0.4, size), random.random(size) < 0.03
    for _ in range(_LONG):
        places = random.permutation(size)[:150]
        routes = Routes(*[certified(places, wrong[places], size, limit, ALPHA)] * 2)
        if two:
            routes = routed(places, wrong[places], second_wrong[places], size, limit, ALPHA, 0.1)
        errors = wrong[: routes.model].sum() + second_wrong[routes.model : routes.second].sum()
        broken += bool(errors > limit)
    return at_most(broken, _LONG)


# ------------------------------------------------------------------------------------------------------------------ tests


def _false_alarms(p_value: Callable[[Floats], float], random: Random, repeats: int = _REPEATS) -> tuple[str, bool]:
    """How often a paired test finds a difference over eight seeds where there is none."""
    return at_most(sum(p_value(random.normal(size=8)) <= ALPHA for _ in range(repeats)), repeats)


def _any_of_five(random: Random) -> tuple[str, bool]:
    alarms = sum(holm(t_test(random.normal(size=(8, 5)))).min() <= ALPHA for _ in range(_REPEATS))
    return at_most(alarms, _REPEATS)


# ------------------------------------------------------------------------------------------------------------- strategies


def _by_hand(strategy: str, score: Callable[[Floats], Floats], random: Random) -> tuple[str, bool]:
    """A score strategy against the largest scores."""
    wrong = 0
    for _ in range(20):
        probs = random.dirichlet(np.ones(5), 300)
        found = set(select_from(strategy, 20, probs=probs))
        wrong += found != set(np.argsort(-score(probs))[:20].tolist())
    return f"{20 - wrong} of 20 selections are those of brute force", wrong == 0


def _margin(probs: Floats) -> Floats:
    ordered = np.sort(probs, axis=1)
    return ordered[:, -2] - ordered[:, -1]


def _entropy(probs: Floats) -> Floats:
    found: Floats = -(probs * np.log(probs)).sum(1)
    return found


def _core_set(random: Random) -> tuple[str, bool]:
    wrong = 0
    for _ in range(10):
        x = random.normal(size=(120, 4))
        far = np.square(x[:, None] - x).sum(2)
        chosen = [0, 1, 2]
        for _ in range(10):
            chosen.append(int(far[:, chosen].min(1).argmax()))
        wrong += select_from("core_set", 10, embeddings=x, labeled=[0, 1, 2]).tolist() != chosen[3:]
    return f"{10 - wrong} of 10 selections are those of brute force", wrong == 0


def _repeats_itself(random: Random) -> tuple[str, bool]:
    x, probs = random.normal(size=(200, 8)), random.dirichlet(np.ones(4), 200)
    state = torch.get_rng_state()
    names = ("badge", "kmeans_sampling", "random_sampling", "uherding", "lcmd")
    given: dict[str, Any] = {"embeddings": x, "probs": probs, "labeled": [0, 1], "seed": 3}
    same = sum(select_from(name, 10, **given).tolist() == select_from(name, 10, **given).tolist() for name in names)
    untouched = bool((torch.get_rng_state() == state).all())
    return f"{same} of {len(names)} strategies choose the same items again", same == len(names) and untouched


PROMISES: Final[dict[str, Callable[[Random], tuple[str, bool]]]] = {
    "interval of the accuracy, uniform draws": _uniform,
    "interval of the accuracy, stratified draws": _stratified,
    "interval of the accuracy, active draws": _active,
    "interval of the mean of rare losses": _bounded_mean,
    "bound of the wrong labels of a finished pool": lambda random: _broken(random, two=False),
    "the same with a second labeler": lambda random: _broken(random, two=True),
    "paired t test without a difference": lambda r: _false_alarms(lambda d: float(t_test(d)), r),
    "Wilcoxon's test without a difference": lambda r: _false_alarms(lambda d: wilcoxon(d, np.zeros(8)), r, 500),
    "five tests without a difference, with Holm's correction": _any_of_five,
    "margin_sampling": lambda random: _by_hand("margin_sampling", _margin, random),
    "entropy_sampling": lambda random: _by_hand("entropy_sampling", _entropy, random),
    "least_confidence": lambda random: _by_hand("least_confidence", lambda probs: -probs.max(1), random),
    "core_set": _core_set,
    "the same seed": _repeats_itself,
}
"""Promise -> its check: what was found, and whether the promise was kept."""
