"""Selecting from a model and data or from arrays, and refusals."""

import dataclasses
import re
from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.naive_bayes import GaussianNB
from torch import nn
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from distil.data.examples import LabeledSet
from distil.errors import DistilError, DistilWarning, InvalidInput, MissingSignal, UnknownName
from distil.measuring.network_source import NetworkSource
from distil.networks.torch_network import TorchNetwork
from distil.rng import Rng
from distil.selection.choose import gather
from distil.selection.leaders import Leaders
from distil.selection.select import select, select_from
from distil.signals import Embedding, Inputs, Labels, Logits, MCProbs, Probs, Signals, TopClasses
from distil.strategies import (
    BADGE,
    BALD,
    Balance,
    CoreSet,
    EntropySampling,
    KMeansSampling,
    LeastConfidence,
    MarginSampling,
    Needs,
    RandomSampling,
    Selection,
    Strategy,
    strategy_named,
)
from distil.strategies.base import Sets, best_rows, tie_keys
from distil.system.runtime import Runtime

N, DIMS, CLASSES = 60, 6, 4


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=(N, DIMS)).astype(np.float32)


@pytest.fixture
def net(small_net):
    return small_net(n_inputs=DIMS, n_classes=CLASSES)


@pytest.fixture(scope="module")
def probs():
    return np.random.default_rng(1).dirichlet(np.ones(CLASSES), size=N).astype(np.float32)


@pytest.fixture(scope="module")
def embeddings():
    return np.random.default_rng(2).normal(size=(N, 5)).astype(np.float32)


def outputs_of(net, x):
    net.eval()
    with torch.no_grad():
        hidden = net.body(torch.as_tensor(x))
        return net.head(hidden).double().softmax(1).numpy(), hidden.double().numpy()


def entropies(probs):
    probs = np.float64(probs)
    return -(probs * np.log(np.where(probs > 0, probs, 1))).sum(-1)


def farthest_first(rows, n, labeled):
    nearest = ((rows[:, None] - rows[labeled][None]) ** 2).sum(2).min(1)
    nearest[labeled] = -1
    picks = []
    for _ in range(n):
        picks.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, ((rows - rows[picks[-1]]) ** 2).sum(1))
        nearest[[*labeled, *picks]] = -1
    return picks


class Rows(Dataset):
    """A data set whose items are made from the rows of an array."""

    def __init__(self, x, item=lambda x, i: x[i]):
        self.x, self.item = torch.as_tensor(x), item

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.item(self.x, i)


# --- the right ids --------------------------------------------------------------------------------------------------


def test_uncertainty_is_the_sorted_score(case, net, x):
    for n in [1, 7, N]:
        with case(n):
            probs = outputs_of(net, x)[0]
            ordered = np.sort(probs, 1)
            for strategy, score in [
                (EntropySampling(), entropies(probs)),
                (LeastConfidence(), 1 - ordered[:, -1]),
                (MarginSampling(), ordered[:, -2] - ordered[:, -1]),
            ]:
                found = select(strategy, net, x, n)
                assert found.tolist() == np.argsort(-score)[:n].tolist()
                np.testing.assert_allclose(found.scores, score[found], atol=1e-5)


def test_core_set_is_farthest_first_from_the_labeled_set(net, x, embeddings):
    labeled = [4, 40, 7]
    hidden = outputs_of(net, x)[1].astype(np.float32)
    assert select("core_set", net, x, 9, labeled=labeled).tolist() == farthest_first(np.float64(hidden), 9, labeled)
    expected = farthest_first(np.float64(embeddings), 9, labeled)
    assert select_from("core_set", 9, embeddings=embeddings, labeled=labeled).tolist() == expected


def test_badge_starts_at_the_largest_gradient(probs, embeddings):
    residual = probs - np.eye(CLASSES)[probs.argmax(1)]
    norms = (residual**2).sum(1) * (embeddings**2).sum(1)
    for seed in range(3):
        assert select_from("badge", 4, probs=probs, embeddings=embeddings, seed=seed).tolist()[0] == norms.argmax()


def test_bald_is_the_mutual_information(probs):
    mc_probs = np.random.default_rng(5).dirichlet(np.ones(CLASSES), size=(N, 6))
    score = entropies(mc_probs.mean(1)) - entropies(mc_probs).mean(1)
    found = select_from("bald_dropout", 8, mc_probs=mc_probs)
    assert found.tolist() == np.argsort(-score)[:8].tolist()
    np.testing.assert_allclose(found.scores, score[found], atol=1e-9)
    for name, mean_score in [
        ("entropy_sampling_dropout", entropies(mc_probs.mean(1))),
        ("least_confidence_dropout", -mc_probs.mean(1).max(1)),
        ("margin_sampling_dropout", -np.diff(np.sort(mc_probs.mean(1), 1)[:, -2:], axis=1)[:, 0]),
    ]:
        assert select_from(name, 8, mc_probs=mc_probs).tolist() == np.argsort(-mean_score)[:8].tolist()


def test_kmeans_queries_one_example_of_each_blob():
    centers = np.random.default_rng(0).normal(size=(6, 5)) * 1e4
    blob = np.random.default_rng(1).permutation(np.repeat(np.arange(6), 10))
    rows = centers[blob] + np.random.default_rng(2).normal(size=(60, 5))
    for seed in range(5):
        found = select_from("kmeans_sampling", 6, embeddings=rows, seed=seed)
        assert sorted(blob[found]) == list(range(6))
        for i in found:
            inside = np.flatnonzero(blob == blob[i])
            dists = ((rows[inside] - rows[inside].mean(0)) ** 2).sum(1)
            assert i == inside[dists.argmin()]


def test_random_sampling_is_uniform():
    counts = np.zeros(10)
    for seed in range(600):
        counts[select("random_sampling", None, np.zeros((10, 1)), 3, rng=seed)] += 1
    assert counts.sum() == 1800
    # sampling without replacement varies less than the multinomial law: chi-square with the right scale
    statistic = ((counts - 180) ** 2 / (180 * 0.7)).sum() * 9 / 10
    assert 1.7 < statistic < 27.9  # 0.5 % and 99.9 % of chi-square with 9 degrees of freedom, about


def in_order_of_ties(ids, seed=0):
    """The ids in the order in which a selection with this seed takes them if they tie."""
    ids = np.asarray(ids)
    return ids[np.argsort(tie_keys(torch.from_numpy(ids), Rng(seed)).numpy())].tolist()


def test_ties_go_by_a_seeded_order_of_the_ids():
    probs = np.array([[0.7, 0.3], [0.5, 0.5], [0.9, 0.1], [0.5, 0.5], [0.7, 0.3], [0.5, 0.5]])
    first, second = in_order_of_ties([1, 3, 5]), in_order_of_ties([0, 4])
    assert select_from("margin_sampling", 6, probs=probs).tolist() == [*first, *second, 2]
    first.remove(1)
    assert select_from("entropy_sampling", 5, probs=probs, candidates=[5, 4, 3, 2, 0]).tolist() == [*first, *second, 2]
    assert len({tuple(select_from("margin_sampling", 6, probs=probs, seed=seed)) for seed in range(40)}) == 12


def test_ties_across_chunks_are_the_same_for_every_candidate_subset():
    n = 40_000
    probs = np.tile(np.float32([[0.5, 0.5]]), (n, 1))
    probs[20_000] = [0.6, 0.4]
    expected = in_order_of_ties(np.delete(np.arange(n), 20_000))
    assert select_from("entropy_sampling", 3, probs=probs).tolist() == expected[:3]
    assert select_from("entropy_sampling", n, probs=probs).tolist() == [*expected, 20_000]
    odd = select_from("entropy_sampling", 50, probs=probs, candidates=range(1, n, 2))
    assert odd.tolist() == [i for i in expected if i % 2][:50]


