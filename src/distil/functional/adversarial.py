"""Distance of inputs from the decision boundary: the smallest change found that changes the classifier's prediction.

The classifier is a callable from inputs (B, ...) of any shape to logits (B, C). Each row of the logits depends on its own input
only, and autograd can differentiate the logits by the inputs. Parameters are not differentiated.
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

from distil.errors import InvalidInput, whole_number
from distil.functional.features import BLOCK_BYTES

# Logits that differ by at most this many units in the last place count as tied: an exact step to the boundary ends in a tie.
_ROUNDING = 4

# Inputs are cut into blocks whose gradients for this many classes fit into BLOCK_BYTES; more classes are computed in parts.
_CLASSES_AT_ONCE = 10

# A relative shift: distinct float32 numbers differ by at least 2**-24, and a shift below half of that keeps their order.
_TIE_BREAK = 2.0**-26


@dataclass(frozen=True, eq=False)
class Attack:
    """The result of an attack on B inputs.

    Attributes:
        perturbation: The change of each input, (B, ...), in float32 or float64.
        distance: L2 norm of each perturbation, (B,); NaN where the logits of the input itself are not finite.
        gap: Logit of the class first predicted minus the largest other logit, at the attacked point, (B,): at most 0 where the
            prediction changed, above 0 where it did not.
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
    """An attack with its settings; a frozen, hashable one can be the ``attack`` of a signal."""

    def __call__(self, f: Callable[[Tensor], Tensor], x: Tensor, /) -> Attack:
        """Attack the classifier ``f`` at the inputs ``x`` (B, ...)."""
        ...


@dataclass(frozen=True)
class DeepFool:
    """``deepfool`` with fixed settings.

    Attributes:
        max_iter: Largest number of steps for one input.
        overshoot: Share by which a perturbation is lengthened when it is tested.
    """

    max_iter: int = 50
    overshoot: float = 0.02

    def __post_init__(self) -> None:
        _check_count(self.max_iter, "max_iter")
        _check_number(self.overshoot, "overshoot", positive=False)

    def __call__(self, f: Callable[[Tensor], Tensor], x: Tensor, /) -> Attack:
        """Attack the classifier ``f`` at the inputs ``x`` (B, ...); see ``deepfool``."""
        _check_inputs(x)
        with _recording():
            x = x.detach()
            perturbation, gap, steps = _unattacked(x)
            rows = torch.arange(len(x), device=x.device)
            y: Tensor | None = None
            boundaries = _Boundaries(f)
            for _ in range(self.max_iter):
                if len(rows) == 0:
                    break
                start, before = x[rows], perturbation[rows]
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
                moved = step.flatten(1).any(1) & left.isfinite()  # the step is zero where no class has a gradient
                perturbation[rows[moved]] = trial[moved]
                gap[rows[moved]] = left[moved]
                steps[rows[moved]] += 1
                going = moved & (left > 0)
                rows, y = rows[going], y[going]
            return _attack(perturbation, gap, steps)


@dataclass(frozen=True)
class BIM:
    """``bim`` with fixed settings.

    Attributes:
        eps: Change of each input feature in one step.
        max_steps: Largest number of steps for one input.
    """

    eps: float = 0.05
    max_steps: int = 1000

    def __post_init__(self) -> None:
        _check_number(self.eps, "eps", positive=True)
        _check_count(self.max_steps, "max_steps")

    def __call__(self, f: Callable[[Tensor], Tensor], x: Tensor, /) -> Attack:
        """Attack the classifier ``f`` at the inputs ``x`` (B, ...); see ``bim``."""
        _check_inputs(x)
        with _recording():
            x = x.detach()
            counts, gap, steps = _unattacked(x)  # in units of eps: no rounding adds up, equal paths are equally long
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
                kept = finite if step else torch.ones_like(finite)  # a step to logits that are not finite is not taken
                gap[rows[kept]] = left[kept].to(gap.dtype)
                steps[rows[kept]] = step
                going, move = finite & (left > 0), trial
                if step == self.max_steps or not bool(going.any()):
                    going = torch.zeros_like(going)
                else:
                    move = _cross_entropy_sign(logits, z, y)
                    going &= move.flatten(1).any(1)  # stop where every gradient is zero
                    if step:
                        going &= (trial != been).flatten(1).any(1)  # stop where the path is a cycle
                if not bool(going.all()):
                    there = torch.where(kept.reshape(-1, *[1] * (x.dim() - 1)), trial, before)
                    counts[rows[~going]] = there[~going]
                    rows, start, y, trial, been, move = (t[going] for t in (rows, start, y, trial, been, move))
                been = trial if step & (step - 1) == 0 else been  # kept at powers of two: finds any cycle (Brent 1980)
                before, trial = trial, trial + move
            return _attack(self.eps * counts, gap, steps)


