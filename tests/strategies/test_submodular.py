"""The submodular strategies, CRAIG and the k-DPP beyond the contract."""

import itertools

import numpy as np
import pytest
import torch

from distil.errors import InvalidInput
from distil.functional.features import Dense, Outer
from distil.functional.greedy import naive_greedy
from distil.functional.similarity import Similarity, cosine, rbf
from distil.functional.submodular import FUNCTIONS, FacilityLocation, objective_named
from distil.functional.uncertainty import confidence, entropy, margin
from distil.rng import Rng
from distil.selection.select import select_from
from distil.signals import Embedding, Gradient, Inputs, Logits, Probs, Signals
from distil.strategies import CRAIG, FASS, KDPP, EntropySampling, SubmodularSampling, strategy_named
from distil.strategies.base import Sets

N, C, D = 150, 5, 6


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def table(n=N, seed=0, scale=1.0, ids=None):
    logits = normal(n, C, seed=seed + 1) + torch.linspace(1, -1, C)
    columns = {
        Probs(): logits.softmax(-1),
        Logits(): logits,
        Embedding(): normal(n, D, seed=seed) * scale,
        Inputs(): normal(n, 9, seed=seed + 2) * scale,
    }
    return Sets(Signals(torch.arange(n) if ids is None else ids, columns))


def predicted(sets):
    return sets.pool[Probs()].argmax(-1)


def ids(strategy, sets, n, seed=0):
    """The ids that the strategy selects: n distinct ids of the pool."""
    picks = strategy.select(sets, n, Rng(seed)).tolist()
    assert len(picks) == len(set(picks)) == n, strategy
    assert set(picks) <= set(sets.pool.ids.tolist()), strategy
    return picks


# --- submodular sampling ----------------------------------------------------------------------------------------------


KINDS = ("Full", "PerClass", "Supervised")


def test_full_maximizes_the_function_over_the_pool():
    sets = table()
    a = sets.pool[Probs()] - torch.nn.functional.one_hot(predicted(sets), C)
    representations = {
        "embedding": Dense(sets.pool[Embedding()]),
        "gradient": Outer(a, sets.pool[Embedding()], bias=True),
        "raw": Dense(sets.pool[Inputs()]),
    }
    for representation, x in representations.items():
        for function, metric in itertools.product(FUNCTIONS, ("rbf", "cosine")):
            kernel = rbf(x) if metric == "rbf" else cosine()
            expected = naive_greedy(objective_named(function, x, kernel), 9).rows.tolist()
            strategy = SubmodularSampling(function=function, representation=representation, metric=metric)
            assert ids(strategy, sets, 9) == expected, strategy


def test_gamma_is_that_of_the_kernel():
    sets = table()
    x = Dense(sets.pool[Embedding()])
    for gamma in (0.01, 1.0, 2):
        expected = naive_greedy(FacilityLocation(Similarity(x, rbf(x, gamma))), 9).rows.tolist()
        assert ids(SubmodularSampling(gamma=gamma), sets, 9) == expected


def test_per_class_maximizes_inside_each_class():
    sets = table()
    classes = predicted(sets)
    populations = torch.bincount(classes, minlength=C)
    kernel = rbf(Dense(sets.pool[Embedding()]))  # one scale for all classes
    rows = torch.nonzero(classes == 0)[:, 0]
    x = Dense(sets.pool[Embedding()][rows])
    for function, n in itertools.product(FUNCTIONS, (1, 3, 20, N)):
        picks = ids(SubmodularSampling(function=function, selection_type="PerClass"), sets, n)
        counts = torch.bincount(classes[picks], minlength=C)
        assert bool((counts - populations * n / N).abs().max() < 1), (function, n)
        inside = [i for i in picks if classes[i] == 0]
        if inside and function != "feature_based":
            alone = naive_greedy(objective_named(function, x, kernel), len(inside)).rows
            assert inside == rows[alone].tolist(), (function, n)


def test_supervised_gives_n_distinct_ids():
    for function, n in itertools.product(FUNCTIONS, (1, 3, 20, N)):
        ids(SubmodularSampling(function=function, selection_type="Supervised"), table(), n)