def test_selections_whose_scores_are_all_equal_say_so(net, x):
    same, uniform = np.tile(np.float32([[0.2, 0.8]]), (300, 1)), "all 300 scores are equal: this is a random sample"
    samples = np.tile(np.random.default_rng(0).dirichlet([1, 1], (300, 1)).astype(np.float32), (1, 5, 1))
    agree = " (the samples of the network agree on every example, as they do without dropout)"
    assert select_from("margin_sampling", 4, probs=same).notes == (uniform,)
    assert select_from("bald_dropout", 4, mc_probs=samples).notes == (uniform + agree,)
    assert select_from("batchbald", 4, mc_probs=samples).notes[0].startswith("no example of 300 adds information")
    assert select_from("core_set", 4, embeddings=same).notes[0].startswith("all 300 examples are equal in Embedding()")
    fass = select_from("fass", 4, probs=same, embeddings=np.random.default_rng(1).normal(size=(300, 3)))
    assert fass.notes[-1] == "all 300 scores are equal: the shortlist is a random sample"
    same[0] = 0.5
    assert select_from("margin_sampling", 4, probs=same).notes == ()
    assert select_from("margin_sampling", 1, probs=same[:1]).notes == ()
    with pytest.warns(DistilWarning, match="has no dropout"):
        found = select("bald_dropout", nn.Linear(x.shape[1], 3), x, 4)
    assert found.notes == (f"all {N} scores are equal: this is a random sample{agree}",)


# --- the forms that data take ---------------------------------------------------------------------------------------


def test_items_of_a_data_set(case, net, x):
    for kind, item in zip(
        ["x", "pair", "triple", "numpy", "dict"],
        [
            lambda x, i: x[i],
            lambda x, i: (x[i], 3),
            lambda x, i: [x[i], "a name", torch.ones(2)],
            lambda x, i: (x[i].numpy(), np.int64(1)),
            lambda x, i: {"x": x[i], "labels": 1},
        ],
        strict=True,
    ):
        with case(kind):
            expected = select("badge", net, x, 8)
            assert select("badge", net, Rows(x, item), 8).tolist() == expected.tolist()


def test_kinds_of_data(net, x, tmp_path):
    np.save(tmp_path / "x.npy", x)
    expected = select("badge", net, x, 8, labeled=[1, 2]).tolist()
    tensor = torch.from_numpy(x)
    for data in [
        tensor,
        x.astype(np.float64),
        np.asfortranarray(x),
        np.load(tmp_path / "x.npy", mmap_mode="r"),
        TensorDataset(tensor, torch.zeros(N)),
        Subset(TensorDataset(tensor), range(N)),
        list(tensor),
    ]:
        assert select("badge", net, data, 8, labeled=[1, 2]).tolist() == expected


def test_reversed_views_with_a_minibatch_of_one_row(net, x):
    backwards = x[::-1]
    expected = select("badge", net, backwards.copy(), 8).tolist()
    assert select("badge", net, backwards, 8, runtime=Runtime(batch_size=N - 1)).tolist() == expected


def test_memory_mapped_arrays(probs, embeddings, tmp_path):
    np.save(tmp_path / "probs.npy", probs)
    np.save(tmp_path / "embeddings.npy", embeddings)
    mapped = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("probs", "embeddings")}
    for name in ("badge", "core_set", "margin_sampling"):
        expected = select_from(name, 9, probs=probs, embeddings=embeddings, labeled=[3])
        assert select_from(name, 9, labeled=[3], **mapped).tolist() == expected.tolist()


def test_positions_of_any_kind(case, net, x):
    for kind in [list, np.asarray, torch.as_tensor, tuple, lambda ids: np.asarray(ids, np.int32)]:
        with case(kind):
            expected = select("core_set", net, x, 5, labeled=[4, 40, 7], candidates=[1, 2, 3, 50, 51, 52, 53])
            found = select("core_set", net, x, 5, labeled=kind([4, 40, 7]), candidates=kind([1, 2, 3, 50, 51, 52, 53]))
            assert found.tolist() == expected.tolist()


def test_a_range_and_a_selection_are_positions(net, x):
    first = select("random_sampling", None, x, 10)
    second = select("core_set", net, x, 10, labeled=first)
    assert not set(first) & set(second)
    assert second.tolist() == select("core_set", net, x, 10, labeled=first.tolist()).tolist()
    assert set(select("core_set", net, x, 5, labeled=range(50))) <= set(range(50, N))


def test_no_labels(case, net, x, embeddings):
    for nothing in [None, [], (), np.array([]), torch.empty(0, dtype=torch.long), torch.tensor([])]:
        with case(nothing):
            assert select("core_set", net, x, 5, labeled=nothing).tolist() == select("core_set", net, x, 5).tolist()
            expected = select_from("core_set", 5, embeddings=embeddings)
            assert select_from("core_set", 5, embeddings=embeddings, labeled=nothing).tolist() == expected.tolist()


def test_labeled_positions_and_labeled_data_are_the_same_centers(net, x):
    labeled = [4, 40, 7]
    rest = np.setdiff1d(np.arange(N), labeled)
    by_position = select("core_set", net, x, 9, labeled=labeled)
    for own in (x[labeled], torch.from_numpy(x[labeled]), TensorDataset(torch.from_numpy(x[labeled]))):
        by_data = select("core_set", net, x[rest], 9, labeled=own)
        assert rest[by_data].tolist() == by_position.tolist()
        # with separate data, every position of the pool may be chosen
        assert select("core_set", net, x, N, labeled=own).tolist()[-1] in labeled


def test_a_labeled_set_of_the_pool_is_left_out_of_it(net, x):
    ids = torch.tensor([4, 40, 7])
    by_position = select("core_set", net, x, 9, labeled=ids)
    found = select("core_set", net, x, 9, labeled=LabeledSet(x, ids, torch.zeros(3, dtype=torch.long)))
    assert found.tolist() == by_position.tolist()
    own = select("core_set", net, x, N, labeled=LabeledSet(x.copy(), ids, torch.zeros(3, dtype=torch.long)))
    assert set(own.tolist()[-3:]) == {4, 40, 7}


def test_a_pair_of_inputs_and_labels_is_data(net, x):
    expected = select("core_set", net, x, 9, labeled=x[:4]).tolist()
    for labels in ([0, 1, 2, 3], np.arange(4), torch.arange(4)):
        assert select("core_set", net, x, 9, labeled=(x[:4], labels)).tolist() == expected
    for labels, message in [
        ([0, 1, 2], "must have one entry for each of the 4 examples, got 3"),
        (np.zeros((4, 1), int), r"must be a flat list, got shape \(4, 1\)"),
        (torch.full((4,), 0.5), "must be whole numbers, .* got 0.5; correct this label"),
    ]:
        with pytest.raises(InvalidInput, match=f"the labels of labeled {message}"):
            select("core_set", net, x, 9, labeled=(x[:4], labels))


@dataclasses.dataclass(frozen=True)
class NearTheLabels(Strategy):
    """Orders the pool by inputs and by the labels of the labeled set."""

    paper: ClassVar[str] = "none"

    @property
    def needs(self):
        return Needs(pool=(Inputs(),), labeled=(Labels(), Inputs()))

    def select(self, sets, n, rng):
        goal = (sets.labeled[Inputs()] * sets.labeled[Labels()][:, None]).sum(0)
        return sets.pool.ids[(sets.pool[Inputs()] @ goal).argsort(descending=True)[:n]]


def test_inputs_and_labels_are_signals(case, net, x):
    for batch_size in [2, 256]:
        with case(batch_size):
            ids, y = torch.tensor([4, 40, 7]), torch.tensor([2, 1, 3])
            score = x @ (x[ids] * y[:, None].numpy()).sum(0)
            score[ids] = -np.inf
            expected = np.argsort(-score)[:9].tolist()
            runtime = Runtime(batch_size=batch_size)
            labeled = LabeledSet(x, ids, y)
            assert select(NearTheLabels(), net, x, 9, labeled=labeled, runtime=runtime).tolist() == expected
            candidates = np.setdiff1d(np.arange(N), ids)
            own = TensorDataset(torch.from_numpy(x[ids]), y)
            for given in ((x[ids], y), own, [(x[i], int(label)) for i, label in zip(ids, y, strict=True)]):
                found = select(NearTheLabels(), net, x, 9, labeled=given, candidates=candidates, runtime=runtime)
                assert found.tolist() == expected


