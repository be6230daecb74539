"""Every strategy that reads embeddings, at every scale that float32 and float64 hold."""

import numpy as np
import pytest
import torch

from distil import select_from
from distil.errors import InvalidInput
from distil.functional.centers import k_means_plus_plus
from distil.functional.coverage import max_coverage_with_gains
from distil.functional.features import Dense
from distil.functional.scale import times_two_to
from distil.strategies.registry import strategy_named

# Picks do not depend on the scale of embeddings.
FREE = {
    "auto": {},
    "alfa_mix": {},
    "anchors": {},
    "badge": {},
    "badge_per_batch": {"batch_size": 4},
    "baseline_sampling": {},
    "cal": {},
    "centroid_start": {},
    "clue": {},
    "cluster_margin": {"factor": 3},
    "core_set": {},
    "dropquery": {},
    "fass": {},
    "kmeans_sampling": {},
    "kmedians_sampling": {},
    "maxherding": {},
    "probcover": {},
    "refine": {"steps": 2, "selections": 4, "by": ("random_sampling", "uherding")},
    "robust_core_set": {"outliers": 0.2},
    "submod_sampling": {},
    "tcm": {},
    "typiclust": {},
    "uherding": {},
}
# Picks depend on it: the gradient by the bias does not change with the embeddings, and a prior is a number.
BOUND = {"bait": {}, "craig": {}, "glister": {}, "gradmatch": {}}


def pool(n=60, d=4, c=3, dtype=torch.float32):
    g = torch.Generator().manual_seed(3)
    x = torch.randn(n, d, generator=g, dtype=dtype)
    return torch.randn(n, c, generator=g, dtype=dtype).softmax(1), x


def picks(name, probs, x, n=8, **hyper):
    strategy = strategy_named(name, **hyper)
    read = {"embeddings": x} | ({"probs": probs} if name not in WITHOUT_PROBS else {})
    return select_from(strategy, n, **read, seed=5).tolist()


WITHOUT_PROBS = {
    "core_set",
    "kmeans_sampling",
    "kmedians_sampling",
    "maxherding",
    "probcover",
    "robust_core_set",
    "typiclust",
    "submod_sampling",
}


@pytest.mark.parametrize(("dtype", "exponents"), [(torch.float32, (-100, -66, 124)), (torch.float64, (-990, 1000))])
def test_picks_are_the_same_at_every_scale(dtype, exponents):
    probs, x = pool(dtype=dtype)
    for name, hyper in FREE.items():
        expected = picks(name, probs, x, **hyper)
        for e in exponents:
            assert picks(name, probs, times_two_to(x, e), **hyper) == expected, (name, e)


def test_subnormal_embeddings_are_read_as_they_are():
    x = torch.randint(1, 200, (40, 3), generator=torch.Generator().manual_seed(0)).float()
    tiny = times_two_to(x, -149)  # the smallest number that float32 holds, times 1 to 200
    assert 0 < float(tiny.min()) < 1e-44
    for name in WITHOUT_PROBS:
        assert picks(name, None, tiny) == picks(name, None, x), name


def test_where_the_scale_counts_the_two_precisions_agree_and_the_ends_are_limits():
    """At 1e19 and 1e-20 squares leave float32, not float64; farther out only the limits are left."""
    probs, x = pool(n=20)
    for name, hyper in BOUND.items():
        for scale in (1e-20, 1e19):
            rows = x * scale
            assert picks(name, probs, rows, **hyper) == picks(name, probs.double(), rows.double(), **hyper), (
                name,
                scale,
            )
        for ends in ((2.0**-60, 2.0**-120), (2.0**60, 2.0**120)):
            few, many = (picks(name, probs, x * end, **hyper) for end in ends)
            assert few == many, name
        assert len(set(picks(name, probs.double(), times_two_to(x.double(), 1000)))) == 8
        assert len(set(picks(name, probs.double(), times_two_to(x.double(), -1000)))) == 8


def test_zero_rows_equal_rows_and_a_single_row():
    probs, x = pool(n=6)
    for name, hyper in {**FREE, **BOUND}.items():
        assert sorted(picks(name, probs, torch.zeros_like(x), n=6, **hyper)) == list(range(6))
        for scale in (2.0**-100, 2.0**100):
            assert sorted(picks(name, probs, x[:1].expand(6, -1) * scale, n=6, **hyper)) == list(range(6))
            assert picks(name, probs[:1], x[:1] * scale, n=1, **hyper) == [0]


def test_short_rows_among_long_ones_are_drawn_by_their_own_distances():
    """k-means++ comes to the short rows last, and of these to the one far from the others first."""
    x = torch.zeros(30, 2)
    x[1:5] = torch.eye(2).repeat(2, 1) * torch.arange(1, 5)[:, None]
    x[5:] = 1e-26 * torch.rand(25, 2, generator=torch.Generator().manual_seed(0))
    x[17] = torch.tensor([1e-21, 1e-21])
    for seed in range(5):
        rows = k_means_plus_plus(Dense(x), 6, 0, torch.Generator().manual_seed(seed)).tolist()
        assert set(rows[:5]) == set(range(5))
        assert rows[5] == 17


def test_rows_far_from_zero_and_near_each_other():
    g = torch.Generator().manual_seed(1)
    middles = torch.tensor([[0.0, 0], [8, 0], [0, 8], [8, 8]])
    near = (middles.repeat(15, 1) + torch.randint(-1, 2, (60, 2), generator=g)).float()
    far = near + 2.0**23  # exact
    for name in ("kmeans_sampling", "core_set", "kmedians_sampling", "typiclust", "probcover"):
        groups = [{i % 4 for i in picks(name, None, rows, n=4)} for rows in (near, far)]
        assert groups[0] == groups[1] == ({0, 1, 2, 3} if name != "probcover" else groups[0]), name


def test_the_smallest_radius_covers_rows_themselves():
    _, x = pool(n=20)
    x[7] = x[3]
    for radius in (1e-200, 1e-300, 5e-324):
        found = max_coverage_with_gains(x, 5, radius)
        assert found.rows[0] == 3  # the only ball of two rows
        assert len(set(found.rows.tolist())) == 5
        assert found.gains.tolist() == [2, 1, 1, 1, 1]
    assert max_coverage_with_gains(x, 5, 1e300).gains.tolist() == [20, 0, 0, 0, 0]


def test_columns_of_very_different_scales():
    """The distances are those of float64 arithmetic, which holds both."""
    g = torch.Generator().manual_seed(2)
    x = torch.randint(0, 2, (40, 1), generator=g).float() * 1e6
    x = torch.cat([x, torch.randint(0, 9, (40, 3), generator=g) * 2.0**-10], 1)
    rows = picks("core_set", None, x, n=10)
    exact = x.double().numpy()
    nearest = np.full(40, np.inf)
    for row in rows:
        assert nearest[row] >= nearest.max() * (1 - 1e-9)
        nearest = np.minimum(nearest, ((exact - exact[row]) ** 2).sum(1))


def test_infinite_and_missing_numbers_are_refused_by_id():
    _, x = pool()
    x[11, 2] = torch.inf
    with pytest.raises(InvalidInput, match="ids 11"):
        select_from("core_set", 3, embeddings=x)
