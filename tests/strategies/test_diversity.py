"""Core-set with and without outliers."""

import torch

from distil import select_from
from distil.strategies import RobustCoreSet

X = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
X[[4, 60]] = torch.tensor([[300.0, 0, 0], [0, -400, 0]])


def test_outliers_are_the_first_picks_of_core_set_and_none_of_the_robust_form():
    assert {4, 60} <= set(select_from("core_set", 6, embeddings=X, labeled=[1, 2]))
    for labeled in ([], [1, 2]):
        found = select_from(RobustCoreSet(outliers=0.03), 6, embeddings=X, labeled=labeled)
        assert not {4, 60} & set(found)
        assert found.reasons[0].startswith("distance" if labeled else "the first pick, as no example is labeled")


def test_without_outliers_to_drop_it_is_core_set():
    assert (
        select_from(RobustCoreSet(outliers=0.001), 9, embeddings=X, labeled=[5]).tolist()
        == select_from("core_set", 9, embeddings=X, labeled=[5]).tolist()
    )
