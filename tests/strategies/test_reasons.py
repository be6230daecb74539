"""The numbers in reasons against plain NumPy, and the notes of selections."""

import re
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import nn

from distil.errors import MissingSignal
from distil.functional import greedy
from distil.rng import Rng
from distil.selection.learner import Learner
from distil.selection.select import select, select_from
from distil.signals import Embedding, Given, Labels, Logits, Probs, Signals
from distil.strategies import (
    BADGE,
    CRAIG,
    FASS,
    GLISTER,
    STRATEGIES,
    AdversarialDeepFool,
    BADGEPerBatch,
    GradMatch,
    ProbCover,
    ScoreStrategy,
    SubmodularSampling,
    strategy_named,
)
from distil.strategies.base import Needs, Sets
from distil.strategies.registry import tasks_of
from distil.system.runtime import Runtime

N, D, C = 300, 4, 5
generator = np.random.default_rng(0)
# Well separated blobs, so that the clusters of k-means are known.
CENTERS = generator.normal(size=(6, D)) * 20
BLOBS = generator.permutation(np.repeat(np.arange(6), [80, 70, 60, 50, 30, 10]))
X = (CENTERS[BLOBS] + generator.normal(size=(N, D))).astype(np.float32)
PROBS = generator.dirichlet(np.ones(C), N).astype(np.float32)
MC = generator.dirichlet(np.ones(C), (N, 6)).astype(np.float32)
ARRAYS = {"probs": PROBS, "embeddings": X, "mc_probs": MC}


def picked(strategy, n=12, **options):
    return select_from(strategy, n, **ARRAYS, **options)


def numbers(selection):
    """The numbers in each reason, (n, k); every reason has k numbers."""
    return np.array([[float(n) for n in re.findall(r"-?\d[\d.]*(?:e[-+]\d+)?", r)] for r in selection.reasons])


def check(found, *expected):
    """Check that numbers agree to three digits."""
    expected = np.column_stack([np.asarray(column, dtype=float) for column in expected]).reshape(np.shape(found))
    np.testing.assert_allclose(found, expected, rtol=6e-3, atol=1e-9)


def entropy(p):
    return -(p * np.log(np.maximum(p, 1e-30))).sum(-1)


def gradients():
    """(N, C D), of the cross entropy at the predicted labels, by the last layer's weights."""
    a = PROBS.astype(float)
    a[np.arange(N), PROBS.argmax(1)] -= 1
    return (a[:, :, None] * X[:, None, :].astype(float)).reshape(N, -1)


# --- scores -----------------------------------------------------------------------------------------------------------


def test_ratio_of_confidence():
    found = picked("ratio_of_confidence")
    order = np.argsort(-PROBS, axis=1)[found]
    top = np.take_along_axis(PROBS[found], order, 1)
    assert found.tolist() == np.argsort(-np.sort(PROBS)[:, -2] / PROBS.max(1))[:12].tolist()
    check(numbers(found), top[:, 1] / top[:, 0], order[:, 1], order[:, 0])


def test_variation_ratio_and_mean_standard_deviation():
    votes = np.stack([(MC.argmax(2) == c).sum(1) for c in range(C)], 1)
    found = picked("variation_ratio")
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    check(numbers(found), (1 - votes.max(1) / 6)[found])
    found = picked("mean_std")
    assert found.tolist() == np.argsort(-MC.std(1).mean(1))[:12].tolist()
    check(numbers(found), MC.std(1).mean(1)[found])


def test_margin():
    found = picked("margin_sampling")
    order = np.argsort(-PROBS, axis=1)[found]
    top = np.take_along_axis(PROBS[found], order, 1)
    check(numbers(found), top[:, 0] - top[:, 1], order[:, 0], order[:, 1])
    assert re.fullmatch(r"margin [\d.e-]+ between class \d and class \d", found.reasons[0])


def test_least_confidence():
    found = picked("least_confidence")
    check(numbers(found), PROBS[found].max(1), PROBS[found].argmax(1))
    assert re.fullmatch(r"confidence 0\.\d+ in class \d", found.reasons[0])


def test_entropy():
    found = picked("entropy_sampling")
    check(numbers(found)[:, 0], entropy(PROBS[found]))
    assert re.fullmatch(r"entropy \d\.\d+ nats", found.reasons[0])