def deepfool(f: Callable[[Tensor], Tensor], x: Tensor, *, max_iter: int = 50, overshoot: float = 0.02) -> Attack:
    """Step to the nearest linearized boundary until the prediction changes.

    Moosavi-Dezfooli et al. 2016, algorithm 2; Ducoffe and Precioso 2018 query by its distance. Let w_k be the gradient of logit
    f_k and y the class first predicted. A step goes to the nearest of the hyperplanes on which f_k = f_y for the linearized f:
    |f_k - f_y| / ||w_k - w_y|| away, along w_k - w_y. A linear classifier takes one step, whose length is the exact distance
    of its boundary.

    Deliberate choices: ``overshoot`` lengthens the perturbation only to test whether it changes the prediction. The perturbation
    that is returned ends on the boundary, so ``x + (1 + overshoot) * perturbation`` is beyond the boundary. Steps are taken from
    the point without overshoot, as in the paper (the authors' code takes them from the point with it, and so reports up
    to 2 % less). Where that point has crossed the boundary and the lengthened one has not, the boundary bends back; the step is
    then longer by ``overshoot`` times the perturbation. Logits equal within rounding count as a changed prediction. Classes
    without a gradient are skipped. An input for which no class has a gradient is not moved and not crossed; an input that
    reaches ``max_iter`` is not crossed.

    Args:
        f: Classifier, from inputs (B, ...) to logits (B, C), C >= 2.
        x: Inputs, (B, ...), floating.
        max_iter: Largest number of steps for one input.
        overshoot: Share by which a perturbation is lengthened when it is tested.

    Returns:
        The attack on each input.

    Raises:
        InvalidInput: ``x`` is not (B, ...) floating, ``f`` does not return (B, C), or a setting is out of range.

    Cost: a step of B inputs is one forward pass, C - 1 backward passes in one vectorized call, and one forward pass without
    gradients to test the result; usually 1 to 4 steps. Finished inputs are not computed again. At most BLOCK_BYTES of input
    gradients are held at once (or those of one input for one class); gradients of hidden layers are larger in proportion.
    """
    return DeepFool(max_iter, overshoot)(f, x)