def test_missing_labels(net, x):
    for labeled in ([4, 40, 7], x[:3]):
        with pytest.raises(MissingSignal, match=r"needs labels, .* none; pass \{id: label\} or \(ids, labels\)"):
            select(NearTheLabels(), net, x, 9, labeled=labeled)


def test_data_that_give_many_rows_at_once(net, x):
    asked = []

    class Fast:
        def __len__(self):
            return N

        def batch(self, rows):
            asked.append(len(rows))
            return torch.from_numpy(x)[rows]

    found = select("badge", net, Fast(), 9, labeled=[1, 2], runtime=Runtime(batch_size=25))
    assert found.tolist() == select("badge", net, x, 9, labeled=[1, 2]).tolist()
    assert asked == [25, 25, 8]


def test_float64_wins_where_columns_of_two_precisions_meet(case, probs, embeddings):
    for strategy in ["badge", "gradmatch", "glister", "craig", "fass"]:
        for wide in ["probs", "embeddings"]:
            with case(strategy, wide):
                arrays = {"probs": probs, "embeddings": embeddings}
                labels = {"labeled": [1, 2, 3], "labels": [0, 1, 2]}
                expected = select_from(
                    strategy, 6, **{name: np.float64(array) for name, array in arrays.items()}, **labels
                )
                mixed = {name: np.float64(array) if name == wide else array for name, array in arrays.items()}
                assert select_from(strategy, 6, **mixed, **labels).tolist() == expected.tolist()


def test_labeled_embeddings_of_another_precision(embeddings):
    rest, own = embeddings[10:], embeddings[:10]
    expected = select_from("core_set", 6, embeddings=np.float64(rest), labeled_embeddings=np.float64(own)).tolist()
    assert select_from("core_set", 6, embeddings=rest, labeled_embeddings=np.float64(own)).tolist() == expected
    assert select_from("core_set", 6, embeddings=np.float64(rest), labeled_embeddings=own).tolist() == expected


def test_arrays_that_are_not_read_do_not_decide_the_precision(probs, embeddings):
    shown = []

    class Spy(EntropySampling):
        def score(self, sets):
            shown.append(next(iter(sets.pool.values.values())).dtype)
            return super().score(sets)

    select_from(Spy(), 3, probs=probs, embeddings=np.float64(embeddings))
    assert shown == [torch.float32]


def test_arrays_of_other_types_are_read_as_float32(case, probs, embeddings):
    for kind in [torch.bfloat16, torch.float16, torch.int32, torch.uint8]:
        with case(kind):
            rows = torch.from_numpy(embeddings * 20).abs().to(kind)
            soft = (
                torch.from_numpy(probs).to(kind)
                if kind.is_floating_point
                else torch.eye(CLASSES, dtype=kind)[torch.arange(N) % CLASSES]
            )
            for strategy in ("core_set", "kmeans_sampling"):
                expected = select_from(strategy, 5, embeddings=rows.float()).tolist()
                assert select_from(strategy, 5, embeddings=rows).tolist() == expected
            for strategy in ("badge", "gradmatch", "margin_sampling"):
                assert len(set(select_from(strategy, 5, probs=soft, embeddings=rows))) == 5


def test_a_network_in_bfloat16_is_computed_with_in_float32(x):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(DIMS, 8), nn.ReLU(), nn.Linear(8, CLASSES)).bfloat16()
    with torch.no_grad():
        hidden = model[:2](torch.from_numpy(x).bfloat16())
        arrays = {"probs": model[2](hidden).float().softmax(1), "embeddings": hidden.float()}
    for strategy in ("badge", "gradmatch", "typiclust", "kmeans_sampling"):
        found = select(strategy, model, x, 5, runtime=Runtime(batch_size=N))
        assert found.tolist() == select_from(strategy, 5, **arrays).tolist()


def test_labels_are_classes_as_the_classifier_calls_them(case, x):
    """GLISTER reads labels; the names of the classes do not change its picks."""
    for names in [[1, 2, 3, 4], ["a", "b", "c", "d"], [2.0, 3.0, 4.0, 5.0]]:
        with case(names):
            y = np.arange(N) % CLASSES
            called = np.array(names)[y]
            ids = [4, 40, 7]
            plain, own = (GaussianNB().fit(x, labels) for labels in (y, called))
            expected = select("glister", plain, x, 6, labeled=(ids, y[ids])).tolist()
            apart = select("glister", plain, x[9:], 6, labeled=(x[:9], y[:9])).tolist()
            for given in ((ids, called[ids]), dict(zip(ids, called[ids], strict=True)), (ids, called[ids].tolist())):
                assert select("glister", own, x, 6, labeled=given).tolist() == expected
            for given in ((x[:9], called[:9]), [(x[i], called[i]) for i in range(9)]):
                assert select("glister", own, x[9:], 6, labeled=given).tolist() == apart
            with pytest.raises(
                InvalidInput, match=f"the labels of labeled: 0 is not one of the 4 classes, {names[0]!r}, "
            ):
                select("glister", own, x, 6, labeled=([4, 7], [names[0], 0]))


def test_labels_by_name_without_a_classifier_that_knows_them(net, x, probs, embeddings):
    with pytest.raises(
        InvalidInput, match=r"must be whole numbers, .* got 'a'; only a classifier that knows its classes"
    ):
        select("glister", net, x, 6, labeled=([4, 7], ["a", "b"]))
    arrays = {"probs": probs, "embeddings": embeddings}
    with pytest.raises(InvalidInput, match=r"got 'a'; pass the names of the columns of probs, classes=\[\.\.\.\]"):
        select_from("glister", 6, labeled=[4, 7], labels=["a", "b"], **arrays)


def test_labels_of_arrays_are_the_names_of_their_columns(case, probs, embeddings):
    arrays = {"probs": probs, "embeddings": embeddings}
    expected = select_from("glister", 6, labeled=[4, 40, 7], labels=[2, 0, 1], **arrays).tolist()
    for classes in (["dog", "cat", "emu", "fox"], np.array([3, 1, 2, 4]), [0.5, 1.5, 2.5, 3.5]):
        with case(classes):
            for labels in ([classes[2], classes[0], classes[1]], np.asarray(classes)[[2, 0, 1]]):
                found = select_from("glister", 6, labeled=[4, 40, 7], labels=labels, classes=classes, **arrays)
                assert found.tolist() == expected
                given = dict(zip([4, 40, 7], labels, strict=True))
                assert select_from("glister", 6, labeled=given, classes=classes, **arrays).tolist() == expected
    names = [f"row {i}" for i in range(N)]
    for labels, message in [
        (["dgo", "cat"], "'dgo' is not one of the 4 classes, .*; did you mean 'dog'"),
        (["dog", None], r"1 of 2 are missing \(None\), those of ids 'row 7'"),
    ]:
        with case(labels), pytest.raises(InvalidInput, match=message):
            select_from(
                "glister", 6, labeled=[4, 7], labels=labels, names=names, classes=["dog", "cat", "emu", "fox"], **arrays
            )
    with pytest.raises(InvalidInput, match="classes must have 4 names, one for each column; got 2"):
        select_from("glister", 6, labeled=[4], labels=["a"], classes=["a", "b"], **arrays)
    for role, what in (
        ("labeled", "labels"),
        ("validation", "the labels of validation"),
        ("query", "the labels of query"),
    ):
        with pytest.raises(InvalidInput, match=f"^{what}: 'dgo' is not one of the 4 classes.*did you mean 'dog'"):
            select_from(
                "margin_sampling", 6, classes=["dog", "cat", "emu", "fox"], **{role: {4: "cat", 7: "dgo"}}, **arrays
            )


