"""GradMatch and GLISTER as strategies: the signals that they read, their errors and their selections."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from distil.data.examples import LabeledSet
from distil.errors import InvalidInput, MissingSignal
from distil.functional.budgets import class_budgets
from distil.functional.gradients import cross_entropy_residual
from distil.functional.matching import fixed_weight_matching, mean_row
from distil.rng import Rng
from distil.selection.select import select, select_from
from distil.signals import Embedding, Gradient, Labels, Logits, Signals
from distil.strategies import GLISTER, GradMatch
from distil.strategies.base import Sets
from distil.system.runtime import Runtime

N, D, C = 120, 6, 4
LABELED = [4, 9, 50, 77, 101]


def table(n, seed, labels=True, first_id=0):
    g = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(n, D, generator=g)
    weight = torch.randn(D, C, generator=torch.Generator().manual_seed(9))
    logits = embeddings @ weight + torch.randn(n, C, generator=g) / 4
    values = {Logits(): logits, Embedding(): embeddings}
    if labels:
        values[Labels()] = torch.randint(C, (n,), generator=g)
    return Signals(torch.arange(n) + first_id, values)


@pytest.fixture(scope="module")
def sets():
    return Sets(pool=table(N, 0, labels=False, first_id=1000), labeled=table(20, 1), validation=table(30, 2))


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).normal(size=(N, D)).astype(np.float32)


@pytest.fixture(scope="module")
def y():
    return np.random.default_rng(2).integers(C, size=N)


@pytest.fixture
def net(small_net):
    return small_net(n_inputs=D, n_classes=C)


VARIANTS = {
    "gradmatch": GradMatch(),
    "gradmatch bias": GradMatch(part="bias"),
    "gradmatch weights": GradMatch(part="weights"),
    "gradmatch per batch": GradMatch(selection_type="PerBatch", batch_size=7),
    "gradmatch fitted": GradMatch(use_weights=True),
    "gradmatch fitted per batch": GradMatch(selection_type="PerBatch", batch_size=7, use_weights=True, part="bias"),
    "gradmatch valid": GradMatch(valid=True),
    "gradmatch valid per batch": GradMatch(valid=True, selection_type="PerBatch", use_weights=True, ridge=0),
    "gradmatch loss": GradMatch(loss=cross_entropy),
    "glister": GLISTER(),
    "glister valid": GLISTER(valid=True),
    "glister rand": GLISTER(type_of="Rand", lam=0.5),
    "glister diversity": GLISTER(type_of="Diversity", lam=10),
    "glister facloc": GLISTER(type_of="FacLoc", lam=0.1, valid=True),
    "glister loss": GLISTER(loss=cross_entropy),
}


# --- all variants -------------------------------------------------------------------------------------------------------


def test_n_distinct_ids(sets):
    for name, strategy in VARIANTS.items():
        for n in (1, 2, 33, N):
            selection = strategy.select(sets, n, Rng(0))
            assert len(set(selection)) == len(selection) == n, name
            assert set(selection) <= set(sets.pool.ids.tolist()), name
            fitted = isinstance(strategy, GradMatch) and strategy.use_weights
            assert (selection.weights is not None) == fitted, name
            if fitted:
                assert selection.weights.shape == (n,), name
                assert bool(((selection.weights >= 0) & selection.weights.isfinite()).all()), name


def difficult_pools():
    """Saturated probabilities, one predicted class, equal rows and embeddings of 0, by name."""
    pool = table(40, 0, labels=False)
    logits, embeddings = pool.values[Logits()], pool.values[Embedding()]
    columns = {
        "saturated": (logits * 1000, embeddings),
        "one class": (logits + 50 * torch.eye(C)[2], embeddings),
        "one row": (logits[:1].expand(40, -1).clone(), embeddings[:1].expand(40, -1).clone()),
        "zero embeddings": (logits, torch.zeros_like(embeddings)),
    }
    return {kind: Signals(pool.ids, {Logits(): z, Embedding(): e}) for kind, (z, e) in columns.items()}


@pytest.mark.slow
def test_n_distinct_ids_of_difficult_pools(sets):
    for kind, pool in difficult_pools().items():
        for name, strategy in VARIANTS.items():
            for n in (1, 10, 40):
                selection = strategy.select(Sets(pool, sets.labeled, sets.validation), n, Rng(0))
                assert len(set(selection)) == len(selection) == n, (kind, name)


def test_the_labeled_set_is_optional(sets):
    empty = sets.pool.rows(torch.empty(0, dtype=torch.long))
    for labeled in (empty, Signals(torch.empty(0, dtype=torch.long), {})):
        for name, strategy in VARIANTS.items():
            assert len(strategy.select(Sets(sets.pool, labeled, sets.validation), 10, Rng(0))) == 10, name


@pytest.mark.slow
def test_the_minibatch_size_makes_no_difference(net, x, y):
    options = {
        "labeled": LabeledSet(x, torch.tensor(LABELED), torch.from_numpy(y)[LABELED]),
        "validation": (x[:30] + 1, y[:30]),
    }
    for name, strategy in VARIANTS.items():
        picks = select(strategy, net, x, 20, runtime=Runtime(batch_size=N), **options).tolist()
        assert not set(picks) & set(LABELED), name
        for batch_size in (1, 7, 50):
            other = select(strategy, net, x, 20, runtime=Runtime(batch_size=batch_size), **options).tolist()
            assert other == picks, (name, batch_size)


def test_valid_without_a_validation_set_is_refused(net, x, y):
    for strategy in (GradMatch(valid=True), GLISTER(valid=True)):
        name = type(strategy).__name__
        with pytest.raises(
            MissingSignal, match=rf"{name}\(valid=True\) needs a validation set; pass validation=\{{id: label\}}"
        ):
            select(strategy, net, x, 5)
        with pytest.raises(MissingSignal, match=f"{name} needs labels"):
            select(strategy, net, x, 5, validation=x[:7] + 1)
        with pytest.raises(InvalidInput, match="validation: labels must be classes of the model, 0 to 3, got 4"):
            select(strategy, net, x, 5, validation=(x[:7], np.full(7, C)))
        assert len(select(strategy, net, x, 5, validation=(x[:7], y[:7]))) == 5


def test_the_cross_entropy_as_loss_makes_no_difference(sets):
    for cls in (GradMatch, GLISTER):
        explicit, default = cls(loss=cross_entropy), cls()
        assert explicit.select(sets, 20, Rng(0)).tolist() == default.select(sets, 20, Rng(0)).tolist()


# --- GradMatch ----------------------------------------------------------------------------------------------------------


def test_gradmatch_gives_every_predicted_class_its_share(sets):
    y = sets.pool[Logits()].argmax(1)
    for n in (1, 3, 20, 77):
        picks = GradMatch().select(sets, n, Rng(0)).ids - 1000
        assert torch.bincount(y[picks], minlength=C).tolist() == class_budgets(y, n, C).tolist()


def test_gradmatch_per_batch_of_one_follows_the_mean(sets):
    strategy = GradMatch(selection_type="PerBatch", batch_size=1)
    gradients = sets.pool[Gradient(part="all")]
    expected = fixed_weight_matching(gradients, mean_row(gradients) * 15, 15)
    assert strategy.select(sets, 15, Rng(0)).tolist() == (expected + 1000).tolist()
    of_validation = mean_row(sets.validation[Gradient(part="all", labels="true")])
    expected = fixed_weight_matching(gradients, of_validation * 15, 15)
    valid = GradMatch(selection_type="PerBatch", batch_size=1, valid=True)
    assert valid.select(sets, 15, Rng(0)).tolist() == (expected + 1000).tolist()


def test_gradmatch_takes_whole_batches(sets):
    picks = GradMatch(selection_type="PerBatch", batch_size=8).select(sets, 20, Rng(0)).ids - 1000
    assert torch.bincount(picks // 8).sort(descending=True).values[:3].tolist() == [8, 8, 4]
    assert picks[:8].tolist() == list(range(int(picks[0]), int(picks[0]) + 8))


def test_gradmatch_weights_match_the_gradient_of_the_pool(sets):
    gradients = sets.pool[Gradient(part="all")].double()
    whole = gradients.combine(torch.ones(N).double())

    def error(ids, weights):
        return float((gradients[ids - 1000].combine(weights.double()) - whole).norm() / whole.norm())

    fitted = GradMatch(use_weights=True, ridge=0.01).select(sets, 60, Rng(0))
    plain = GradMatch().select(sets, 60, Rng(0))
    g = torch.Generator().manual_seed(0)
    by_chance = [error(torch.randperm(N, generator=g)[:60] + 1000, torch.full((60,), 2.0)) for _ in range(50)]
    assert error(fitted.ids, fitted.weights) < 0.3 * min(by_chance)
    assert error(plain.ids, torch.full((60,), 2.0)) < min(by_chance)


def test_gradmatch_from_arrays(net, x):
    net.eval()
    with torch.no_grad():
        hidden = net.body(torch.from_numpy(x))
        probs = net.head(hidden).softmax(1)
    from_arrays = select_from("gradmatch", 20, probs=probs, embeddings=hidden)
    assert from_arrays.tolist() == select("gradmatch", net, x, 20).tolist()
    bias = select_from(GradMatch(part="bias"), 20, probs=probs)
    assert bias.tolist() == select(GradMatch(part="bias"), net, x, 20).tolist()


def test_a_validation_set_of_arrays_is_that_of_a_model(net, x, y):
    """Rows with labels, in every form that ``labeled`` takes; the selection is the one that the model makes with this set."""
    net.eval()
    with torch.no_grad():
        hidden = net.body(torch.from_numpy(x))
        probs = net.head(hidden).softmax(1)
    held, names = list(range(30, 50)), [f"n{i}" for i in range(N)]
    known = {i: int(y[i]) for i in range(10)}
    for strategy in (GradMatch(valid=True), GLISTER(valid=True)):
        arrays = {"probs": probs, "embeddings": hidden, "labeled": known}
        expected = select(strategy, net, x, 15, labeled=known, validation=(held, y[held])).tolist()
        assert expected != select(strategy, net, x, 15, labeled=known, validation=(held, (y[held] + 1) % C)).tolist()
        assert select_from(strategy, 15, validation=(held, y[held]), **arrays).tolist() == expected
        assert select_from(strategy, 15, validation={i: int(y[i]) for i in held}, **arrays).tolist() == expected
        classes = ["a", "b", "c", "d"]
        named = {
            "labeled": {names[i]: classes[label] for i, label in known.items()},
            "names": names,
            "classes": classes,
        }
        validation = {names[i]: classes[y[i]] for i in held}
        found = select_from(strategy, 15, probs=probs, embeddings=hidden, validation=validation, **named)
        assert found.tolist() == expected
        for wrong, message in [
            (None, "needs a validation set; pass validation="),
            (held, "validation has no labels; pass a dict"),
            ((held, y[held][:-1]), "the labels of validation"),
            ({N: 0}, f"{N}"),
        ]:
            with pytest.raises(MissingSignal if wrong is None else InvalidInput, match=message):
                select_from(strategy, 15, validation=wrong, **arrays)


def test_gradmatch_refuses():
    for options, message in (
        ({"selection_type": "perclass"}, "selection_type must be one of .*, got 'perclass'; did you mean 'PerClass'"),
        ({"selection_type": None}, "selection_type must be one of"),
        ({"part": "everything"}, "part must be one of 'all', 'weights', 'bias', got 'everything'"),
        ({"batch_size": 0}, "batch_size must be a whole number from 1"),
        ({"ridge": -1}, "ridge must be a number from 0, got -1"),
        ({"ridge": float("nan")}, "ridge must be"),
        ({"ridge": "much"}, "ridge must be"),
    ):
        with pytest.raises(InvalidInput, match=message):
            GradMatch(**options)


# --- GLISTER ------------------------------------------------------------------------------------------------------------


def test_glister_lowers_the_validation_loss_more_than_random(seeded):
    """A head trained on few labels takes a step along the gradients of the selection, at its own predictions."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(C, D)) * 2
    y = rng.integers(C, size=400)
    x = torch.from_numpy((centers[y] + rng.normal(size=(400, D))).astype(np.float32))
    y = torch.from_numpy(y)
    head = seeded(nn.Linear, D, C)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.5)
    for _ in range(30):
        optimizer.zero_grad()
        cross_entropy(head(x[:20]), y[:20]).backward()
        optimizer.step()

    def loss_after(ids):
        ids = torch.as_tensor(ids)
        with torch.no_grad():
            probs = head(x[ids]).softmax(1)
            a = cross_entropy_residual(probs, probs.argmax(1))
            weight, bias = head.weight - 0.1 * a.T @ x[ids], head.bias - 0.1 * a.sum(0)
            return float(cross_entropy(x[300:] @ weight.T + bias, y[300:]))

    module = nn.Sequential(nn.Identity(), head)
    picks = select(
        GLISTER(valid=True, lr=0.1), module, x, 20, candidates=range(20, 300), validation=(x[300:], y[300:]), rng=0
    )
    by_chance = [loss_after(rng.choice(np.arange(20, 300), 20, replace=False)) for _ in range(50)]
    assert loss_after(picks.tolist()) < min(by_chance)