def test_the_scale_of_the_embeddings_makes_no_difference():
    for function, kind in itertools.product(FUNCTIONS, KINDS):
        strategy = SubmodularSampling(function=function, selection_type=kind)
        plain = ids(strategy, table(), 14)
        assert max(plain) > N / 2, strategy
        for scale in (10.0, 1000.0):
            assert ids(strategy, table(scale=scale), 14) == plain, (strategy, scale)


def test_difficult_pools():
    saturated = torch.zeros(24, C)
    saturated[:, 3] = 1
    for embedding in (torch.zeros(24, D), normal(4, D).repeat(6, 1)):
        sets = Sets(Signals(torch.arange(24) * 3, {Probs(): saturated, Embedding(): embedding}))
        for function, kind, optimizer in itertools.product(FUNCTIONS, KINDS, ("lazy", "naive", "stochastic")):
            strategy = SubmodularSampling(function=function, selection_type=kind, optimizer=optimizer)
            ids(strategy, sets, 24)


def test_lazy_is_naive():
    sets = table()
    for function, kind in itertools.product(FUNCTIONS, KINDS):
        lazy, naive = (SubmodularSampling(function, kind, optimizer=optimizer) for optimizer in ("lazy", "naive"))
        assert ids(lazy, sets, 25) == ids(naive, sets, 25), lazy


def test_only_stochastic_is_random():
    sets = table()
    assert len({tuple(ids(SubmodularSampling(), sets, 9, seed)) for seed in range(4)}) == 1
    assert len({tuple(ids(SubmodularSampling(optimizer="stochastic"), sets, 9, seed)) for seed in range(4)}) > 1


def test_documented_spellings():
    sets = table()
    for written, plain in (("Disparity-min", "disparity_min"), ("Disparity-sum", "disparity_sum"), ("DPP", "dpp")):
        assert ids(SubmodularSampling(written), sets, 8) == ids(SubmodularSampling(plain), sets, 8)
    for written in ("perclass", "PERCLASS", "per-class"):
        strategy = SubmodularSampling(selection_type=written)
        assert ids(strategy, sets, 8) == ids(SubmodularSampling(selection_type="PerClass"), sets, 8)


def test_invalid_parameters():
    for parameters, match in (
        ({"function": "facility"}, r"function must be one of .*did you mean 'facility_location'"),
        ({"function": None}, "function must be one of"),
        ({"selection_type": "Everything"}, "selection_type must be one of 'Full', 'PerClass', 'Supervised'"),
        ({"representation": "logits"}, "representation must be one of"),
        ({"metric": "l1"}, "metric must be one of"),
        ({"optimizer": "eager"}, "optimizer must be one of"),
        ({"gamma": 0}, "gamma must be a number above 0"),
        ({"gamma": float("inf")}, "gamma must be a number above 0"),
        ({"gamma": "big"}, "gamma must be a number above 0"),
        (
            {"metric": "cosine", "gamma": 1.0},
            "gamma is a parameter of metric='rbf', got gamma=1.0 with metric='cosine'",
        ),
    ):
        with pytest.raises(ValueError, match=match):
            SubmodularSampling(**parameters)
        if "representation" not in parameters:
            with pytest.raises(InvalidInput, match=match):
                FASS(**parameters)


def test_full_needs_no_probabilities():
    assert SubmodularSampling().needs.pool == (Embedding(),)
    assert SubmodularSampling(selection_type="PerClass").needs.pool == (Embedding(), Probs())
    assert SubmodularSampling(representation="gradient").needs.pool == (Gradient(part="all"),)
    assert len(select_from("submod_sampling", 5, embeddings=normal(20, 3))) == 5


# --- FASS -------------------------------------------------------------------------------------------------------------------

SCORES = {"entropy": entropy, "least_confidence": lambda p: 1 - confidence(p), "margin": lambda p: -margin(p)}


