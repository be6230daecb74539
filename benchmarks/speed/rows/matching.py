"""GRAD-MATCH, its orthogonal matching pursuit, and GLISTER, on factored gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from benchmarks.speed import data
from benchmarks.speed.rows.badge import residuals, written_out
from benchmarks.speed.spec import Bar, Found, Given, Prepared, Row, Size, Way
from distil.functional import glister as gains
from distil.functional.features import Outer
from distil.functional.matching import fixed_weight_matching, orthogonal_matching_pursuit

RIDGE = 0.5
LR = 0.05


def gradmatch(given: Given) -> Prepared:
    """The library's implementation, with fixed weights."""
    x = Outer(residuals(given), given.tensor("x"))
    share = given.size["k"] / len(x)
    return lambda k: Found(fixed_weight_matching(x, _sum(x) * share, k).numpy())


def gradmatch_naive(given: Given) -> Prepared:
    """On the factors: all products with the residual, computed anew for every pick."""
    a, h = residuals(given), given.tensor("x")

    def run(k: int) -> Found:
        half = (a * a).sum(1) * (h * h).sum(1) / 2
        residual = a.T @ h * (given.size["k"] / len(a))
        picks: list[int] = []
        for _ in range(k):
            score = torch.linalg.vecdot(h @ residual.T, a).sub_(half)
            score[picks] = -torch.inf
            row = int(score.argmax())
            picks.append(row)
            residual -= torch.outer(a[row], h[row])
        return Found(np.array(picks))

    return run


def gradmatch_materialized(given: Given) -> Prepared:
    """As DISTIL 0.1: the (N, C D) gradients in memory; the remaining ones are copied for every pick."""
    gradients = _written(given)

    def run(k: int) -> Found:
        half = gradients.square().sum(1) / 2
        residual = gradients.sum(0) * (
            given.size["k"] / len(gradients)
        )  # the number of all picks, of which only some are made
        left, picks = list(range(len(gradients))), []
        for _ in range(k):
            row = left[int((gradients[left] @ residual - half[left]).argmax())]
            picks.append(row)
            left.remove(row)
            residual = residual - gradients[row]
        return Found(np.array(picks))

    return run


def omp(given: Given) -> Prepared:
    """The library's pursuit."""
    x = Outer(residuals(given), given.tensor("x"))
    return lambda k: Found(orthogonal_matching_pursuit(x, _sum(x), k, ridge=RIDGE)[0].numpy())


def omp_naive(given: Given) -> Prepared:
    """The (N, C D) gradients in memory; a product with all of them and a non-negative least-squares problem for every pick."""
    gradients = _written(given)

    def run(k: int) -> Found:
        target = gradients.sum(0)
        residual, picks = target, []
        for _ in range(k):
            score = gradients @ residual
            score[picks] = -torch.inf
            picks.append(int(score.argmax()))
            taken = gradients[picks].double().cpu()  # (i, C D)
            ridge = RIDGE**0.5 * np.eye(len(picks))
            columns = np.concatenate([taken.numpy().T, ridge])
            weights, _ = nnls(columns, np.concatenate([target.double().cpu().numpy(), np.zeros(len(picks))]))
            residual = target - (torch.from_numpy(weights) @ taken).to(target)
        return Found(np.array(picks))

    return run


def glister(given: Given) -> Prepared:
    """The library's implementation."""
    x = Outer(residuals(given), given.tensor("x"), bias=True)
    judges = [gains.Judges(given.tensor("v_logits"), given.tensor("v_x"), given.tensor("v_y"))]
    return lambda k: Found(gains.glister(x, judges, k, lr=LR).numpy())


def glister_naive(given: Given) -> Prepared:
    """On the factors: the gradient of the validation set and all products with it, computed anew for every pick."""
    a, h = residuals(given), given.tensor("x")
    logits, v, y = given.tensor("v_logits"), given.tensor("v_x"), given.tensor("v_y")

    def run(k: int) -> Found:
        z, picks = logits.clone(), []
        for _ in range(k):
            errors = _errors(z, y)
            score = torch.linalg.vecdot(h @ (errors.T @ v).T + errors.sum(0), a)
            score[picks] = -torch.inf
            row = int(score.argmax())
            picks.append(row)
            z -= LR * torch.outer(v @ h[row] + 1, a[row])
        return Found(np.array(picks))

    return run


