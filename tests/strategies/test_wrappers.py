"""Strategies over strategies."""

import json

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.distance import cdist, pdist

import distil
from distil import InvalidInput, MissingSignal, select_from
from distil.experiment.config.strategy_section import StrategySpec
from distil.strategies import (
    BADGE,
    Anchors,
    Balance,
    CoreSet,
    EntropySampling,
    GreeDi,
    MarginSampling,
    Mix,
    Partition,
    Prefilter,
    ProbCover,
    RandomSampling,
    Subsample,
    strategy_named,
)
from distil.strategies.registry import for_classes
from distil.strategies.wrappers import best_of

G = torch.Generator().manual_seed(0)
X = torch.randn(90, 4, generator=G)
PROBS = (3 * torch.randn(90, 3, generator=G)).softmax(1)
PROBS[:70, 0] += 2  # most examples are predicted to be of class 0
PROBS /= PROBS.sum(1, keepdim=True)
TOP = PROBS.sort(1, descending=True).values
MARGIN = (TOP[:, 0] - TOP[:, 1]).tolist()
CLASSES = PROBS.argmax(1).tolist()


def test_balance_takes_the_best_of_each_class_in_turn():
    sizes = np.bincount(CLASSES, minlength=3)
    assert sizes.min() < 9 < sizes.max()
    found = select_from(Balance(MarginSampling()), 9, probs=PROBS)
    for c in range(3):
        own = [i for i in found if CLASSES[i] == c]
        best = sorted((i for i in range(90) if CLASSES[i] == c), key=lambda i: MARGIN[i])
        assert own == best[:3]
    assert all(CLASSES[i] == int(why.split()[1].rstrip(":")) for i, why in zip(found, found.reasons, strict=True))
    assert sorted(CLASSES[i] for i in found[:3]) == [0, 1, 2]
    many = np.bincount([CLASSES[i] for i in select_from(Balance(), 60, probs=PROBS)], minlength=3)
    assert many.sum() == 60
    assert all(many[c] == min(sizes[c], many.max()) or many[c] == many.max() - 1 for c in range(3))


def test_forms_of_the_inner_strategy():
    expected = Balance(Balance(ProbCover(purity=0.5)))
    nested = {"name": "balance", "args": {"of": {"name": "probcover", "args": {"purity": 0.5}}}}
    assert strategy_named("balance", of=nested) == Balance(of=nested) == expected
    assert Balance("badge") == Balance(BADGE())
    assert StrategySpec("balance", {"of": nested, "n_drop": 3}, "b").build() == expected
    assert strategy_named("balance", of=json.loads(json.dumps(nested))) == expected
    assert for_classes(expected, 7) == Balance(Balance(ProbCover(purity=0.5, n_classes=7)))
    for wrong, message in (
        ("bagde", "did you mean 'badge'"),
        ({"args": {"of": "badge"}}, "the entry of a strategy must be"),
        ({"name": "badge", "args": {"of": "badge"}}, "badge has no parameter 'of'"),
        (3, "must be a strategy"),
        (MarginSampling, r"pass MarginSampling\(\)"),
    ):
        with pytest.raises(InvalidInput, match=message):
            Balance(wrong)


def test_the_command_line_takes_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("p.npy", PROBS.numpy())
    found = distil.pick("balance", 6, probs="p.npy", parameters={"of": "random_sampling"}, seed=3)
    direct = select_from(Balance(RandomSampling()), 6, probs=PROBS, seed=3)
    assert [int(pick["id"]) for pick in found["picks"]] == direct.tolist()


def test_prefilter_chooses_among_the_largest_scores():
    short = sorted(range(90), key=lambda i: MARGIN[i])[:12]
    found = select_from(Prefilter(CoreSet(), MarginSampling(), factor=3), 4, probs=PROBS, embeddings=X)
    x = X.double().numpy()
    expected = found.tolist()[:1]  # a first pick without labeled examples is any of them
    assert expected[0] in short
    for _ in range(3):
        expected.append(max(short, key=lambda i: min(np.linalg.norm(x[i] - x[j]) for j in expected)))
    assert found.tolist() == expected
    assert found.notes == ("a shortlist kept the 12 of 90 examples with the smallest margin",)
    exact = select_from(Prefilter(RandomSampling(), "entropy_sampling", factor=1), 7, probs=PROBS)
    assert set(exact) == set(select_from(EntropySampling(), 7, probs=PROBS))
    with pytest.raises(InvalidInput, match="by must be a strategy that scores each example"):
        Prefilter(by="badge")