def test_booleans_are_labels_everywhere(net, x, probs, embeddings):
    arrays = {"probs": probs, "embeddings": embeddings}
    for labels in ([True, False], np.array([True, False]), torch.tensor([True, False])):
        expected = select("glister", net, x, 6, labeled=([4, 7], [1, 0])).tolist()
        assert select("glister", net, x, 6, labeled=([4, 7], labels)).tolist() == expected
        assert select("glister", net, x, 6, labeled=(x[[4, 7]], labels), exclude=[4, 7]).tolist() == expected
        expected = select_from("glister", 6, labeled=[4, 7], labels=[1, 0], **arrays).tolist()
        assert select_from("glister", 6, labeled=[4, 7], labels=labels, **arrays).tolist() == expected


def test_labeled_embeddings_of_their_own(embeddings):
    labeled = [4, 40, 7]
    rest = np.setdiff1d(np.arange(N), labeled)
    by_position = select_from("core_set", 9, embeddings=embeddings, labeled=labeled)
    by_rows = select_from("core_set", 9, embeddings=embeddings[rest], labeled_embeddings=embeddings[labeled])
    assert rest[by_rows].tolist() == by_position.tolist()
    none = select_from("core_set", 9, embeddings=embeddings, labeled_embeddings=embeddings[:0])
    assert none.tolist() == select_from("core_set", 9, embeddings=embeddings).tolist()


def test_excluded_examples_are_not_chosen(net, x, probs, embeddings):
    arrays = {"probs": probs, "embeddings": embeddings}
    rest = np.setdiff1d(np.arange(N), [5, 9, 30, 1])
    for strategy in ("badge", "entropy_sampling", "random_sampling"):
        expected = select(strategy, net, x, 9, labeled=[30, 1], candidates=rest).tolist()
        assert select(strategy, net, x, 9, labeled=[30, 1], exclude=[9, 5]).tolist() == expected
        assert (
            select(strategy, net, x, 9, labeled=[30, 1], candidates=[*rest, 5], exclude=(5, 9, 1)).tolist() == expected
        )
        expected = select_from(strategy, 9, labeled=[30, 1], candidates=rest, **arrays).tolist()
        assert select_from(strategy, 9, labeled=[30, 1], exclude=np.array([9, 5]), **arrays).tolist() == expected
    with pytest.raises(InvalidInput, match="exclude has 60, which is not a position"):
        select_from("badge", 9, exclude=[60], **arrays)
    with pytest.raises(InvalidInput, match="n must be between 1 and 2, the number of examples to choose from; got 3"):
        select("badge", net, x, 3, candidates=[1, 2, 3], exclude=[2])
    with pytest.raises(
        InvalidInput, match="nothing to choose from: every example is labeled, excluded or not a candidate"
    ):
        select("badge", net, x, 3, exclude=range(N))


def test_candidates_keep_their_ids(net, x):
    candidates = [50, 3, 20, 21, 22, 4]
    found = select("entropy_sampling", net, x, 3, candidates=candidates)
    scores = entropies(outputs_of(net, x)[0])
    assert found.tolist() == sorted(candidates, key=lambda i: -scores[i])[:3]


def test_candidates_are_all_that_is_read(net, x):
    read = []
    data = Rows(x, lambda x, i: read.append(i) or x[i])
    select("core_set", net, data, 2, candidates=[5, 9, 2], labeled=[30, 1])
    assert sorted(read) == [1, 2, 5, 9, 30]


def test_rows_that_are_not_candidates_may_be_nan(net, x):
    spoiled = x.copy()
    spoiled[7] = np.nan
    found = select("badge", net, spoiled, 5, candidates=np.delete(np.arange(N), 7))
    assert found.tolist() == select("badge", net, x, 5, candidates=np.delete(np.arange(N), 7)).tolist()


def test_no_network_for_random_sampling(x):
    found = select("random_sampling", None, x, 5, rng=3)
    assert found.tolist() == select(RandomSampling(), None, Rows(x), 5, rng=Rng(3)).tolist()
    assert found.tolist() == select_from("random_sampling", 5, embeddings=x, seed=3).tolist()


def test_seeds_and_rngs(net, x):
    assert select("badge", net, x, 5).tolist() == select("badge", net, x, 5, rng=0).tolist()
    assert select("badge", net, x, 9, rng=4).tolist() == select("badge", net, x, 9, rng=Rng(4)).tolist()
    assert select("badge", net, x, 9, rng=np.int64(4)).tolist() == select("badge", net, x, 9, rng=4).tolist()


def test_rng_and_seed_are_two_names_of_one_argument(net, x, probs, embeddings):
    arrays = {"probs": probs, "embeddings": embeddings}
    for choose in (
        lambda **how: select("badge", net, x, 9, **how),
        lambda **how: select("random_sampling", None, x, 9, **how),
        lambda **how: select_from("badge", 9, **arrays, **how),
    ):
        expected = choose(rng=4).tolist()
        assert choose(seed=4).tolist() == choose(rng=Rng(4)).tolist() == expected
        assert choose().tolist() == choose(seed=0).tolist() != expected
        with pytest.raises(
            InvalidInput, match="rng and seed are two names of one argument; pass one of them, got 4 and 0"
        ):
            choose(rng=4, seed=0)


def test_seeds_of_numpy_are_the_same_seeds(probs, embeddings):
    arrays = {"probs": probs, "embeddings": embeddings}
    assert (
        select_from("badge", 9, seed=np.int64(4), **arrays).tolist()
        == select_from("badge", 9, seed=4, **arrays).tolist()
    )


def test_a_strategy_with_parameters_and_by_name(net, x):
    assert (
        select(BALD(3), net, x, 9).tolist() == select(strategy_named("bald_dropout", n_samples=3), net, x, 9).tolist()
    )
    assert select(BALD(3), net, x, 9).scores.tolist() != select("bald_dropout", net, x, 9).scores.tolist()


# --- the selection --------------------------------------------------------------------------------------------------


def test_names_are_attached(case, net, x, probs):
    for kind in [list, tuple, np.asarray]:
        with case(kind):
            names = kind([f"image-{i}" for i in range(N)])
            found = select("entropy_sampling", net, x, 5, names=names)
            assert list(found.names) == [f"image-{i}" for i in found]
            assert list(select("random_sampling", None, x, 5, names=names).names) == [
                f"image-{i}" for i in select("random_sampling", None, x, 5)
            ]
            found = select_from("entropy_sampling", 5, probs=probs, names=names, candidates=range(10, 30))
            assert list(found.names) == [f"image-{i}" for i in found]
            assert select("entropy_sampling", net, x, 5).names is None


def test_names_are_distinct_and_present(case, probs, net, x):
    for wrong, message in [
        ("row 1", "names has 'row 1' more than once; names must be distinct"),
        (None, "names has None in row 3, which cannot be a name; pass a text or a number for each example"),
        (" ", "names has ' ' in row 3, which cannot be a name"),
        (float("nan"), "names has nan in row 3, which cannot be a name"),
        (["a"], r"names has \['a'\] in row 3, which cannot be a name"),
        (True, "names has True in row 3, which cannot be a name"),
        ("a\x07", r"names has 'a\\x07', which holds a control character; take it out"),
    ]:
        names: list = [f"row {i}" for i in range(N)]
        names[3] = wrong
        with case(wrong), pytest.raises(InvalidInput, match=message):
            select_from("entropy_sampling", 5, probs=probs, names=names)
        with case(wrong, "data"), pytest.raises(InvalidInput, match="data." + message):
            select("entropy_sampling", net, Named(x, names), 5)
    for kept in ("a\tb", "two\nlines", 2.5, ("a", 1)):
        names[3] = kept
        assert kept in select_from("entropy_sampling", N, probs=probs, names=names).names


class Named(Dataset):
    """Rows with an attribute ``names`` of any value."""

    def __init__(self, x, names):
        self.x, self.names = x, names

    def __len__(self):
        return len(self.x)

    def __getitem__(self, row):
        return self.x[row]


