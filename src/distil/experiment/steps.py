"""The steps of a run, each a function from the events so far to the next events.

A step does its work and returns the events that describe it; the experiment records them. A step that was stopped before its
event was on disk is repeated with the same result: every draw depends only on the seed and the round.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from distil.data.labels import are_known
from distil.datasets.data_set import DataSet
from distil.errors import RunError
from distil.evaluation.metrics import majority_accuracy
from distil.evaluation.stopping import first_reason
from distil.experiment.answers import answered
from distil.experiment.ceiling import best_selection
from distil.experiment.chain import Event
from distil.experiment.config.experiment_config import ExperimentConfig
from distil.experiment.config.strategy_section import CEILING, StrategySpec
from distil.experiment.first_round import FirstRound
from distil.experiment.initial import chosen_initial
from distil.experiment.labeled_file import remove_labeled, write_labeled
from distil.experiment.provenance import timed, versions
from distil.experiment.replay import replay_training
from distil.experiment.run import Run
from distil.experiment.split import Split
from distil.experiment.stopped import as_event, rounds_of
from distil.experiment.warned import kept_warnings
from distil.experiment.weights import MODEL, Weights
from distil.rng import Rng
from distil.selection.evaluate import evaluate
from distil.selection.learner import Learner
from distil.selection.oracle import Oracle, Pending, Query
from distil.strategies.base import Selection
from distil.system.runtime import Runtime
from distil.training.fit import FitResult
from distil.training.linear_head import HeadConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class Steps:
    """The steps of one run.

    Attributes:
        run: The run; steps read its events, and write times and files to its directory.
        config: The configuration of the experiment.
        spec: The strategy and its arguments.
        seed: The run's seed.
        data: The data set.
        split: The split of the data set for this seed.
        learner: The learner, in the state after the last event.
        weights: The weights files of the run.
        runtime: Device and minibatch size of evaluations.
        oracle: The oracle that answers queries.
        first: Directory of round 0, which all strategies of a seed share; None: this run trains its own.
    """

    run: Run
    config: ExperimentConfig
    spec: StrategySpec
    seed: int
    data: DataSet
    split: Split
    learner: Learner
    weights: Weights
    runtime: Runtime
    oracle: Oracle
    first: FirstRound | None

    def start(self, _: int) -> list[Event]:
        """Record the strategy, the data and the versions of the run."""
        event = {
            "event": "started",
            "strategy": self.spec.label,
            "seed": self.seed,
            "seeds": dataclasses.asdict(self.config.seeds_of(self.seed)),
            "data": self.data.name,
            "examples": len(self.split.x),
            "num_classes": self.config.num_classes,
            "budget": self.config.budget,
            "pool": len(self.split.pool),
            "test": len(self.split.x_test),
            **self._labels_are(),
            "device": self.config.device or "cpu",
            "threads": self.config.threads,
            "versions": versions(),
        }
        return [event | self._content()]

    def _labels_are(self) -> Event:
        """What the labels are, in other tasks than classification; else the accuracy of the most frequent class, if it is known."""
        if self.config.task != "classification":
            return {"task": self.config.task}
        pool = self.split.y[self.split.pool]
        known = pool[pool >= 0]
        if not len(known):
            return {}
        return {"majority": majority_accuracy(known, self.split.y_test, self.config.num_classes)}

    def label_initial(self, _: int) -> list[Event]:
        """Label the initial examples: those of the split, or those that ``initial_strategy`` chooses.

        The oracle is asked for labels that the data set does not have; no event until it answered for all of them.
        """
        if not bool(are_known(self.split.y[self.split.pool]).all()):
            return self._initially_asked()
        if self.config.initial_strategy is None:
            return [self._initially_labeled(Selection(self.split.initial))]
        if self.first is None:
            return [self._initially_chosen(self.config.initial_strategy)]
        spec = self.config.initial_strategy
        return [self.first.shared("labeled", lambda: self._initially_chosen(spec))]

    def train(self, round: int) -> list[Event]:  # noqa: A002 - the loop's word
        """Train on the labeled set, or copy the seed's first training from another run."""
        if round or self.first is None:
            return [self._trained(round)]
        event, is_new = self.first.trained(lambda: self._trained(0), self.run.path)
        if not is_new:
            start = time.perf_counter()
            self.first.copy_weights(self.run.path / event["weights"])
            replay_training(event, self.run, self.learner, self.weights)
            self.run.time(round=0, step="train", seconds=time.perf_counter() - start, shared=True)
        return [event]

    def evaluate(self, round: int) -> list[Event]:  # noqa: A002
        """Evaluate the network on the test and validation examples."""
        if round or self.first is None:
            return [self._evaluated(round)]
        return [self.first.shared("evaluated", lambda: self._evaluated(0))]

    def select_or_finish(self, round: int) -> list[Event]:  # noqa: A002
        """Select for the next round; after the last round, without unlabeled examples, or where a rule says so, finish."""
        if round >= self.config.rounds - 1 or len(self.learner.pool.unlabeled) == 0:
            return [self._finished()]
        rules = () if self.spec.label == CEILING else self.config.stop
        reason = first_reason(rules, rounds_of(self.run)) if rules else None
        return [self._asked(round + 1) if reason is None else {**self._finished(), "stopped": reason}]

    def ask(self, round: int) -> list[Event]:  # noqa: A002
        """Ask for the labels of all pending examples; no event while there is no answer."""
        asked = self.run.last("asked") or {"ids": []}
        pending = self.learner.pool.asked.tolist()
        if not pending:  # everything was skipped, and the process was killed before it recorded that nothing is labeled
            return [{"event": "labeled", "round": round, "ids": [], "labels": []}]
        first = [i for i in asked["ids"] if i in set(pending)]
        ids = (*first, *(i for i in pending if i not in set(first)))
        return self._answers(Query(round, ids, self._named(ids)))

    def _content(self) -> Event:
        """For data with the user's own ids: its hash, the files that it was read from, and the names of the classes."""
        if not self.split.names:
            return {}
        classes = {"classes": list(self.data.class_names)}
        return {"sha256": self.config.dataset.get("sha256"), "made_of": dict(self.data.made_of), **classes}

    def _initially_asked(self) -> list[Event]:
        """The initial labels of the data set and, where it has none, of the oracle; skipped examples are left out."""
        spec, chosen = self.config.initial_strategy, Selection(self.split.initial)
        if spec is not None:
            chosen = chosen_initial(spec, self.config, self.data, self.split, self.seed, self.runtime)
        y = self.split.y.clone()
        unknown = tuple(row for row, known in zip(chosen, are_known(y[chosen.ids]), strict=True) if not known)
        if unknown:
            events = self._answers(Query(0, unknown, self._named(unknown)))
            if {row for event in events for row in event["ids"]} != set(unknown):
                return []
            y[events[-1]["ids"]] = torch.tensor(events[-1]["labels"], dtype=y.dtype)
        ids = [row for row, known in zip(chosen, are_known(y[chosen.ids]), strict=True) if known]
        if not ids:
            raise RunError(
                f"all {len(unknown)} initial points of {self.run.path} were skipped; begin with another seed"
            )
        event = self._first_labels(ids, y, chosen.notes)
        return [event if self.first is None else self.first.shared("labeled", lambda: event)]

    def _answers(self, query: Query) -> list[Event]:
        """The events of the answers to a query; none while there is no answer."""
        answers = self.oracle.ask(query)
        if isinstance(answers, Pending):
            return []
        named = {"classes": self.data.class_names, "names": self.split.names}
        return answered(answers, query, num_classes=self.config.num_classes, task=self.config.task, **named)

    def _initially_chosen(self, spec: StrategySpec) -> Event:
        return self._initially_labeled(
            chosen_initial(spec, self.config, self.data, self.split, self.seed, self.runtime)
        )

    def _initially_labeled(self, selection: Selection) -> Event:
        return self._first_labels(selection.tolist(), self.split.y, selection.notes)

    def _first_labels(self, ids: list[int], y: Tensor, notes: Sequence[str]) -> Event:
        event: Event = {"event": "labeled", "round": 0, "ids": ids, **self._names(ids), "labels": y[ids].tolist()}
        return event | ({"notes": list(notes)} if notes else {})

    def _trained(self, round: int) -> Event:  # noqa: A002
        with timed(self.run, round, "train"), kept_warnings() as warned:
            result: FitResult = self.learner.fit()
        name = f"weights-{round:03d}.safetensors"
        event: Event = {
            "event": "trained",
            "round": round,
            "epochs": result.n_epochs,
            "stopped": result.stopped,
            "training_accuracy": result.accuracies[-1],
            "training_loss": result.losses[-1],
            "weights": name,
            "sha256": self.weights.save(self.learner.module, name),
            **result.chosen,
            **({"notes": list(result.notes)} if result.notes else {}),
            **({"warnings": warned} if warned else {}),
        }
        if self.config.log_of(self.spec, self.seed) is not None:
            event["log"] = [list(entry) for entry in zip(result.accuracies, result.losses, strict=True)]
        return event

    def _evaluated(self, round: int) -> Event:  # noqa: A002
        event = {"event": "evaluated", "round": round, "labels": len(self.learner.pool.labeled)}
        event |= self._measured(self.split.x_test, self.split.y_test)
        if self.split.validation is not None:
            event |= {f"validation_{name}": value for name, value in self._measured(*self.split.validation).items()}
        return event | (as_event(self.learner, self.config.seeds_of(self.seed).split) if self.config.stop else {})

    def _measured(self, x: Tensor, y: Tensor) -> dict[str, float]:
        return evaluate(self.learner.network, x, y, self.runtime)

    def _asked(self, round: int) -> Event:  # noqa: A002
        more: Event = {}
        with timed(self.run, round, "select"), kept_warnings() as warned:
            if self.spec.label == CEILING:
                selection, more = self._best(round)
            else:
                selection = self._queried(round)
        ids = selection.tolist()
        event: Event = {"event": "asked", "round": round, "ids": ids, **self._names(ids)}
        if selection.scores is not None:
            event["scores"] = selection.scores.tolist()
        if selection.notes:
            event["notes"] = list(selection.notes)
        return event | more | ({"warnings": warned} if warned else {})

    def _queried(self, round: int) -> Selection:  # noqa: A002
        unlabeled = self.learner.pool.unlabeled
        n = min(self.config.budget, len(unlabeled))
        elapsed = (round - 1) / max(1, self.config.rounds - 2)  # rounds 1 to rounds - 1 select
        return self.learner.query(n, exclude=self._left_out(unlabeled, round), elapsed=elapsed)

    def _best(self, round: int) -> tuple[Selection, Event]:  # noqa: A002
        """The best of many candidate selections, by the true labels; which strategy proposed it, and its test accuracy."""
        found = best_selection(
            self.learner,
            self.split,
            self.config.budget,
            head=self.config.fit if isinstance(self.config.fit, HeadConfig) else HeadConfig(),
            runtime=self.runtime,
            rng=Rng(self.config.seeds_of(self.seed).selection).child("ceiling", round),
        )
        selection = Selection(found.ids)
        self.learner.pool.record({"event": "asked", "ids": selection})
        return selection, {"proposed_by": found.strategy, "test_accuracy": found.accuracy}

    def _left_out(self, unlabeled: Tensor, round: int) -> Tensor | None:  # noqa: A002
        """Ids that the strategy may not select this round because they are not among its random candidates; None: no ids."""
        if self.spec.candidates is None:
            return None
        draws = Rng(self.config.seeds_of(self.seed).selection).child("candidates", round).torch()
        # The whole pool is ordered first, so that strategies with different labeled sets get nearly the same candidates.
        order = self.split.pool[torch.randperm(len(self.split.pool), generator=draws)]
        return order[torch.isin(order, unlabeled)][self.spec.candidates :]

    def write_labels(self) -> None:
        """Write ``labeled.csv``, if the data has the user's own ids."""
        if self.split.names:
            write_labeled(self.run, self.split.names, self.data.class_names, self.config.task)

    def remove_labels(self) -> None:
        """Remove ``labeled.csv`` of a finished run that goes on."""
        if self.split.names:
            remove_labeled(self.run, self.split.names, self.data.class_names, self.config.task)

    def _finished(self) -> Event:
        self.write_labels()
        return {"event": "finished", "model": MODEL, "sha256": self.weights.save(self.learner.module, MODEL)}

    def _named(self, ids: Sequence[int]) -> tuple[str, ...]:
        """The user's own ids of these examples; empty if the data set has none."""
        return tuple(self.split.names[row] for row in ids) if self.split.names else ()

    def _names(self, ids: Sequence[int]) -> Event:
        """The same as a key of an event."""
        return {"names": list(self._named(ids))} if self.split.names else {}


STEPS: Mapping[str | None, Callable[[Steps, int], list[Event]]] = {
    None: Steps.start,
    "started": Steps.label_initial,
    "labeled": Steps.train,
    "trained": Steps.evaluate,
    "evaluated": Steps.select_or_finish,
    "asked": Steps.ask,
    "skipped": Steps.ask,
}
"""Kind of the last event (None: no event yet) -> the next step, which gets that event's round."""
