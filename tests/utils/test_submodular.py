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
    for exp in (1, 0.5, 3, 4):  # sums of the powers of differences, not powers of the Euclidean distance
        differences = np.sqrt(gamma) * (x[:, None] - x[None]).double().abs().numpy()
        expected = np.exp(-(differences**exp).sum(2))
        np.testing.assert_allclose(similarity.distance(x, x, exp), expected, rtol=1e-5)
        np.testing.assert_allclose(similarity.distance(x, x, exp=exp), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="exp must be a number above 0, got 0"):
        similarity.distance(x, x, 0)


def test_compute_score(x, y):
    similarity = SimilarityComputation("cpu", x, y, N, 7)  # no multiple of the batch size
    assert similarity.dist_mat is None
    idxs = [5, 3, 40]
    similarity.compute_score(idxs)
    np.testing.assert_allclose(similarity.dist_mat, similarity.distance(x[idxs], x[idxs]), rtol=1e-6)
    assert similarity.compute_score(np.arange(N)).shape == (N, N)


def test_kinds_of_data(x, y):
    kinds = {
        "tensor": x,
        "array": x.numpy(),
        "read-only": x.numpy().copy(),
        "images": x.repeat(1, 4).reshape(N, 5, 2, 2).numpy(),
        "integers": (x * 10).round().numpy().astype(np.uint8),
    }
    kinds["read-only"].flags.writeable = False
    for kind, data in kinds.items():
        function = SubmodularFunction("cpu", data, y.numpy().tolist(), N, 10, "facility_location", "Full")
        assert len(set(function.lazy_greedy_max(12))) == 12, kind


def test_get_index(x, y):
    similarity = SimilarityComputation("cpu", x, y, N, 10)
    data = x.numpy()
    assert similarity.get_index(data, data[[7, 3, 59]]) == [7, 3, 59]
    assert similarity.get_index(x, x[[2, 1]]) == [2, 1]
    doubled = np.concatenate([data, data])
    assert similarity.get_index(doubled, data[[4, 4]]) == [4, 64]
    assert similarity.get_index(np.array([[0.0, 1.0], [-0.0, 2.0]]), np.array([[-0.0, 1.0]])) == [0]
    assert all(type(i) is int for i in similarity.get_index(data, data[:3]))
    for rows, k in ((data[:1] + 1, 0), (doubled[[4, 4, 4]], 1)):
        with pytest.raises(ValueError, match=f"as often as data_sub, but lacks row {k} of data_sub"):
            similarity.get_index(data, rows)


def test_as_many_distinct_plain_ints_as_the_budget(x, y):
    for submod in (*DOCUMENTED, "Disparity-min", "Disparity-sum", "DPP"):
        for selection_type in ("PerClass", "Supervised", "Full"):
            for rows, labels in ((x, y), (x[:4].repeat(15, 1), y * 2), (x, torch.zeros(N, dtype=torch.long))):
                function = SubmodularFunction("cpu", rows, labels, N, 10, submod, selection_type)
                for budget in (1, 10, N):
                    picks = function.lazy_greedy_max(budget)
                    assert all(type(i) is int for i in picks), (submod, selection_type)
                    assert len(set(picks)) == len(picks) == budget, (submod, selection_type)
                    assert set(picks) <= set(range(N)), (submod, selection_type)


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


def test_refusals(x, y):
    for changes, message in (
        ({"submod": "facility"}, "function must be one of"),
        ({"selection_type": "Whole"}, "selection_type must be one of"),
        ({"N_trn": 59}, "x_trn and y_trn must have N_trn=59 rows each, at least 1, got 60 and 60"),
        ({"y_trn": torch.zeros(59)}, "x_trn and y_trn must have N_trn=60 rows each, at least 1, got 60 and 59"),
        ({"y_trn": torch.full((N,), -1)}, "y_trn must be labels of at least 0, got -1"),
        ({"x_trn": torch.full((N, 2), torch.nan)}, "x_trn has NaN or infinite values"),
    ):
        arguments = {"x_trn": x, "y_trn": y, "N_trn": N, "submod": "graph_cut", "selection_type": "Full", **changes}
        with pytest.raises(ValueError, match=message):
            SubmodularFunction("cpu", batch_size=10, **arguments)
    function = SubmodularFunction("cpu", x, y, N, 10, "facility_location", "Full")
    for budget in (0, -1, N + 1, True):
        with pytest.raises(InvalidInput, match="budget must be between 1 and 60, the number of examples"):
            function.lazy_greedy_max(budget)
