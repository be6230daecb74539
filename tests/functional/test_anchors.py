"""Anchors and their neighborhoods against sorted lists."""

import numpy as np
import torch

from distil.functional.anchors import around_anchors, class_anchors


def cosines(a, b):
    a, b = a.double().numpy(), b.double().numpy()
    return (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T


def test_each_class_has_anchors_apart_from_each_other():
    g = torch.Generator().manual_seed(0)
    directions = torch.eye(6)[[0, 1, 2, 3, 4]]
    of = torch.arange(50) % 5  # of one class, ten copies of each of five directions, at several lengths
    x = torch.cat([directions[of] * (1 + torch.rand(50, 1, generator=g)), torch.randn(3, 6, generator=g)])
    labels = torch.tensor([7] * 50 + [2] * 3)
    for seed in range(20):
        rows = class_anchors(x, labels, 5, torch.Generator().manual_seed(seed)).tolist()
        assert rows[:3] == [50, 51, 52]
        assert sorted(of[rows[3:]].tolist()) == [0, 1, 2, 3, 4]
    assert sorted(class_anchors(x, labels, 99, g).tolist()) == list(range(53))


def test_the_first_anchor_is_drawn_uniformly():
    x, counts = torch.eye(4), np.zeros(4)
    for seed in range(400):
        counts[class_anchors(x, torch.zeros(4), 1, torch.Generator().manual_seed(seed))] += 1
    assert counts.min() > 70


def test_neighborhoods_are_those_of_sorted_cosines():
    g = torch.Generator().manual_seed(1)
    x, anchors = torch.randn(80, 5, generator=g) * torch.rand(80, 1, generator=g), torch.randn(6, 5, generator=g)
    similar = cosines(anchors, x)
    for k in (1, 4, 15):
        near = [set(np.argsort(-row)[:k]) for row in similar]
        union = sorted(set().union(*near))
        assert around_anchors(x, anchors, k, 1, 80).tolist() == union
        mean = {row: np.mean([similar[a, row] for a in range(6) if row in near[a]]) for row in union}
        best = sorted(sorted(union, key=lambda row: -mean[row])[:5])
        assert around_anchors(x, anchors, k, 1, 5).tolist() == best
    assert around_anchors(1e30 * x, 1e-30 * anchors, 4, 1, 80).tolist() == around_anchors(x, anchors, 4, 1, 80).tolist()


def test_more_neighbors_are_taken_where_they_are_too_few():
    x = torch.randn(30, 3, generator=torch.Generator().manual_seed(2))
    similar = cosines(x[:1], x)[0]
    assert around_anchors(x, x[:1], 3, 10, 30).tolist() == sorted(np.argsort(-similar)[:12].tolist())
    assert around_anchors(x, x[:1], 3, 30, 30).tolist() == list(range(30))
