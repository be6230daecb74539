"""How far an input is from the decision boundary: the smallest change found that makes a classifier change its mind.

The classifier is a callable from inputs (B, ...) of any shape to logits (B, C) whose rows do not depend on one another and which
autograd can differentiate by its argument. Nothing else is asked of it, and nothing but its argument is differentiated.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.features import BLOCK_BYTES

# Logits that differ by less than this many units in the last place are a tie: an exact step to the boundary ends there.
_ROUNDING = 4

# Inputs are cut so that the gradients of this many classes fit into BLOCK_BYTES; of more classes, some at a time.
_CLASSES_AT_ONCE = 10

# Relative to a distance; distinct float32 numbers differ by at least 2**-24, so a shift below half of that reorders none.
_TIE_BREAK = 2.0**-26


@dataclass(frozen=True, eq=False)
class Attack:
    """What an attack on B inputs found.

    Attributes:
        perturbation: What was added to each input, (B, ...), in float32 or float64.
        distance: Its L2 norm, (B,); NaN where the logits of the input itself are not finite.
        gap: Logit of the class first predicted minus the largest other logit, at the attacked point, (B,): the way that is left
            where the prediction has not changed, at most 0 where it has.
        steps: Steps taken, (B,) int64.
    """

    perturbation: Tensor
    distance: Tensor
    gap: Tensor
    steps: Tensor

    @property
    def crossed(self) -> Tensor:
        """Whether another class came level with the class first predicted or overtook it, (B,) bool."""
        return self.gap <= 0


class Attacker(Protocol):
    """Anything that attacks; a frozen, hashable one may be the ``attack`` of a signal."""

    def __call__(self, f: Callable[[Tensor], Tensor], x: Tensor, /) -> Attack:
        """Attack the classifier ``f`` at the inputs ``x`` (B, ...)."""
        ...


@dataclass(frozen=True)
class DeepFool:
    """The attack of ``deepfool`` with these settings.

    Attributes:
        max_iter: Most steps for one input.
        overshoot: Relative length added to a perturbation when it is tried.
    """

    max_iter: int = 50
    overshoot: float = 0.02

    def __post_init__(self) -> None:
        _check_count(self.max_iter, "max_iter")
        _check_number(self.overshoot, "overshoot", positive=False)

    def __call__(self, f: Callable[[Tensor], Tensor], x: Tensor, /) -> Attack:
        """As ``deepfool``."""
        _check_inputs(x)
        with _recording():
            x = x.detach()
            way, gap, steps = _nothing(x)
            rows = torch.arange(len(x), device=x.device)
            y: Tensor | None = None
            boundaries = _Boundaries(f)
            for _ in range(self.max_iter):
                if len(rows) == 0:
                    break
                start, before = x[rows], way[rows]
                least = self.overshoot * torch.linalg.vector_norm(before.flatten(1), dim=1)
                step, logits = boundaries.steps(start, before, y, least)
                if y is None:
                    y = logits.argmax(1)
                    gap = _gap(logits, y)
                    going = (gap > 0) & gap.isfinite()
                    rows, y, start, before, step = (t[going] for t in (rows, y, start, before, step))
                trial = before + step
                tried = (start + (1 + self.overshoot) * trial).to(x.dtype)
                left = _tried_gap(f, tried, y)
                moved = step.flatten(1).any(1) & left.isfinite()  # without any gradient there is no step
                way[rows[moved]] = trial[moved]
                gap[rows[moved]] = left[moved]
                steps[rows[moved]] += 1
                going = moved & (left > 0)
                rows, y = rows[going], y[going]
            return _attack(way, gap, steps)


@dataclass(frozen=True)
class BIM:
    """The attack of ``bim`` with these settings.

    Attributes:
        eps: Change of each input feature in one step.
        max_steps: Most steps for one input.
    """

    eps: float = 0.05
    max_steps: int = 1000

    def __post_init__(self) -> None:
        _check_number(self.eps, "eps", positive=True)
        _check_count(self.max_steps, "max_steps")

    def __call__(self, f: Callable[[Tensor], Tensor], x: Tensor, /) -> Attack:
        """As ``bim``."""
        _check_inputs(x)
        with _recording():
            x = x.detach()
            counts, gap, steps = _nothing(x)  # whole numbers of eps: no rounding adds up, equal paths are equally long
            rows, start, y = torch.arange(len(x), device=x.device), x, steps
            trial = before = been = torch.zeros_like(counts)
            for step in range(self.max_steps + 1):
                if len(rows) == 0:
                    break
                z = torch.add(start, trial, alpha=self.eps).to(x.dtype).requires_grad_()
                logits = _logits(f, z)
                y = logits.argmax(1) if step == 0 else y
                left = _gap(logits.detach(), y)
                finite = left.isfinite()
                kept = finite if step else torch.ones_like(finite)  # too far a step is not taken
                gap[rows[kept]] = left[kept].to(gap.dtype)
                steps[rows[kept]] = step
                going, move = finite & (left > 0), trial
                if step == self.max_steps or not bool(going.any()):
                    going = torch.zeros_like(going)
                else:
                    move = _cross_entropy_sign(logits, z, y)
                    going &= move.flatten(1).any(1)  # else every gradient is zero
                    if step:
                        going &= (trial != been).flatten(1).any(1)  # else it goes round in circles
                if not bool(going.all()):
                    there = torch.where(kept.reshape(-1, *[1] * (x.dim() - 1)), trial, before)
                    counts[rows[~going]] = there[~going]
                    rows, start, y, trial, been, move = (t[going] for t in (rows, start, y, trial, been, move))
                been = trial if step & (step - 1) == 0 else been  # of powers of two: any circle is found (Brent 1980)
                before, trial = trial, trial + move
            return _attack(self.eps * counts, gap, steps)


def deepfool(f: Callable[[Tensor], Tensor], x: Tensor, *, max_iter: int = 50, overshoot: float = 0.02) -> Attack:
    """Step to the nearest linearized boundary until the prediction changes.

    Moosavi-Dezfooli et al. 2016, algorithm 2; Ducoffe and Precioso 2018 query by its distance. With w_k the gradient of logit
    f_k, y the class first predicted, a step goes to the nearest of the hyperplanes on which f_k = f_y would hold were
    f linear: |f_k - f_y| / ||w_k - w_y|| away, along w_k - w_y. A linear classifier takes one step, whose length is the
    exact distance of its boundary.

    Deliberate choices: ``overshoot`` lengthens the perturbation only to try whether it changes the prediction; what is reported is
    the way to the boundary, without it, so ``x + (1 + overshoot) * perturbation`` is beyond the boundary. Steps are taken from
    the point without overshoot, as in the paper (the authors' code takes them from the point with it, and so reports up
    to 2 % less); where that point is across the boundary already and the lengthened one is not, the boundary bends back, and
    the step is longer by ``overshoot`` of the way. Logits equal within rounding count as a changed prediction. Classes
    without a gradient are passed over; an input none of whose classes has one stays where it is, not crossed, as does
    one that reaches ``max_iter``.

    Args:
        f: Inputs (B, ...) -> logits (B, C), C >= 2.
        x: Inputs, (B, ...), floating.
        max_iter: Most steps for one input.
        overshoot: Relative length added to a perturbation when it is tried.

    Returns:
        The attack on each input.

    Raises:
        InvalidInput: ``x`` is not (B, ...) floating, ``f`` does not give (B, C), or a setting is out of range.

    Cost: a step of B inputs is one forward pass, C - 1 backward passes in one vectorized call, and one forward pass without
    gradients to try the result; usually 1 to 4 steps. Inputs that are done leave the batch. At most BLOCK_BYTES of input
    gradients are held at once (an input and class at the least); those of hidden layers are larger in proportion.
    """
    return DeepFool(max_iter, overshoot)(f, x)


def bim(f: Callable[[Tensor], Tensor], x: Tensor, *, eps: float = 0.05, max_steps: int = 1000) -> Attack:
    """Move every feature by ``eps`` in the direction that raises the loss, again and again, until the prediction changes.

    The basic iterative method of Kurakin, Goodfellow and Bengio 2017, section 2.2: x <- x + eps sign(grad_x J(x, y)), J the cross
    entropy at the class y first predicted. The paper, and the DISTIL document's equation 1.2, clip x to a ball around the
    input, because they look for an invisible change. Here, as in the published strategy, nothing is
    clipped: the question is how far the boundary is, and within a ball of one step's size only the nearest inputs would
    ever reach theirs.

    The sign is taken of the gradient of log sum_{k != y} exp f_k - f_y, of which J is the softplus, an increasing function: the
    same sign, but where softmax is saturated, and J and its gradient are rounded to 0, it still points to the boundary.
    An input stops, not crossed, where that gradient is zero in every feature, when it is back where it has been (it would
    go round in circles), or after ``max_steps``.

    Args:
        f: Inputs (B, ...) -> logits (B, C), C >= 2.
        x: Inputs, (B, ...), floating.
        eps: Change of each feature in one step.
        max_steps: Most steps for one input.

    Returns:
        The attack on each input; a perturbation is a whole number of ``eps`` in each feature, so distances are quantized.

    Raises:
        InvalidInput: ``x`` is not (B, ...) floating, ``f`` does not give (B, C), or a setting is out of range.

    Cost: one forward and one backward pass a step, of the inputs that are not done; about gap / (eps ||w||_1) steps.
    """
    return BIM(eps, max_steps)(f, x)


def closeness(distance: Tensor, gap: Tensor) -> Tensor:
    """How close inputs are to the boundary, as a score: larger is closer.

    The inverse of the distance where the boundary was crossed. Distances equal in single precision are ordered by the logit gap:
    the further beyond the boundary the attack ended, the closer the input. Inputs whose attack did not cross come after
    all others, with the score -gap: the smaller the gap that is left, the closer.

    Args:
        distance: L2 norms of the perturbations, (N,).
        gap: Remaining logit gaps, (N,), at most 0 where the boundary was crossed.

    Returns:
        (N,) float64, finite; above 0 where the boundary was crossed, below 0 where it was not.

    >>> closeness(torch.tensor([2.0, 0.5, 9.0, 1.0]), torch.tensor([-1.0, -1.0, 3.0, 0.25])).round(decimals=3)
    tensor([ 0.5000,  2.0000, -3.0000, -0.2500], dtype=torch.float64)
    """
    gap = gap.double()
    single = distance.float().double().clamp_min(torch.finfo(torch.float32).tiny)
    return torch.where(gap <= 0, 1 / (single * (1 + _TIE_BREAK * gap / (1 + gap.abs()))), -gap)


class _Boundaries:
    """The linearized boundaries of a classifier; remembers whether it can be differentiated for many classes at once."""

    def __init__(self, f: Callable[[Tensor], Tensor]) -> None:
        self._f = f
        self._vectorized = True

    def steps(self, x: Tensor, way: Tensor, y: Tensor | None, least: Tensor) -> tuple[Tensor, Tensor]:
        """From ``x + way`` (b, ...) to the nearest boundaries of the classes y, (b, ...); zero where there are none.

        Where the boundary is reached already, on across it by the length ``least`` (b,). With no ``y``, the classes predicted
        at ``x + way``. Also the logits there, (b, C).
        """
        n_rows = max(1, BLOCK_BYTES // (_CLASSES_AT_ONCE * x[0].numel() * x.element_size()))
        found = []
        for part in torch.arange(len(x), device=x.device).split(n_rows):
            z = (x[part] + way[part]).to(x.dtype)
            found.append(self._of_part(z, None if y is None else y[part], least[part]))
        steps, logits = zip(*found, strict=True)
        return torch.cat(steps).to(way.dtype), torch.cat(logits)

    def _of_part(self, z: Tensor, y: Tensor | None, least: Tensor) -> tuple[Tensor, Tensor]:
        """The steps from z (b, ...), comparing so many boundaries at a time as BLOCK_BYTES allow, and the logits there."""
        z = z.requires_grad_()
        logits = _logits(self._f, z)
        values = logits.detach()
        y = values.argmax(1) if y is None else y
        push = torch.where(_gap(values, y, _ROUNDING) <= 0, least, 0)
        differences = (values - values.gather(1, y[:, None])).abs()  # (b, C)
        each = torch.arange(len(z), device=z.device)
        step, shortest = torch.zeros_like(z, requires_grad=False), values.new_full((len(z),), math.inf)
        n_classes, width = values.shape[1], max(z[0].numel(), values.shape[1]) * z.element_size()
        for columns in torch.arange(n_classes - 1, device=z.device).split(max(1, BLOCK_BYTES // (len(z) * width))):
            others = columns + (columns >= y[:, None])  # (b, c), all classes but y
            w = self._gradients(logits, z, y, others.T)  # (c, b, ...)
            norms = torch.linalg.vector_norm(w.flatten(2), dim=2, dtype=torch.promote_types(w.dtype, torch.float32))
            distances = torch.where(norms > 0, differences.gather(1, others).T / norms, math.inf)
            found, k = distances.min(0)
            closer = found < shortest
            length, norm = (v[closer].reshape(-1, *[1] * (z.dim() - 1)) for v in (found + push, norms[k, each]))
            step[closer] = (length * (w[k, each][closer] / norm)).to(z.dtype)
            shortest = torch.where(closer, found, shortest)
        return step, values

    def _gradients(self, logits: Tensor, z: Tensor, y: Tensor, classes: Tensor) -> Tensor:
        """Gradients of f_k - f_y by z for the classes k (c, b), (c, b, ...)."""
        one_hot = torch.eye(logits.shape[1], dtype=logits.dtype, device=logits.device)
        directions = one_hot[classes] - one_hot[y]  # (c, b, C)
        if self._vectorized:
            try:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
                    return _gradient(logits, z, directions, batched=True)
            except RuntimeError:  # an operation that vmap does not know; should it be anything else, the loop says so
                self._vectorized = False
        return torch.stack([_gradient(logits, z, direction) for direction in directions])


def _gradient(outputs: Tensor, z: Tensor, direction: Tensor, *, batched: bool = False) -> Tensor:
    """direction^T d outputs / dz, zero where nothing depends on z; with ``batched``, for each row of ``direction``."""
    found: Tensor | None = None
    if outputs.requires_grad:
        found = torch.autograd.grad(
            outputs, z, direction, retain_graph=True, allow_unused=True, is_grads_batched=batched
        )[0]
    shape = (len(direction), *z.shape) if batched else z.shape
    return z.new_zeros(shape) if found is None else found


def _cross_entropy_sign(logits: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """Sign of the gradient of the cross entropy at y by z, (b, ...): -1, 0 or 1, without rounding to 0 by saturation."""
    own = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, y[:, None], True)
    odds = logits.masked_fill(own, -math.inf).logsumexp(1) - logits.gather(1, y[:, None])[:, 0]
    return _gradient(odds, z, torch.ones_like(odds)).sign()


def _gap(logits: Tensor, y: Tensor, rounding: int = 0) -> Tensor:
    """f_y minus the largest other logit, (B,); 0 where it is positive by rounding alone."""
    own = logits.gather(1, y[:, None])[:, 0]
    other = logits.scatter(1, y[:, None], -math.inf).amax(1)
    slack = rounding * torch.finfo(logits.dtype).eps * torch.maximum(own.abs(), other.abs())
    return torch.where((own > other) & (own - other <= slack), 0, own - other)


def _tried_gap(f: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    """The gap at x, (B,); not finite where x or the logits are not."""
    with torch.no_grad():
        gap = _gap(_logits(f, x), y, _ROUNDING) if len(x) else torch.zeros(0, device=x.device)
    return torch.where(x.isfinite().flatten(1).all(1), gap, math.nan)


def _logits(f: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    logits = f(z)
    if logits.dim() != 2 or len(logits) != len(z) or logits.shape[1] < 2:
        raise InvalidInput(f"expected logits (B, C), C >= 2, of {len(z)} inputs, got {tuple(logits.shape)}")
    return logits


def _nothing(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """No perturbation (B, ...), no gap and no step (B,)."""
    way = torch.zeros_like(x, dtype=torch.promote_types(x.dtype, torch.float32))
    return way, way.new_zeros(len(x)), torch.zeros(len(x), dtype=torch.long, device=x.device)


def _attack(way: Tensor, gap: Tensor, steps: Tensor) -> Attack:
    distance = torch.linalg.vector_norm(way.flatten(1), dim=1, dtype=torch.float64).to(way.dtype)
    return Attack(way, torch.where(gap.isfinite(), distance, math.nan), gap, steps)


@contextmanager
def _recording() -> Iterator[None]:
    """Autograd on, whatever the caller has switched off."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def _check_inputs(x: Tensor) -> None:
    if not isinstance(x, Tensor) or x.dim() < 2 or not x.is_floating_point():
        what = f"{tuple(x.shape)} of {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
        raise InvalidInput(f"expected floating inputs (B, ...) of at least two axes, got {what}")


def _check_count(value: object, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InvalidInput(f"{name} must be a whole number from 1, got {value!r}")


def _check_number(value: object, name: str, *, positive: bool) -> None:
    number = (
        float(value)
        if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        else math.nan
    )
    if not (math.isfinite(number) and number >= 0) or (positive and number == 0):
        raise InvalidInput(f"{name} must be a number {'above' if positive else 'from'} 0, got {value!r}")
