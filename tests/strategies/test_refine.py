"""Progressive filtering: what each strategy sees, what is left, and who chooses in the end."""

from dataclasses import dataclass

import pytest
import torch

from distil import InvalidInput, Needs, Strategy, select_from
from distil.signals import Probs
from distil.strategies import (
    CoreSet,
    EntropySampling,
    LeastConfidence,
    MarginSampling,
    ProbCover,
    RandomSampling,
    Refine,
    strategy_named,
)
from distil.strategies.registry import for_classes

PROBS = (3 * torch.randn(200, 4, generator=torch.Generator().manual_seed(0))).softmax(1)
SEEN = []


@dataclass(frozen=True)
class Watched(Strategy):
    """The examples of largest first probability; it keeps a record of what it saw and chose."""

    paper = "a test"
    column: int = 0

    @property
    def needs(self):
        return Needs(pool=(Probs(),))

    def select(self, sets, n, rng):
        found = sets.pool.ids[sets.pool[Probs()][:, self.column].argsort(descending=True)[:n]].tolist()
        SEEN.append((self.column, set(sets.pool.ids.tolist()), set(found), n))
        return found


def watched(n, **settings):
    SEEN.clear()
    found = select_from(Refine(of=Watched(9 % 4), by=(Watched(0), Watched(2)), **settings), n, probs=PROBS, seed=4)
    return found, list(SEEN)


def test_each_step_sees_the_union_of_the_last_ones_choices():
    found, seen = watched(5, steps=3, selections=6, size=80)
    *candidates, (column, last, chosen, n) = seen
    assert len(candidates) == 3 * 6
    left = set(range(200))
    sizes = [80]
    for step in range(3):
        now = candidates[6 * step : 6 * step + 6]
        assert [each[0] for each in now] == [0, 0, 0, 2, 2, 2]
        assert all(pool <= left and len(pool) == max(5, sizes[-1]) and n == 5 for _, pool, _, n in now)
        assert len({frozenset(pool) for _, pool, _, _ in now}) > 1 or len(left) == sizes[-1]
        left = set().union(*(choice for _, _, choice, _ in now))
        sizes.append(int(0.4 * len(left)))
    assert (column, last, chosen, n) == (1, left, set(found), 5)
    assert found.notes[0] == (
        f"picked among {len(left)} of 200 examples, left after 3 steps of candidate selections by 2 strategies"
    )


def test_one_step_on_the_whole_pool_is_the_union_of_the_best():
    both = (EntropySampling(), LeastConfidence())
    union = {i for each in both for i in select_from(each, 20, probs=PROBS)}
    found = select_from(Refine(of=MarginSampling(), by=both, steps=1), 20, probs=PROBS)
    top = PROBS.sort(1).values
    assert found.tolist() == sorted(union, key=lambda i: float(top[i, -1] - top[i, -2]))[:20]


def test_at_most_10_000_examples_stay_and_fewer_selections_fill_them():
    probs = torch.full((14_000, 2), 0.5)
    found = select_from(
        Refine(of=RandomSampling(), by=(RandomSampling(), RandomSampling()), steps=1, size=14_000), 4_000, probs=probs
    )
    assert "picked among" in found.notes[0]
    left = int(found.notes[0].split()[2].replace(",", ""))
    assert 6_000 < left < 8_000, "one selection of each strategy, as three fill the 14,000 examples"
    many = select_from(
        Refine(of=RandomSampling(), by=(RandomSampling(), RandomSampling()), steps=1, size=14_000), 700, probs=probs
    )
    assert many.notes[0].startswith("picked among ")
    assert 6_000 < int(many.notes[0].split()[2].replace(",", "")) <= 10_000


def test_forms_of_its_strategies():
    entry = {"name": "probcover", "args": {"purity": 0.5}}
    made = strategy_named("refine", of="core_set", by=["margin_sampling", entry])
    assert made == Refine(CoreSet(), (MarginSampling(), ProbCover(purity=0.5)))
    assert for_classes(made, 3).by[1] == ProbCover(purity=0.5, n_classes=3)
    for wrong in ("badge", ["badge"], ["badge", "nothing"]):
        with pytest.raises(InvalidInput, match="by must be two or more strategies, in a list"):
            Refine(by=wrong)