def test_subsample_chooses_the_best_of_a_uniform_sample():
    counts, first = np.zeros(90), 0
    for seed in range(400):
        sample = select_from(Subsample(MarginSampling(), size=30), 30, probs=PROBS, seed=seed).tolist()
        assert sample == sorted(sample, key=lambda i: MARGIN[i])
        counts[sample] += 1
        best = select_from(Subsample(MarginSampling(), size=30), 3, probs=PROBS, seed=seed)
        first += best.tolist() == sample[:3]
    assert first == 400, "the size decides what is drawn, not n"
    assert stats.chisquare(counts).pvalue > 1e-3
    assert best.notes == ("picked among 30 random examples of 90",)
    whole = select_from(Subsample(MarginSampling(), size=90), 5, probs=PROBS)
    assert whole.tolist() == select_from(MarginSampling(), 5, probs=PROBS).tolist()
    assert whole.notes == ()
    assert len(set(select_from(Subsample(size=2), 9, probs=PROBS, embeddings=X))) == 9


def test_partition_takes_the_best_of_each_part():
    found = select_from(Partition(MarginSampling(), parts=3), 9, probs=PROBS, seed=2)
    whole = select_from(Partition(MarginSampling(), parts=3), 90, probs=PROBS, seed=2).tolist()
    parts = [whole[p::3] for p in range(3)]  # parts of equal size take turns
    assert all(part == sorted(part, key=lambda i: MARGIN[i]) for part in parts)
    assert sorted(whole) == list(range(90))
    assert found.tolist() == whole[:9]
    assert all(why.startswith("margin") for why in found.reasons)
    one = select_from(Partition(MarginSampling(), parts=1), 9, probs=PROBS)
    assert one.tolist() == select_from(MarginSampling(), 9, probs=PROBS).tolist()
    assert len(set(select_from(Partition(parts=200), 40, probs=PROBS, embeddings=X))) == 40


def test_greedi_chooses_among_the_picks_of_the_parts():
    """Of scores, the best of the bests of parts are the best; of k-center, the second round is k-center on the first's picks."""
    assert (
        select_from(GreeDi(MarginSampling()), 9, probs=PROBS).tolist() == sorted(range(90), key=lambda i: MARGIN[i])[:9]
    )
    found = select_from(GreeDi(CoreSet(), parts=3), 6, embeddings=X, labeled=[0])
    assert found.notes[0] == "picked among the 18 examples that were chosen in 3 parts of the pool"
    assert found.notes[1].startswith("the guarantee of GreeDi does not hold: CoreSet")
    x, picks = X.double().numpy(), found.tolist()

    def radius(picks):
        return max(min(np.linalg.norm(x[i] - x[j]) for j in [0, *picks]) for i in range(90))

    optimum = radius(select_from(CoreSet(), 6, embeddings=X, labeled=[0]).tolist())  # at least the optimum
    assert radius(picks) <= 4 * optimum, "two rounds of k-center are within four times of the best"


def test_greedi_returns_the_set_of_largest_coverage(monkeypatch):
    """Among the second round and the picks of each part, by the coverage of the whole pool from its definition."""
    parted = []
    for seed in range(12):
        x = torch.randn(40, 2, generator=torch.Generator().manual_seed(seed))
        probs = PROBS[seed : seed + 40]
        parts = np.where(np.arange(40) < 38, np.arange(40) % 2, 2)  # the last part has fewer rows than picks
        monkeypatch.setattr(
            "distil.strategies.wrappers._parts", lambda sets, *_, p=parts: torch.tensor(p)[sets.pool.ids]
        )
        # Not maxherding: without weights, two rows that are near to each other alone gain the same, and a draw decides.
        of, weights = strategy_named("uherding", width=0.5), 1 - margins(probs)

        def picks(rows, n=4, x=x, probs=probs, of=of):
            given = {"candidates": rows, "labeled": [0], "embeddings": x, "probs": probs}
            return select_from(of, min(n, len(rows)), **given).tolist()

        def value(rows, x=x, weights=weights):
            k = np.exp(-(cdist(x, x[[0, *rows]], "sqeuclidean") / 0.5**2))
            return weights[1:] @ k.max(1)[1:]

        first = [picks([row for row in range(1, 40) if parts[row] == part]) for part in range(3)]
        second = picks(sorted(row for part in first for row in part))
        found = select_from(GreeDi(of), 4, embeddings=x, probs=probs, labeled=[0])
        values = [value(rows) for rows in (second, *first)]
        best = int(np.argmax(values))
        assert found.tolist() == [second, *first][best]
        assert value(found.tolist()) >= max(values) * (1 - 1e-12)
        assert "they cover the whole pool at least as well as the picks of any single part" in found.notes
        parted.append(best > 0)
    assert 0 < sum(parted) < len(parted), "both the second round and single parts are returned"
    second = torch.tensor([4, 1, 2])
    best, why = best_of(torch.tensor([1.0, 2.0]), second, "abc", [torch.tensor([1, 7])], {1: "d", 7: "e"})
    assert (best.tolist(), why) == ([1, 7, 4], ("d", "e", "a")), "a small part is filled up"
    monkeypatch.undo()
    unit, labeled = X / X.norm(dim=1, keepdim=True), [0, 1, 2]
    given = {"probs": PROBS, "labeled": labeled}
    published = select_from(GreeDi(strategy_named("uherding", form="published")), 5, embeddings=X, **given)
    robust = strategy_named("uherding", width=float(pdist(unit[labeled].double()).min()))
    assert published.tolist() == select_from(GreeDi(robust), 5, embeddings=unit, **given).tolist()


