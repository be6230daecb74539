"""DropQuery, ALFA-Mix, Cluster-Margin and CLUE: what they choose among, and what they say."""

from unittest.mock import patch

import numpy as np
import pytest
import torch

from distil import select_from
from distil.errors import MissingSignal
from distil.rng import Rng
from distil.signals import Embedding, Labels, Logits, Signals
from distil.strategies import CLUE, ALFAMix, ClusterMargin, DropQuery, Sets
from distil.strategies import clustered as module

G = torch.Generator().manual_seed(0)
X = torch.randn(200, 3, generator=G)
W = torch.randn(3, 3, generator=G)
B = torch.tensor([0.4, 0.0, -0.3])
LOGITS = 2 * X @ W.T + B
PROBS = LOGITS.softmax(1)
LABELED = [0, 7, 50, 120]


def sets(labels=True):
    pool = Signals(torch.arange(200), {Embedding(): X, Logits(): LOGITS})
    columns = {Embedding(): X[LABELED], Logits(): LOGITS[LABELED]}
    known = {Labels(): LOGITS[LABELED].argmax(1)} if labels else {}
    return Sets(pool, Signals(torch.tensor(LABELED), {**columns, **known}))


def test_drop_query_chooses_examples_that_dropout_changes():
    for seed in range(3):
        found = select_from(DropQuery(n_masks=101), 8, embeddings=X, probs=PROBS, labeled=LABELED, seed=seed)
        masks = torch.rand(400, 1, 3, generator=G) >= 0.75
        changed = (8 * X * masks @ W.T + B).argmax(2) != LOGITS.argmax(1)
        assert (changed[:, list(found)].double().mean(0) > 0.4).all(), "most masks change them"
        assert "under at least 51 of 101 masks" in found.notes[0]


def test_drop_query_takes_less_where_less_changes():
    certain = torch.cat(
        [X[:, :1].abs() + 1, torch.zeros(200, 2)], 1
    )  # a mask that keeps the first number changes nothing
    weights = torch.tensor([[1.0, 0, 0], [-1, 0, 0]])
    probs = (certain @ weights.T + torch.tensor([0.1, 0])).softmax(1)
    found = select_from(DropQuery(), 9, embeddings=certain, probs=probs, labeled=LABELED)
    assert "0 of 3 masks" in found.notes[0]
    assert len(set(found)) == 9
    # Some examples change under one mask alone, and none under more: these are the candidates.
    with patch.object(module, "dropout_flips", lambda x, *_: (x[:, 0] > 1).long()):
        found = select_from(DropQuery(), 9, embeddings=X, probs=PROBS, labeled=LABELED)
    assert bool((X[found.ids, 0] > 1).all())
    assert "under at least 1 of 3 masks" in found.notes[0]


def test_without_labels_both_start_at_centroids():
    expected = select_from("centroid_start", 9, embeddings=X, probs=PROBS, seed=4).tolist()
    for strategy in (DropQuery(), ALFAMix()):
        assert select_from(strategy, 9, embeddings=X, probs=PROBS, seed=4).tolist() == expected


def test_alfa_mix_chooses_examples_near_a_boundary():
    found = ALFAMix().select(sets(), 8, Rng(0))
    top = LOGITS.sort(1).values
    gaps = ((top[:, 2] - top[:, 1]) / LOGITS.std()).numpy()
    assert gaps[list(found)].max() < np.quantile(gaps, 0.2)
    number = int(found.notes[0].split()[0])
    assert 8 <= number < 60
    with pytest.raises(MissingSignal, match="Labels"):
        ALFAMix().select(sets(labels=False), 8, Rng(0))


def test_cluster_margin_chooses_small_margins_of_small_clusters():
    """Of 24 shortlisted examples, one region holds 16, and seven others hold one or two."""
    middles = torch.tensor([0.0] * 16 + [20, 20, 40, 60, 80, 100, 120, 140])
    x = torch.cat([middles, 7 * torch.arange(76.0)])[:, None]
    p = torch.cat([torch.linspace(0.5, 0.55, 24), torch.full((76,), 0.9)])
    found = select_from(ClusterMargin(factor=3), 8, embeddings=x, probs=torch.stack([p, 1 - p], 1))
    assert max(found) < 24
    assert found.notes == ("a shortlist kept the 24 of 100 examples with the smallest margin",)
    x = torch.cat([torch.zeros(37), torch.full((2,), 90.0), torch.tensor([50.0]), torch.zeros(10)])[:, None]
    p = torch.cat([torch.full((40,), 0.5), torch.full((10,), 0.9)])
    found = select_from(ClusterMargin(factor=20), 2, embeddings=x, probs=torch.stack([p, 1 - p], 1))
    assert found.tolist()[0] == 39
    assert found.tolist()[1] in (37, 38)
    assert found.reasons == ("margin 0, in a cluster of 1", "margin 0, in a cluster of 2")


def test_clue_goes_where_the_model_is_uncertain():
    x = torch.cat([torch.randn(100, 2, generator=G), torch.randn(100, 2, generator=G) + 30])
    logits = torch.cat([torch.zeros(100, 2), torch.tensor([[12.0, 0.0]]).repeat(100, 1)])
    logits[:, 0] += 1e-3 * torch.arange(200)
    found = select_from(CLUE(), 10, embeddings=x, probs=logits.softmax(1))
    assert sum(i < 100 for i in found) >= 8
    plain = select_from("kmeans_sampling", 10, embeddings=x)
    assert sum(i < 100 for i in plain) < 8
    hot = select_from(CLUE(temperature=1e6), 10, embeddings=x, probs=logits.softmax(1))
    assert sum(i < 100 for i in hot) < 8
