"""A learner's rounds of query, label, skip and fit; the weights each round starts from; continuing from a state."""

from __future__ import annotations

import copy
import io
import random
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, Subset, TensorDataset

from distil import (
    DistilWarning,
    FitConfig,
    FitResult,
    InvalidInput,
    LabeledSet,
    Learner,
    MissingSignal,
    Needs,
    Rng,
    Runtime,
    Selection,
    Strategy,
    TorchNetwork,
    UnknownName,
    open_pool,
    select,
)

SHORT = FitConfig(lr=0.1, batch_size=8, n_epoch=3)


def blobs(n=60, classes=3, dims=4, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(classes, (n,), generator=generator)
    x = torch.randn(n, dims, generator=generator, dtype=dtype)
    x[torch.arange(n), y] += 2
    return x, y


X, Y = blobs()


def build():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))


def weights(module):
    return [p.detach().clone() for p in module.parameters()]


def same(a, b):
    return len(a) == len(b) and all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


def learner(strategy="margin_sampling", model=build, *, data=X, fit=SHORT, seed=3, **options):
    return Learner(data, model, strategy, num_classes=3, fit=fit, rng=seed, **options)


def play(subject, rounds, n=5):
    """Play rounds of fit, query and label; returns the ids queried in each."""
    asked = []
    for _ in range(rounds):
        subject.fit()
        ids = subject.query(n)
        asked.append(ids.tolist())
        subject.label(ids, Y[asked[-1]])
    return asked


def begun(*args, **options):
    subject = learner(*args, **options)
    subject.label(list(range(6)), Y[:6])
    return subject


# -------------------------------------------------------------------------------------------- queries and labels


def test_targeted_strategies_get_their_sets_with_each_query():
    for strategy, given in (
        ("smi", {"query": [0, 1]}),
        ("scg", {"private": [2]}),
        ("scmi", {"query": X[:2], "private": [2]}),
    ):
        subject = begun(strategy)
        subject.fit()
        rng = Rng(3).child("select", 0)
        expected = select(
            strategy, subject.network, X, 4, labeled=range(6), candidates=range(6, len(X)), rng=rng, **given
        )
        assert subject.query(4, **given).tolist() == expected.tolist(), strategy
    with pytest.raises(MissingSignal, match="SMI needs the query set"):
        begun("smi").query(3)


def test_rounds(case):
    for strategy in ["random_sampling", "margin_sampling", "badge", "core_set", "bald_dropout"]:
        with case(strategy):
            subject = begun(strategy)
            asked = play(subject, 4)
            flat = [i for ids in asked for i in ids]
            assert len(set(flat)) == 20
            assert not set(flat) & set(range(6))
            assert subject.pool.labeled.tolist() == sorted([*range(6), *flat])
            assert torch.equal(subject.pool.labels(subject.pool.labeled), Y[subject.pool.labeled])
            assert subject.round == 4
            assert subject.queries == 4


def test_a_query_is_a_selection_and_its_ids_are_pending():
    subject = begun()
    selection = subject.query(5)
    assert isinstance(selection, Selection)
    assert len(selection) == len(set(selection)) == 5
    assert subject.pool.asked.tolist() == sorted(selection)


def test_pending_examples_are_not_queried_again():
    """Twelve queries without an answer, until the pool is used up."""
    subject = begun()
    asked = [i for _ in range(9) for i in subject.query(6)]
    assert sorted(asked) == list(range(6, 60))
    with pytest.raises(InvalidInput, match="nothing to choose from"):
        subject.query(1)


def test_repeated_random_queries_differ():
    subject = begun("random_sampling")
    first, second = subject.query(5).tolist(), subject.query(5).tolist()
    assert not set(first) & set(second)
    assert subject.queries == 2