def test_picks_are_among_the_most_uncertain():
    sets = table()
    for uncertainty, score in SCORES.items():
        order = score(sets.pool[Probs()]).argsort(descending=True, stable=True).tolist()
        for top_n, n_passed in ((1, 10), (1.1, 11), (2.5, 25), (5, 50), (1000, N)):
            for kind in KINDS:
                strategy = FASS(top_n=top_n, uncertainty=uncertainty, selection_type=kind)
                assert strategy.most_uncertain(sets.pool[Probs()], 10).tolist() == order[:n_passed], strategy
                assert set(ids(strategy, sets, 10)) <= set(order[:n_passed]), strategy


def test_the_filter_is_rounded_up_but_not_for_rounding_errors():
    probs = table().pool[Probs()]
    assert len(FASS(top_n=1.1).most_uncertain(probs, 100)) == 110  # 1.1 * 100 is 110.00000000000001
    assert len(FASS(top_n=1.5).most_uncertain(probs, 3)) == 5


def test_the_two_ends_of_top_n():
    sets = table()
    most_uncertain = EntropySampling().select(sets, 12, Rng(0)).tolist()
    for function, kind in itertools.product(FUNCTIONS, KINDS):
        assert ids(FASS(top_n=1, function=function, selection_type=kind), sets, 12) == most_uncertain, (function, kind)
        unfiltered = FASS(top_n=N / 12, function=function, selection_type=kind)
        assert ids(unfiltered, sets, 12) == ids(SubmodularSampling(function, kind), sets, 12), (function, kind)


def test_the_function_is_that_of_the_filtered_examples():
    sets = table()
    rows = FASS().most_uncertain(sets.pool[Probs()], 6).sort().values
    x = Dense(sets.pool[Embedding()][rows])
    expected = rows[naive_greedy(FacilityLocation(Similarity(x, rbf(x))), 6).rows].tolist()
    assert ids(FASS(selection_type="Full"), sets, 6) == expected


def test_invalid_top_n():
    for top_n in (0, 0.99, -3, float("inf"), float("nan"), True, "5", None):
        with pytest.raises(InvalidInput, match="top_n must be a number from 1"):
            FASS(top_n=top_n)


def test_pools_with_duplicates():
    """The published code gave one distinct id of 10."""
    sets = Sets(
        Signals(
            torch.arange(40), {Probs(): normal(4, C).softmax(-1).repeat(10, 1), Embedding(): normal(4, D).repeat(10, 1)}
        )
    )
    found = ids(FASS(selection_type="Full"), sets, 10)
    assert sorted(i % 4 for i in found[:4]) == [0, 1, 2, 3]


# --- CRAIG ------------------------------------------------------------------------------------------------------------------

CRAIGS = [
    CRAIG(),
    CRAIG(part="bias"),
    CRAIG(selection_type="Supervised"),
    CRAIG(selection_type="PerBatch", batch_size=7),
    CRAIG(selection_type="PerBatch", batch_size=1),
]


def gradients(sets, part="all"):
    """The last layer's gradients at the predicted labels, in full: (N, width) float64."""
    p = sets.pool[Probs()].double()
    a = (p - torch.nn.functional.one_hot(p.argmax(-1), p.shape[1])).numpy()
    b = sets.pool[Embedding()].double().numpy()
    if part == "bias":
        return a
    if part == "all":
        b = np.hstack([np.ones((len(b), 1)), b])
    return (a[:, :, None] * b[:, None]).reshape(len(a), -1)


def test_weights_count_the_pool():
    sets = table()
    for strategy, n in itertools.product(CRAIGS, (1, 3, 20, N)):
        selection = strategy.select(sets, n, Rng(0))
        assert len(set(selection.tolist())) == n, strategy
        assert float(selection.weights.double().sum()) == pytest.approx(N, rel=1e-5), strategy
        assert bool((selection.weights > 0).all()), strategy
        if n == N and strategy.selection_type != "PerBatch":
            assert selection.weights.tolist() == [1] * N, strategy


def test_all_gradients_zero():
    sets = Sets(Signals(torch.arange(50), {Probs(): torch.eye(C)[torch.arange(50) % 3], Embedding(): normal(50, D)}))
    for strategy, n in itertools.product(CRAIGS, (1, 4, 50)):
        selection = strategy.select(sets, n, Rng(0))
        assert len(set(selection.tolist())) == n, strategy
        assert float(selection.weights.sum()) == pytest.approx(50), strategy