def test_names_are_those_of_the_data(case, net, x):
    for kind in [list, tuple, np.array]:
        with case(kind):
            own = [f"image-{i}" for i in range(N)]
            found = select("entropy_sampling", net, Named(x, kind(own)), 5)
            assert list(found.names) == [f"image-{i}" for i in found]
            given = select("entropy_sampling", net, Named(x, kind(own)), 5, names=range(N))
            assert list(given.names) == list(given)


def test_other_names_are_ignored(case, net, x):
    """Names of classes, for example."""
    for names in [None, ["cat", "dog"], "x" * N, dict.fromkeys(range(N)), N]:
        with case(names):
            assert select("entropy_sampling", net, Named(x, names), 5).names is None


def test_a_selection_is_an_index(net, x):
    found = select("core_set", net, x, 5)
    np.testing.assert_array_equal(x[found], x[found.tolist()])
    assert torch.equal(torch.from_numpy(x)[found.ids], torch.from_numpy(x[found.tolist()]))
    assert [i for i in found] == found.tolist()  # noqa: C416 - iteration is the point
    assert len(np.delete(x, found, axis=0)) == N - 5
    assert len(found) == 5
    assert np.asarray(found).dtype == np.int64
    assert np.asarray(found, dtype=np.int32).dtype == np.int32
    copied = np.array(found)
    copied[:] = -1
    assert min(found) >= 0


def test_a_selection_indexes_tensors_and_lists(case, probs):
    """PyTorch reads short and long sequences in different ways."""
    y = torch.arange(3 * N).reshape(N, 3)
    texts = [f"text {row}" for row in range(N)]
    for n in [1, 2, 3, 31, 32, N]:
        with case(n):
            found = select_from("margin_sampling", n, probs=probs)
            rows = found.tolist()
            assert torch.equal(y[found], y[rows])
            assert torch.equal(y[found, 1], y[rows, 1])
            assert torch.equal(torch.tensor(found), torch.tensor(rows))
            assert torch.equal(torch.as_tensor(found), found.ids)
            assert [texts[row] for row in found] == [texts[row] for row in rows]
            assert [Subset(texts, found)[place] for place in range(n)] == [texts[row] for row in rows]
            written = y.clone()
            written[found] = -1
            assert torch.equal((written == -1).any(1).nonzero()[:, 0], torch.tensor(sorted(rows)))


def test_parts_of_a_selection(case, probs):
    found = select_from("margin_sampling", 5, probs=probs, names=[f"n{row}" for row in range(N)])
    rows = found.tolist()
    assert [found[place] for place in (0, -1, np.int64(2))] == [rows[0], rows[-1], rows[2]]
    assert type(found[0]) is int
    assert list(reversed(found)) == rows[::-1]
    assert rows[3] in found
    assert found.index(rows[3]) == 3
    for part in [slice(2), slice(1, None), slice(None, None, -2), slice(3, 3), slice(-2, 99)]:
        with case(part):
            own = found[part]
            assert isinstance(own, Selection)
            assert own.tolist() == rows[part]
            assert own.scores.tolist() == found.scores.tolist()[part]
            assert (own.names, own.reasons, own.notes) == (found.names[part], found.reasons[part], found.notes)
            assert own.weights is None
    weighted = Selection(torch.tensor([4, 1]), weights=torch.tensor([0.5, 2.0]))[1:]
    assert (weighted.weights.tolist(), weighted.scores) == ([2.0], None)
    with pytest.raises(IndexError):
        found[5]
    with pytest.raises(TypeError):
        found["n1"]


# --- score strategies are streamed ----------------------------------------------------------------------------------


def test_streaming_is_selecting_from_the_whole_table():
    n = 50_000
    probs = np.random.default_rng(0).dirichlet(np.ones(3), size=n)
    probs[::7] = probs[3]  # ties everywhere
    for strategy, score in [
        (EntropySampling(), entropies(probs)),
        (MarginSampling(), -np.diff(np.sort(probs, 1)[:, -2:], axis=1)[:, 0]),
    ]:
        expected = np.lexsort((np.arange(n), -score.round(12)))[:9000]
        found = select_from(strategy, 9000, probs=probs)
        # equal rows have bit-equal scores, so the smaller id wins; other rows do not tie
        assert found.tolist() == expected.tolist()


def test_tables_are_the_chunks_joined(case, net, x):
    for batch_size in [1, 13, 59, 60, 1000]:
        with case(batch_size):
            ids = torch.arange(N).flip(0)
            source = NetworkSource(TorchNetwork(net), x, ids)
            signals, runtime = (Logits(), Embedding(), MCProbs(2)), Runtime(batch_size=batch_size)
            chunks = list(source.chunks(signals, runtime, Rng(0)))
            assert [len(c) for c in chunks] == [len(part) for part in ids.split(batch_size)]
            table = gather(source, signals, runtime, Rng(0))
            assert torch.equal(table.ids, ids)
            for signal in signals:
                assert torch.equal(torch.cat([c[signal] for c in chunks]), table[signal])
            with torch.no_grad():
                net.eval()
                torch.testing.assert_close(table[Logits()], net(torch.from_numpy(x[ids])))


def test_leaders_are_the_best_of_all(case):
    """Many ties, also between the last leader and others; ids in any order; values stay with their ids."""
    for n in [1, 50, 5000]:
        for n_values in [1, 7, 10**6]:
            for order in ["rising", "falling", "mixed"]:
                with case(n, n_values, order):
                    rng = np.random.default_rng(n)
                    scores = rng.integers(n_values, size=30_000).astype(np.float32)
                    scores = scores if order == "mixed" else np.sort(scores)[:: 1 if order == "rising" else -1].copy()
                    ids = rng.permutation(40_000)[:30_000]
                    keys = tie_keys(torch.from_numpy(ids), Rng(3))
                    expected = np.lexsort((keys.numpy(), -scores))[:n]
                    leaders = Leaders(n, (Logits(),), Rng(3))
                    start = 0
                    while start < len(ids):
                        rows = slice(start, start + int(rng.integers(1, 3000)))
                        table = Signals(torch.from_numpy(ids[rows]), {Logits(): torch.from_numpy(ids[rows] * 2)})
                        leaders.add(table, torch.from_numpy(scores[rows]))
                        start = rows.stop
                        assert leaders._count < 2 * n + 4096 + 3000
                    found, kept = leaders.leaders()
                    assert found.ids.tolist() == ids[expected].tolist()
                    assert found[Logits()].tolist() == (ids[expected] * 2).tolist()
                    assert kept.tolist() == scores[expected].tolist()
                    assert leaders.tied == (n_values == 1)
                    assert best_rows(keys, torch.from_numpy(scores), n).tolist() == expected.tolist()


def test_leaders_keep_the_columns_that_are_asked_for(x, probs):
    leaders = Leaders(5, (TopClasses(),), Rng(0))
    table = Signals(torch.arange(N), {Inputs(): torch.from_numpy(x), Probs(): torch.from_numpy(probs)})
    leaders.add(table, torch.arange(float(N)))
    found, _ = leaders.leaders()
    assert list(found.values) == [TopClasses()]
    assert torch.equal(found[TopClasses()], table[TopClasses()][-5:].flip(0))


def test_leaders_copy_their_rows(x):
    """Chunks may be views of something large."""
    leaders = Leaders(5, (Inputs(),), Rng(0))
    leaders.add(Signals(torch.arange(N), {Inputs(): torch.from_numpy(x)}), torch.arange(float(N)))
    assert leaders._tables[0][Inputs()].data_ptr() != torch.from_numpy(x).data_ptr()


def test_scores_that_are_nan_name_the_ids(monkeypatch, net, x):
    score = lambda self, sets: torch.where(sets.pool.ids % 20 == 7, torch.nan, 0.0)  # noqa: E731
    monkeypatch.setattr(EntropySampling, "score", score)
    for strategy in ("entropy_sampling", "fass"):
        with pytest.raises(
            InvalidInput, match=r"^the score of EntropySampling has NaN .* 3 of 60 examples: ids 7, 27, 47$"
        ):
            select(strategy, net, x, 5)


