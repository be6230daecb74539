"""Nearest centers, nearest neighbors and balls against brute force in float64 and scikit-learn."""

import itertools

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from distil.errors import InvalidInput
from distil.functional import nearest, neighbors
from distil.functional.nearest import nearest_center, pair_sq_dists
from distil.functional.neighbors import Balls, mean_dists, nearest_neighbors


def rows(kind, n=500, dim=12, seed=0):
    rng = np.random.default_rng(seed)
    x = {
        "normal": lambda: rng.normal(size=(n, dim)),
        "clustered": lambda: rng.normal(size=(6, dim))[rng.integers(6, size=n)] * 30 + rng.normal(size=(n, dim)) * 0.01,
        "duplicated": lambda: np.tile(rng.normal(size=(n // 20, dim)), (20, 1)),
        "grid": lambda: rng.integers(3, size=(n, 4)),
        "line": lambda: rng.uniform(size=(n, 1)),
        "far from the origin": lambda: rng.normal(size=(n, dim)) + 1000,
        "one point": lambda: np.ones((n, dim)),
        "badly rounded": lambda: rng.choice([-1, 1], (n, 60)) * (1 + 2.0**-8 * rng.choice([0.999, 1.001], (n, 60))),
        "near duplicates": lambda: rng.normal(size=(n // 2, dim)).repeat(2, 0) + 1e-6 * rng.normal(size=(n, dim)),
    }[kind]()
    return torch.from_numpy(np.asarray(x, dtype=np.float32))


KINDS = [
    "normal",
    "clustered",
    "duplicated",
    "grid",
    "line",
    "far from the origin",
    "one point",
    "near duplicates",
    "badly rounded",
]


def sq_dists(a, b):
    """(N, M) float64, difference by difference."""
    return cdist(np.asarray(a, np.float64), np.asarray(b, np.float64), "sqeuclidean")


def first_nearest(dists):
    """The first column within 1e-9 of the least, for each row."""
    return np.argmax(dists <= dists.min(1, keepdims=True) * (1 + 1e-9), axis=1)


def brute_neighbors(x, k):
    """Ids of the k nearest other rows; equal within 1e-9, the smaller id."""
    found = []
    for i, row in enumerate(sq_dists(x, x)):
        others = np.delete(np.arange(len(row)), i)
        others = others[np.argsort(row[others], kind="stable")]
        group = np.concatenate([[0], np.cumsum(np.diff(row[others]) > 1e-9 * row[others][1:])])
        found.append(others[np.lexsort((others, group))][:k])
    return np.array(found)


@pytest.fixture(params=[True, False], ids=["bfloat16", "float32"])
def low_precision(request, monkeypatch):
    monkeypatch.setattr(nearest, "_bfloat16_pays", lambda device: request.param)
    monkeypatch.setattr(nearest, "_PAIR", 0)  # never given up


# --- nearest center -------------------------------------------------------------------------------------------------


def test_nearest_center_is_brute_force(low_precision):
    for kind, seed in itertools.product(KINDS, range(3)):
        x = rows(kind, seed=seed)
        centers = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:40]]
        for other in (centers, (centers[:-1] + centers[1:]) / 2, centers + 0.1 * rows("normal", 40, x.shape[1], seed)):
            assert nearest_center(x, other).tolist() == first_nearest(sq_dists(x, other)).tolist(), (kind, seed)


def test_close_decisions_are_right(low_precision):
    """Rows almost halfway between two centers, nearer to one by a share of the distance that low precision cannot see."""
    for gap in [1e-1, 1e-2, 1e-3, 1e-5, 1e-7]:
        rng = np.random.default_rng(0)
        centers = torch.from_numpy(rng.normal(size=(2, 64)))
        side = torch.from_numpy(rng.choice([-1.0, 1.0], size=(400, 1)))
        across = torch.from_numpy(rng.normal(size=(400, 64)))
        along = centers[1] - centers[0]
        across -= (across @ along)[:, None] * along / (along @ along)
        x = (centers.mean(0) + across + side * gap * along).float()
        found = nearest_center(x, centers.float())
        assert found.tolist() == first_nearest(sq_dists(x, centers.float())).tolist(), gap
        assert gap < 1e-6 or found.tolist() == (side[:, 0] > 0).long().tolist(), gap


def test_of_equal_centers_the_first_is_nearest(low_precision):
    x = rows("normal", 60)
    centers = x[[5, 3, 5, 9, 3, 5]]
    assert set(nearest_center(x, centers).tolist()) == {0, 1, 3}
    assert nearest_center(x[:1], x[:1].repeat(9, 1)).tolist() == [0]


def test_the_guess_does_not_matter(low_precision):
    x = rows("clustered")
    plain = nearest_center(x, x[:30])
    for guess in (plain, torch.full_like(plain, 29), torch.randint(30, (len(x),))):
        assert torch.equal(nearest_center(x, x[:30], guess), plain)


def test_blocks_do_not_matter(monkeypatch, subtests):
    for n_bytes, kind in itertools.product([1, 300, 5000], ["normal", "grid"]):
        with subtests.test(n_bytes=n_bytes, kind=kind), monkeypatch.context() as patch:
            x = rows(kind, 130)
            whole = nearest_center(x, x[:20]), nearest_neighbors(x, 7).ids, Balls(x, 2.0).sizes(), mean_dists(x, 7)
            patch.setattr(neighbors, "BLOCK_BYTES", n_bytes)
            patch.setattr(nearest, "BLOCK_BYTES", n_bytes)
            parts = nearest_center(x, x[:20]), nearest_neighbors(x, 7).ids, Balls(x, 2.0).sizes(), mean_dists(x, 7)
            assert all(torch.equal(one, other) for one, other in zip(whole[:3], parts[:3], strict=True))
            torch.testing.assert_close(whole[3], parts[3])


def test_float64_rows_are_compared_in_float64():
    x = torch.tensor([[0.5 + 1e-12], [0.5 - 1e-12]], dtype=torch.float64)
    centers = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    assert nearest_center(x, centers * (1 + 1e-15)).tolist() == [0, 0]  # equal within 1e-9
    assert nearest_center(x + torch.tensor([[1e-6], [-1e-6]]).double(), centers).tolist() == [1, 0]


# --- nearest neighbors ----------------------------------------------------------------------------------------------


def test_neighbors_are_brute_force():
    for kind, k in itertools.product(KINDS, [1, 7, 40]):
        x = rows(kind, 300)
        found = nearest_neighbors(x, k)
        expected = brute_neighbors(x, k)
        np.testing.assert_array_equal(found.ids.numpy(), expected, err_msg=str((kind, k)))
        np.testing.assert_allclose(
            found.sq_dists.numpy(),
            np.take_along_axis(sq_dists(x, x), expected, 1),
            rtol=2e-5,
            atol=1e-30,
            err_msg=str((kind, k)),
        )


def test_neighbors_are_scikit_learns():
    for n in [257, 3000]:
        x = rows("normal", n, 9, seed=4)
        theirs = NearestNeighbors(n_neighbors=11, algorithm="kd_tree").fit(x.double().numpy())
        dists, ids = theirs.kneighbors()
        found = nearest_neighbors(x, 11)
        np.testing.assert_array_equal(found.ids.numpy(), ids, err_msg=str(n))
        np.testing.assert_allclose(found.sq_dists.sqrt().numpy(), dists, rtol=1e-5, err_msg=str(n))


def test_neighbors_of_some_rows():
    x = rows("grid", 200)
    some = torch.tensor([7, 3, 150])
    whole, part = nearest_neighbors(x, 9), nearest_neighbors(x, 9, some)
    assert torch.equal(part.ids, whole.ids[some])
    assert torch.equal(part.sq_dists, whole.sq_dists[some])


def test_all_other_rows_may_be_neighbors():
    x = rows("normal", 40)
    assert nearest_neighbors(x, 39).ids.sort(1).values.tolist() == [[j for j in range(40) if j != i] for i in range(40)]


def test_impossible_k(subtests):
    for k, kernel in itertools.product([0, 5, -1], [nearest_neighbors, mean_dists]):
        with subtests.test(k=k, kernel=kernel), pytest.raises(InvalidInput, match="k must be between 1 and 4"):
            kernel(rows("normal", 5, 3), k)


def test_mean_distances_are_brute_force():
    for kind, k in itertools.product(KINDS, [1, 20]):
        x = rows(kind, 300)
        dists = np.sqrt(sq_dists(x, x))
        np.fill_diagonal(dists, np.inf)
        np.testing.assert_allclose(
            mean_dists(x, k).numpy(), np.sort(dists)[:, :k].mean(1), rtol=2e-5, atol=1e-30, err_msg=str((kind, k))
        )


# --- balls ----------------------------------------------------------------------------------------------------------


def inside(x, points, radius):
    return sq_dists(x, points) < radius**2 * (1 - 1e-9)


def test_balls_are_brute_force_with_pairs_on_the_edge():
    for kind, share in itertools.product(KINDS, [0.001, 0.1, 0.9]):
        x = rows(kind, 300)
        dists = sq_dists(x, x)
        radius = max(float(np.quantile(dists, share, method="lower")) ** 0.5, 1e-3)  # the distance of a pair
        balls = Balls(x, radius)
        assert balls.sizes().tolist() == inside(x, x, radius).sum(1).tolist(), (kind, share)
        for points in (x[:1], x[:0], x[100:290], x[:30] + 0.01):
            assert balls.counts(points).tolist() == inside(x, points, radius).sum(1).tolist(), (kind, share)


def test_on_the_edge_is_outside():
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 5.0], [0.0, 4.999]])
    assert Balls(x, 5.0).sizes().tolist() == [2, 4 - 1, 3, 4]
    assert Balls(x, float("inf")).sizes().tolist() == [4] * 4