def test_answers_may_be_partial_late_repeated_or_missing():
    subject = begun()
    first = subject.query(6).tolist()
    subject.label([first[4], first[1]], [0, 2])  # some labels, in another order
    subject.skip([first[0]])
    assert subject.pool.asked.tolist() == sorted([first[2], first[3], first[5]])
    subject.fit()
    second = subject.query(6).tolist()
    assert not set(second) & set(first)
    subject.label([first[5]], [1])  # late, while another query is pending
    subject.label(first[4:5], torch.tensor([1]))  # a second label: the last one counts
    subject.label([first[0]], [2])  # labeled after a skip
    subject.skip([first[2]])
    result = subject.fit()
    assert isinstance(result, FitResult)
    known = dict(zip(subject.labeled.ids.tolist(), subject.labeled.y.tolist(), strict=True))
    expected = dict(enumerate(Y[:6].tolist())) | {first[0]: 2, first[1]: 2, first[4]: 1, first[5]: 1}
    assert known == expected
    assert subject.pool.skipped.tolist() == [first[2]]
    assert subject.pool.asked.tolist() == sorted([first[3], *second])
    third = subject.query(len(subject.pool.unlabeled))
    assert not set(third) & {*first, *second}


def test_labels_of_examples_that_were_not_queried():
    subject = learner()
    subject.label(np.array([50, 7]), np.array([1, 0], dtype=np.uint8))
    assert subject.pool.labels([7, 50]).tolist() == [0, 1]
    assert 50 not in subject.query(58).tolist()


def test_wrong_labels_are_refused(case):
    for ids, labels, message in [
        ([0], [3], "labels: 3 is not one of the 3 classes"),
        ([0], [-1], "labels: -1 is not one"),
        ([60], [0], "ids has 60, which is not a position in data of 60 examples"),
        ([0, 1], [0], "labels must have one entry for each of the 2 examples, got 1"),
        ([0, 0], [0, 1], "more than once"),
        ([0], [0.5], "whole number"),
    ]:
        with case(ids, labels, message):
            subject = learner()
            with pytest.raises(InvalidInput, match=message):
                subject.label(ids, labels)
            assert len(subject.pool.labeled) == 0


def test_a_query_of_a_wrong_size_changes_nothing(case):
    for n in [0, -1, 55, 1.5, True]:
        with case(n):
            subject = begun()
            with pytest.raises(InvalidInput):
                subject.query(n)
            assert subject.queries == 0
            assert len(subject.pool.asked) == 0


def test_candidates():
    subject = begun(candidates=range(40))
    assert subject.pool.held_out.tolist() == list(range(40, 60))
    assert sorted(subject.query(34)) == list(range(6, 40))
    with pytest.raises(InvalidInput, match="held out"):
        subject.label([50], [0])


def test_wrong_arguments():
    with pytest.raises(UnknownName, match="did you mean 'margin_sampling'"):
        learner("margin_samplin")
    with pytest.raises(InvalidInput, match=r"retrain must be .* got 'fresh'"):
        learner(retrain="fresh")
    with pytest.raises(InvalidInput, match="pass a function that builds the model"):
        learner(model=build(), retrain="shrink_perturb")
    with pytest.raises(InvalidInput, match="candidates has 60, which is not a position"):
        learner(candidates=[60])
    with pytest.raises(InvalidInput, match="no labels to train on yet"):
        learner().fit()


# -------------------------------------------------------------------------------------------- randomness


def test_the_seed_decides_everything():
    one, two, other = begun(seed=5), begun(seed=5), begun(seed=6)
    asked = play(one, 3)
    assert play(two, 3) == asked
    assert same(weights(one.module), weights(two.module))
    assert play(other, 3) != asked
    rng = begun(seed=Rng(5))
    assert play(rng, 3) == asked


def test_other_draws_in_between_change_nothing():
    undisturbed = play(begun(), 3)
    subject, asked = begun(), []
    for k in range(3):
        torch.manual_seed(k)
        torch.rand(k)
        asked += play(subject, 1)
    assert asked == undisturbed


def test_the_global_generators_are_left_alone(case):
    for strategy in ["random_sampling", "bald_dropout", "badge"]:
        with case(strategy):

            def states():
                numbers = np.random.get_state()  # noqa: NPY002
                return torch.get_rng_state().tolist(), random.getstate(), numbers[1].tolist(), numbers[2:]

            before = states()
            play(begun(strategy, retrain="shrink_perturb"), 2)
            assert states() == before


def test_a_users_fit_sees_seeded_generators():
    drawn = []

    def fit(module, labeled, number):
        drawn.append((number, float(torch.rand(())), float(np.random.rand()), random.random()))  # noqa: NPY002

    for k in range(2):
        torch.manual_seed(k)
        np.random.seed(k)  # noqa: NPY002
        random.seed(k)
        play(begun(fit=fit), 2)
    assert drawn[:2] == drawn[2:]
    assert drawn[0][1:] != drawn[1][1:]  # each round has its own draws