def test_glister_without_validation_judges_by_pool_and_labeled(sets):
    alone = GLISTER(lr=0.5).select(Sets(sets.pool), 20, Rng(0)).tolist()
    both = GLISTER(lr=0.5).select(sets, 20, Rng(0)).tolist()
    valid = GLISTER(lr=0.5, valid=True).select(sets, 20, Rng(0)).tolist()
    assert len({tuple(alone), tuple(both), tuple(valid)}) == 3


def test_glister_rand_depends_on_the_rng_and_keeps_its_greedy_part(sets):
    plain = GLISTER().select(sets, 20, Rng(0)).tolist()
    mixed = [GLISTER(type_of="Rand", lam=0.3).select(sets, 20, Rng(seed)).tolist() for seed in (0, 1, 0)]
    assert mixed[0] == mixed[2] != mixed[1]
    assert all(picks[:14] == plain[:14] for picks in mixed)
    assert GLISTER().select(sets, 20, Rng(1)).tolist() == plain


def test_glister_of_saturated_probabilities_is_finite(sets):
    pool = Signals(sets.pool.ids, {**sets.pool.values, Logits(): sets.pool[Logits()] * 1e4})
    for lr in (0.01, 100.0):
        assert len(set(GLISTER(lr=lr).select(Sets(pool, sets.labeled), 20, Rng(0)))) == 20


