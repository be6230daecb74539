"""TypiClust and ProbCover beyond the contract."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs

from distil.errors import InvalidInput
from distil.functional.coverage import max_coverage
from distil.rng import Rng
from distil.selection.learner import Learner
from distil.selection.select import select_from
from distil.signals import Embedding, Signals
from distil.strategies import ProbCover, TypiClust
from distil.strategies.base import Sets, tie_keys


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
        order = tie_keys(torch.arange(len(x)), Rng(0)).argsort()  # equal balls go by this order of the ids
        assert found.tolist() == order[max_coverage(x[order], 40, radius, x[:3] + 0.01)].tolist()


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


def test_balls_that_hold_one_example_each_are_refused():
    """Half of the rows decide: the median distance to the nearest other row."""
    x, _ = blobs()
    nearest = torch.cdist(x, x).fill_diagonal_(torch.inf).amin(1).median()
    assert len(select_from(ProbCover(radius=float(nearest) * 1.01), 5, embeddings=x)) == 5
    message = f"hold a single example, as the median distance to the nearest one is {float(nearest):.3g}; pass a radius"
    with pytest.raises(InvalidInput, match=message):
        select_from(ProbCover(radius=float(nearest) * 0.99), 5, embeddings=x)
    assert select_from(ProbCover(radius=1.0), 1, embeddings=x[:1]).tolist() == [0]
    assert select_from(ProbCover(), 1, embeddings=x[:1]).tolist() == [0]


def test_the_default_radius_reaches_the_twentieth_neighbor():
    """Where clusters touch, the purest balls are nearly empty: one Gaussian has no clusters at all."""
    x = torch.randn(1000, 20, generator=torch.Generator().manual_seed(0))
    found = select_from(ProbCover(n_classes=10), 1, embeddings=x)
    twentieth = float(torch.cdist(x, x).sort(1).values[:, 20].median())
    assert f"balls of radius {twentieth:.3g} " in found.notes[0]
    scaled = select_from(ProbCover(n_classes=10), 1, embeddings=x.double() * 1e-30)
    assert scaled.tolist() == found.tolist()


def test_the_notes_say_which_share_is_covered():
    x = torch.tensor([[0.0], [0.5], [1.0], [5.0], [5.5], [9.0], [20.0], [20.5], [30.0], [30.5]])
    found = select_from(ProbCover(radius=0.8), 1, embeddings=x, labeled_embeddings=torch.tensor([[5.2]]))
    assert found.tolist() == [1]
    assert found.notes == (
        "balls of radius 0.8 around the selection and the labeled examples cover 50 % of the pool, 5 of 10 examples; "
        "2 were covered before",
    )


def test_the_number_of_classes_comes_from_the_learner():
    x, _ = blobs()
    for strategy, n_classes in ((ProbCover(), 6), ("probcover", 6), (ProbCover(n_classes=3), 3)):
        learner = Learner(x, torch.nn.Linear(5, 6), strategy, num_classes=6)
        assert learner.strategy == ProbCover(n_classes=n_classes)