def glister_materialized(given: Given) -> Prepared:
    """As DISTIL 0.1: all gradients in memory, also of the validation set; the remaining ones are copied for every pick."""
    gradients = _written(given, bias=True)
    logits, v, y = given.tensor("v_logits"), given.tensor("v_x"), given.tensor("v_y")
    c, d = logits.shape[1], v.shape[1]

    def run(k: int) -> Found:
        z, picks = logits.clone(), []
        left = list(range(len(gradients)))
        for _ in range(k):
            errors = _errors(z, y)
            theirs = errors.repeat_interleave(d, dim=1) * v.repeat(1, c)
            mean = torch.cat([errors, theirs], 1).mean(0)
            row = left[int((gradients[left] @ mean).argmax())]
            picks.append(row)
            left.remove(row)
            step = gradients[row]
            z = z - LR * (v @ step[c:].view(c, d).T + step[:c])
        return Found(np.array(picks))

    return run


def judged(size: Size, folder: Path) -> None:
    """The mixture, and a validation set: ``v_x`` (V, D), ``v_logits`` (V, C) and ``v_y`` (V,)."""
    source = data.Mixture(size["d"], size["c"])
    x, v = source.rows(size["n"]), source.rows(size["v"])
    logits = v @ source.head
    y = np.random.default_rng(1).integers(size["c"], size=len(v))
    labels = np.where(np.arange(len(v)) % 3 == 0, y, logits.argmax(1))
    data.save(folder, {"x": x, "probs": source.probs(x), "v_x": v, "v_logits": logits, "v_y": labels})


def _errors(logits: Tensor, y: Tensor) -> Tensor:
    errors = logits.softmax(1)
    errors[torch.arange(len(y), device=y.device), y] -= 1
    return errors


def _sum(x: Outer) -> Tensor:
    return x.a.T @ x.b


def _written(given: Given, bias: bool = False) -> Tensor:
    return Outer(residuals(given), given.tensor("x"), bias=bias).dense()


def _ways(name: str, materialized: tuple[int, int]) -> tuple[Way, ...]:
    return (
        Way("distil", "distil", f"{__name__}:{name}"),
        Way("one pass a pick, torch", "naive", f"{__name__}:{name}_naive"),
        Way("as DISTIL 0.1", "materialized", f"{__name__}:{name}_materialized", short=materialized, needs=written_out),
    )


ROWS = (
    Row(
        "gradmatch",
        "GRAD-MATCH, fixed weights",
        {"n": 10_000, "d": 512, "c": 100, "k": 500},
        data.mixture,
        _ways("gradmatch", (1, 5)),
        lambda _: (Bar("ratio", 1000, "materialized"), Bar("seconds", 0.32)),
    ),
    Row(
        "omp",
        "GRAD-MATCH, matching pursuit",
        {"n": 10_000, "d": 256, "c": 10, "k": 100},
        data.mixture,
        (
            Way("distil", "distil", f"{__name__}:omp"),
            Way("gradients written out, SciPy's NNLS", "naive", f"{__name__}:omp_naive", needs=written_out),
        ),
        lambda _: (Bar("ratio", 18, "naive"), Bar("seconds", 0.03)),
    ),
    Row(
        "glister",
        "GLISTER",
        {"n": 10_000, "d": 256, "c": 10, "k": 500, "v": 1000},
        judged,
        _ways("glister", (5, 25)),
        lambda size: (Bar("ratio", 50, "materialized"), Bar("seconds", 1e-3 * size["k"])),
    ),
    Row(
        "glister_classes",
        "GLISTER, 100 classes",
        {"n": 10_000, "d": 512, "c": 100, "k": 100, "v": 500},
        judged,
        _ways("glister", (1, 4)),
        lambda size: (Bar("ratio", 200, "materialized"), Bar("seconds", 6e-3 * size["k"])),
    ),
)