# -------------------------------------------------------------------------------------------- where a round starts


class Nudge:
    """A fit that records its first weights and adds one to every weight."""

    def __init__(self):
        self.starts = []

    def __call__(self, module, labeled, number):
        self.starts.append(weights(module))
        with torch.no_grad():
            for p in module.parameters():
                p.add_(1)


class Builder:
    """Builds networks and records the weights of each."""

    def __init__(self):
        self.built = []

    def __call__(self):
        module = build()
        self.built.append(weights(module))
        return module


def test_scratch_draws_new_weights_every_round():
    builder, fit = Builder(), Nudge()
    play(begun(model=builder, fit=fit), 3)
    assert len(builder.built) == 3
    assert all(same(a, b) for a, b in zip(fit.starts, builder.built, strict=True))
    assert not any(same(a, b) for a, b in zip(builder.built, builder.built[1:], strict=False))


def test_warm_goes_on_from_the_last_weights(case):
    for kind, model in zip(["a builder", "a module"], [build, build()], strict=True):
        with case(kind):
            fit = Nudge()
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                play(begun(model=copy.deepcopy(model), fit=fit, retrain="warm"), 3)
            first, *later = fit.starts
            for k, start in enumerate(later, 1):
                for p, q in zip(first, start, strict=True):
                    torch.testing.assert_close(q, p + k)


def test_shrink_perturb_by_brute_force():
    builder, fit = Builder(), Nudge()
    play(begun(model=builder, fit=fit, retrain="shrink_perturb"), 3)
    assert same(fit.starts[0], builder.built[0])
    for k in (1, 2):
        for start, before, fresh in zip(fit.starts[k], fit.starts[k - 1], builder.built[k], strict=True):
            expected = 0.4 * (before.double() + 1) + 0.1 * fresh.double()
            torch.testing.assert_close(start.double(), expected, rtol=0, atol=1e-6)


def test_a_module_without_builder_starts_from_its_first_weights_with_one_warning():
    module, fit = build(), Nudge()
    first = weights(module)
    subject = begun(model=module, fit=fit)
    subject.fit()
    with pytest.warns(DistilWarning, match="restores the model's first weights") as caught:
        subject.fit()
    subject.fit()  # a second warning would be an error here
    assert len(caught) == 1
    assert caught[0].filename == __file__  # it names the caller's file
    assert all(same(start, first) for start in fit.starts)
    assert subject.module is module


def test_buffers_are_restored_with_the_first_weights(small_net):
    module = small_net(n_inputs=4, n_classes=3, p=0.0)
    mean = module.body[1].running_mean.clone()
    subject = begun(model=module)
    starts = []
    inner = subject._fit
    subject._fit = lambda m, labeled, r: (starts.append(m.body[1].running_mean.clone()), inner(m, labeled, r))[1]
    subject.fit()
    with pytest.warns(DistilWarning, match="first weights"):
        subject.fit()
    assert not torch.equal(module.body[1].running_mean, mean)
    assert all(torch.equal(start, mean) for start in starts)


def test_the_first_fit_of_a_module_starts_from_its_own_weights():
    module, fit = build(), Nudge()
    first = weights(module)
    begun(model=module, fit=fit, retrain="warm").fit()
    assert same(fit.starts[0], first)


# -------------------------------------------------------------------------------------------- users' own fit functions


def test_a_users_fit_gets_the_model_the_labeled_set_and_the_round():
    seen = []

    def fit(module, labeled, number):
        assert isinstance(labeled, LabeledSet)
        seen.append((type(module), labeled.ids.tolist(), labeled.y.tolist(), number))
        assert torch.equal(labeled.x, X[labeled.ids])
        assert len(labeled) == len(labeled.ids)
        for row in (0, len(labeled) - 1):
            x, y = labeled[row]
            assert torch.equal(x, X[labeled.ids[row]])
            assert y == int(labeled.y[row])
            assert type(y) is int

    subject = learner(fit=fit)
    subject.label([30, 2, 9], [1, 0, 2])
    assert subject.fit() is None
    subject.label([5], [1])
    subject.fit()
    assert seen == [(nn.Sequential, [2, 9, 30], [0, 2, 1], 0), (nn.Sequential, [2, 5, 9, 30], [0, 1, 2, 1], 1)]


