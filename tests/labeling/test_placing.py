"""Where the items of a project are on its map."""

import warnings

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import KNeighborsClassifier

from distil.labeling import placing as module
from distil.labeling.features import ItemFeatures
from distil.labeling.map import PoolMap
from distil.labeling.placing import first_two, in_unit_square, leading_components, maps_of, with_neighbors

DIGITS = load_digits()


def features(x, ids=None):
    x = torch.as_tensor(x, dtype=torch.float32)
    return ItemFeatures(ids or [f"i{n}" for n in range(len(x))], x, "rows of arrays", {})


def places(found):
    return {name: place for place, name in enumerate(found.ids)}


@pytest.fixture
def quick(monkeypatch):
    """t-SNE of few items with few steps."""
    monkeypatch.setattr(module, "SAMPLE", 60)
    real = TSNE
    monkeypatch.setattr("sklearn.manifold.TSNE", lambda **more: real(max_iter=250, **more))


def test_the_first_map_is_of_principal_components():
    x = torch.from_numpy(DIGITS.data).float()
    found = first_two(leading_components(x))
    expected = PCA(2).fit_transform(DIGITS.data)
    for mine, theirs in zip(found.T, expected.T, strict=True):
        assert abs(np.corrcoef(mine, theirs)[0, 1]) > 0.999
    one = first_two(torch.tensor([[1.0], [3.0], [2.0]]))
    assert one.tolist() == [[1, 0], [3, 0], [2, 0]]


def test_items_that_were_not_sampled_are_between_their_nearest_neighbors(monkeypatch):
    """The weighted mean of the 5 nearest sampled items, by brute force from the places of the sampled ones."""
    rng = np.random.default_rng(0)
    rows = torch.from_numpy(rng.normal(size=(40, 6))).float()
    anchors = rng.normal(size=(12, 2)).astype(np.float32)
    seen = {}

    class Fixed:
        def __init__(self, **options):
            seen.update(options)

        def fit_transform(self, sample):
            seen["sample"] = sample
            return anchors

    monkeypatch.setattr(module, "SAMPLE", 12)
    monkeypatch.setattr("sklearn.manifold.TSNE", Fixed)
    found = with_neighbors(rows)
    dists = cdist(rows.double().numpy(), seen["sample"].astype(float))
    assert sorted(dists.argmin(1)[dists.min(1) == 0].tolist()) == list(range(12)), "the sample: 12 distinct rows"
    for row in range(40):
        nearest = dists[row].argsort()[:5]
        if dists[row, nearest[0]] == 0:
            expected = anchors[nearest[0]]
        else:
            weights = 1 / dists[row, nearest]
            expected = weights @ anchors[nearest] / weights.sum()
        assert found[row] == pytest.approx(expected, abs=1e-4)
    assert seen["perplexity"] == pytest.approx(11 / 3)
    assert seen["init"].std(0)[0] == pytest.approx(1e-4, rel=1e-4)


def test_a_map_shows_more_of_the_classes_than_components(monkeypatch):
    """The share of digits that their 15 nearest neighbors on the map classify."""
    monkeypatch.setattr(module, "SAMPLE", 500)
    rows = leading_components(torch.from_numpy(DIGITS.data).float())

    def accuracy(xy):
        return KNeighborsClassifier(15).fit(xy[:1200], DIGITS.target[:1200]).score(xy[1200:], DIGITS.target[1200:])

    assert accuracy(first_two(rows)) < 0.7
    assert accuracy(with_neighbors(rows)) > 0.85


def test_the_map_fills_a_square_and_keeps_proportions():
    xy = in_unit_square(np.array([[10, 5], [30, 10], [20, 5]], np.float32))
    assert xy.tolist() == [[0, 0.375], [1, 0.625], [0.5, 0.375]]
    assert in_unit_square(np.full((3, 2), 7, np.float32)).tolist() == [[0.5, 0.5]] * 3


@pytest.mark.usefixtures("quick")
def test_a_map_is_made_where_there_is_none_of_these_features(tmp_path):
    rng = np.random.default_rng(0)
    first = features(rng.normal(size=(100, 3)))
    where = {"gone": 0, **{name: place + 1 for place, name in enumerate(first.ids)}}
    made = list(maps_of(first, where, tmp_path))
    assert [(found.method, found.version) for found in made] == [("pca", 1), ("tsne", 2)]
    for found in made:
        assert found.xy.shape == (101, 2)
        assert np.isnan(found.xy[0]).all()
        assert found.xy[1:].min() == 0
        assert found.xy[1:].max() == 1
    assert np.array_equal(PoolMap.load(tmp_path).xy, made[1].xy, equal_nan=True)
    assert list(maps_of(first, where, tmp_path)) == [], "it is there"
    other = features(first.x + (torch.arange(300).reshape(100, 3) == 7), first.ids)
    assert [(found.method, found.version) for found in maps_of(other, where, tmp_path)] == [("tsne", 3)], (
        "the last map stays until the new one is there"
    )
    renamed = features(first.x, first.ids[::-1])
    assert [found.version for found in maps_of(renamed, where, tmp_path)] == [4]
    made[0].save(tmp_path)
    assert [found.method for found in maps_of(first, where, tmp_path)] == ["tsne"], "after a kill between the two"
    (tmp_path / "map.npz").write_bytes(b"junk")
    again = list(maps_of(first, where, tmp_path))
    assert [found.version for found in again] == [1, 2]
    assert np.array_equal(again[1].xy, made[1].xy, equal_nan=True), "a function of the features"


@pytest.mark.usefixtures("quick")
def test_pools_of_every_kind_have_a_map(tmp_path):
    rng = np.random.default_rng(0)
    pools = [
        *(rng.normal(size=(n, 4)) for n in (1, 2, 3, 4, 5, 70)),
        rng.normal(size=(70, 1)),
        rng.normal(size=(70, 200)),
        np.zeros((70, 3)),
        np.repeat([[0.0, 1.0], [3.0, 1.0]], 40, 0),
        1e30 * rng.normal(size=(70, 60)),
        1e-30 * rng.normal(size=(70, 60)),
        np.concatenate([np.zeros((2000, 2)), np.ones((1, 2))]),
    ]
    for number, x in enumerate(pools):
        folder = tmp_path / str(number)
        folder.mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made = list(maps_of(features(x), places(features(x)), folder))
        assert len(made) == 2
        for found in made:
            assert found.xy.shape == (len(x), 2)
            assert 0 <= found.xy.min() <= found.xy.max() <= 1, number