def test_bald_and_the_mean_prediction():
    mean = MC.mean(1)
    found = picked("bald_dropout")
    check(numbers(found)[:, 0], (entropy(mean) - entropy(MC).mean(1))[found])
    assert re.fullmatch(r"mutual information 0\.\d+ nats", found.reasons[0])
    for name, quantity, expected in (
        ("least_confidence_dropout", "confidence", mean.max(1)),
        ("margin_sampling_dropout", "margin", np.sort(mean)[:, -1] - np.sort(mean)[:, -2]),
        ("entropy_sampling_dropout", "entropy", entropy(mean)),
    ):
        found = picked(name)
        check(numbers(found)[:, 0], expected[found])
        assert found.reasons[0].startswith(f"{quantity} of the mean prediction ")


def test_batchbald():
    found = picked("batchbald", 3)
    check(numbers(found)[:, 0], found.scores)
    assert re.fullmatch(r"joint information \+0\.\d+ nats", found.reasons[0])


def test_adversarial_distances(small_net):
    net = small_net(n_inputs=D, n_classes=C).eval()
    x = X / 10
    found = select(AdversarialDeepFool(), net, x, 8, rng=0)
    check(numbers(found)[:, 0], 1 / found.scores)
    assert re.fullmatch(r"distance [\d.e-]+ to the decision boundary", found.reasons[0])
    held = select(AdversarialDeepFool(max_iter=1, overshoot=0.0), net, x, N, rng=0)
    ends = [(r, score) for r, score in zip(held.reasons, held.scores.tolist(), strict=True) if score < 0]
    assert all(
        r == f"the attack did not change the prediction: a logit gap of {-score:.3g} remains" for r, score in ends
    )


@dataclass(frozen=True)
class Mine(ScoreStrategy):
    """A user's strategy that defines a score only."""

    @property
    def needs(self):
        return Needs(pool=(Logits(),))

    def score(self, sets):
        return sets.pool[Logits()].softmax(1).amax(1)


class MineInMeters(Mine):
    quantity, unit, smallest_first = "length", "m", True


def test_the_reasons_of_a_strategy_that_defines_none():
    for strategy, template in ((Mine(), "score {:.3g}"), (MineInMeters(), "length {:.3g} m")):
        found = picked(strategy, 4)
        sign = -1 if strategy.smallest_first else 1
        assert found.reasons == tuple(template.format(sign * score) for score in found.scores.tolist())


@pytest.mark.parametrize("name", ["margin_sampling", "least_confidence", "entropy_sampling"])
def test_reasons_do_not_depend_on_how_the_pool_is_scored(name, small_net):
    net = small_net(n_inputs=D, n_classes=C)
    whole = select(name, net, X, 20, runtime=Runtime(batch_size=N))
    table = Signals(torch.arange(N), {Probs(): net.eval()(torch.from_numpy(X)).detach().softmax(1)})
    direct = strategy_named(name).select(Sets(table), 20, Rng(0))
    assert direct.tolist() == whole.tolist()
    for other in (
        direct,
        select(name, net, X, 20, runtime=Runtime(batch_size=7)),
        select(name, net, X, 20, runtime=Runtime(batch_size=64, bfloat16_first=True)),
        Learner(X, net, name, num_classes=C, names=[str(i) for i in range(N)], runtime=Runtime(batch_size=50)).query(
            20
        ),
    ):
        assert other.reasons == whole.reasons


# --- distances and clusters -------------------------------------------------------------------------------------------


def test_core_set():
    dists = cdist(X.astype(float), X.astype(float))
    found = picked("core_set", labeled=[3, 9, 21])
    check(numbers(found)[:, 0], [dists[i][[3, 9, 21, *found.tolist()[:k]]].min() for k, i in enumerate(found)])
    found = picked("core_set")
    assert found.reasons[0] == "the first pick, as no example is labeled"
    later = [float(r.removeprefix("distance ").split()[0]) for r in found.reasons[1:]]
    check(np.array(later), [dists[i][found.tolist()[:k]].min() for k, i in enumerate(found) if k])
    assert found.reasons[1].endswith(" to the nearest example labeled or chosen before")