# --- strategies with a shortlist ---------------------------------------------------------------------


def test_a_shortlist_gives_the_picks_of_the_whole_table(case, net, x):
    source = NetworkSource(TorchNetwork(net), x, torch.arange(1, N))
    probs, embeddings = outputs_of(net, x)
    for n in [1, 4, 11, 12, 13, N - 1]:
        for top_n in [1, 1.1, 2.5, 5]:
            with case(n, top_n):
                strategy = strategy_named("fass", top_n=top_n, uncertainty="margin")
                whole = gather(source, strategy.needs.pool, Runtime(), Rng(0))
                whole = whole.rows(tie_keys(whole.ids, Rng(0)).argsort())
                expected = strategy.select(Sets(whole), n, Rng(0)).tolist()
                for runtime in (Runtime(batch_size=7), Runtime(batch_size=100)):
                    assert select(strategy, net, x, n, labeled=[0], runtime=runtime).tolist() == expected
                found = select_from(strategy, n, labeled=[0], probs=probs, embeddings=embeddings)
                assert found.tolist() == expected


def test_a_strategy_with_a_shortlist_is_shown_that_only(monkeypatch, probs, embeddings):
    fass, shown = strategy_named("fass", top_n=2), []
    monkeypatch.setattr(
        type(fass),
        "select",
        lambda self, sets, n, rng: shown.append(sets.pool) or sets.pool.ids[:n],
    )
    select_from(fass, 6, probs=probs, embeddings=embeddings)
    rows = in_order_of_ties(np.argsort(-entropies(probs))[:12])
    assert shown[0].ids.tolist() == rows
    np.testing.assert_array_equal(shown[0][Embedding()], embeddings[rows])
    select_from(fass, 40, probs=probs, embeddings=embeddings)
    assert shown[1].ids.tolist() == in_order_of_ties(range(N))


def test_scores_are_computed_in_chunks(monkeypatch, net, x):
    seen = []
    score = EntropySampling.score
    monkeypatch.setattr(EntropySampling, "score", lambda self, sets: seen.append(len(sets.pool)) or score(self, sets))
    select("entropy_sampling", net, x, 5, runtime=Runtime(batch_size=25))
    assert seen == [25, 25, 10]


def test_worker_processes_are_not_part_of_the_answer(net, x):
    data = Rows(x, lambda x, i: (x[i], i))
    runtimes = [Runtime(batch_size=17, num_workers=workers) for workers in (0, 2)]
    for strategy in ("badge", "bald_dropout"):
        serial, parallel = (select(strategy, net, data, 9, labeled=[2, 3], runtime=r) for r in runtimes)
        assert serial.tolist() == parallel.tolist()


def test_wrong_settings_of_a_runtime(case):
    for options, message in [
        ({"batch_size": 0}, "batch_size must be a whole number from 1, got 0"),
        ({"batch_size": 2.0}, "batch_size must be a whole number from 1, got 2.0"),
        ({"batch_size": True}, "batch_size must be a whole number from 1, got True"),
        ({"memory": "1GB"}, "memory must be a whole number of bytes from 0, got '1GB'"),
        ({"device": "nonsense"}, "device must be one that torch.device knows, .* got 'nonsense'"),
        ({"device": 2.5}, "device must be one that torch.device knows, .* got 2.5"),
        ({"device": f"cuda:{torch.cuda.device_count()}"}, "and PyTorch sees . CUDA devices on this machine"),
        ({"num_workers": -1}, "num_workers must be a whole number from 0, got -1"),
        ({"num_workers": None}, "num_workers must be a whole number from 0, got None"),
    ]:
        with case(options, message), pytest.raises(InvalidInput, match=message):
            Runtime(**options)


def test_counts_of_a_runtime_may_be_numpys():
    runtime = Runtime(batch_size=np.int64(4), num_workers=np.int32(0), memory=np.uint64(1 << 20))
    assert runtime == Runtime(batch_size=4, num_workers=0, memory=1 << 20)
    assert [type(n) for n in (runtime.batch_size, runtime.num_workers, runtime.memory)] == [int] * 3


def test_n_may_be_numpys(case, net, x):
    for n in [np.int64(5), np.uint8(5), torch.tensor(5)]:
        with case(n):
            assert select("badge", net, x, n).tolist() == select("badge", net, x, 5).tolist()


def check_invalid_seed(seed, net, x, probs):
    for call in (
        lambda: select("badge", net, x, 5, rng=seed),
        lambda: select("badge", net, x, 5, seed=seed),
        lambda: select_from("margin_sampling", 5, probs=probs, seed=seed),
        lambda: select_from("margin_sampling", 5, probs=probs, rng=seed),
    ):
        with pytest.raises(InvalidInput, match="a seed must be a whole number, got "):
            call()


def test_invalid_seeds(case, net, x, probs):
    for seed in ["a", 1.5, np.float64(2), [1], True, torch.Generator()]:
        with case(seed):
            check_invalid_seed(seed, net, x, probs)


def test_progress_bars_are_silent_unless_asked_for(net, x, capsys):
    select("badge", net, x, 5, runtime=Runtime(batch_size=1))
    assert capsys.readouterr() == ("", "")
    assert list(Runtime(progress=True).bar(iter([1, 2]), "testing", 2)) == [1, 2]


# --- refusals -------------------------------------------------------------------------------------------------------


class Stream(IterableDataset):
    def __iter__(self):
        return iter(())


class Endless(Dataset):
    def __getitem__(self, i):
        return i


def check_wrong_arguments_are_refused_before_any_work(strategy, options, message, net, x):
    calls = []
    net.register_forward_pre_hook(lambda *_: calls.append(1))
    arguments = {"strategy": strategy, "network": net, "data": x, "n": 2, **options}
    with pytest.raises(InvalidInput, match=message) as caught:
        select(**arguments)
    assert isinstance(caught.value, DistilError)
    assert isinstance(caught.value, ValueError)
    assert not calls