def test_pairs_are_each_given_once():
    x = rows("normal", 77)
    seen = np.zeros((77, 77), dtype=int)
    for block, other, near in Balls(x, 3.0).pairs():
        seen[block, other] += 1
        np.testing.assert_array_equal(near.numpy(), inside(x[block], x[other], 3.0))
    assert seen[np.triu_indices(77)].tolist() == [1] * (77 * 78 // 2)


def test_pair_distances_are_summed_in_float64():
    x = rows("far from the origin", 50)
    i, j = torch.randint(50, (200,)), torch.randint(50, (200,))
    found = pair_sq_dists(x, i, x.flip(0), j)
    np.testing.assert_allclose(found.numpy(), sq_dists(x, x.flip(0))[i, j], rtol=1e-12)


def test_nearest_points_are_those_of_all_distances(monkeypatch):
    g = torch.Generator().manual_seed(3)
    x, points = torch.randn(70, 4, generator=g), torch.randn(30, 4, generator=g)
    dists = cdist(x.double(), points.double(), "sqeuclidean")
    for block in (8 << 20, 2000):
        monkeypatch.setattr(neighbors, "BLOCK_BYTES", block)
        for k in (1, 6, 30):
            found = neighbors.nearest_points(x, points, k)
            assert (found.ids.sort(1).values.numpy() == np.sort(dists.argsort(1)[:, :k], axis=1)).all()
            np.testing.assert_allclose(found.sq_dists.sort(1).values.numpy(), np.sort(dists, axis=1)[:, :k], rtol=1e-6)
    tied = neighbors.nearest_points(torch.zeros(1, 1), torch.tensor([[9.0], [1.0], [-1.0], [1.0]]), 2)
    assert tied.ids.sort(1).values.tolist() == [[1, 2]]
    for k in (0, 31):
        with pytest.raises(InvalidInput, match="k must be"):
            neighbors.nearest_points(x, points, k)
