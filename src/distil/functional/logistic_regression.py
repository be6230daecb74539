"""Logistic regression for few labels: a convex problem solved to its optimum, its decay and temperature chosen on the labels.

The default model on embeddings. Rows are those of a pool with mean 0 and mean squared norm 1, see ``pool_scale``. W and b minimize

    sum_i w_i cross_entropy(W x_i + b, y_i) + decay / 2 |W|^2 + k decay / 2 |b|^2.

The intercept is penalized as well, because the class counts of a few labels are mostly chance: k is 30 where they agree with
classes that are equally frequent, and falls to 5 where they do not. The decay is the one whose fits best predict examples that they
have not seen, at the best temperature; the logits are then divided by that temperature.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from numbers import Real
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from distil.errors import InvalidInput, all_labels_are, nearest
from distil.functional.scale import exponent, largest, number_times_two_to, times_two_to

Decay: TypeAlias = float | Literal["auto"]
ClassWeights: TypeAlias = Literal["none", "balanced"]

EVEN, UNEVEN = 30.0, 5.0
"""How many times more strongly the intercept is penalized than the weights: where classes are equally frequent, and where not."""
DECAYS = tuple(10**exponent for exponent in (-3.5, -3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0))
"""The decays that ``"auto"`` chooses from; the search goes downhill from 0.1, where its prior has the mode."""
LEAVE_ONE_OUT = 20
"""Up to this many examples, each example is a fold of its own."""
FOLDS = 5
HOTTEST = 1.5
"""The largest absolute logarithm of a temperature."""
TEMPERATURE_PRIOR = 8.0
"""Weight of log(temperature)^2 in nats: a few examples say little about it, and separable ones would ask for the coldest."""

LEAST_DECAY = 1e-8
"""Below this, rounding hides the penalty, and the fit would end before its optimum."""

_START = DECAYS.index(0.1)
_LEAST_EXPONENT = -1_100  # below that of every float64
# Norms of the scaled gradient at which to stop; the loss is then within about the square of the optimum.
_FOLD_TOLERANCE, _HELD_OUT_TOLERANCE, _TOLERANCE = 3e-2, 1e-3, 1e-8
_LARGEST_IN_FLOAT32 = 1e15  # sums of squares of larger numbers may be infinite in float32
_MOST_STEPS = 1_000  # of the conjugate gradients; real problems take 10 to 100
_SURE = 1.79  # exp(m) - m - 1 <= m^2 up to here: the Newton step along a line then lowers the loss


@dataclass(frozen=True, eq=False)
class LogisticRegression:
    """A fitted model, whose logits are ``x @ weight.T + bias``.

    Attributes:
        weight: (C, D) float64, already divided by the temperature.
        bias: (C,) float64, already divided by the temperature.
        decay: That of the fit; None where only one class was seen, so that there was nothing to fit.
        temperature: What the logits of the fit were divided by.
    """

    weight: Tensor
    bias: Tensor
    decay: float | None
    temperature: float


def pool_scale(blocks: Iterable[Tensor]) -> tuple[Tensor, float]:
    """The center and the spread of a pool: ``(x - center) / spread`` has mean 0 and mean squared norm 1.

    One number for all columns: in embeddings the size of a column says how much it matters, and columns of equal size would let
    those of noise count as much as the others.

    Args:
        blocks: The rows in parts (B, D), each read once; at least one row.

    Returns:
        The center (D,) float64, and the spread, 1 where all rows are equal.

    Raises:
        InvalidInput: There is no row.
    """
    parts = (block for block in blocks if len(block))
    first = next(parts, None)
    if first is None:
        raise InvalidInput("a pool without rows has no center; expected at least one row")
    origin = first[0].double()
    return scale_of(origin, (block_sums(block, origin) for block in chain((first,), parts)))


@dataclass(frozen=True, eq=False)
class BlockSums:
    """Sums over a block of rows, seen from another row: of these, sums over all blocks lose nothing to a large mean.

    Attributes:
        exponent: The unit of the sums is 2^e, in which squares can be computed.
        total: The sum of the rows, (D,) float64.
        squares: The sum of their squared norms.
        count: Number of rows.
    """

    exponent: int
    total: Tensor
    squares: float
    count: int


def block_sums(rows: Tensor, origin: Tensor) -> BlockSums:
    """The sums of a block for ``scale_of``; they are the same for any number of threads.

    Args:
        rows: The block, (B, D), B > 0.
        origin: Any row of the pool, (D,) float64.
    """
    away = rows.double() - origin
    top = largest(away)
    e = exponent(top) if top else _LEAST_EXPONENT
    away = times_two_to(away, -e)
    squares = away.square().sum(1).sum()  # threads would divide a sum over both
    return BlockSums(e, away.sum(0), float(squares), len(rows))


def scale_of(origin: Tensor, blocks: Iterable[BlockSums]) -> tuple[Tensor, float]:
    """The center and the spread of a pool, see ``pool_scale``, from the sums of its blocks in their order.

    Args:
        origin: The row that the sums are seen from, (D,) float64.
        blocks: The sums of all blocks, at least one.
    """
    total, squares, count, e = torch.zeros_like(origin), 0.0, 0, _LEAST_EXPONENT
    for block in blocks:
        grown = max(e, block.exponent)
        total = times_two_to(total, e - grown) + times_two_to(block.total, block.exponent - grown)
        squares = math.ldexp(squares, 2 * (e - grown)) + math.ldexp(block.squares, 2 * (block.exponent - grown))
        count, e = count + block.count, grown
    mean = total / count
    variance = squares / count - float(mean.square().sum())
    rounding = 1e-14 * (squares / count)
    spread = number_times_two_to(math.sqrt(variance), e) if variance > rounding else 1.0
    return origin + times_two_to(mean, e), spread


def fit_logistic_regression(
    x: Tensor, y: Tensor, num_classes: int, *, decay: Decay = "auto", class_weights: ClassWeights = "none"
) -> LogisticRegression:
    """Fit to the optimum, in float64, where the rows are.

    With ``decay="auto"`` the decay and the temperature T minimize ``sum NLL + (log10 decay + 1)^2 + 8 log(T)^2``, where NLL is the
    negative log-likelihood of an example that the fit has not seen, without examples that are the only one of their class; the
    search goes downhill from 0.1 among ``DECAYS``, and T is within exp(+-1.5). Folds are the single examples up to 20,
    and five beyond, dealt in turn class by class. A number is used as it is, at temperature 1.

    Classes without an example get weight 0 and a small share, 1 / (n + C) each, of a typical example: never nothing. With one class
    the answer is that class everywhere, with these shares for the others.

    Args:
        x: Labeled rows (n, D), scaled as ``pool_scale`` says; of any floating-point type.
        y: Their classes, (n,) int64 in 0..num_classes-1.
        num_classes: C, at least 2.
        decay: A number from 1e-8, or ``"auto"``.
        class_weights: ``"balanced"``: every class that occurs counts the same; weights have mean 1.

    Raises:
        InvalidInput: Shapes that do not fit, no example, NaN or infinity, a label or decay out of range.

    Cost: O(n D min(n, D)) once, then O(n C min(n, D)) for each of some 100 steps, times the number of folds: 15 to 80 ms of
    CPU for 100 to 500 examples of 400 numbers.

    >>> x, y = torch.tensor([[-1.0], [-0.8], [1.0], [0.9]]), torch.tensor([0, 0, 1, 1])
    >>> model = fit_logistic_regression(x, y, 2)
    >>> (x @ model.weight.T.float() + model.bias).argmax(1).tolist()
    [0, 0, 1, 1]
    """
    _check(x, y, num_classes, decay, class_weights)
    x = x.detach().double()
    seen, columns = y.unique(return_inverse=True)
    if len(seen) == 1:
        return _constant(int(seen), x, num_classes)
    counts = columns.bincount()
    weights = x.new_ones(len(x))
    if class_weights == "balanced":
        weights = (len(x) / (len(seen) * counts))[columns].double()
    z, basis = _coordinates(x)
    problem = _Problem(z, columns, weights)
    choice = _chosen(_quick(z, columns, weights)) if decay == "auto" else _Choice(float(decay), 1.0, None)
    everything = x.new_ones(1, len(x))
    a = problem.solved(choice.decay, everything, choice.start, _TOLERANCE)[:, 0] / choice.temperature  # (C seen, r + 1)
    weight = x.new_zeros(num_classes, x.shape[1])
    weight[seen] = a[:, :-1] @ basis.T
    share = 1 / (len(x) + num_classes)
    odds = (z @ a[:, :-1].T + a[:, -1]).logsumexp(1)  # of every example, the logarithm of the sum of its odds
    typical = float(odds.mean())
    unseen = typical + math.log(share / (1 - (num_classes - len(seen)) * share))
    bias = x.new_full((num_classes,), unseen)
    bias[seen] = a[:, -1]
    return LogisticRegression(weight, bias, choice.decay, choice.temperature)


def fit_per_label(
    x: Tensor, y: Tensor, *, decay: Decay = "auto", class_weights: ClassWeights = "none"
) -> tuple[Tensor, Tensor]:
    """A logistic regression for each label of multi-label data, with a decay and a temperature of its own: one-vs-rest.

    Args:
        x: Labeled rows (n, D), scaled as ``pool_scale`` says.
        y: Whether each row has each label, (n, L), 0 or 1.
        decay: See :func:`fit_logistic_regression`.
        class_weights: See :func:`fit_logistic_regression`; the two classes are the rows with the label and those without.

    Returns:
        Weights (L, D) and biases (L,), float64, of the logits of the labels. The logit of a label that all rows have, or none, is a
        constant, never infinite.

    Raises:
        InvalidInput: See :func:`fit_logistic_regression`.

    Cost: L times that of :func:`fit_logistic_regression`.
    """
    fits = [fit_logistic_regression(x, own, 2, decay=decay, class_weights=class_weights) for own in y.long().unbind(1)]
    weights = torch.stack([fit.weight[1] - fit.weight[0] for fit in fits])
    return weights, torch.stack([fit.bias[1] - fit.bias[0] for fit in fits])


def held_out_probs(x: Tensor, y: Tensor, num_classes: int) -> Tensor:
    """The probabilities of each example by a fit that has not seen it, (n, C) float64.

    Folds, decay and temperature are those of ``decay="auto"``: the folds are dealt in the order of the rows, class by class, so
    shuffled rows have other folds; decay and temperature are chosen on the same folds, two numbers for all examples. All folds
    are solved at once, so this costs about as much as one fit.

    The only example of its class gets a small probability of that class, because the fit has not seen the class. Classes without an
    example get 0.

    Args:
        x: Labeled rows (n, D), scaled as ``pool_scale`` says.
        y: Their classes, (n,) int64, of at least two classes.
        num_classes: C, at least 2.

    Raises:
        InvalidInput: See ``fit_logistic_regression``; or all examples are of one class.
    """
    _check(x, y, num_classes, "auto", "none")
    seen, columns = y.unique(return_inverse=True)
    if len(seen) == 1:
        raise InvalidInput(f"{all_labels_are(len(y))} of class {int(seen)}; held-out probabilities need two classes")
    problem = _quick(_coordinates(x.detach().double())[0], columns, x.new_ones(len(x)).double())
    choice = _chosen(problem)
    fold, train = _folds(problem)
    solution = problem.solved(choice.decay, train, None, _HELD_OUT_TOLERANCE)
    logits = problem.logits(solution)[:, fold, torch.arange(len(y), device=y.device)].T.double()
    probs = logits.new_zeros(len(y), num_classes)
    probs[:, seen] = (logits / choice.temperature).softmax(1)
    return probs


def best_temperature(logits: Tensor, y: Tensor, weights: Tensor) -> float:
    """The temperature T, within exp(+-1.5), that minimizes the weighted cross entropy of ``logits / T`` plus 8 log(T)^2.

    By bisection of the derivative by log(1 / T).

    Args:
        logits: (n, C) float64.
        y: (n,) int64.
        weights: (n,), at least 0.
    """
    right = logits.gather(1, y[:, None])[:, 0]
    low, high = -HOTTEST, HOTTEST  # of log(1 / T)
    for _ in range(24):
        middle = (low + high) / 2
        scaled = math.exp(middle) * logits
        excess = (scaled.softmax(1) * scaled).sum(1) - math.exp(middle) * right
        slope = float(weights @ excess) + 2 * TEMPERATURE_PRIOR * middle
        low, high = (middle, high) if slope < 0 else (low, middle)
    return math.exp(-(low + high) / 2)


@dataclass(frozen=True, eq=False)
class _Choice:
    """A decay and a temperature, and where to start the fit: (C, 1, r + 1), or None for 0."""

    decay: float
    temperature: float
    start: Tensor | None


def _chosen(problem: _Problem) -> _Choice:
    """The decay and temperature that predict best what the fits of the folds have not seen.

    Examples that are the only one of their class say nothing of a decay, because the fit without them does not know the class.
    """
    fold, train = _folds(problem)
    rows = torch.arange(len(fold), device=fold.device)
    weights = problem.weights.double() * (problem.y.bincount() > 1)[problem.y]
    solutions: dict[int, Tensor] = {}
    found: dict[int, tuple[float, float]] = {}

    def loss(index: int, start: Tensor | None) -> float:
        solutions[index] = problem.solved(DECAYS[index], train, start, _FOLD_TOLERANCE)
        logits = problem.logits(solutions[index])[:, fold, rows].T.double()
        temperature = best_temperature(logits, problem.y, weights)
        scaled = logits / temperature
        misfit = float(weights @ (scaled.logsumexp(1) - scaled[rows, problem.y]))
        prior = (math.log10(DECAYS[index]) + 1) ** 2 + TEMPERATURE_PRIOR * math.log(temperature) ** 2
        found[index] = misfit + prior, temperature
        return found[index][0]

    best, step = _START, 1
    loss(best, None)
    while 0 <= best + step < len(DECAYS):
        if loss(best + step, solutions[best]) < found[best][0]:
            best += step
        elif best == _START and step == 1:
            step = -1
        else:
            break
    return _Choice(DECAYS[best], found[best][1], solutions[best].mean(1, keepdim=True).double())


def _folds(problem: _Problem) -> tuple[Tensor, Tensor]:
    """The fold of each example, (n,), and for each fold the examples of its fit, (K, n): 1, else 0."""
    n = len(problem.y)
    folds = n if n <= LEAVE_ONE_OUT else FOLDS
    rows = torch.arange(n, device=problem.y.device)
    fold = torch.empty_like(rows)
    fold[problem.y.argsort(stable=True)] = rows % folds
    return fold, (fold != rows[:folds, None]).type(problem.weights.dtype)


def _quick(z: Tensor, y: Tensor, weights: Tensor) -> _Problem:
    """The problem in float32, if its numbers fit."""
    return _Problem(z.float() if largest(z) < _LARGEST_IN_FLOAT32 else z, y, weights)


class _Problem:
    """The penalized cross entropy in coordinates in which the second moments of the rows are diagonal.

    Args:
        z: Rows (n, r); their type is that of all arithmetic.
        y: Classes (n,), each of 0..C-1 at least once.
        weights: (n,).
    """

    def __init__(self, z: Tensor, y: Tensor, weights: Tensor) -> None:
        self.y, self.weights = y, weights.type(z.dtype)
        self._z = torch.cat([z, z.new_ones(len(z), 1)], 1)  # (n, r + 1): the last for the intercept
        self._moments = self.weights @ self._z.square()  # (r + 1,)
        self._right = torch.eye(int(y.max()) + 1, dtype=z.dtype, device=z.device)[:, None, y]  # (C, 1, n)
        self._penalty = torch.ones_like(self._moments)
        self._penalty[-1] = _intercept((self._right[:, 0] @ self.weights).double())

    def logits(self, a: Tensor) -> Tensor:
        """(C, K, n) of K solutions (C, K, r + 1)."""
        return a @ self._z.T

    def solved(self, decay: float, train: Tensor, start: Tensor | None, tolerance: float) -> Tensor:
        """The optima for K sets of examples at once, (C, K, r + 1).

        Conjugate gradients (Polak and Ribiere, restarted where negative) in variables scaled by a bound of their curvature (Bohning
        1992, half of it), with the Newton step along each direction. Where that step might be too long, it is the one that
        minimizes the upper bound of a generalized self-concordant function instead (Bach 2010), so every step lowers the loss.

        Why not SciPy's L-BFGS: all folds are solved at once here, with one product of matrices a step, and L-BFGS over several
        problems spends most of its time in small operations. What it won: a fit with its choice of decay took 45 ms instead of
        150 ms on 500 rows of 50 numbers in 10 classes. Delete it when SciPy solves problems in batches.

        Args:
            decay: The decay.
            train: (K, n), 1 for the examples of a set, else 0.
            start: Where to start, (C, K, r + 1); None: 0.
            tolerance: The norm of the scaled gradient at which to stop.
        """
        scale = (self._moments / len(self._right) + decay * self._penalty).rsqrt()  # (r + 1,)
        z = self._z * scale
        penalty = decay * self._penalty * scale.square()
        weights = train * self.weights  # (K, n)
        u = z.new_zeros(len(self._right), len(train), len(scale)) if start is None else start / scale
        logits = u @ z.T  # (C, K, n)
        direction, before, norm_before = torch.zeros_like(u), torch.zeros_like(u), z.new_ones(len(train))
        for _ in range(_MOST_STEPS):
            probs = logits.softmax(0)
            gradient = ((probs - self._right) * weights) @ z + penalty * u
            norm = gradient.square().sum((0, 2))  # (K,)
            if float(norm.max()) <= tolerance**2:
                break
            momentum = ((norm - (gradient * before).sum((0, 2))) / norm_before).clamp_min(0)
            direction = momentum[:, None] * direction - gradient
            slope = (gradient * direction).sum((0, 2))
            direction = torch.where((slope < 0)[:, None], direction, -gradient)
            slope = torch.where(slope < 0, slope, -norm)
            before, norm_before = gradient, norm.clamp_min(torch.finfo(norm.dtype).tiny)
            along = direction @ z.T
            bend = ((probs * along.square()).sum(0) - (probs * along).sum(0).square()).mul_(weights).sum(1)
            bend += (penalty * direction.square()).sum((0, 2))
            step = _step(slope, bend, along)[:, None]
            u, logits = u + step * direction, logits + step * along
        return u * scale


def _intercept(counts: Tensor) -> float:
    """How many times more strongly the intercept is penalized than the weights, between ``UNEVEN`` and ``EVEN``.

    Their geometric mean, weighted by the probability that the counts are of classes that are equally frequent. The other hypothesis
    is that any shares of the classes are equally probable; before the counts are known, so are the two hypotheses.

    Args:
        counts: The weights of the examples of every class that was seen, (C,).
    """
    n, n_classes = float(counts.sum()), len(counts)
    even = -n * math.log(n_classes)
    uneven = float((counts + 1).lgamma().sum()) + math.lgamma(n_classes) - math.lgamma(n + n_classes)
    share = 1 / (1 + math.exp(min(uneven - even, 700.0)))
    return UNEVEN * math.pow(EVEN / UNEVEN, share)


def _step(slope: Tensor, bend: Tensor, along: Tensor) -> Tensor:
    """How far to go along a direction, (K,): see ``solved``.

    Args:
        slope: The first derivatives of the loss along it, (K,), at most 0.
        bend: The second derivatives, (K,).
        along: What is added to the logits for each unit, (C, K, n); the third derivative is at most its range times the second.
    """
    least = torch.finfo(bend.dtype).tiny
    newton = -slope / bend.clamp_min(least)
    reach = (along.amax(0) - along.amin(0)).amax(1)  # (K,)
    return torch.where(reach * newton > _SURE, (reach * newton).log1p() / reach.clamp_min(least), newton)


def _coordinates(x: Tensor) -> tuple[Tensor, Tensor]:
    """The rows in an orthonormal basis in which their second moments are diagonal: (n, r), and that basis (D, r)."""
    wide = x.shape[1] > len(x)
    moments, vectors = torch.linalg.eigh(x @ x.T if wide else x.T @ x)
    kept = moments > 1e-13 * moments[-1]
    moments, vectors = moments[kept], vectors[:, kept]
    basis = x.T @ (vectors / moments.sqrt()) if wide else vectors
    return x @ basis, basis


def _constant(label: int, x: Tensor, num_classes: int) -> LogisticRegression:
    """The model that answers one class everywhere."""
    share = 1 / (len(x) + num_classes)
    bias = x.new_full((num_classes,), math.log(share))
    bias[label] = math.log(1 - (num_classes - 1) * share)
    return LogisticRegression(x.new_zeros(num_classes, x.shape[1]), bias, None, 1.0)


def _check(x: Tensor, y: Tensor, num_classes: int, decay: Decay, class_weights: ClassWeights) -> None:
    if x.dim() != 2 or not len(x) or not x.is_floating_point() or not bool(x.isfinite().all()):
        raise InvalidInput(f"x must be finite floating-point rows (n, D), n > 0; got {x.dtype} {tuple(x.shape)}")
    if y.shape != x.shape[:1] or y.dtype != torch.int64:
        raise InvalidInput(
            f"y must be int64 of shape ({len(x)},), a class for each row; got {y.dtype} {tuple(y.shape)}"
        )
    if not 0 <= int(y.min()) <= int(y.max()) < num_classes:
        raise InvalidInput(f"classes must be in 0..{num_classes - 1}, got {int(y.min())} to {int(y.max())}")
    check_settings(decay, class_weights)


def check_settings(decay: Decay, class_weights: ClassWeights) -> None:
    """Refuse a decay that is neither "auto" nor a number from 1e-8, and class weights of another name.

    Raises:
        InvalidInput: See above.
    """
    if not _is_decay(decay):
        raise InvalidInput(f"decay: expected 'auto' or a number from {LEAST_DECAY:g}, got {decay!r}")
    if not isinstance(class_weights, str) or class_weights not in ("none", "balanced"):
        hint = nearest(class_weights, ("none", "balanced")) if isinstance(class_weights, str) else ""
        raise InvalidInput(f"class_weights: expected 'none' or 'balanced', got {class_weights!r}{hint}")


def _is_decay(value: object) -> bool:
    if isinstance(value, str):
        return value == "auto"
    return not isinstance(value, bool) and isinstance(value, Real) and LEAST_DECAY <= float(value) < math.inf