def test_wrong_arguments_are_refused_before_any_work(case, net, x):
    for options, message in [
        ({"data": np.zeros((0, 3))}, "data is empty"),
        ({"data": []}, "data is empty"),
        ({"data": np.zeros(5)}, r"data must have one row per example, got shape \(5,\)"),
        ({"data": torch.tensor(5.0)}, "data must"),
        ({"data": Stream()}, r"data must be a map-style Dataset .*got Stream"),
        ({"data": Endless()}, r"data must be a map-style Dataset .*got Endless"),
        ({"data": 7}, "data must be a map-style Dataset .*got int"),
        ({"data": None}, "data must be a map-style Dataset .*got NoneType"),
        ({"n": 0}, "n must be between 1 and 60, the number of examples to choose from; got 0"),
        ({"n": 61}, "n must be between 1 and 60, the number of examples to choose from; got 61"),
        ({"n": -3}, "n must be between 1 and 60, the number of examples to choose from; got -3"),
        ({"n": 58, "labeled": [1, 2, 3]}, "n must be between 1 and 57, the number of examples to choose from; got 58"),
        ({"n": 3, "candidates": [5, 6]}, "n must be between 1 and 2, the number of examples to choose from; got 3"),
        ({"n": True}, "n must be a whole number, got True"),
        ({"n": 2.5}, "n must be a whole number, got 2.5"),
        ({"n": "5"}, "n must be a whole number, got '5'"),
        ({"labeled": range(N)}, "nothing to choose from: every example is labeled"),
        ({"candidates": []}, "nothing to choose from"),
        ({"labeled": [3, 60]}, "labeled has 60, which is not a position in data of 60 examples"),
        ({"labeled": [3, -1]}, "labeled has -1, which is not a position"),
        ({"labeled": [3, 4, 3]}, "labeled has the id 3 more than once"),
        ({"labeled": np.ones(N, bool)}, "nothing to choose from: every example is labeled"),
        (
            {"labeled": [True, False]},
            "labeled is a boolean mask and must have an entry for each of the 60 examples; got 2",
        ),
        (
            {"labeled": [True, 3]},
            "labeled has booleans among other ids; pass ids without them, or a mask of booleans only",
        ),
        ({"labeled": [0, 1] * (N // 2)}, "labeled has the id 0 more than once; if this is a mask, pass booleans"),
        ({"labeled": Stream()}, "labeled must be a map-style Dataset .*got Stream"),
        (
            {"labeled": 5},
            r"labeled must be ids of the pool \(.*\), a dict .*, a pair .*, or separate data .*; got 5$",
        ),
        (
            {"labeled": np.zeros(3)},
            r"labeled has the floating-point number 0.0; convert ids to whole numbers, as with \.astype\(int\)",
        ),
        ({"query": [100]}, "query has 100, which is not a position"),
        ({"candidates": [1, 99]}, "candidates has 99, which is not a position in data of 60 examples"),
        ({"candidates": [1, 2, 1]}, "candidates has the id 1 more than once"),
        (
            {"candidates": np.zeros((3, 2))},
            r"candidates must hold ids of the pool: a list, .*; got shape \(3, 2\)",
        ),
        ({"candidates": [1.0, 2.0]}, "candidates has the floating-point number 1.0"),
        ({"candidates": np.zeros(N, bool)}, "nothing to choose from"),
        ({"candidates": [8, 9, 4], "labeled": [9]}, "candidates has 9, which is in labeled too"),
        ({"candidates": [8, 9, 4], "validation": [9]}, "candidates has 9, which is in validation too"),
        (
            {"labeled": [8, 9], "validation": [4, 9]},
            "validation has 9, which is in labeled too; validation is held out",
        ),
        ({"names": ["a", "b"]}, "names must have one entry for each of the 60 examples, got 2"),
        ({"strategy": 7}, "strategy must be a strategy or its name, for example 'badge', got int"),
        ({"strategy": EntropySampling}, "strategy must be a strategy or its name, got"),
        ({"network": None}, "needs a model; pass one as network"),
    ]:
        for strategy in ["core_set", "entropy_sampling"]:
            with case(options, message, strategy):
                check_wrong_arguments_are_refused_before_any_work(strategy, options, message, net, x)


def check_an_unknown_strategy_offers_the_nearest(name, offer, net, x, probs):
    for call in (lambda: select(name, net, x, 3), lambda: select_from(name, 3, probs=probs)):
        with pytest.raises(UnknownName, match=f"no strategy called '{name}'; did you mean {offer}") as caught:
            call()
        assert "known: " in str(caught.value)
        assert isinstance(caught.value, LookupError)
    with pytest.raises(UnknownName) as caught:
        select("qqqqq", net, x, 3)
    assert "did you mean" not in str(caught.value)


def test_an_unknown_strategy_offers_the_nearest(case, net, x, probs):
    for name, offer in [
        ("entropy_samplng", "'entropy_sampling'"),
        ("badg", "'badge'"),
        ("coreset", "'core_set'"),
        ("Margin_Sampling", "'margin_"),
    ]:
        with case(name, offer):
            check_an_unknown_strategy_offers_the_nearest(name, offer, net, x, probs)


def test_data_that_are_not_finite_name_the_ids(case, net, x):
    for value in [np.nan, np.inf, -np.inf]:
        with case(value):
            spoiled = x.copy()
            spoiled[[41, 7], 2] = value
            for data in (spoiled, torch.from_numpy(spoiled)):
                with pytest.raises(
                    InvalidInput, match=r"^data has NaN or infinite values in 2 of 60 examples: ids 7, 41$"
                ):
                    select("badge", net, data, 3)


def test_a_data_set_that_is_not_finite_is_found_in_the_outputs(net, x, tmp_path):
    spoiled = x.copy()
    spoiled[41, 2] = np.nan
    np.save(tmp_path / "x.npy", spoiled)
    for data in (Rows(spoiled), np.load(tmp_path / "x.npy", mmap_mode="r")):
        for strategy in ("badge", "entropy_sampling", "bald_dropout"):
            with pytest.raises(InvalidInput, match=r"has NaN or infinite values in 1 of \d+ examples: ids 41$"):
                select(strategy, net, data, 3, runtime=Runtime(batch_size=16))


def test_labeled_data_that_are_not_finite(net, x):
    spoiled = x.copy()
    spoiled[5] = np.nan
    with pytest.raises(InvalidInput, match=r"NaN or infinite values in 1 of 2 examples: ids 5"):
        select("core_set", net, spoiled, 3, labeled=[4, 5])


def test_wrong_parameters():
    for bad in (0, -1, 2.0, True, "3"):
        with pytest.raises(InvalidInput, match="n_samples must be a whole number from 1"):
            BALD(bad)


def test_a_missing_array_is_named(case, probs, embeddings):
    for strategy, given, message in [
        ("badge", ["embeddings"], r"BADGE needs `probs` \(N, C\), got only `embeddings`; pass probs=\.\.\."),
        ("badge", ["probs"], r"BADGE needs `embeddings` \(N, D\), got only `probs`; pass embeddings=\.\.\."),
        ("core_set", ["probs"], r"CoreSet needs `embeddings` \(N, D\), got only `probs`"),
        ("kmeans_sampling", ["probs"], r"KMeansSampling needs `embeddings`"),
        ("entropy_sampling", ["embeddings"], r"EntropySampling needs `probs` \(N, C\)"),
        (
            "bald_dropout",
            ["probs", "embeddings"],
            r"BALD needs `mc_probs` \(N, K, C\), got only `probs` and `embeddings`",
        ),
        ("margin_sampling_dropout", ["probs"], r"MarginSamplingDropout needs `mc_probs` \(N, K, C\)"),
    ]:
        with case(strategy, given, message):
            arrays = {"probs": probs, "embeddings": embeddings}
            with pytest.raises(MissingSignal, match=message) as caught:
                select_from(strategy, 3, **{name: arrays[name] for name in given})
            assert isinstance(caught.value, LookupError)


def spoiled(array, row, value):
    array = array.copy()
    array[row] = value
    return array


def test_wrong_arrays(case, probs, embeddings):
    for arrays, options, error, message in [
        (lambda p, e: {}, {}, InvalidInput, "needs an array; pass probs=, embeddings= or mc_probs="),
        (lambda p, e: {"probs": p[:0], "embeddings": e[:0]}, {}, InvalidInput, "the arrays are empty"),
        (lambda p, e: {"probs": p, "embeddings": e[:50]}, {}, InvalidInput, "probs has 60, embeddings has 50"),
        (
            lambda p, e: {"probs": p * 2, "embeddings": e},
            {},
            InvalidInput,
            r"probs\[0\] is not a probability distribution",
        ),
        (lambda p, e: {"probs": spoiled(p, 8, np.nan), "embeddings": e}, {}, InvalidInput, r"probs\[8\] is not a prob"),
        (
            lambda p, e: {"probs": np.log(p), "embeddings": e},
            {},
            InvalidInput,
            "if these are logits, pass their softmax",
        ),
        (lambda p, e: {"probs": p[:, :1], "embeddings": e}, {}, InvalidInput, "at least two classes"),
        (lambda p, e: {"probs": p[None], "embeddings": e}, {}, InvalidInput, r"probs must have two axes.*\(1, 60, 4\)"),
        (lambda p, e: {"probs": p, "embeddings": e[:, 0]}, {}, InvalidInput, r"embeddings must have two axes.*\(60,\)"),
        (lambda p, e: {"probs": p, "embeddings": e, "mc_probs": p}, {}, InvalidInput, r"mc_probs must have three axes"),
        (lambda p, e: {"probs": p, "embeddings": e.astype(str)}, {}, InvalidInput, "embeddings must hold numbers"),
        (
            lambda p, e: {"probs": p, "embeddings": spoiled(e, [50, 9], np.inf)},
            {},
            InvalidInput,
            r"^embeddings has NaN or infinite values in 2 of 60 examples: ids 9, 50$",
        ),
        (lambda p, e: {"probs": p, "embeddings": e}, {"n": 61}, InvalidInput, "between 1 and 60"),
        (lambda p, e: {"probs": p, "embeddings": e}, {"labeled": [60]}, InvalidInput, "labeled has 60"),
        (
            lambda p, e: {"probs": p, "embeddings": e},
            {"labeled": [1, 1]},
            InvalidInput,
            "labeled has the id 1 more than once",
        ),
        (lambda p, e: {"probs": p, "embeddings": e}, {"labeled": range(60)}, InvalidInput, "nothing to choose from"),
        (
            lambda p, e: {"probs": p, "embeddings": e},
            {"labeled": np.zeros((3, 2))},
            InvalidInput,
            r"labeled must hold ids of the pool: a list, .* a boolean mask, or a Selection; got shape \(3, 2\)",
        ),
        (
            lambda p, e: {"probs": p, "embeddings": e},
            {"labeled": [1], "candidates": [0, 1]},
            InvalidInput,
            "candidates has 1, which is in labeled too",
        ),
        (
            lambda p, e: {"probs": p, "embeddings": e, "labeled_embeddings": e[:, :3]},
            {},
            InvalidInput,
            "labeled_embeddings must have the 5 columns of embeddings, got 3",
        ),
        (
            lambda p, e: {"probs": p, "embeddings": e, "labeled_embeddings": e[:4]},
            {"labeled": [1]},
            InvalidInput,
            "pass labeled .* or labeled_embeddings .*, not both",
        ),
        (lambda p, e: {"probs": p, "embeddings": e}, {"names": ["a"]}, InvalidInput, "names must have one entry"),
    ]:
        with case(arrays, options, error, message), pytest.raises(error, match=message):
            select_from("badge", **{"n": 3, **arrays(probs, embeddings), **options})


def test_labeled_embeddings_that_are_not_finite(embeddings):
    with pytest.raises(InvalidInput, match=r"NaN or infinite values in 1 of 3 examples: ids 1"):
        select_from("core_set", 3, embeddings=embeddings, labeled_embeddings=spoiled(embeddings[:3], 1, np.nan))


def check_embeddings_whose_squares_overflow_float32(strategy, probs, embeddings):
    scaled = embeddings * np.float32(1e25)
    try:
        found = select_from(strategy, 6, probs=probs, embeddings=scaled)
    except InvalidInput:
        return
    assert found.tolist() == select_from(strategy, 6, probs=probs, embeddings=embeddings).tolist()


def test_embeddings_whose_squares_overflow_float32(case, probs, embeddings):
    """Either the same picks, which do not depend on the scale, or InvalidInput."""
    for strategy in [BADGE(), CoreSet(), KMeansSampling()]:
        with case(strategy):
            check_embeddings_whose_squares_overflow_float32(strategy, probs, embeddings)


def test_large_numbers_of_mc_samples_are_read_as_they_come(probs):
    mc_probs = np.stack([probs, probs], 1)
    for strategy in (BALD(10), BALD(2), BALD(77)):  # the array decides K
        assert isinstance(select_from(strategy, 3, mc_probs=mc_probs), Selection)


def test_linear_models_agree_with_float64(x):
    """A model whose answer NumPy can compute: the picks are those of exact arithmetic."""
    weight, bias = np.random.default_rng(3).normal(size=(CLASSES, DIMS)), np.random.default_rng(4).normal(size=CLASSES)
    model = nn.Linear(DIMS, CLASSES)
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(weight))
        model.bias.copy_(torch.from_numpy(bias))
    logits = x.astype(np.float64) @ weight.T + bias
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    for n in (1, 5, 20):
        assert select("entropy_sampling", model, x, n).tolist() == np.argsort(-entropies(probs))[:n].tolist()


def test_runtime_and_collate_are_checked_before_any_work(net, x, probs):
    for strategy in ("random_sampling", "margin_sampling"):
        for runtime in ("cpu", {"batch_size": 3}):
            with pytest.raises(InvalidInput, match=r"^runtime must be a Runtime, such as distil\.Runtime"):
                select(strategy, net, x, 3, runtime=runtime)
            with pytest.raises(InvalidInput, match=r"^runtime must be a Runtime"):
                select_from(strategy, 3, probs=probs, runtime=runtime)
    with pytest.raises(InvalidInput, match=r"^collate must be a function from a list of examples .*, got 'stack'$"):
        select("margin_sampling", net, x, 3, collate="stack")


def test_the_advice_for_labeled_rows_without_probabilities_can_be_followed(x, probs):
    with pytest.raises(MissingSignal, match=r"pass labeled=\.\.\., rows of the arrays$"):
        select_from("bait", 3, probs=probs, embeddings=x, labeled_embeddings=x[:2])
    assert len(select_from("bait", 3, probs=probs, embeddings=x, labeled=[0, 1])) == 3


def test_labels_are_counted_whether_or_not_the_strategy_reads_them(case, net, x):
    for strategy in ["random_sampling", "margin_sampling"]:
        with case(strategy):
            for labeled, message in (
                (([0, 1], [0, 1, 2]), r"^the labels of labeled must have one entry for each of the 2 examples, got 3$"),
                ((x[:2], [0]), r"^the labels of labeled must have one entry for each of the 2 examples, got 1$"),
                (([0, 1], {0, 1}), r"^the labels of labeled must be a list, .* got set, which has no order$"),
            ):
                with pytest.raises(InvalidInput, match=message):
                    select(strategy, net, x, 3, labeled=labeled)


def test_a_strategy_that_writes_to_its_columns_gets_no_note_on_what_it_wrote():
    @dataclasses.dataclass(frozen=True)
    class Writes(Strategy):
        @property
        def needs(self):
            return Needs(pool=(Embedding(),))

        def select(self, sets, n, rng):
            sets.pool[Embedding()].zero_()
            return Selection(sets.pool.ids[:n])

    assert select_from(Writes(), 2, embeddings=torch.randn(20, 3)).notes == ()


def test_reasons_name_the_classes(case):
    probs = np.array([[0.5, 0.4, 0.1], [0.1, 0.3, 0.6]])
    for classes, reason in [
        (None, "margin 0.1 between class 0 and class 1"),
        (["cat", "dog", "class 1"], "margin 0.1 between class 'cat' and class 'dog'"),
        (["class 1", "class 0", "dog"], "margin 0.1 between class 'class 1' and class 'class 0'"),
        ([3, 1, 7], "margin 0.1 between class 3 and class 1"),
        (["0", "1", "2"], "margin 0.1 between class 0 and class 1"),
    ]:
        with case(classes):
            assert select_from("margin_sampling", 1, probs=probs, classes=classes).reasons == (reason,)
    with case("a strategy over another one, and a head that is trained on names"):
        x = np.array([[0.0], [0.1], [1.0], [0.9], [0.45], [0.5]])
        balanced = Balance("margin_sampling")
        found = select_from(balanced, 1, embeddings=x, labeled=[0, 2], labels=np.array(["cat", "dog"]))
        assert re.fullmatch(
            r"class '(cat|dog)': margin \S+ between class '(cat|dog)' and class '(cat|dog)'", found.reasons[0]
        )


def test_examples_of_the_validation_set_are_never_chosen(net, x, probs):
    held, labels = [3, 5, 7], [0, 1, 2]
    for found in (
        select("random_sampling", None, x, N - 5, labeled=[0, 1], validation=held),
        select("margin_sampling", net, x, N - 5, labeled=[0, 1], validation=(held, labels)),
        select_from("margin_sampling", N - 5, probs=probs, labeled=[0, 1], validation=(held, labels)),
    ):
        assert set(found) == set(range(2, N)) - set(held)
    apart = select("margin_sampling", net, x, N, validation=(x[:3], labels))  # other data: no row of the pool
    assert len(apart) == N
