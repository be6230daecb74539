"""The documented similarity matrix and submodular function."""

import inspect

import numpy as np
import pytest
import torch

from distil.errors import InvalidInput
from distil.utils.similarity_mat import SimilarityComputation
from distil.utils.submodular import SubmodularFunction

N = 60


@pytest.fixture
def x():
    return torch.randn(N, 5, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def y():
    return torch.arange(N) % 7 % 3


DOCUMENTED = ["facility_location", "graph_cut", "saturated_coverage", "sum_redundancy", "feature_based"]


def test_signatures():
    assert list(inspect.signature(SimilarityComputation).parameters) == [
        "device",
        "x_trn",
        "y_trn",
        "N_trn",
        "batch_size",
    ]
    assert list(inspect.signature(SubmodularFunction).parameters) == [
        "device", "x_trn", "y_trn", "N_trn", "batch_size", "submod", "selection_type",
    ]  # fmt: skip
    assert issubclass(SubmodularFunction, SimilarityComputation)
    assert str(inspect.signature(SimilarityComputation.distance)).startswith("(self, x: ")
    assert inspect.signature(SimilarityComputation.distance).parameters["exp"].default == 2


def test_distance_is_the_kernel_with_one_scale(x, y):
    similarity = SimilarityComputation("cpu", x, y, N, 10)
    dists = ((x[:, None] - x[None]).double() ** 2).sum(2).numpy()
    median = np.sort(dists[np.triu_indices(N, 1)])[(N * (N - 1) // 2 - 1) // 2]
    gamma = 1 / (2 * median)
    np.testing.assert_allclose(similarity.distance(x, x), np.exp(-gamma * dists), rtol=1e-5)
    np.testing.assert_allclose(similarity.distance(x[:4], x[7:9]), np.exp(-gamma * dists[:4, 7:9]), rtol=1e-5)
    for exp in (1, 0.5, 3):
        expected = np.exp(-(np.sqrt(gamma * dists) ** exp))
        np.testing.assert_allclose(similarity.distance(x, x, exp), expected, rtol=1e-5)
        np.testing.assert_allclose(similarity.distance(x, x, exp=exp), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="exp must be above 0"):
        similarity.distance(x, x, 0)


def test_compute_score(x, y):
    similarity = SimilarityComputation("cpu", x, y, N, 7)  # no multiple of the batch size
    assert similarity.dist_mat is None
    idxs = [5, 3, 40]
    similarity.compute_score(idxs)
    np.testing.assert_allclose(similarity.dist_mat, similarity.distance(x[idxs], x[idxs]), rtol=1e-6)
    assert similarity.compute_score(np.arange(N)).shape == (N, N)


@pytest.mark.parametrize("kind", ["tensor", "array", "read-only", "images", "integers"])
def test_kinds_of_data(x, y, kind):
    if kind == "integers":
        x = (x * 10).round()
    data = {
        "tensor": x,
        "array": x.numpy(),
        "read-only": x.numpy().copy(),
        "images": x.repeat(1, 4).reshape(N, 5, 2, 2).numpy(),
        "integers": x.numpy().astype(np.uint8),
    }[kind]
    if kind == "read-only":
        data.flags.writeable = False
    function = SubmodularFunction("cpu", data, y.numpy().tolist(), N, 10, "facility_location", "Full")
    assert len(set(function.lazy_greedy_max(12))) == 12


def test_get_index(x, y):
    similarity = SimilarityComputation("cpu", x, y, N, 10)
    data = x.numpy()
    assert similarity.get_index(data, data[[7, 3, 59]]) == [7, 3, 59]
    assert similarity.get_index(x, x[[2, 1]]) == [2, 1]
    doubled = np.concatenate([data, data])
    assert similarity.get_index(doubled, data[[4, 4]]) == [4, 64]
    assert similarity.get_index(np.array([[0.0, 1.0], [-0.0, 2.0]]), np.array([[-0.0, 1.0]])) == [0]
    assert all(type(i) is int for i in similarity.get_index(data, data[:3]))
    for wrong in (data[:1] + 1, doubled[[4, 4, 4]]):
        with pytest.raises(ValueError, match="not in data, or not as often"):
            similarity.get_index(data, wrong)


@pytest.mark.parametrize("submod", [*DOCUMENTED, "Disparity-min", "Disparity-sum", "DPP"])
@pytest.mark.parametrize("selection_type", ["PerClass", "Supervised", "Full"])
def test_budget_many_distinct_plain_ints(x, y, submod, selection_type):
    for rows, labels in ((x, y), (x[:4].repeat(15, 1), y), (x, torch.zeros(N, dtype=torch.long)), (x, y * 2)):
        function = SubmodularFunction("cpu", rows, labels, N, 10, submod, selection_type)
        for budget in (1, 2, 10, N):
            picks = function.lazy_greedy_max(budget)
            assert all(type(i) is int for i in picks)
            assert len(set(picks)) == len(picks) == budget
            assert set(picks) <= set(range(N))


def test_it_maximizes_over_the_kernel(x, y):
    function = SubmodularFunction("cpu", x, y, N, 10, "facility_location", "Full")
    kernel = function.distance(x, x).double().numpy()
    picks, best = [], np.zeros(N)
    for _ in range(9):
        gains = [-1 if i in picks else np.maximum(kernel[i] - best, 0).sum() for i in range(N)]
        picks.append(int(np.argmax(gains)))
        best = np.maximum(best, kernel[picks[-1]])
    assert function.lazy_greedy_max(9) == picks


def test_per_class_is_proportional(x, y):
    for budget in (2, 5, 30):
        picks = SubmodularFunction("cpu", x, y, N, 10, "facility_location", "PerClass").lazy_greedy_max(budget)
        counts = torch.bincount(y[picks], minlength=3)
        assert bool(((counts - torch.bincount(y, minlength=3) * budget / N).abs() < 1).all())


def test_global_generators_and_arguments_stay(x, y):
    before, rows = torch.get_rng_state(), x.clone()
    SubmodularFunction("cpu", x, y, N, 10, "facility_location", "PerClass").lazy_greedy_max(5)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(x, rows)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"submod": "facility"}, "function must be one of"),
        ({"selection_type": "Whole"}, "selection_type must be one of"),
        ({"N_trn": 59}, "N_trn must be the number of rows"),
        ({"y_trn": torch.zeros(59)}, "N_trn must be the number of rows"),
        ({"y_trn": torch.full((N,), -1)}, "y_trn must be labels from 0"),
        ({"x_trn": torch.full((N, 2), torch.nan)}, "x_trn is NaN or infinite"),
    ],
)
def test_refusals(x, y, changes, match):
    arguments = {"x_trn": x, "y_trn": y, "N_trn": N, "submod": "graph_cut", "selection_type": "Full", **changes}
    with pytest.raises(ValueError, match=match):
        SubmodularFunction("cpu", batch_size=10, **arguments)


@pytest.mark.parametrize("budget", [0, -1, N + 1, True])
def test_budgets_that_cannot_be(x, y, budget):
    function = SubmodularFunction("cpu", x, y, N, 10, "facility_location", "Full")
    with pytest.raises(InvalidInput, match="budget must be between 1 and the 60"):
        function.lazy_greedy_max(budget)
