"""Random projections of rows keep their inner products; rows that are not too wide are written out in full."""

import numpy as np
import torch

from distil.functional import projection
from distil.functional.features import Dense, Grouped, Outer
from distil.functional.projection import Projection, Written


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_projections_keep_inner_products(subtests):
    for x in [
        Dense(normal(9, 6)),
        Outer(normal(9, 3), normal(9, 4, seed=1)),
        Outer(normal(9, 3), normal(9, 4, seed=1), bias=True),
        Grouped(Outer(normal(18, 3), normal(18, 4, seed=1), bias=True), torch.arange(18) // 2, 9),
    ]:
        with subtests.test(x=x):
            projected = Projection.draw(x, 60_000, generator())(x)
            np.testing.assert_allclose(projected @ projected.T, x.inner(x), atol=0.06 * float(x.sq_norms().max()))
            one = Projection.draw(x, 50, generator(1))
            torch.testing.assert_close(torch.cat([one(x[slice(0, 4)]), one(x[slice(4, 9)])]), one(x))


def test_rows_are_written_in_full_or_projected_alike(monkeypatch):
    x, other = Outer(normal(30, 3), normal(30, 4, seed=1)), Outer(normal(5, 3, seed=2), normal(5, 4, seed=3))
    full = Written.of(x, 6, generator())
    assert full.width == 12
    assert torch.equal(torch.cat([*full.blocks()]), x.dense())
    assert torch.equal(full.like(other)[torch.tensor([4, 0])], other.dense()[[4, 0]])
    monkeypatch.setattr(projection, "WIDEST", 11)
    short = Written.of(x, 6, generator())
    assert short.width == 6
    assert torch.cat([*short.blocks()]).shape == (30, 6)
    drawn = Projection.draw(x, 6, generator())
    torch.testing.assert_close(short.like(other)[slice(1, 3)], drawn(other)[1:3])