def margins(probs):
    top = probs.double().sort(1, descending=True).values
    return (top[:, 0] - top[:, 1]).numpy()


def test_mix_ranks_by_the_mixed_scores():
    entropy = -(PROBS * PROBS.log()).sum(1)
    scores = np.stack([-np.array(MARGIN), entropy.numpy()])
    ranks = scores.argsort(1).argsort(1)
    unit = (scores - scores.min(1, keepdims=True)) / np.ptp(scores, axis=1)[:, None]
    both = (MarginSampling(), EntropySampling())
    for how, weights, expected in (
        ("rank", None, ranks.sum(0)),
        ("rank", (1, 3), ranks[0] + 3 * ranks[1]),
        ("linear", (2, 1), 2 * unit[0] + unit[1]),
        ("power", (2, 1), unit[0] ** 2 * unit[1]),
    ):
        found = select_from(Mix(both, how, weights), 8, probs=PROBS)
        assert found.scores.diff().max() <= 0
        assert expected[found.ids].tolist() == pytest.approx(sorted(expected, reverse=True)[:8], rel=1e-4)
    named = strategy_named("mix", of=["margin_sampling", {"name": "entropy_sampling"}], weights=[1, 2])
    assert named == Mix(both, weights=(1.0, 2.0))
    for wrong, message in (
        ({"of": ["badge", "margin_sampling"]}, "of must be two or more strategies that score each example"),
        ({"of": ["margin_sampling"]}, "of must be two or more"),
        ({"of": "margin_sampling"}, "of must be two or more"),
        ({"weights": [1, 2, 3]}, "weights must be 2 numbers, one for each"),
        ({"weights": [1, 0]}, "a list of numbers above 0"),
    ):
        with pytest.raises(InvalidInput, match=message):
            Mix(**wrong)


def test_anchors_choose_around_the_labeled_examples_of_each_class():
    g = torch.Generator().manual_seed(4)
    x = torch.randn(90, 4, generator=g)
    labeled, labels = [3, 30, 60, 61], [0, 0, 2, 2]
    near = set()
    for i in labeled:
        similar = torch.cosine_similarity(x[i][None], x).numpy()
        others = [j for j in np.argsort(-similar).tolist() if j not in labeled]
        near |= set(others[:5])
    found = select_from(
        Anchors(MarginSampling(), neighbors=5), 6, probs=PROBS, embeddings=x, labeled=labeled, labels=labels
    )
    assert found.tolist() == sorted(near, key=lambda i: MARGIN[i])[:6]
    assert found.notes == (f"picked among {len(near)} of 86 examples, neighbors of 4 labeled examples of 2 classes",)
    assert found.reasons[0].startswith("margin")
    one = Anchors(MarginSampling(), anchors=1, neighbors=4)  # one anchor in each of two classes
    few = select_from(one, 3, probs=PROBS, embeddings=x, labeled=labeled, labels=labels)
    assert "neighbors of 2 labeled examples of 2 classes" in few.notes[0]
    cold = select_from(Anchors(), 6, probs=PROBS, embeddings=x)
    assert cold.tolist() == select_from(MarginSampling(), 6, probs=PROBS).tolist()
    assert "whole pool" in cold.notes[0]
    with pytest.raises(MissingSignal, match="labels"):
        select_from(Anchors(), 6, probs=PROBS, embeddings=x, labeled=labeled)


def test_anchors_find_more_of_a_rare_class_than_margins_do():
    g = torch.Generator().manual_seed(5)
    x = torch.randn(3000, 8, generator=g)
    x[:60] = x[:60] * 0.4 + 3 * torch.eye(8)[0]  # a rare class in one direction
    probs = torch.rand(3000, 2, generator=g).softmax(1)  # a model that knows nothing
    given = {"probs": probs, "embeddings": x, "labeled": [0, 100, 200], "labels": [1, 0, 0]}
    rare = [sum(i < 60 for i in select_from(each, 40, **given)) for each in (Anchors(), MarginSampling())]
    assert rare[0] > 6 > 3 > rare[1]


def test_two_rounds_of_scores_are_the_best_of_all():
    probs = torch.rand(200, 3, generator=torch.Generator().manual_seed(0)).softmax(1)
    found = select_from(GreeDi(of=MarginSampling()), 9, probs=probs)
    assert set(found.tolist()) == set(select_from(MarginSampling(), 9, probs=probs).tolist())
    assert not any("guarantee" in note for note in found.notes)
