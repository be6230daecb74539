"""Heads that no layer shows: calls of functions, and logits that are changed behind the head."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from distil.errors import UnsupportedModel
from distil.measuring.network_source import NetworkSource
from distil.networks.head import places_of
from distil.networks.wrap import wrap
from distil.rng import Rng
from distil.selection.choose import gather
from distil.signals import Embedding, Gradient, Logits
from distil.system.runtime import Runtime

N = 12
X = torch.randn(N, 6, generator=torch.Generator().manual_seed(0))
STEPS = torch.randn(N, 7, 6, generator=torch.Generator().manual_seed(1))
HIDDEN = torch.tensor([False, True, False])
IMAGES = torch.randn(N, 6, 5, 5, generator=torch.Generator().manual_seed(2))


class Net(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.body, self.fc, self.conv = nn.Linear(6, 5), nn.Linear(5, 3), nn.Conv2d(6, 3, 1)
        self.temperature = nn.Parameter(torch.tensor(2.0))
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


def measured(model, data):
    source = NetworkSource(wrap(model), data, torch.arange(N))
    table = gather(source, (Logits(), Embedding()), Runtime(batch_size=N - 1), Rng(0))  # the last minibatch has one row
    return table[Logits()], table[Embedding()]


def test_the_embedding_is_the_input_of_the_head(case, seeded):
    rows = lambda m, x: m.body(x).relu()  # noqa: E731
    steps = lambda choose: lambda m, x: choose(m.body(x))  # noqa: E731
    last = torch.arange(N) % 7
    for name, forward, hidden, data in [
        ("a temperature", lambda m, x: m.fc(rows(m, x)) / m.temperature, rows, X),
        ("an offset", lambda m, x: m.fc(rows(m, x)) + torch.ones(3), rows, X),
        ("relu", lambda m, x: m.fc(rows(m, x)).relu(), rows, X),
        ("scaled tanh", lambda m, x: 10 * torch.tanh(m.fc(rows(m, x))), rows, X),
        ("a function", lambda m, x: F.linear(rows(m, x), m.fc.weight, m.fc.bias), rows, X),
        ("a matrix product", lambda m, x: rows(m, x) @ m.fc.weight.T, rows, X),
        ("addmm", lambda m, x: torch.addmm(m.fc.bias, rows(m, x), m.fc.weight.T), rows, X),
        ("masked classes", lambda m, x: m.fc(rows(m, x)).masked_fill(HIDDEN, -torch.inf), rows, X),
        ("masked by where", lambda m, x: torch.where(HIDDEN, -torch.inf, m.fc(rows(m, x))), rows, X),
        ("a cosine", lambda m, x: 9 * F.linear(F.normalize(rows(m, x)), F.normalize(m.fc.weight)), None, X),
        ("the last step", lambda m, x: m.fc(m.body(x))[:, -1], steps(lambda h: h[:, -1]), STEPS),
        ("the mean of steps", lambda m, x: m.fc(m.body(x)).mean(1) / 3, steps(lambda h: h.mean(1)), STEPS),
        (
            "a function at the last step",
            lambda m, x: F.linear(m.body(x), m.fc.weight)[:, -1],
            steps(lambda h: h[:, -1]),
            STEPS,
        ),
        ("a convolution behind relu", lambda m, x: m.conv(x).relu().mean((2, 3)), lambda m, x: x.mean((2, 3)), IMAGES),
        ("one place", lambda m, x: m.conv(x)[:, :, 0, 0] * 2, lambda m, x: x[:, :, 0, 0], IMAGES),
        ("a view", lambda m, x: m.conv(x[:, :, :1, :1]).view(-1, 3) * 2, lambda m, x: x[:, :, 0, 0], IMAGES),
        ("columns of a layer", lambda m, x: (m.fc.weight @ m.body(x).mul(1).T).T, lambda m, x: m.body(x), X),
        ("a head before another", lambda m, x: (m.fc(rows(m, x)) * 2, m.body(x))[0], rows, X),
    ]:
        with case(name):
            model = seeded(Net, forward).eval()
            logits, embedding = measured(model, data)
            with torch.no_grad():
                torch.testing.assert_close(logits, model(data))
                expected = F.normalize(rows(model, data)) if hidden is None else hidden(model, data)
                torch.testing.assert_close(embedding, expected)
    assert len(last) == N


class LoRA(nn.Module):
    """A Linear with a low-rank term, as in packages for fine-tuning."""

    def __init__(self, base, scale=0.5):
        super().__init__()
        self.base, self.scale, self.dropout = base, scale, nn.Dropout(0.3)
        self.down, self.up = nn.Linear(base.in_features, 2, bias=False), nn.Linear(2, base.out_features, bias=False)

    def forward(self, x):
        result = self.base(x)
        result += self.up(self.down(self.dropout(x.to(self.down.weight.dtype)))) * self.scale
        return result


def in_parts(m, h):
    return torch.cat([F.linear(h, m.fc.weight[:2], m.fc.bias[:2]), F.linear(h, m.fc.weight[2:], m.fc.bias[2:])], 1)


def columns(m, h):
    return [F.linear(h, weight[None], bias) for weight, bias in zip(m.fc.weight, m.fc.bias, strict=True)]


LINEAR_HEADS = {
    "LoRA": lambda m, h: m.lora(h),
    "LoRA without modules": lambda m, h: (
        m.fc(h) + h @ m.lora.down.weight.T @ m.lora.up.weight.T - h @ h.new_ones(5, 3) / 7
    ),
    "einsum": lambda m, h: torch.einsum("bd,cd->bc", h, m.fc.weight) + m.fc.bias,
    "einsum, weights first": lambda m, h: torch.einsum("c d, b d -> b c", [m.fc.weight, h]),
    "bmm": lambda m, h: torch.bmm(h[:, None], m.fc.weight.T.expand(len(h), -1, -1))[:, 0],
    "a matrix and a column for each example": lambda m, h: (m.fc.weight @ h[:, :, None] + m.fc.bias[:, None])[:, :, 0],
    "matmul and squeeze": lambda m, h: torch.matmul(m.fc.weight, h.unsqueeze(-1)).squeeze(-1) + m.fc.bias,
    "bmm, weights first": lambda m, h: torch.bmm(m.fc.weight.expand(len(h), -1, -1), h[:, :, None])[:, :, 0],
    "a batch of one matrix": lambda m, h: (m.fc.weight[None] @ h[:, :, None]).squeeze(-1) + m.fc.bias,
    "bmm with a copy for each example": lambda m, h: torch.bmm(h[:, None], m.fc.weight.T.repeat(len(h), 1, 1))[:, 0],
    "copies, then transposed": lambda m, h: torch.bmm(h[:, None], m.fc.weight.repeat(len(h), 1, 1).mT).squeeze(1),
    "copies of a batch of one": lambda m, h: torch.bmm(
        m.fc.weight[None].repeat_interleave(len(h), 0), h[:, :, None]
    ).squeeze(2),
    "expanded and contiguous": lambda m, h: torch.baddbmm(
        m.fc.bias, h[:, None], m.fc.weight.T.expand(len(h), -1, -1).contiguous()
    )[:, 0],
    "a matrix and columns": lambda m, h: (m.fc.weight @ h.T).T + m.fc.bias,
    "a matrix and columns with a bias": lambda m, h: (m.fc.weight @ h.t() + m.fc.bias[:, None]).transpose(0, 1) / 1,
    "addmm of columns": lambda m, h: torch.addmm(m.fc.bias[:, None], m.fc.weight, h.T).permute(1, 0),
    "a convolution without a batch": lambda m, h: F.conv1d(h.t(), m.fc.weight[:, :, None], m.fc.bias).t(),
    "a transposed stack": lambda m, h: torch.stack([linear[:, 0] for linear in columns(m, h)]).T,
    "a transposed stack of products": lambda m, h: torch.stack([h @ row for row in m.fc.weight]).t(),
    "bias first": lambda m, h: m.fc.bias + h @ m.fc.weight.T,
    "behind products of examples": lambda m, h: F.linear(
        h + 0 * (h[:, None] @ h[:, :, None] * h[:, None]).sum(1), m.fc.weight, m.fc.bias
    ),
    "a sum of products": lambda m, h: (h[:, None] * m.fc.weight).sum(-1) + m.fc.bias,
    "products, weights first": lambda m, h: (m.fc.weight.T[None] * h[:, :, None]).sum(dim=1),
    "inner": lambda m, h: torch.inner(h, m.fc.weight),
    "a stack of columns": lambda m, h: torch.stack([linear[:, 0] for linear in columns(m, h)], 1),
    "a stack of layers": lambda m, h: torch.stack(columns(m, h), dim=1).squeeze(-1) * 2 / 2,
    "a stack along the last axis": lambda m, h: torch.stack(columns(m, h), dim=-1)[:, 0],
    "the mean of heads": lambda m, h: torch.stack([m.fc(h), m.lora.base(h)]).mean(0),
    "the sum of heads in a list": lambda m, h: sum([m.fc(h), m.lora.base(h)]) / 2,
    "less the mean": lambda m, h: m.fc(h) - m.fc(h).mean(1, keepdim=True),
    "less their mean": lambda m, h: (lambda z: z - z.mean(-1)[:, None])(m.fc(h)),
    "several heads": in_parts,
    "a sum of heads": lambda m, h: 2 * m.fc(h) - m.lora.base(h) / 3,
}


def test_heads_of_several_calls_are_linear_in_their_input(case, seeded):
    """The gradient by the merged weight, by finite differences: moving the weight of one call moves the merged weight."""
    for name, head in LINEAR_HEADS.items():
        with case(name):
            model = Net(lambda m, x, head=head: head(m, m.body(x).relu())).double()
            model.lora = LoRA(model.fc).double()
            x = X.double()
            source = NetworkSource(wrap(model), x, torch.arange(N))
            table = gather(source, (Logits(), Embedding()), Runtime(batch_size=N - 1), Rng(0))
            hidden = model.eval().body(x).relu().detach()
            torch.testing.assert_close(table[Embedding()], hidden)
            y = table[Logits()].argmax(1)
            gradient = table[Gradient()].dense().view(N, 3, 5)
            if name == "a sum of heads":  # 2 - 1/3 times the one weight of both
                gradient = gradient * (5 / 3)
            for c, d in [(0, 0), (1, 3), (2, 4)]:
                losses = []
                for step in (1e-5, -1e-5):
                    with torch.no_grad():
                        model.fc.weight[c, d] += step
                        losses.append(F.cross_entropy(model(x), y, reduction="none"))
                        model.fc.weight[c, d] -= step
                torch.testing.assert_close((losses[0] - losses[1]) / 2e-5, gradient[:, c, d], atol=1e-7, rtol=1e-6)


def test_heads_that_are_not_linear_in_one_input_have_no_embedding(case, seeded):
    def added_in_place(m, h):
        out = m.fc(h)
        out += m.fc(h.exp())
        return out

    def changed_between(m, h):
        return m.fc(h) + F.linear(h.sub_(0.1), m.fc.weight)

    for name, head in {
        "a sum of heads of two inputs": lambda m, h: m.fc(h) + m.fc(h.exp()),
        "added in place": added_in_place,
        "changed in place": changed_between,
        "a nonlinear term": lambda m, h: m.fc(h) + m.fc(h).tanh(),
        "parts of two inputs": lambda m, h: torch.cat([m.fc(h)[:, :2], m.fc(h.exp())[:, 2:]], 1),
        "distances": lambda m, h: -torch.cdist(h, m.fc.weight),
        "cosines": lambda m, h: F.cosine_similarity(h[:, None], m.fc.weight[None], dim=2),
        "weights of each example": lambda m, h: torch.bmm(h[:, None], m.fc.weight.T * h[:, :1, None])[:, 0],
        "an einsum of products": lambda m, h: torch.einsum("bd,bd,cd->bc", h, h, m.fc.weight),
        "products of each example": lambda m, h: (h[:, None] * (m.fc.weight * h[:, :1, None])).sum(-1),
        "products summed over classes": lambda m, h: (h[:, None] * m.fc.weight).sum(1)[:, :3],
        "a stack of two inputs": lambda m, h: torch.stack([m.fc(h)[:, 0], m.fc(h.exp())[:, 1]], 1),
        "the mean of two inputs": lambda m, h: torch.stack([m.fc(h), m.fc(h.exp())]).mean(0),
        "less the mean of another input": lambda m, h: m.fc(h) - m.fc(h.exp()).mean(1, keepdim=True),
        "less the mean of the examples": lambda m, h: m.fc(h) - m.fc(h).mean(0, keepdim=True),
        "copies that are changed": lambda m, h: torch.bmm(
            h[:, None], m.fc.weight.T.repeat(len(h), 1, 1).mul_(h[:, :1, None])
        )[:, 0],
        "copies of the rows of each example": lambda m, h: torch.bmm(h[:, None], h[:, :, None].repeat(1, 1, 3))[:, 0],
        "a matrix and columns of two inputs": lambda m, h: (m.fc.weight @ h.T + m.fc.weight @ h.exp().T).T,
        "softmax over the examples": lambda m, h: (m.fc.weight @ h.T).softmax(1).T,
        "a wide convolution without a batch": lambda m, h: F.conv1d(
            h.t(), m.fc.weight[:, :, None].repeat(1, 1, 3), padding=1
        ).t(),
        "rows plus rows": lambda m, h: (m.fc.weight @ h.T + h[:, :3].T).T,
        "probabilities of heads": lambda m, h: torch.stack([m.fc(h).tanh(), m.lora(h).tanh()]).mean(0),
    }.items():
        model = Net(lambda m, x, head=head: head(m, m.body(x).relu()))
        model.lora = LoRA(model.fc)
        with case(name), pytest.raises(UnsupportedModel, match=r"the head .* was not found.*; name the module .*head="):
            measured(model, X)


def test_what_is_found_does_not_depend_on_the_data(seeded):
    """All logits of the first rows are positive, so there relu changes nothing; in the others it does."""
    model = seeded(Net, lambda m, x: m.fc(m.body(x)).relu()).eval()
    with torch.no_grad():
        model.fc.bias.copy_(torch.full((3,), 50.0))
        data = torch.cat([X[:6], X[6:] * 1e4])
        logits, embedding = measured(model, data)
        torch.testing.assert_close(embedding, model.body(data))
        torch.testing.assert_close(logits, model(data))


def test_logits_that_no_call_makes_have_no_embedding(seeded):
    model = seeded(Net, lambda m, x: -(x[:, None] - m.conv.weight[:, :, 0, 0]).pow(2).sum(2))
    assert "embedding: none found" in repr(wrap(model, example=X))
    residual = seeded(Net, lambda m, x: x[:, :3] + m.fc(m.body(x)))
    assert "embedding: none found" in repr(wrap(residual, example=X))


def test_the_place_of_the_logits_is_that_of_the_call_that_makes_them():
    layer, a, b = nn.Linear(3, 2), torch.randn(4, 3), torch.randn(4, 3)
    for number, place in ((0, 0), (1, 2), (None, 2)):
        assert places_of(layer, number, lambda: (layer(a), a.sum(1), layer(b)), None) == [place]