def test_the_result_of_a_users_fit_is_returned():
    assert learner(fit=lambda *_: "anything")._fit is not None
    assert begun(fit=lambda *_: "anything").fit() == "anything"


def test_a_users_fit_may_return_another_module():
    """A query after the fit must see the new module, also through the user's own network function."""
    made = []

    def network(module):
        made.append(module)
        return TorchNetwork(module)

    returned = []

    def fit(module, labeled, number):
        new = nn.Linear(4, 3)
        with torch.no_grad():
            new.weight.zero_()
            new.weight[0, number] = 5.0  # uncertain where that coordinate is near 0
            new.bias.zero_()
        returned.append(new)
        return new

    subject = begun("least_confidence", fit=fit, retrain="warm", network=network)
    for number in range(3):
        assert subject.fit() is returned[-1]
        assert subject.module is returned[-1]
        logits = torch.stack([5 * X[:, number], torch.zeros(60), torch.zeros(60)], 1)
        confidence = logits.softmax(1).max(1).values
        confidence[subject.pool.labeled] = 2.0
        confidence[subject.pool.asked] = 2.0
        assert set(subject.query(4)) == set(confidence.argsort()[:4].tolist())
    assert [module is new for module, new in zip(made, returned, strict=True)] == [True] * 3


def test_a_fit_may_return_another_kind_of_module_from_scratch():
    """Scratch restores the first model: the module that the fit returned may have weights of other shapes."""
    given = build()
    first, starts = weights(given), []

    def fit(module, labeled, number):
        starts.append(weights(module))
        return nn.Linear(4, 3)

    subject = begun(model=given, fit=fit)
    subject.fit()
    with pytest.warns(DistilWarning, match="first weights"):
        subject.fit()
    assert all(same(start, first) for start in starts)


def test_a_failed_fit_is_not_a_round():
    def fit(module, labeled, number):
        raise ZeroDivisionError

    subject = begun(fit=fit)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            subject.fit()
    assert subject.round == 0


# -------------------------------------------------------------------------------------------- the built-in trainer


def test_the_default_trainer_learns():
    x, y = blobs(200)
    subject = Learner(
        x, build, "margin_sampling", num_classes=3, fit=FitConfig(lr=0.1, batch_size=8, n_epoch=40), rng=0
    )
    subject.label(list(range(12)), y[:12])
    for _ in range(4):
        result = subject.fit()
        ids = subject.query(12)
        subject.label(ids, y[ids.ids])
    subject.fit()
    with torch.no_grad():
        accuracy = (subject.module.eval()(x).argmax(1) == y).float().mean()
    assert accuracy > 0.8  # chance is 1/3; the classes overlap
    assert result.n_epochs == len(result.accuracies) <= 40


def test_the_default_configuration_is_that_of_the_trainer():
    subject = begun(fit=None)
    assert subject.fit().n_epochs <= FitConfig().n_epoch


def test_training_is_the_librarys_own():
    """The learner adds nothing to ``distil.fit`` but the seed of the round."""
    from distil import fit

    builder = Builder()
    subject = begun(model=builder, seed=8)
    subject.fit()
    with Rng(8).child("model", 0).scope():
        module = build()
    assert same(weights(module), builder.built[0])
    fit(module, X[:6], Y[:6], SHORT, num_classes=3, rng=Rng(8).child("fit", 0))
    assert same(weights(module), weights(subject.module))


def test_a_pool_in_double_precision_and_a_model_in_single(case):
    for form in ["numpy float64", "numpy float32", "tensor float64", "items float64", "pairs float64"]:
        with case(form):
            data = {
                "numpy float64": X.double().numpy(),
                "numpy float32": X.numpy(),
                "tensor float64": X.double(),
                "items float64": list(X.double()),
                "pairs float64": [(x, "not read") for x in X.double().numpy()],
            }[form]
            reference, subject = begun(), begun(data=data)
            assert play(subject, 2) == play(reference, 2)
            assert same(weights(subject.module), weights(reference.module))
            assert subject.module[0].weight.dtype == torch.float32


def test_a_model_in_double_precision():
    subject = begun(model=lambda: build().double(), data=X.numpy())
    play(subject, 2)
    assert subject.module[0].weight.dtype == torch.float64


class Rows(Dataset):
    """A data set of inputs without labels."""

    def __len__(self):
        return len(X)

    def __getitem__(self, row):
        return X[row]


