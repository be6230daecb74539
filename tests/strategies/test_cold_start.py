"""The strategies that change from coverage to margin sampling."""

import torch

from distil import select_from
from distil.functional.clustering import k_means, representatives
from distil.strategies import TCM
from distil.strategies.cold_start import centroid_start

G = torch.Generator().manual_seed(0)
X = torch.randn(90, 4, generator=G)
READ = {"embeddings": X, "probs": (2 * X[:, :3]).softmax(1)}


def test_each_stage_is_the_strategy_that_it_names():
    for labeled, name in (
        ([], "typiclust"),
        ([1, 5, 9, 30, 60], "typiclust"),
        ([1, 5, 9, 30, 60, 61], "margin_sampling"),
    ):
        read = READ if name == "margin_sampling" else {"embeddings": X}
        found = select_from(TCM(labels_per_class=2), 7, **READ, labeled=labeled, seed=3)
        assert found.tolist() == select_from(name, 7, **read, labeled=labeled, seed=3).tolist()
        class_name = "TypiClust" if name == "typiclust" else "MarginSampling"
        side = "below" if name == "typiclust" else "from"
        assert found.notes[0] == f"{class_name}, as there are {len(labeled)} labels, {side} 6"


def test_the_first_selection_is_one_example_of_each_direction():
    """Six directions, each at lengths from 1 to 100, which only count when they are scaled away."""
    directions = torch.eye(3).repeat(2, 1) * torch.tensor([1, 1, 1, -1, -1, -1])[:, None]
    lengths = torch.logspace(0, 2, 10)[:, None, None]
    x = (lengths * directions + 0.01 * torch.randn(10, 6, 3, generator=G)).reshape(60, 3)
    found = select_from("centroid_start", 6, embeddings=x, probs=torch.full((60, 2), 0.5))
    assert sorted(i % 6 for i in found) == list(range(6))
    later = select_from("centroid_start", 6, **READ, labeled=[4])
    assert later.tolist() == select_from("margin_sampling", 6, **READ, labeled=[4]).tolist()


def test_the_centers_are_those_of_k_means_on_unit_rows():
    from distil.rng import Rng
    from distil.signals import Embedding, Signals
    from distil.strategies import Sets

    sets, unit = Sets(Signals(torch.arange(90), {Embedding(): X})), X / X.norm(dim=1, keepdim=True)
    clustering = k_means(unit, 8, Rng(2).child("k_means").torch())
    assert centroid_start(sets, 8, Rng(2)).tolist() == representatives(unit, clustering, 8).tolist()