def test_sizes_of_clusters():
    x = np.repeat(CENTERS, [8, 7, 6, 5, 3, 1], axis=0)
    for name, middle in (("kmeans_sampling", "center"), ("kmedians_sampling", "median")):
        found = select_from(name, 6, embeddings=x)
        assert found.reasons == tuple(f"nearest to the {middle} of a cluster of {size}" for size in (8, 7, 6, 5, 3, 1))
        assert found.notes == ()
        more = select_from(name, 9, embeddings=x)
        assert more.notes == ("the examples form 6 clusters, not 9: larger ones gave several examples",)
        assert more.reasons[:6] == found.reasons
        one = select_from(name, 2, embeddings=np.ones((5, 2), np.float32))
        assert one.notes[-1] == "the examples form 1 cluster, not 2: it gave several examples"
        next_nearest = f"among the next nearest to the {middle} of a cluster of"
        assert more.reasons[6:] == tuple(f"{next_nearest} {size}" for size in (8, 7, 6))


def test_typiclust():
    labeled = [int(np.flatnonzero(BLOBS == 2)[0])]
    answers = (picked("typiclust", 5, labeled=labeled, seed=seed) for seed in range(30))
    found = next(found for found in answers if sorted(BLOBS[found]) == [0, 1, 3, 4, 5])  # k-means has found the blobs
    for i, reason in zip(found, found.reasons, strict=True):
        own = np.flatnonzero(BLOBS[i] == BLOBS)
        dists = np.sort(cdist(X[[i]].astype(float), X[own].astype(float))[0])
        typicality = 1 / dists[1 : 1 + min(20, len(own) // 2)].mean()
        assert reason == f"typicality {typicality:.3g} in a cluster of {len(own)} without labels"


def test_typiclust_alone_and_repeated():
    lone = np.array([[0.0], [100.0], [200.0], [200.0], [200.0], [200.0]], dtype=np.float32)
    found = select_from("typiclust", 3, embeddings=lone)
    assert set(found.reasons) == {
        "equal to its nearest neighbors in a cluster of 4 without labels",
        "alone in a cluster of 1 without labels",
    }
    twice = np.repeat([[0.0], [9.0]], [8, 7], axis=0).astype(np.float32)
    found = select_from("typiclust", 4, embeddings=twice, labeled=[0])
    assert found.reasons[0] == "equal to its nearest neighbors in a cluster of 7 without labels"
    assert "equal to its nearest neighbors in a cluster of 8 with 1 labeled" in found.reasons


def test_probcover():
    near = cdist(X.astype(float), X.astype(float)) < 1.5
    found = picked(ProbCover(radius=1.5), 20, labeled=[0, 1])
    free = ~near[[0, 1]].any(0)
    free[[0, 1]] = False
    counts = []
    for i in found:
        counts.append((near[i] & free).sum())
        free &= ~near[i]
    check(numbers(found)[:, 0], counts)
    assert found.reasons[0] == f"covers {counts[0]} more examples"
    before = int(near[[0, 1]].any(0)[2:].sum())
    covered = before + sum(counts)
    assert found.notes == (
        f"balls of radius 1.5 around the selection and the labeled examples cover {100 * covered / 298:.0f} % of the pool, "
        f"{covered} of 298 examples; {before} were covered before",
    )
    one = select_from("probcover", 2, embeddings=np.ones((5, 2), np.float32), labeled=[0])
    assert one.notes[-1] == (
        "balls without bound (there is one cluster) around the selection and the labeled examples cover 100 % of the pool, 4 of 4 "
        "examples; 4 were covered before"
    )
    pair = select_from(ProbCover(radius=1.5), 2, embeddings=np.array([[0.0], [1.0], [2.0], [9.0]], np.float32))
    assert pair.reasons == ("covers 3 more examples", "covers 1 more example")
    everything = picked(ProbCover(radius=1000.0), 3)
    assert everything.reasons == (
        "covers 300 more examples",
        *["far from the other picks, after every example was covered"] * 2,
    )


# --- gradients --------------------------------------------------------------------------------------------------------


def test_badge():
    g, found = gradients(), picked(BADGE())
    lengths, dists = np.linalg.norm(g, axis=1), cdist(g, g)
    assert found.reasons[0] == f"gradient of length {lengths.max():.3g}, the longest"
    later = np.array([re.findall(r"\d[\d.e+]*", r) for r in found.reasons[1:]], dtype=float)
    rows = found.tolist()
    check(later, lengths[rows[1:]], [dists[i][rows[:k]].min() for k, i in enumerate(rows) if k])
    check(numbers(picked("baseline_sampling"))[:, 0], lengths[picked("baseline_sampling")])


def test_badge_per_batch():
    found = picked(BADGEPerBatch(batch_size=100), 100)  # three batches: the one of largest mean gradient is taken
    length = np.linalg.norm(gradients()[found].mean(0))
    assert found.reasons == (f"in a batch whose mean gradient has length {length:.3g}",) * 100


def test_weights_and_matching():
    found = picked(CRAIG())
    assert found.reasons == tuple(f"represents {weight:.3g} examples" for weight in found.weights.tolist())
    assert sum(found.weights) == N
    found = picked(GradMatch(use_weights=True))
    assert found.reasons == tuple(f"weight {weight:.3g}" for weight in found.weights.tolist())
    found = picked(GradMatch())
    check(numbers(found)[:, 0], PROBS[found].argmax(1))
    assert set(picked(GradMatch(selection_type="PerBatch")).reasons) == {
        "in a batch whose mean gradient helps to match the whole gradient"
    }


def test_glister():
    table = {Probs(): torch.from_numpy(PROBS), Embedding(): torch.from_numpy(X)}
    pool = Signals(torch.arange(N), table)
    validation = Signals(torch.arange(40), {**{s: c[:40] for s, c in table.items()}, Labels(): torch.arange(40) % C})
    strategy = GLISTER(type_of="Rand", lam=0.5, lr=1e-6, valid=True)
    found = strategy.select(Sets(pool, validation=validation), 4, Rng(0))
    assert found.reasons[2:] == ("drawn at random", "drawn at random")
    first = found.tolist()[0]
    # The fall of the loss itself: one small step along the gradient, the bias among the weights.
    rows = np.hstack([np.ones((N, 1)), X.astype(float)])
    residual = PROBS[first] - np.eye(C)[PROBS[first].argmax()]
    logits = np.log(PROBS[:40].astype(float))

    def loss(z):
        return -(z - np.log(np.exp(z).sum(1, keepdims=True)))[np.arange(40), np.arange(40) % C].mean()

    fall = loss(logits) - loss(logits - 1e-6 * (rows[:40] @ rows[first])[:, None] * residual)
    reason = re.fullmatch(r"its gradient step lowers the validation loss by (\S+) to first order", found.reasons[0])
    assert float(reason[1]) == pytest.approx(fall, rel=0.02)


def test_bait():
    found = select_from("bait", 5, probs=PROBS[:60], embeddings=X[:60] / 10)
    assert all(
        re.fullmatch(r"lowered the trace of the error bound by [\d.e+-]+ when it was picked", reason)
        for reason in found.reasons
    )


# --- submodular functions and notes -----------------------------------------------------------------------------------


def test_submodular_gains_add_up():
    found = picked(SubmodularSampling(metric="cosine"))
    unit = X.astype(float) / np.linalg.norm(X, axis=1, keepdims=True)
    similarity = (1 + unit @ unit.T) / 2
    best = np.zeros(N)
    expected = []
    for i in found:
        expected.append(np.maximum(similarity[i] - best, 0).sum())
        best = np.maximum(best, similarity[i])
    check(numbers(found)[:, 0], expected)
    assert found.reasons[0].endswith(" in facility location")


def test_fass_gives_uncertainty_and_gain():
    found = picked(FASS(top_n=4, selection_type="Full"), 5)
    assert found.notes == ("a shortlist kept the 20 of 300 examples with the largest entropy",)
    check(numbers(found)[:, 0], entropy(PROBS[found]))
    assert re.fullmatch(r"entropy [\d.]+ nats, gain [\d.]+ in facility location", found.reasons[0])
    table = Signals(torch.arange(N), {Probs(): torch.from_numpy(PROBS), Embedding(): torch.from_numpy(X)})
    direct = FASS(top_n=4, selection_type="Full").select(Sets(table), 5, Rng(0))
    assert (direct.reasons, direct.notes) == (found.reasons, found.notes)
    only = picked(FASS(top_n=1, uncertainty="margin"), 5)
    assert only.reasons == picked("margin_sampling", 5).reasons
    assert only.notes == ("a shortlist kept the 5 of 300 examples with the smallest margin",)
    assert picked(FASS(), N).notes == ()


def test_two_rounds_are_noted(monkeypatch):
    assert picked(CRAIG(selection_type="Supervised")).notes == ()
    for function in (greedy.parts_of, greedy.two_rounds_with_gains, greedy.two_rounds):
        positional = function.__defaults__ and {"__defaults__": (4 * 90**2,)}
        for name, value in (positional or {"__kwdefaults__": {"classes": None, "memory": 4 * 90**2}}).items():
            monkeypatch.setattr(function, name, value)
    for strategy in (SubmodularSampling(), FASS(top_n=60, selection_type="Full"), CRAIG(selection_type="Supervised")):
        (note,) = picked(strategy, 5).notes
        assert re.match(
            r"facility location was maximized in two rounds .*, as 300 examples .*: in each of 5 parts", note
        )
    assert picked(SubmodularSampling(selection_type="PerClass"), 5).notes == ()  # every class is small enough
    assert picked(SubmodularSampling(function="graph_cut"), 5).notes == ()


SAYS = {
    "adversarial_bim": "distance .* to the decision boundary",
    "adversarial_deepfool": "distance .* to the decision boundary",
    "badge": "gradient of length",
    "badge_per_batch": "in a batch whose mean gradient has length",
    "bait": "lowered the trace of the error bound by",
    "bald_dropout": "mutual information .* nats",
    "baseline_sampling": "drawn for the volume of the whole set",
    "batchbald": "joint information",
    "core_set": "labeled|chosen before",
    "craig": "represents .* examples",
    "entropy_sampling": "^entropy .* nats",
    "entropy_sampling_dropout": "entropy of the mean prediction .* nats",
    "fass": "^entropy .* nats, gain .* in facility location",
    "glister": "its gradient step lowers the .* loss by",
    "gradmatch": "helps to match the mean gradient of class",
    "kmeans_sampling": "nearest to the center of a cluster of",
    "kmedians_sampling": "nearest to the median of a cluster of",
    "least_confidence": "^confidence .* in class",
    "least_confidence_dropout": "confidence of the mean prediction",
    "margin_sampling": "^margin .* between class",
    "margin_sampling_dropout": "margin of the mean prediction",
    "probcover": "covers .* more example|far from the other picks",
    "random_sampling": "^drawn at random$",
    "submod_sampling": "gain .* in facility location",
    "typiclust": "in a cluster of",
}


def test_every_strategy_says_what_it_used(case):
    model = nn.Linear(D, C)
    for name, cls in STRATEGIES.items():
        if "classification" not in tasks_of(cls()):
            continue
        if any(isinstance(signal, Given) for signal in cls().needs.signals):  # tests/contract/test_strategies_arrays.py
            continue
        with case(name):
            try:
                found = picked(name, 3, labeled=([0, 1], [0, 1]), costs=[1.0] * len(X))
            except MissingSignal:  # attacks need a model, targeted strategies need further sets
                found = select(name, model, X, 3, labeled=([0, 1], [0, 1]), query=X[:2], private=X[2:4])
            assert len(found.reasons) == 3
            for reason in found.reasons:
                assert re.search(SAYS.get(name, "."), reason)
    assert SAYS.keys() <= STRATEGIES.keys()


def test_sizes_have_separators_of_thousands():
    x = torch.randn(3000, 2, generator=torch.Generator().manual_seed(0)).numpy()
    (typical,) = select_from("typiclust", 1, embeddings=x, seed=0).reasons
    assert "in a cluster of 3,000 without labels" in typical
    (nearest,) = select_from("kmeans_sampling", 1, embeddings=x, seed=0).reasons
    assert nearest.endswith("of a cluster of 3,000")


def test_zeros_have_no_sign():
    no_tokens = {"probs": [[0.5, 0.5], [1.0, 0.0]], "offsets": [0, 1, 1, 2]}
    for name, given in (("mnlp", no_tokens), ("margin_sampling", {"probs": [[0.5, 0.5]] * 2})):
        found = select_from(name, 2, **given)
        assert not any(re.search(r"-0\b(?!\.)", reason) for reason in found.reasons)
        assert not bool(found.scores.signbit().any())