def test_glister_labels_out_of_range_are_refused(sets):
    wrong = Signals(sets.labeled.ids, {**sets.labeled.values, Labels(): sets.labeled[Labels()] + 1})
    with pytest.raises(InvalidInput, match="labeled: labels must be classes of the model, 0 to 3, got 4"):
        GLISTER().select(Sets(sets.pool, wrong), 5, Rng(0))


def test_glister_refuses():
    for options, message in (
        ({"type_of": "rand", "lam": 0.5}, "type_of must be one of .*, got 'rand'; did you mean 'Rand'"),
        ({"type_of": "facloc", "lam": 0.5}, "did you mean 'FacLoc'"),
        ({"type_of": 3}, "type_of must be one of"),
        ({"type_of": "Rand"}, r"GLISTER\(type_of='Rand'\) needs lam"),
        ({"type_of": "FacLoc"}, "needs lam"),
        ({"type_of": "Diversity"}, "needs lam"),
        ({"type_of": "Rand", "lam": 0}, "lam must be a number above 0, got 0"),
        (
            {"type_of": "Rand", "lam": 1},
            "lam must be between 0 and 1 with type_of='Rand', the share of random picks, got 1",
        ),
        ({"type_of": "Diversity", "lam": -2}, "lam must be a number above 0, got -2"),
        ({"type_of": "FacLoc", "lam": float("inf")}, "lam must be a number above 0"),
        ({"type_of": "FacLoc", "lam": "1"}, "lam must be a number above 0"),
        ({"lam": 0.5}, "lam is the weight of a regularizer, got lam=0.5 with type_of='none'; leave lam out"),
        ({"lr": 0}, "lr must be a number above 0, got 0"),
        ({"lr": True}, "lr must be"),
        ({"lr": None}, "lr must be"),
    ):
        with pytest.raises(InvalidInput, match=message):
            GLISTER(**options)
