"""Kernels against NumPy in float64, and the blockwise matrix against the stored one."""

import itertools

import numpy as np
import pytest
import torch

from distil.errors import InvalidInput
from distil.functional import similarity as module
from distil.functional.features import Dense, Grouped, Outer
from distil.functional.similarity import Similarity, closeness, cluster_sizes, cosine, diameter, rbf


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def sq_dists(x):
    return ((x[:, None] - x[None]) ** 2).sum(2)


def features(kind, n=30, dtype=torch.float64):
    """Features and their rows written out by NumPy."""
    if kind == "dense":
        x = Dense(normal(n, 6, dtype=dtype) + 3)
        return x, x.x.double().numpy()
    x = Outer(normal(n, 3, dtype=dtype), normal(n, 5, seed=1, dtype=dtype), bias=kind == "outer with bias")
    rows = x.double().dense().numpy()
    if kind == "grouped":
        rows = rows.reshape(-1, 2, rows.shape[1]).mean(1)
        return Grouped(x, torch.arange(n) // 2, n // 2), rows
    return x, rows


def cosines(rows):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit @ unit.T


KINDS = ["dense", "outer", "outer with bias", "grouped"]


def test_kernels():
    for kind, dtype in itertools.product(KINDS, [torch.float32, torch.float64]):
        x, rows = features(kind, dtype=dtype)
        dists = sq_dists(rows)
        median = np.sort(dists[np.triu_indices(len(rows), 1)])[(len(rows) * (len(rows) - 1) // 2 - 1) // 2]
        expected = {
            "rbf": (rbf(x), np.exp(-dists / (2 * median))),
            "rbf with gamma": (rbf(x, 0.07), np.exp(-0.07 * dists)),
            "cosine": (cosine(), (1 + cosines(rows)) / 2),
            "closeness": (closeness(x), 2 * np.sqrt(dists[0].max()) - np.sqrt(dists)),
            "closeness with top": (closeness(x, diameter(x)), np.sqrt(dists.max()) - np.sqrt(dists)),
        }
        for name, (kernel, matrix) in expected.items():
            similarity = Similarity(x, kernel)
            np.testing.assert_allclose(
                similarity.rows(slice(None)), matrix, rtol=1e-5, atol=1e-6, err_msg=str((name, kind, dtype))
            )
            np.testing.assert_allclose(
                similarity.exact(slice(None)), matrix, rtol=1e-9, atol=1e-10, err_msg=str((name, kind, dtype))
            )
            assert similarity.rows(slice(None)).dtype == torch.float32, (kind, dtype)
            np.testing.assert_allclose(
                similarity.diagonal(), np.diag(matrix), rtol=1e-9, err_msg=str((name, kind, dtype))
            )
            np.testing.assert_allclose(similarity.sums(), matrix.sum(1), rtol=1e-6, err_msg=str((name, kind, dtype)))


def test_disparities_are_distances_in_the_space_of_the_kernel():
    for kind in KINDS:
        x, _ = features(kind)
        for kernel in (rbf(x), cosine()):
            similarity = Similarity(x, kernel)
            from_similarity = np.sqrt(np.maximum(0, 2 - 2 * similarity.exact(slice(None)).numpy()))
            np.testing.assert_allclose(
                similarity.disparities(slice(None)), from_similarity, atol=1e-7, err_msg=str(kind)
            )
        np.testing.assert_allclose(
            Similarity(x, closeness(x)).disparities(slice(None)),
            np.sqrt(sq_dists(features(kind)[1])),
            atol=1e-7,
            err_msg=str(kind),
        )


def test_near_rows_have_an_exact_disparity():
    """1 - s would have lost it: the similarity is 1 in float32."""
    x = torch.zeros(2, 3, dtype=torch.float64)
    x[1, 0] = 1e-6
    similarity = Similarity(Dense(x), rbf(Dense(x), gamma=1.0))
    assert similarity.rows(slice(None))[0, 1] == 1
    assert float(similarity.disparities(slice(None))[0, 1]) == pytest.approx(np.sqrt(2) * 1e-6, rel=1e-6)


def test_the_scale_of_the_data_does_not_matter():
    for scale in [0.1, 10.0, 1e6, 1e-6]:
        x = normal(50, 8)
        for make in (rbf, lambda _: cosine()):
            one, other = (Similarity(Dense(rows), make(Dense(rows))).exact(slice(None)) for rows in (x, x * scale))
            np.testing.assert_allclose(one, other, rtol=1e-8, err_msg=str(scale))


def test_far_from_the_origin():
    x = normal(40, 5)
    near, far = Dense(x), Dense(x + 1e5)
    np.testing.assert_allclose(
        Similarity(far, rbf(far)).exact(slice(None)), Similarity(near, rbf(near)).exact(slice(None)), rtol=1e-8
    )


def test_all_rows_equal():
    for value, dtype in itertools.product([0.0, 1 / 3, 1e-30, 12345.678], [torch.float32, torch.float64]):
        x = Dense(torch.full((37, 5), value, dtype=dtype))
        assert rbf(x).gamma == 0, (value, dtype)
        for kernel in (rbf(x), cosine()):
            assert torch.equal(Similarity(x, kernel).rows(slice(None)), torch.ones(37, 37)), (value, dtype)
            assert not Similarity(x, kernel).disparities(slice(None)).any(), (value, dtype)
        assert not Similarity(x, closeness(x)).rows(slice(None)).any(), (value, dtype)


def test_few_rows_differ_from_the_rest():
    """The evenly spaced rows that the scale is taken from are all equal, and there are others."""
    x = torch.ones(2500, 2, dtype=torch.float64)
    x[1] = torch.tensor([1.0, 4.0])
    assert rbf(Dense(x)).gamma == pytest.approx(1 / 18)


def test_the_scale_is_the_median_of_positive_distances():
    """Duplicates do not shrink it."""
    x = normal(9, 4)
    tiled = x.repeat(40, 1)
    assert rbf(Dense(tiled)).gamma == pytest.approx(rbf(Dense(x)).gamma, rel=1e-12)


def test_the_scale_of_many_rows_is_that_of_evenly_spaced_ones():
    x = normal(3000, 3)
    rows = x[torch.linspace(0, 2999, 1000, dtype=torch.float64).round().long()]
    assert rbf(Dense(x)).gamma == pytest.approx(rbf(Dense(rows)).gamma, rel=1e-9)


def test_zero_rows_by_cosine():
    x = Dense(torch.cat([torch.zeros(2, 3), torch.eye(3)]))
    matrix = Similarity(x, cosine()).rows(slice(None))
    assert torch.equal(matrix[:2], torch.tensor([[1.0, 1.0, 0.5, 0.5, 0.5]]).repeat(2, 1))
    assert float(torch.linalg.eigvalsh(matrix.double())[0]) > -1e-12


def test_gamma_that_cannot_be(subtests):
    for gamma in [0, -1.0, float("nan"), float("inf")]:
        with subtests.test(gamma=gamma), pytest.raises(InvalidInput, match="gamma must be above 0"):
            rbf(Dense(normal(3, 2)), gamma)


def test_the_latest_rows_of_a_matrix_that_does_not_fit_are_kept(monkeypatch):
    x, _ = features("dense", n=30)
    kernel = rbf(x)
    similarity, whole = Similarity(x, kernel, memory=4 * 30 * 5), Similarity(x, kernel).exact(slice(None)).float()
    similarity.store()
    computed, exact = [], similarity.exact
    monkeypatch.setattr(similarity, "exact", lambda rows: computed.append(rows.tolist()) or exact(rows))
    for rows, fresh in (
        ([3, 8, 1], [3, 8, 1]),
        ([8, 3], []),
        ([1, 20, 3, 21], [20, 21]),
        ([22], [22]),  # replaces 3, the oldest
        ([3, 8, 1], [3]),
        ([9, 8], [9, 8]),  # 3 had replaced 8
        ([*range(10, 19)], [*range(10, 19)]),
        ([18, 14, 13], [13]),
    ):
        found = similarity.rows(torch.tensor(rows))
        np.testing.assert_allclose(found, whole[rows], rtol=2e-7)
        found.zero_()  # what is kept does not change
        assert (computed.pop() if computed else []) == fresh, rows
    np.testing.assert_allclose(similarity.rows(slice(4, 6)), whole[4:6], rtol=2e-7)


def test_stored_equals_computed(monkeypatch):
    for kind, with_classes in itertools.product(KINDS, [False, True]):
        with monkeypatch.context() as patch:
            patch.setattr(module, "BLOCK_BYTES", 8 * 7)  # the smallest blocks: 16 rows
            x, _ = features(kind, n=70)
            classes = torch.arange(len(x)) % 3 if with_classes else None
            for kernel in (rbf(x), cosine(), closeness(x)):
                bound, free = (
                    Similarity(x, kernel, classes=classes, memory=memory) for memory in (4 * len(x) ** 2 - 1, 1 << 20)
                )
                for similarity in (bound, free):
                    similarity.store()
                assert bound._stored is None, (kind, with_classes)
                assert free._stored is not None, (kind, with_classes)
                np.testing.assert_allclose(
                    bound.rows(slice(None)),
                    free.rows(slice(None)),
                    rtol=2e-7,
                    atol=1e-7,
                    err_msg=str((kind, with_classes)),
                )
                assert torch.equal(free.rows(slice(None)), free.rows(slice(None)).T), (kind, with_classes)
                rows = torch.tensor([5, 0, 31, 5])
                np.testing.assert_allclose(
                    bound.rows(rows),
                    free.rows(slice(None))[rows],
                    rtol=2e-7,
                    atol=1e-7,
                    err_msg=str((kind, with_classes)),
                )
                for similarity in (bound, free):
                    np.testing.assert_allclose(
                        similarity.sums(), free.exact(slice(None)).sum(1), rtol=1e-12, err_msg=str((kind, with_classes))
                    )
                    parts = list(similarity.blocks(torch.arange(len(x))))
                    assert [p.start for p, _ in parts] == list(range(0, len(x), 16)), (kind, with_classes)
                    np.testing.assert_allclose(
                        torch.cat([b for _, b in parts]),
                        free.rows(slice(None)),
                        rtol=2e-7,
                        atol=1e-7,
                        err_msg=str((kind, with_classes)),
                    )
                    parts[0][1].zero_()  # a block is the caller's own
                    assert bool(similarity.rows(slice(0, 1)).any()), (kind, with_classes)
                    some = torch.arange(len(x) - 1, 0, -1)
                    parts = torch.cat([block for _, block in similarity.blocks(some)])
                    np.testing.assert_allclose(
                        parts, free.rows(slice(None))[some], rtol=2e-7, atol=1e-7, err_msg=str((kind, with_classes))
                    )


def test_some_rows_and_some_columns(monkeypatch):
    for kind, with_classes in itertools.product(KINDS, [False, True]):
        with monkeypatch.context() as patch:
            patch.setattr(module, "BLOCK_BYTES", 1)
            x, _ = features(kind, n=80)
            classes = torch.arange(len(x)) % 3 if with_classes else None
            rows, columns = torch.arange(len(x) - 1, 0, -2), torch.arange(2, len(x) - 3)
            for kernel in (rbf(x), cosine(), closeness(x)):
                part = Similarity(x, kernel, classes=classes, rows=rows, columns=columns)
                full = Similarity(x, kernel, classes=classes).exact(slice(None)).numpy()
                matrix = full[np.ix_(rows, columns)]
                assert (len(part), part.width) == matrix.shape, (kind, with_classes)
                for _ in range(2):
                    np.testing.assert_allclose(
                        part.rows(slice(None)), matrix, rtol=1e-6, atol=1e-7, err_msg=str((kind, with_classes))
                    )
                    np.testing.assert_allclose(
                        part.rows(torch.tensor([3, 0])),
                        matrix[[3, 0]],
                        rtol=1e-6,
                        atol=1e-7,
                        err_msg=str((kind, with_classes)),
                    )
                    np.testing.assert_allclose(
                        part.sums(), matrix.sum(1), rtol=1e-12, err_msg=str((kind, with_classes))
                    )
                    np.testing.assert_allclose(
                        part.totals(), full[:, columns.numpy()].sum(0), rtol=1e-12, err_msg=str((kind, with_classes))
                    )
                    part.store()


def test_classes_have_nothing_in_common():
    x, _ = features("dense")
    classes = torch.arange(30) % 4
    same = (classes[:, None] == classes[None]).numpy()
    for kernel in (rbf(x), cosine()):
        similarity, plain = Similarity(x, kernel, classes=classes), Similarity(x, kernel)
        np.testing.assert_array_equal(similarity.rows(slice(None)), plain.rows(slice(None)).numpy() * same)
        np.testing.assert_array_equal(similarity.exact(slice(3, 9)), plain.exact(slice(3, 9)).numpy() * same[3:9])
        apart = similarity.disparities(slice(None)).numpy()[~same]
        np.testing.assert_allclose(apart, np.sqrt(2))
    with pytest.raises(InvalidInput, match="classes must hold one class for each"):
        Similarity(x, cosine(), classes=classes[:-1])


def test_equal_rows_have_equal_similarities(monkeypatch):
    """Wherever they stand in whatever block: the float32 matrix is rounded from float64."""
    monkeypatch.setattr(module, "BLOCK_BYTES", 8 * 1000)
    x = normal(25, 33, dtype=torch.float32).repeat(9, 1)
    for kernel in (rbf(Dense(x)), cosine(), closeness(Dense(x))):
        similarity = Similarity(Dense(x), kernel)
        whole = torch.cat([block for _, block in similarity.blocks(torch.arange(len(x)))])
        assert torch.equal(whole[:25].repeat(9, 1), whole)
        assert torch.equal(whole[:, :25].repeat(1, 9), whole)
        dists = similarity.disparities(slice(None))
        assert not dists.diagonal().any()
        assert not dists.diagonal(offset=25).any()


def brute_cluster_sizes(rows, picks, classes=None):
    dists = np.sqrt(sq_dists(rows))[:, picks]
    sizes = np.zeros(len(picks))
    for i in range(len(rows)):
        usable = range(len(picks))
        if classes is not None and any(classes[p] == classes[i] for p in picks):
            usable = [j for j in usable if classes[picks[j]] == classes[i]]
        own = [j for j in usable if picks[j] == i]
        sizes[own[0] if own else min(usable, key=lambda j: (dists[i, j], j))] += 1
    return sizes


def test_cluster_sizes(monkeypatch):
    for kind, with_classes in itertools.product(KINDS, [False, True]):
        with monkeypatch.context() as patch:
            patch.setattr(module, "BLOCK_BYTES", 1)
            x, rows = features(kind, n=80)
            classes = torch.arange(len(x)) % 5 if with_classes else None
            picks = torch.tensor([7, 2, 17, 31])
            sizes = cluster_sizes(x, picks, classes=classes)
            np.testing.assert_array_equal(
                sizes, brute_cluster_sizes(rows, picks.tolist(), classes), err_msg=str((kind, with_classes))
            )
            assert float(sizes.sum()) == len(x), (kind, with_classes)
            counted = cluster_sizes(x, picks, classes=classes, counts=torch.full((len(x),), 3))
            np.testing.assert_array_equal(counted, 3 * sizes, err_msg=str((kind, with_classes)))


def test_a_pick_counts_for_itself_whatever_its_duplicates():
    x = Dense(torch.ones(6, 2))
    assert cluster_sizes(x, torch.tensor([4, 1, 3])).tolist() == [4, 1, 1]