def bim(f: Callable[[Tensor], Tensor], x: Tensor, *, eps: float = 0.05, max_steps: int = 1000) -> Attack:
    """Move every feature by ``eps`` in the direction that raises the loss, repeatedly, until the prediction changes.

    The basic iterative method of Kurakin, Goodfellow and Bengio 2017, section 2.2: x <- x + eps sign(grad_x J(x, y)), J the cross
    entropy at the class y first predicted. The paper, and the DISTIL document's equation 1.2, clip x to a ball around the
    input, because they search for an invisible change. Here, as in the published strategy, x is not
    clipped: the aim is the distance of the boundary, and only the nearest inputs would reach theirs within a ball of one
    step's size.

    The sign is that of the gradient of g = log sum_{k != y} exp f_k - f_y. J is the softplus of g, an increasing function, so
    both gradients have the same sign; where softmax is saturated, J and its gradient round to 0, but the gradient of g still
    points to the boundary. An input stops without crossing where that gradient is zero in every feature, when it returns to an
    earlier point (its path would be a cycle), or after ``max_steps``.

    Args:
        f: Classifier, from inputs (B, ...) to logits (B, C), C >= 2.
        x: Inputs, (B, ...), floating.
        eps: Change of each feature in one step.
        max_steps: Largest number of steps for one input.

    Returns:
        The attack on each input; a perturbation is a whole number of ``eps`` in each feature, so distances are quantized.

    Raises:
        InvalidInput: ``x`` is not (B, ...) floating, ``f`` does not return (B, C), or a setting is out of range.

    Cost: one forward and one backward pass a step for the unfinished inputs; about gap / (eps ||w||_1) steps.
    """
    return BIM(eps, max_steps)(f, x)


def closeness(distance: Tensor, gap: Tensor) -> Tensor:
    """Score of closeness to the boundary, (N,): larger is closer.

    Where the boundary was crossed, the score is the inverse of the distance. Distances equal in single precision are ordered by the
    logit gap: the further beyond the boundary the attack ended, the closer the input. Inputs whose attack did not cross rank
    after all others, with the score -gap: the smaller the remaining gap, the closer.

    Args:
        distance: L2 norms of the perturbations, (N,).
        gap: Remaining logit gaps, (N,), at most 0 where the boundary was crossed.

    Returns:
        (N,) float64, finite; above 0 where the boundary was crossed, below 0 where it was not.

    >>> closeness(torch.tensor([2.0, 0.5, 9.0, 1.0]), torch.tensor([-1.0, -1.0, 3.0, 0.25])).round(decimals=3)
    tensor([ 0.5000,  2.0000, -3.0000, -0.2500], dtype=torch.float64)
    """
    gap = gap.double()
    single = distance.float().double().clamp_min(torch.finfo(torch.float32).tiny / 2)  # so that 0 is closer than any
    return torch.where(gap <= 0, 1 / (single * (1 + _TIE_BREAK * gap / (1 + gap.abs()))), -gap)