def test_the_error_of_the_weighted_gradient_is_bounded():
    """|| sum_i g_i - sum_j w_j g_j || <= sum_i d(i, its pick), and picks beat random ones."""
    sets = table()
    labels = predicted(sets).numpy()

    def bound(g, picks):
        dists = np.linalg.norm(g[:, None] - g[None, picks], axis=2)
        apart = labels[:, None] != labels[picks][None]
        apart &= ~apart.all(1, keepdims=True)
        return np.where(apart, np.inf, dists).min(1).sum()

    for strategy, n in itertools.product(CRAIGS[:3], (2, 10, 40)):
        g = gradients(sets, strategy.part)
        selection = strategy.select(sets, n, Rng(0))
        picks = selection.tolist()
        error = np.linalg.norm(g.sum(0) - selection.weights.double().numpy() @ g[picks])
        assert error <= bound(g, picks) * (1 + 1e-6), strategy
        rng = np.random.default_rng(0)
        random = [bound(g, rng.choice(N, n, replace=False)) for _ in range(50)]
        assert bound(g, picks) <= np.median(random), strategy


SCALES = [(1.0, "all"), *itertools.product((1e-30, 1e-15, 1e15, 1e30), ("all", "weights"))]
"""Of the embeddings, and the part of the gradient; 1e-30 times the weights' part is nothing next to the bias's."""


@pytest.mark.parametrize(("scale", "part"), SCALES)
def test_per_class_minimizes_distances_inside_each_class(scale, part):
    """Greedy by brute force: each pick lowers the sum of distances most."""
    sets = table(scale=scale)
    g, labels = gradients(sets, part), predicted(sets).numpy()
    found = CRAIG(part=part).select(sets, 20, Rng(0)).tolist()
    assert part == "all" or found == CRAIG(part=part).select(table(), 20, Rng(0)).tolist()
    for c in range(C):
        rows = np.nonzero(labels == c)[0]
        dists = np.linalg.norm(g[rows][:, None] - g[rows][None], axis=2)
        picks = []
        nearest = np.full(len(rows), dists.max() if len(rows) else 0)
        for _ in [i for i in found if labels[i] == c]:
            sums = [np.inf if j in picks else np.minimum(nearest, dists[j]).sum() for j in range(len(rows))]
            picks.append(int(np.argmin(sums)))
            nearest = np.minimum(nearest, dists[picks[-1]])
        assert rows[picks].tolist() == [i for i in found if labels[i] == c]


@pytest.mark.parametrize(("scale", "part"), SCALES)
def test_supervised_is_facility_location_with_similarity_0_across_classes(scale, part):
    sets = table(scale=scale)
    g, labels = gradients(sets, part), predicted(sets).numpy()
    dists = np.linalg.norm(g[:, None] - g[None], axis=2)
    close = (dists.max() - dists) * (labels[:, None] == labels[None])
    picks, best = [], np.zeros(N)
    for _ in range(20):
        gains = [-1 if j in picks else np.maximum(close[j] - best, 0).sum() for j in range(N)]
        picks.append(int(np.argmax(gains)))
        best = np.maximum(best, close[picks[-1]])
    assert CRAIG("Supervised", part).select(sets, 20, Rng(0)).tolist() == picks


def test_the_order_of_the_pool_makes_no_difference():
    sets = table()
    order = torch.randperm(N, generator=torch.Generator().manual_seed(0))
    permuted = Sets(Signals(order, {signal: column[order] for signal, column in sets.pool.values.items()}))
    for strategy in CRAIGS[:3]:
        one, other = strategy.select(sets, 20, Rng(0)), strategy.select(permuted, 20, Rng(0))
        assert one.tolist() == other.tolist(), strategy
        assert one.weights.tolist() == other.weights.tolist(), strategy
        assert one.tolist() == strategy.select(sets, 20, Rng(1)).tolist(), strategy