class Secret(Dataset):
    """A data set whose labels would be refused if they were read."""

    def __len__(self):
        return len(X)

    def __getitem__(self, row):
        return X[row], torch.tensor(7)


def test_a_dataset_as_pool_is_the_same_as_its_tensor(case):
    for data in [Rows(), TensorDataset(X), TensorDataset(X, Y), Secret()]:
        with case(data):
            reference, subject = begun(), begun(data=data)
            assert play(subject, 2) == play(reference, 2)
            assert same(weights(subject.module), weights(reference.module))
            assert subject.labeled.x is None


def test_images_through_a_transform():
    """Bytes in, floats to the network; augmentation in training only."""
    images = (torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 255).to(torch.uint8)
    augmented, prepared = [], []

    def transform(x):
        prepared.append(len(x))
        return x.float() / 255

    def augment(x, generator):
        augmented.append(len(x))
        return x

    subject = Learner(
        images,
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 3)),
        "margin_sampling",
        num_classes=3,
        fit=FitConfig(lr=0.1, batch_size=4, n_epoch=2),
        transform=transform,
        augment=augment,
    )
    subject.label(range(8), [0, 1, 2, 0, 1, 2, 0, 1])
    subject.fit()
    assert augmented == [4] * 4
    assert prepared[:4] == [4] * 4
    prepared.clear()
    subject.query(3)
    assert augmented == [4] * 4
    assert sum(prepared) >= 32


def test_a_transform_with_a_dataset_of_pairs():
    reference = begun(data=X * 2)
    subject = begun(data=TensorDataset(X, Y), transform=lambda x: x * 2)
    assert play(subject, 2) == play(reference, 2)


def test_validation_stops_early():
    x, y = blobs(160)
    config = FitConfig(lr=0.3, batch_size=4, n_epoch=60, patience=2, window_size=None)
    subject = Learner(
        x,
        build,
        "margin_sampling",
        num_classes=3,
        fit=config,
        validation=(x[100:], y[100:]),
        candidates=range(100),
        rng=1,
    )
    subject.label(range(12), y[:12])
    result = subject.fit()
    assert result.stopped == "patience"
    assert result.n_epochs == len(result.validation_accuracies) < 60
    with torch.no_grad():
        accuracy = (subject.module.eval()(x[100:]).argmax(1) == y[100:]).float().mean()
    assert float(accuracy) == pytest.approx(max(result.validation_accuracies), abs=1e-6)


def test_validation_in_double_precision_beside_a_pool_in_double_precision():
    """Held-out examples are transformed like the pool."""
    x, y = X.double(), Y
    subject = begun(data=x.numpy(), validation=(x[40:], y[40:]), candidates=range(40))
    assert len(subject.fit().validation_accuracies) == 3


def test_validation_beside_a_dataset_is_refused_with_advice():
    with pytest.raises(InvalidInput, match="or your own function as fit"):
        begun(data=TensorDataset(X, Y), validation=(X, Y)).fit()


# -------------------------------------------------------------------------------------------- the strategy's view


@dataclass(frozen=True)
class First(Strategy):
    """Takes the smallest ids and records the sets it gets."""

    seen: list

    @property
    def needs(self):
        return Needs()

    def select(self, sets, n, rng):
        self.seen.append((sets.pool.ids.tolist(), rng.integer()))
        return Selection(sets.pool.ids[:n])


def test_a_users_strategy():
    seen = []
    subject = begun(First(seen))
    assert subject.query(3).tolist() == [6, 7, 8]
    subject.skip([9])
    assert subject.query(2).tolist() == [10, 11]
    assert seen[0][0] == list(range(6, 60))
    assert seen[1][0] == list(range(10, 60))
    assert seen[0][1] != seen[1][1]  # every query has new draws


def test_the_minibatch_size_is_not_part_of_the_answer(case):
    for strategy in ["margin_sampling", "badge", "core_set"]:
        with case(strategy):
            small = play(begun(strategy, runtime=Runtime(batch_size=7)), 2)
            assert small == play(begun(strategy, runtime=Runtime(batch_size=1000)), 2)


def test_asking_does_not_change_the_model(fingerprint):
    subject = begun("bald_dropout")
    subject.fit()
    before = fingerprint(subject.module)
    subject.query(5)
    assert fingerprint(subject.module) == before


