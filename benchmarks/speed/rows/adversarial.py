"""DeepFool and BIM: how far inputs are from the decision boundary."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.speed import models
from benchmarks.speed.spec import Bar, Found, Given, Prepared, Row, Way
from distil.functional.adversarial import bim, deepfool

STEPS, OVERSHOOT, EPS = 50, 0.02, 0.05


def _network(given: Given) -> nn.Module:
    return models.read(given).requires_grad_(False)


def deepfool_distil(given: Given) -> Prepared:
    """The library's implementation: all inputs at once."""
    network, x = _network(given), given.tensor("x")
    return lambda _: _mean(deepfool(network, x, max_iter=STEPS, overshoot=OVERSHOOT).distance)


def bim_distil(given: Given) -> Prepared:
    """The library's implementation: all inputs at once."""
    network, x = _network(given), given.tensor("x")
    return lambda _: _mean(bim(network, x, eps=EPS).distance)


def deepfool_naive(given: Given) -> Prepared:
    """One input at a time and one backward pass per class, as in DISTIL and DeepAL."""
    network, x = _network(given), given.tensor("x")
    return lambda _: _mean(torch.stack([_deepfool(network, row[None]) for row in x]))


def bim_naive(given: Given) -> Prepared:
    """One input at a time."""
    network, x = _network(given), given.tensor("x")
    return lambda _: _mean(torch.stack([_bim(network, row[None]) for row in x]))


def _deepfool(network: nn.Module, x: Tensor) -> Tensor:
    """The step to the boundary, without the overshoot."""
    way = torch.zeros_like(x)
    y = int(network(x).argmax())
    for _ in range(STEPS):
        z = (x + way).requires_grad_()
        logits = network(z)[0]
        values = logits.tolist()
        own = torch.autograd.grad(logits[y], z, retain_graph=True)[0]
        best, step = float("inf"), torch.zeros_like(x)
        for k in range(len(logits)):
            if k == y:
                continue
            w = torch.autograd.grad(logits[k], z, retain_graph=True)[0] - own
            norm = float(w.norm())
            distance = abs(values[k] - values[y]) / norm
            if distance < best:
                best, step = distance, w * (distance / norm)
        way = way + step
        if int(network(x + (1 + OVERSHOOT) * way).argmax()) != y:
            break
    return way.norm()


def _bim(network: nn.Module, x: Tensor) -> Tensor:
    way = torch.zeros_like(x)
    y = network(x).argmax(1)
    for _ in range(1000):
        z = (x + way).requires_grad_()
        logits = network(z)
        if int(logits.argmax()) != int(y):
            break
        loss = nn.functional.cross_entropy(logits, y)
        way = way + EPS * torch.autograd.grad(loss, z)[0].sign()
    return way.norm()


def _mean(distances: Tensor) -> Found:
    return Found(value=float(distances.double().mean()))


def _row(attack: str, network: str, c: int, ratio: float, per_sample: float, n: int = 1000) -> Row:
    title = {"deepfool": "DeepFool", "bim": "BIM"}[attack]
    return Row(
        f"{attack}_{network}" + ("_classes" if c > 10 else ""),
        f"{title}, {network.upper()}" + (f", {c} classes" if c > 10 else ""),
        {"n": n, "c": c, "cnn": int(network == "cnn")},
        models.write,
        (
            Way("distil", "distil", f"{__name__}:{attack}_distil"),
            Way("an input at a time", "naive", f"{__name__}:{attack}_naive"),
        ),
        lambda size: (Bar("ratio", ratio, "naive"), Bar("seconds", per_sample * size["n"])),
        value_name="mean distance",
    )


ROWS = (
    _row("deepfool", "mlp", 10, 27, 0.065e-3),
    _row("deepfool", "mlp", 100, 43, 0.65e-3, n=300),
    _row("deepfool", "cnn", 10, 10, 0.56e-3),
    _row("bim", "mlp", 10, 17, 0.02e-3),
    _row("bim", "cnn", 10, 5, 0.17e-3),
)