class _Boundaries:
    """The linearized boundaries of a classifier; remembers whether autograd can differentiate many classes at once."""

    def __init__(self, f: Callable[[Tensor], Tensor]) -> None:
        self._f = f
        self._vectorized = True

    def steps(self, x: Tensor, perturbation: Tensor, y: Tensor | None, least: Tensor) -> tuple[Tensor, Tensor]:
        """Steps (b, ...) from ``x + perturbation`` to the nearest boundaries of the classes y, and the logits (b, C) there.

        A step is zero where there is no boundary. Where the boundary is already reached, the step crosses it by the length
        ``least`` (b,). Without ``y``, the classes are those predicted at ``x + perturbation``.
        """
        n_rows = max(1, BLOCK_BYTES // (_CLASSES_AT_ONCE * x[0].numel() * x.element_size()))
        found = []
        for part in torch.arange(len(x), device=x.device).split(n_rows):
            z = (x[part] + perturbation[part]).to(x.dtype)
            found.append(self._of_part(z, None if y is None else y[part], least[part]))
        steps, logits = zip(*found, strict=True)
        return torch.cat(steps).to(perturbation.dtype), torch.cat(logits)

    def _of_part(self, z: Tensor, y: Tensor | None, least: Tensor) -> tuple[Tensor, Tensor]:
        """The steps from z (b, ...) and the logits there; compares as many boundaries at a time as BLOCK_BYTES allow."""
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
        """Gradients (c, b, ...) of f_k - f_y by z for the classes k (c, b)."""
        one_hot = torch.eye(logits.shape[1], dtype=logits.dtype, device=logits.device)
        directions = one_hot[classes] - one_hot[y]  # (c, b, C)
        if self._vectorized:
            try:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
                    return _gradient(logits, z, directions, batched=True)
            except RuntimeError:  # an operation without a vmap rule; any other error is raised again by the loop
                self._vectorized = False
        return torch.stack([_gradient(logits, z, direction) for direction in directions])


def _gradient(outputs: Tensor, z: Tensor, direction: Tensor, *, batched: bool = False) -> Tensor:
    """direction^T d outputs / dz, zero where the outputs do not depend on z; ``batched``: for each row of ``direction``."""
    found: Tensor | None = None
    if outputs.requires_grad:
        found = torch.autograd.grad(
            outputs, z, direction, retain_graph=True, allow_unused=True, is_grads_batched=batched
        )[0]
    shape = (len(direction), *z.shape) if batched else z.shape
    return z.new_zeros(shape) if found is None else found


def _cross_entropy_sign(logits: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """Sign (-1, 0 or 1) of the gradient of the cross entropy at y by z, (b, ...), also where softmax is saturated."""
    own = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, y[:, None], True)
    odds = logits.masked_fill(own, -math.inf).logsumexp(1) - logits.gather(1, y[:, None])[:, 0]
    return _gradient(odds, z, torch.ones_like(odds)).sign()


def _gap(logits: Tensor, y: Tensor, rounding: int = 0) -> Tensor:
    """f_y minus the largest other logit, (B,); 0 where it is positive only through rounding."""
    own = logits.gather(1, y[:, None])[:, 0]
    other = logits.scatter(1, y[:, None], -math.inf).amax(1)
    slack = rounding * torch.finfo(logits.dtype).eps * torch.maximum(own.abs(), other.abs())
    return torch.where((own > other) & (own - other <= slack), 0, own - other)


def _tried_gap(f: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    """The gap at x, (B,); not finite where x or the logits are not finite."""
    with torch.no_grad():
        gap = _gap(_logits(f, x), y, _ROUNDING) if len(x) else torch.zeros(0, device=x.device)
    return torch.where(x.isfinite().flatten(1).all(1), gap, math.nan)


def _logits(f: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    logits = f(z)
    if logits.dim() != 2 or len(logits) != len(z) or logits.shape[1] < 2:
        raise InvalidInput(
            f"expected logits (B, C), C >= 2, for {len(z)} inputs, got {tuple(logits.shape)}; check the classifier"
        )
    return logits


def _unattacked(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Zeros: the perturbation (B, ...), the gap (B,) and the steps (B,) before an attack."""
    perturbation = torch.zeros_like(x, dtype=torch.promote_types(x.dtype, torch.float32))
    return perturbation, perturbation.new_zeros(len(x)), torch.zeros(len(x), dtype=torch.long, device=x.device)


def _attack(perturbation: Tensor, gap: Tensor, steps: Tensor) -> Attack:
    distance = torch.linalg.vector_norm(perturbation.flatten(1), dim=1, dtype=torch.float64).to(perturbation.dtype)
    return Attack(perturbation, torch.where(gap.isfinite(), distance, math.nan), gap, steps)


@contextmanager
def _recording() -> Iterator[None]:
    """Switch autograd on, also inside the caller's ``no_grad`` or ``inference_mode``."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def _check_inputs(x: Tensor) -> None:
    if not isinstance(x, Tensor) or x.dim() < 2 or not x.is_floating_point():
        what = f"{tuple(x.shape)} of {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
        raise InvalidInput(f"expected floating inputs (B, ...) with at least two axes, got {what}")


def _check_count(value: object, name: str) -> None:
    if whole_number(value, 1) is None:
        raise InvalidInput(f"{name} must be a whole number from 1, got {value!r}")


def _check_number(value: object, name: str, *, positive: bool) -> None:
    number = (
        float(value)
        if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        else math.nan
    )
    if not (math.isfinite(number) and number >= 0) or (positive and number == 0):
        raise InvalidInput(f"{name} must be a number {'above' if positive else 'from'} 0, got {value!r}")