# -------------------------------------------------------------------------------------------- continuing from a state


def test_a_learner_goes_on_from_its_state(case):
    for retrain in ["scratch", "warm", "shrink_perturb"]:
        for strategy in ["random_sampling", "badge", "bald_dropout"]:
            with case(retrain, strategy):
                reference = begun(strategy, retrain=retrain)
                play(reference, 2)
                reference.skip([next(i for i in range(6, 60) if i not in reference.pool.labeled.tolist())])
                pending = reference.query(3).tolist()
                file = io.BytesIO()
                torch.save(reference.state_dict(), file)
                expected, expected_weights = play(reference, 2), weights(reference.module)

                file.seek(0)
                resumed = learner(strategy, retrain=retrain)
                resumed.load_state_dict(torch.load(file, weights_only=True))
                assert resumed.pool.asked.tolist() == sorted(pending)
                assert play(resumed, 2) == expected
                assert same(weights(resumed.module), expected_weights)
                assert (resumed.round, resumed.queries) == (reference.round, reference.queries)


def test_a_state_is_a_copy_of_the_pool():
    subject = begun()
    state = subject.state_dict()
    subject.label([20], [0])
    other = learner()
    other.load_state_dict(state)
    assert other.pool.labeled.tolist() == list(range(6))


def test_a_state_is_a_copy_of_the_weights():
    """A state in memory must not change with further training."""
    subject = begun(retrain="warm")
    subject.fit()
    before = weights(subject.module)
    state = subject.state_dict()
    subject.fit()
    assert not same(weights(subject.module), before)
    subject.load_state_dict(state)
    assert same(weights(subject.module), before)


def test_a_module_without_builder_goes_on_from_its_state():
    module = build()
    reference = begun(model=copy.deepcopy(module))
    with pytest.warns(DistilWarning, match="first weights"):
        play(reference, 2)
    state = copy.deepcopy(reference.state_dict())
    expected = play(reference, 2)
    resumed = learner(model=copy.deepcopy(module))
    resumed.load_state_dict(state)
    assert play(resumed, 2) == expected


def test_the_example_of_the_readme_in_five_lines():
    x = torch.linspace(-1, 1, 100)[:, None]
    subject = Learner(x, lambda: nn.Linear(1, 2), "margin_sampling", num_classes=2, fit=FitConfig(lr=1.0))
    subject.label([0, 99], [0, 1])
    for _ in range(3):
        subject.fit()
        ids = subject.query(5)
        subject.label(ids, [int(x[i] > 0) for i in ids])
    asked = [i for i in subject.pool.labeled.tolist() if i not in (0, 99)]
    assert len(asked) == 15
    assert max(abs(i - 49.5) for i in asked) < 30  # it queries examples near the boundary


# ------------------------------------------------------------------------------------------------- the user's own names


def named(**options):
    """A learner over rows with the names a0, a1, ..., six of them labeled."""
    subject = learner(names=[f"a{i}" for i in range(len(X))], **options)
    subject.label(["a0", "a5", "a1", "a2", "a4", "a3"], Y[[0, 5, 1, 2, 4, 3]])
    return subject


def test_names_are_taken_as_ids():
    subject = named()
    assert subject.pool.labeled.tolist() == list(range(6))
    assert torch.equal(subject.pool.labels(range(6)), torch.as_tensor(Y[:6]))
    subject.fit()
    asked = subject.query(3, exclude=[f"a{i}" for i in range(6, 40)])
    assert asked.names == tuple(f"a{i}" for i in asked)
    assert min(asked) >= 40
    subject.label(asked.names[:1], [2])
    first, *others = asked
    assert subject.pool.labels([first]).tolist() == [2]
    subject.skip(np.array(asked.names[1:]))
    assert subject.pool.skipped.tolist() == sorted(others)
    subject.label(asked, [0, 1, 2])  # positions are still read
    few = named(candidates=["a7", *(f"a{i}" for i in range(6))])
    assert few.pool.unlabeled.tolist() == [7]


def test_names_do_not_change_the_queries():
    assert play(named(), 2) == play(begun(), 2)


