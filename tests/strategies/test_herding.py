"""MaxHerding and UHerding: what they pass to the kernel, and what they say."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist, pdist

from distil import select_from
from distil.evaluation.metrics import calibration_error
from distil.functional.herding import herding
from distil.functional.uncertainty import margin
from distil.rng import Rng
from distil.signals import Embedding, Labels, Logits, Signals
from distil.strategies import MaxHerding, Sets, UHerding
from distil.strategies import herding as module

G = torch.Generator().manual_seed(0)
X = torch.randn(120, 4, generator=G)
PROBS = (2 * torch.randn(120, 3, generator=G)).softmax(1)


def gain_of(selection, weights, width, labeled):
    """The weighted coverage that the selection adds to that of the labeled examples."""
    pool = np.setdiff1d(np.arange(120), labeled)
    k = np.exp(-cdist(X.double(), X.double(), "sqeuclidean") / width**2)[pool]
    before = k[:, labeled].max(1) if len(labeled) else 0
    return float((weights[pool] * (k[:, [*labeled, *selection]].max(1) - before)).sum())


def test_picks_raise_the_weighted_coverage_most():
    top = PROBS.sort(1, descending=True).values
    weights = {"maxherding": np.ones(120), "uherding": (1 - top[:, 0] + top[:, 1]).numpy()}
    for name, w in weights.items():
        read = {"embeddings": X} | ({"probs": PROBS} if name == "uherding" else {})
        for labeled in ([], [3, 50, 77]):
            own = select_from((MaxHerding if name == "maxherding" else UHerding)(width=0.8), 6, **read, labeled=labeled)
            greedy: list[int] = []
            for _ in range(6):
                rest = [i for i in range(120) if i not in greedy and i not in labeled]
                greedy.append(max(rest, key=lambda i: gain_of([*greedy, i], w, 0.8, labeled)))
            assert own.tolist() == greedy, (name, labeled)


def test_the_default_width_gives_each_label_its_share():
    """With 110 labels and picks in a pool of 120, the nearest neighbor; with 4, the 30th."""
    for n, k in ((110, 1), (4, 30)):
        dists = np.sort(cdist(X.double(), X.double()), axis=1)[:, k]
        width = np.sort(dists)[59]
        assert (
            select_from("maxherding", n, embeddings=X).tolist()
            == select_from(MaxHerding(width=width), n, embeddings=X).tolist()
        )


def test_a_model_that_is_equally_certain_everywhere_is_max_herding():
    certain = torch.zeros(120, 3)
    certain[:, 1] = 1
    expected = select_from("maxherding", 7, embeddings=X, seed=1).tolist()
    assert select_from("uherding", 7, embeddings=X, probs=certain, seed=1).tolist() == expected
    assert select_from("uherding", 7, embeddings=X, probs=torch.full((120, 3), 1 / 3), seed=1).tolist() == expected
    assert select_from("uherding", 7, embeddings=X, probs=PROBS, seed=1).tolist() != expected


def test_big_pools_are_picked_among_random_candidates(monkeypatch):
    monkeypatch.setattr(module, "_PAIRS", 120 * 40)
    monkeypatch.setattr(module, "_FEWEST", 20)
    found = select_from("maxherding", 3, embeddings=X)
    kept = " random candidates of the 120 examples; in our measurements, as many kept 95 to 98 % of the coverage"
    assert found.notes == (f"picked among 40{kept}",)
    assert len(set(found)) == 3
    assert select_from("maxherding", 5, embeddings=X).notes == (f"picked among 50{kept}",)
    assert select_from("maxherding", 12, embeddings=X).notes == ()
    found = select_from(UHerding(candidates=9), 9, embeddings=X, probs=PROBS)
    assert found.notes == ("picked among 9 random candidates of the 120 examples",)
    other = select_from(UHerding(candidates=9), 9, embeddings=X, probs=PROBS, seed=1)
    assert set(found) != set(other)


def test_long_embeddings_of_big_pools_are_compared_by_their_components(monkeypatch):
    x = X * torch.tensor([3.0, 2.0, 0.3, 0.1])
    pool = np.delete(np.arange(120), [5, 9])
    centered = x[pool].double().numpy()
    _, values, axes = np.linalg.svd(centered - centered.mean(0))
    short = x.double() @ torch.from_numpy(axes[:2].T)
    expected = select_from("maxherding", 8, embeddings=short, labeled=[5, 9])
    plain = select_from("maxherding", 8, embeddings=x, labeled=[5, 9])
    monkeypatch.setattr(module, "_PRODUCTS", 118 * 118 * 4 - 1)
    monkeypatch.setattr(module, "_COMPONENTS", 2)
    found = select_from("maxherding", 8, embeddings=x, labeled=[5, 9])
    assert found.tolist() == expected.tolist()
    share = 100 * (values[:2] ** 2).sum() / (values**2).sum()
    start = "compared by the first 2 principal components of the 4 numbers of an embedding, which hold "
    assert found.notes[0].startswith(f"{start}{share:.0f} % of their variance")
    monkeypatch.setattr(module, "_PRODUCTS", 118 * 118 * 4)
    assert select_from("maxherding", 8, embeddings=x, labeled=[5, 9]).tolist() == plain.tolist()
    assert plain.notes == ()
    monkeypatch.setattr(module, "_PRODUCTS", 0)
    assert len(set(select_from("maxherding", 8, embeddings=x))) == 8  # nothing is labeled


def test_reasons_are_shares_of_the_pool():
    found = select_from(MaxHerding(width=1.0), 120, embeddings=X)
    shares = [float(reason.split()[1]) for reason in found.reasons]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=2), "in the end everything is represented"
    (whole,) = select_from("maxherding", 1, embeddings=torch.ones(5, 2)).reasons
    assert whole.startswith("represents 100 % of the pool"), "not 1e+02 %"
    gains = herding(X, 2, 1.0).gains / 120
    assert (
        found.reasons[0] == f"represents {100 * gains[0]:.2g} % of the pool that nothing labeled or picked represents"
    )


def test_the_published_form_has_unit_rows_the_least_labeled_distance_and_a_temperature():
    unit = X / X.norm(dim=1, keepdim=True)
    labeled = [3, 50, 77, 3]  # a copy has no distance
    least = float(pdist(unit[labeled[:3]].double()).min())
    logits = PROBS.double().log()
    truth = PROBS.argmax(
        1
    )  # the model is always right, but for ten examples: it is too uncertain, and then too certain
    for wrong, temperature in (([], 1.0), (list(range(90)), None)):
        y = truth.clone()
        y[wrong] = (y[wrong] + 1) % 3
        validation = Signals(torch.arange(120), {Logits(): logits, Labels(): y})
        errors = [calibration_error((logits / (t / 10)).softmax(1), y) for t in range(10, 201)]
        best = (10 + int(np.argmin(errors))) / 10
        assert temperature in (None, best)
        pool = Signals(torch.arange(120), {Embedding(): X, Logits(): logits})
        known = Signals(torch.tensor(labeled), {Embedding(): X[labeled]})
        found = UHerding(form="published").select(Sets(pool, known, validation), 6, Rng(0))
        weights = 1 - margin((logits / best).softmax(1))
        assert found.tolist() == herding(unit, 6, least, weights=weights, labeled=unit[labeled]).rows.tolist()
        assert found.notes == (f"temperature {best:.3g}",)
    assert best > 1.5


def test_the_published_form_starts_with_temperature_and_width_one():
    found = select_from(UHerding(form="published"), 5, embeddings=X, probs=PROBS, seed=1)
    unit = X / X.norm(dim=1, keepdim=True)
    assert found.tolist() == select_from(UHerding(width=1.0), 5, embeddings=unit, probs=PROBS, seed=1).tolist()
    assert found.notes == (
        "temperature 1, as there is no validation set to fit it on; pass one (validation=, --validation)",
    )