def test_batches_are_whole_and_consecutive():
    sets = table(ids=torch.randperm(N, generator=torch.Generator().manual_seed(4)))
    strategy = CRAIG(selection_type="Per-Batch", batch_size=8)
    assert (
        strategy.select(sets, 20, Rng(0)).tolist() == CRAIG("PerBatch", batch_size=8).select(sets, 20, Rng(0)).tolist()
    )
    selection = strategy.select(sets, 20, Rng(0))
    batches = (selection.ids // 8).tolist()
    assert len(set(batches[:8])) == 1
    assert len(set(batches)) == 3
    assert [batches.count(b) for b in dict.fromkeys(batches)] == [8, 8, 4]
    # the gradients of a batch, by id, and the order inside it: nearest to its mean first
    g = gradients(sets)[sets.pool.ids.argsort().numpy()]
    for b in dict.fromkeys(batches):
        members = np.arange(b * 8, min(b * 8 + 8, N))
        dists = np.linalg.norm(g[members] - g[members].mean(0), axis=1)
        order = members[np.argsort(dists)].tolist()
        mine = [i for i in selection.tolist() if i // 8 == b]
        assert mine == order[: len(mine)]


def test_batches_of_one_are_examples():
    """Facility location over the whole pool, by brute force: each pick lowers the sum of distances most."""
    sets = table(60)
    selection = CRAIG("PerBatch", batch_size=1).select(sets, 12, Rng(0))
    g = gradients(sets)
    dists = np.linalg.norm(g[:, None] - g[None], axis=2)
    picks, nearest = [], np.full(60, dists.max())
    for _ in range(12):
        sums = [np.inf if j in picks else np.minimum(nearest, dists[j]).sum() for j in range(60)]
        picks.append(int(np.argmin(sums)))
        nearest = np.minimum(nearest, dists[picks[-1]])
    assert selection.tolist() == picks
    assert selection.weights.tolist() == np.bincount(dists[:, picks].argmin(1), minlength=12).tolist()


def test_a_short_last_batch_may_be_chosen():
    """13 examples in batches of 5: whichever batches come first, exactly n ids."""
    sets = table(13)
    for n in range(1, 14):
        selection = CRAIG("PerBatch", batch_size=5).select(sets, n, Rng(0))
        assert len(set(selection.tolist())) == n
        assert float(selection.weights.sum()) == pytest.approx(13)


def test_a_users_loss():
    sets = table()
    same = CRAIG(loss=torch.nn.functional.cross_entropy)
    assert same.select(sets, 15, Rng(0)).tolist() == CRAIG().select(sets, 15, Rng(0)).tolist()
    scaled = CRAIG(loss=lambda logits, y: torch.nn.functional.cross_entropy(logits * 0.1, y))
    assert scaled.select(sets, 15, Rng(0)).tolist() != CRAIG().select(sets, 15, Rng(0)).tolist()


def test_invalid_parameters_of_craig():
    for parameters, match in (
        ({"selection_type": "Full"}, "selection_type must be one of 'PerClass', 'Supervised', 'PerBatch'"),
        ({"part": "embedding"}, "part must be one of"),
        ({"batch_size": 0}, "batch_size must be a whole number from 1"),
    ):
        with pytest.raises(InvalidInput, match=match):
            CRAIG(**parameters)


# --- k-DPP ------------------------------------------------------------------------------------------------------------------


def test_k_dpp_on_gradients_is_drawn_and_repeatable():
    sets = table()
    assert strategy_named("baseline_sampling") == KDPP()
    assert ids(KDPP(), sets, 12) == ids(KDPP(), sets, 12)
    assert len({tuple(ids(KDPP(), sets, 12, seed)) for seed in range(4)}) == 4


def test_k_dpp_spreads_more_than_chance():
    """The volume that its gradients span exceeds that of almost all random sets."""
    sets = table()
    g = gradients(sets)[:, [i for i in range(C * (D + 1)) if i % (D + 1)]]

    def volume(picks):
        return np.linalg.slogdet(g[picks] @ g[picks].T)[1]

    drawn = np.mean([volume(ids(KDPP(), sets, 8, seed)) for seed in range(20)])
    rng = np.random.default_rng(0)
    chance = [volume(rng.choice(N, 8, replace=False)) for _ in range(200)]
    assert drawn > np.quantile(chance, 0.95)