def test_names_are_those_of_the_pool(tmp_path):
    np.save(tmp_path / "x.npy", np.asarray(X))
    (tmp_path / "x.ids.txt").write_text("".join(f"b{i}\n" for i in range(len(X))))
    subject = learner("random_sampling", data=open_pool(tmp_path / "x.npy"))
    asked = subject.query(2)
    assert asked.names == tuple(f"b{i}" for i in asked)
    subject.label(asked.names, [0, 1])
    assert subject.pool.labeled.tolist() == sorted(asked)


def test_wrong_names():
    subject = named()
    with pytest.raises(
        InvalidInput,
        match=r"ids has 'b9', which is not the name of an example of this pool; its names begin with 'a0'; did you mean 'a9'",
    ):
        subject.label(["a8", "b9"], [0, 1])
    assert subject.pool.labeled.tolist() == list(range(6))
    with pytest.raises(
        InvalidInput, match=r"ids has 'a5', and the examples of this pool have no names; .*names=\.\.\."
    ):
        learner().label(["a5"], [0])
    with pytest.raises(InvalidInput, match=f"one entry for each of the {len(X)} examples, got 2"):
        learner(names=["a", "b"])
    with pytest.raises(InvalidInput, match="names has 'a' more than once"):
        learner(names=["a"] * len(X))


def test_wrong_settings_are_refused_at_construction():
    for option, message in {
        "fit": r"^fit must be a FitConfig or a function fit\(model, labeled, round\), got 3$",
        "runtime": "^runtime must be a Runtime",
        "collate": "^collate must be a function",
    }.items():
        with pytest.raises(InvalidInput, match=message):
            Learner(X, nn.Linear(X.shape[1], 3), "margin_sampling", num_classes=3, **{option: 3})


def test_a_value_that_is_not_a_state_is_refused(case):
    for state in [None, {}, {"weight": 1}]:
        with (
            case(state),
            pytest.raises(InvalidInput, match=r"^expected the state_dict\(\) of a Learner, a dict of pool, round"),
        ):
            Learner(X, nn.Linear(X.shape[1], 3), "margin_sampling", num_classes=3).load_state_dict(state)


def test_examples_of_other_data_are_no_ids_of_the_pool():
    subject = Learner(X, nn.Linear(X.shape[1], 3), "margin_sampling", num_classes=3, candidates=Subset(X, range(9)))
    subject.label(LabeledSet(X, [0, 1], [0, 2]))
    subject.label(Subset(X, [2]), [1])
    subject.skip(Subset(X, [3]))
    assert subject.pool.labeled.tolist() == [0, 1, 2]
    assert subject.pool.skipped.tolist() == [3]
    for tell in (
        lambda: subject.label(LabeledSet(X.clone(), [4, 5], [0, 1])),
        lambda: subject.label(Subset(X.clone(), [4, 5]), [0, 1]),
        lambda: subject.skip(Subset(X.clone(), [4, 5])),
        lambda: Learner(X, subject.module, "badge", num_classes=3, candidates=Subset(X.clone(), [4, 5])),
    ):
        with pytest.raises(InvalidInput, match=r"is a (LabeledSet|Subset) of other data; pass ids of this pool$"):
            tell()


def test_a_fit_notes_a_training_that_collapsed():
    y = torch.arange(60) % 3
    x = torch.eye(3)[y] + 0.1 * torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    still = FitConfig(lr=1e-12, n_epoch=1)  # weights that hardly change
    for config, labels, expected in [
        (still, y, "the training collapsed: its training accuracy ended at 33.3 %"),
        (still, torch.zeros(60, dtype=torch.int64), "all 60 labels are of one class, so there was nothing to learn"),
        (FitConfig(lr=0.1, n_epoch=60), y, None),
    ]:
        model = nn.Linear(3, 3)
        nn.init.zeros_(model.weight)
        learner = Learner(x, model, "random_sampling", num_classes=3, fit=config, rng=0)
        learner.label(range(60), labels)
        notes = learner.fit().notes
        assert len(notes) == (expected is not None)
        assert all(note.startswith(expected) for note in notes)


def test_seed_is_another_name_of_rng():
    def asked(**given):
        subject = Learner(X, lambda: nn.Linear(X.shape[1], 3), "random_sampling", num_classes=3, **given)
        return subject.query(5).tolist()

    assert asked(seed=4) == asked(rng=4) == asked(rng=Rng(4)) != asked()
    assert asked(seed=0) == asked()
    with pytest.raises(InvalidInput, match="pass one of them, got 4 and 0"):
        asked(rng=4, seed=0)
