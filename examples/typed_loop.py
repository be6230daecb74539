"""A loop with a strategy and a training of its own, fully typed: it passes ``mypy --strict``.

python examples/typed_loop.py
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

import distil
from distil import Needs, ScoreStrategy, Sets, register
from distil.signals import Probs


@register("second_class")
@dataclass(frozen=True)
class SecondClass(ScoreStrategy):
    """Query the examples whose second most probable class is most probable."""

    paper = "an example"
    needs = Needs(pool=(Probs(),))

    def score(self, sets: Sets) -> Tensor:
        """The second largest probability."""
        return sets.pool[Probs()].topk(2).values[:, 1]


def train(model: nn.Module, labeled: distil.LabeledSet, round: int) -> None:  # noqa: A002, ARG001 - the learner's name
    """Fit the model to the labeled set, in one minibatch."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(50):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(labeled.x), labeled.y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def main(rounds: int = 3) -> list[int]:
    """Label 10 examples and 5 more in each round; the number of labels after each."""
    torch.manual_seed(0)
    pool = torch.randn(500, 8)
    answers = (pool[:, 0] > 0).long() + (pool[:, 1] > 0).long()
    learner = distil.Learner(pool, lambda: nn.Linear(8, 3), "second_class", num_classes=3, fit=train, rng=0)
    learner.label(range(10), answers[:10])
    sizes = []
    for _ in range(rounds):
        learner.fit()
        ids: distil.Selection = learner.query(5)
        learner.label(ids, answers[ids])
        sizes.append(len(learner.pool.labeled))
    return sizes


if __name__ == "__main__":
    print(*main())
