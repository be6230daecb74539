"""TypiClust and ProbCover beyond the contract."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs

from distil.errors import InvalidInput
from distil.functional.coverage import max_coverage
from distil.rng import Rng
from distil.selection.select import select_from
from distil.signals import Embedding, Signals
from distil.strategies import ProbCover, TypiClust
from distil.strategies.base import Sets


def blobs(n=300, k=6, std=0.3, seed=0):
    x, y = make_blobs(n, 5, centers=k, cluster_std=std, center_box=(-9, 9), random_state=seed)
    return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y)


def sets(x, labeled=None):
    table = Signals(torch.arange(len(x)), {Embedding(): x})
    rows = x[:0] if labeled is None else labeled
    return Sets(table, Signals(torch.arange(len(rows)), {Embedding(): rows}))


def picks(strategy, x, n, labeled=None, seed=0):
    return torch.tensor(strategy.select(sets(x, labeled), n, Rng(seed)).tolist())


def test_one_of_each_blob():
    for seed in range(3):
        x, y = blobs(seed=seed)
        for strategy in (TypiClust(), ProbCover(n_classes=6)):
            assert sorted(y[picks(strategy, x, 6, seed=seed)].tolist()) == list(range(6)), (strategy, seed)


def test_typical_examples_are_near_the_middle():
    for seed in range(3):
        x, y = blobs(seed=seed)
        for row in picks(TypiClust(), x, 6, seed=seed).tolist():
            own = x[y == y[row]]
            median = float((own - own.mean(0)).norm(dim=1).median())
            assert float((x[row] - own.mean(0)).norm()) < median, (seed, row)


def test_blobs_with_labels_are_avoided():
    x, y = blobs()
    labeled = torch.cat([x[y == j][:1] for j in (0, 2, 5)])
    for strategy in (TypiClust(), ProbCover(n_classes=6)):
        assert sorted(y[picks(strategy, x, 3, labeled)].tolist()) == [1, 3, 4], strategy


def test_outliers_are_not_typical():
    x, _ = blobs()
    x[7], x[80] = 500, -500
    for strategy in (TypiClust(), ProbCover(radius=2.0)):
        assert not {7, 80} & set(picks(strategy, x, 6).tolist())


def test_at_most_500_clusters(monkeypatch):
    asked = []
    original = TypiClust.select.__globals__["k_means"]
    monkeypatch.setitem(
        TypiClust.select.__globals__,
        "k_means",
        lambda x, k, *more, **options: asked.append(k) or original(x, k, *more, **options),
    )
    x = torch.randn(700, 3, generator=torch.Generator().manual_seed(0))
    for n, labeled in ((3, x[:2]), (600, None), (499, x[:50])):
        assert len(set(picks(TypiClust(), x, n, labeled).tolist())) == n
    assert asked == [5, 500, 500]


def test_the_radius_is_that_of_the_balls():
    x, _ = blobs()
    for radius in (0.5, 3.0):
        found = select_from(ProbCover(radius=radius), 40, embeddings=x, labeled_embeddings=x[:3] + 0.01)
        assert found.tolist() == max_coverage(x, 40, radius, x[:3] + 0.01).tolist()


def test_purer_balls_are_smaller_and_cover_less():
    x, _ = blobs(std=2.0)
    covered = []
    for purity in (1.0, 0.5):
        found = picks(ProbCover(n_classes=6, purity=purity), x, 1)
        covered.append((torch.cdist(x, x[found]), found))
    assert covered[0][1].tolist() != covered[1][1].tolist()


def test_invalid_parameters():
    for name, value in (("radius", 0), ("radius", -1.0), ("n_classes", 0), ("purity", 0), ("purity", 1.5)):
        with pytest.raises(InvalidInput, match=f"{name} must be"):
            ProbCover(**{name: value})
