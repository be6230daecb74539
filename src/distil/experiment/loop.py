"""The experiment: rounds of train, evaluate, select and label, as idempotent steps over a run's events.

A step is done when its event is on disk. Whatever kills the process, the next one reads the events, does the first step that
has none, and comes to the very same results: every draw is a function of the seed and the round alone.
"""

from __future__ import annotations

import csv
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from safetensors.torch import load_model, save_model
from torch import Tensor

from distil.datasets.data_set import DataSet
from distil.errors import RunError
from distil.evaluation.metrics import calibration_error, metrics
from distil.experiment.config.experiment_config import ExperimentConfig, StrategySpec
from distil.experiment.distil_log import append_block
from distil.experiment.first_round import FirstRound
from distil.experiment.provenance import peak_memory, versions
from distil.experiment.run import LABELED, Event, Run
from distil.experiment.split import split
from distil.experiment.trackers import TRACKERS, Tracker
from distil.measuring.network_source import NetworkSource
from distil.rng import Rng
from distil.selection.learner import Learner
from distil.selection.oracle import Oracle, Pending, Query, TrueLabels
from distil.selection.pool import POOL_EVENTS
from distil.signals import Logits
from distil.system.files import digest, replacing
from distil.system.runtime import Runtime, threads
from distil.training.fit import FitResult


class Experiment:
    """One run: a strategy and a seed, in a directory of its own.

    Args:
        run: The directory.
        config: What to do.
        spec: The strategy.
        seed: Decides the split, the initial labels, the weights, the minibatch order and the strategy's draws, but for what
            the configuration fixes.
        data: The data set.
        oracle: Who answers; default: the data set's own labels.
        first: Where round 0, which all strategies of a seed have in common, is kept; default: nowhere.

    Raises:
        ConfigError: The data set does not fit the configuration.
        RunError: The directory holds another run.
    """

    def __init__(
        self,
        run: Run,
        config: ExperimentConfig,
        spec: StrategySpec,
        seed: int,
        data: DataSet,
        oracle: Oracle | None = None,
        first: FirstRound | None = None,
    ) -> None:
        self.run = run
        self.name = f"{spec.label}, seed {seed}"
        self._config = config
        self._spec = spec
        self._seed = seed
        self._seeds = config.seeds_of(seed)
        self._first = first
        self._data = data
        self._split = split(data, config, seed)
        self._oracle = oracle or TrueLabels(self._split.y)
        self._log = config.log_of(spec, seed)
        self._learner = Learner(
            self._split.x,
            config.builder(data),
            spec.build(),
            num_classes=config.num_classes,
            fit=config.fit,
            retrain=spec.retrain or config.retrain,
            transform=data.transform,
            augment=data.augment,
            validation=self._split.validation,
            candidates=self._split.pool,
            runtime=Runtime(device=config.device, batch_size=config.batch_size, progress=False),
            rng=Rng(self._seeds.model).child("learner"),
            selection_rng=Rng(self._seeds.selection).child("learner"),
        )
        self._blank = self._learner.pool.state_dict()
        self._told: Callable[[Event], None] | None = None
        self._trackers: list[Tracker] = []

    def advance(self, told: Callable[[Event], None] | None = None) -> bool:
        """Do every step that is left; False when the oracle has not answered yet.

        Args:
            told: Called with each event once it is on disk.
        """
        self._told = told
        with self.run.lock(), threads(self._config.threads), self._tracked():
            self._catch_up()
            while not self.run.finished:
                event = self._step()
                if event is None:
                    return False
                self._record(event)
        return True

    @contextmanager
    def _tracked(self) -> Iterator[None]:
        """Have the configuration's trackers told of what happens within the block."""
        made = [] if self.run.finished else [TRACKERS[name] for name in self._config.trackers]
        self._trackers = [make(self.run, self._config, self._spec, self._seed) for make in made]
        try:
            yield
        finally:
            for tracker in self._trackers:
                tracker.close()
            self._trackers = []

    def _step(self) -> Event | None:
        """The next event, its work done; None while an answer is pending."""
        last: Event = self.run.events[-1] if self.run.events else {"event": "nothing"}
        if last["event"] == "nothing":
            return self._started()
        if last["event"] == "started":
            ids = self._split.initial.tolist()
            return {
                "event": "labeled",
                "round": 0,
                "ids": ids,
                **self._names(ids),
                "labels": self._split.y[ids].tolist(),
            }
        if last["event"] == "labeled":
            return (
                self._train(last["round"]) if last["round"] or self._first is None else self._trained_once(self._first)
            )
        if last["event"] == "trained":
            return self._evaluate(last["round"])
        if last["event"] == "evaluated":
            final = last["round"] == self._config.rounds - 1 or len(self._learner.pool.unlabeled) == 0
            return self._finish() if final else self._select(last["round"] + 1)
        return self._ask(last["round"])

    def _started(self) -> Event:
        majority = int(self._split.y[self._split.pool].bincount(minlength=self._config.num_classes).argmax())
        return {
            "event": "started",
            "strategy": self._spec.label,
            "seed": self._seed,
            "seeds": dataclasses.asdict(self._seeds),
            "data": self._data.name,
            "pool": len(self._split.pool),
            "test": len(self._split.x_test),
            "majority": float((self._split.y_test == majority).double().mean()),
            "device": self._config.device or "cpu",
            "threads": self._config.threads,
            "versions": versions(),
            **self._content(),
        }

    def _content(self) -> Event:
        """Of data with the user's own ids: its hash, what it was made of, and what the classes are called."""
        if not self._split.names:
            return {}
        classes = {"classes": list(self._data.class_names)}
        return {"sha256": self._config.dataset.get("sha256"), "made_of": dict(self._data.made_of), **classes}

    def _trained_once(self, first: FirstRound) -> Event:
        """Round 0, trained by whichever strategy comes first; the others take it over."""
        with first.claimed():
            trained = first.event("trained")
            if trained is None:
                trained = self._train(0)
                first.keep(trained, self.run.path / trained["weights"])
                return trained
        start = time.perf_counter()
        first.give_weights(self.run.path / trained["weights"], trained["sha256"])
        self._load(trained)
        self.run.time(round=0, step="train", seconds=time.perf_counter() - start, shared=True)
        return trained

    def _train(self, round: int) -> Event:  # noqa: A002 - the loop's word
        with self._timed(round, "train"):
            result: FitResult = self._learner.fit()
        name = f"weights-{round:03d}.safetensors"
        event: Event = {
            "event": "trained",
            "round": round,
            "epochs": result.n_epochs,
            "stopped": result.stopped,
            "training_accuracy": result.accuracies[-1],
            "training_loss": result.losses[-1],
            "weights": name,
            "sha256": self._save(name),
        }
        if self._log is not None:
            event["log"] = [list(entry) for entry in zip(result.accuracies, result.losses, strict=True)]
        return event

    def _evaluate(self, round: int) -> Event:  # noqa: A002
        event = self._first.event("evaluated") if self._first is not None and round == 0 else None
        if event is None:
            event = {"event": "evaluated", "round": round, "labels": len(self._learner.pool.labeled)}
            event |= self._measure(self._split.x_test, self._split.y_test)
            if self._split.validation is not None:
                found = self._measure(*self._split.validation)
                event |= {f"validation_{name}": value for name, value in found.items()}
            if self._first is not None and round == 0:
                with self._first.claimed():
                    self._first.keep(event)
        if self._log is not None:
            append_block(self._log, self.run, event)
        return event

    def _measure(self, x: Tensor, y: Tensor) -> dict[str, float]:
        source = NetworkSource(self._learner.network, x, torch.arange(len(x)))
        runtime = Runtime(device=self._config.device, batch_size=self._config.batch_size, progress=False)
        logits = source.table((Logits(),), runtime, Rng(0))[Logits()]
        found = metrics(logits.argmax(1), y, self._config.num_classes)
        return {**found, "calibration_error": calibration_error(logits.float().softmax(1), y)}

    def _select(self, round: int) -> Event:  # noqa: A002
        with self._timed(round, "select"):
            unlabeled = self._learner.pool.unlabeled
            selection = self._learner.query(
                min(self._config.budget, len(unlabeled)), exclude=self._left_out(unlabeled, round)
            )
        ids = selection.tolist()
        event: Event = {"event": "asked", "round": round, "ids": ids, **self._names(ids)}
        if selection.scores is not None:
            event["scores"] = selection.scores.tolist()
        if selection.notes:
            event["notes"] = list(selection.notes)
        return event

    def _left_out(self, unlabeled: Tensor, round: int) -> Tensor | None:  # noqa: A002
        """What the strategy may not choose this round, where it chooses among a random part of the pool."""
        if self._spec.candidates is None:
            return None
        draws = Rng(self._seeds.selection).child("candidates", round).torch()
        # Of an order of the whole pool, so that strategies which labeled other examples get nearly the same part.
        order = self._split.pool[torch.randperm(len(self._split.pool), generator=draws)]
        return order[torch.isin(order, unlabeled)][self._spec.candidates :]

    def _ask(self, round: int) -> Event | None:  # noqa: A002
        asked = self.run.last("asked") or {"ids": []}
        pending = self._learner.pool.asked.tolist()
        if not pending:  # everything was skipped, and the process killed before it could say that nothing is labeled
            return {"event": "labeled", "round": round, "ids": [], "labels": []}
        first = [i for i in asked["ids"] if i in set(pending)]
        answers = self._oracle.ask(Query(round, (*first, *(i for i in pending if i not in set(first)))))
        if isinstance(answers, Pending):
            return None
        skipped: Event = {"event": "skipped", "round": round, "ids": [int(i) for i in answers.skipped]}
        ids, labels = [int(i) for i in answers.ids], [int(y) for y in answers.labels]
        labeled: Event = {"event": "labeled", "round": round, "ids": ids, "labels": labels}
        self._check_answers([skipped, labeled])
        if skipped["ids"]:
            self._record(skipped)
        return labeled

    def _check_answers(self, events: Sequence[Event]) -> None:
        """Raise InvalidInput before anything of a wrong answer is on disk, where it would be for good."""
        before = self._learner.pool.state_dict()
        try:
            for event in events:
                self._learner.pool.record(event)
        finally:
            self._learner.pool.load_state_dict(before)

    def _finish(self) -> Event:
        if self._split.names:
            self._write_labeled()
        return {"event": "finished", "model": "model.safetensors", "sha256": self._save("model.safetensors")}

    def _names(self, ids: Sequence[int]) -> Event:
        """What the user calls these, where the data set knows."""
        return {"names": [self._split.names[row] for row in ids]} if self._split.names else {}

    def _write_labeled(self) -> None:
        """Write everything that was labeled, with the user's ids: what a final training on the items themselves reads.

        Each id once, in order, with what was told of it last: answers are corrected, and a redundant pool has copies.
        """
        names, classes = self._split.names, self._data.class_names
        told = {
            names[row]: (classes[label] if classes else label, event["round"])
            for event in self.run.all("labeled")
            for row, label in zip(event["ids"], event["labels"], strict=True)
        }
        with replacing(self.run.path / LABELED) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["id", "label", "round"])
            writer.writerows([name, *label_and_round] for name, label_and_round in told.items())

    @contextmanager
    def _timed(self, round: int, step: str) -> Iterator[None]:  # noqa: A002
        """Note how long a step takes, and how much memory it adds at its peak."""
        with peak_memory() as peak:
            start = time.perf_counter()
            yield
            seconds = time.perf_counter() - start
        self.run.time(round=round, step=step, seconds=seconds, peak_bytes=peak())

    def _save(self, name: str) -> str:
        """Write the weights, and return the file's SHA-256."""
        with replacing(self.run.path / name) as temporary:
            save_model(self._learner.module, str(temporary))
        return digest(self.run.path / name)

    def _record(self, event: Event) -> None:
        """Let the pool know of an event, put it on disk, then drop the weights that it has made superfluous."""
        if event["event"] in ("labeled", "skipped"):  # of what it asked, the learner knows already
            self._learner.pool.record(event)
        self.run.append(event)
        if event["event"] in ("trained", "finished"):
            self._tidy()
        for tracker in self._trackers:
            tracker.tell(event)
        if self._told is not None:
            self._told(event)

    def _tidy(self) -> None:
        """Remove weights that no step needs any more, and what a killed process had begun to write."""
        trained = {} if self.run.finished else self.run.last("trained") or {}
        for pattern in ("weights-*.safetensors", ".*.tmp"):
            for path in self.run.path.glob(pattern):
                if path.name != trained.get("weights"):
                    path.unlink()

    def _catch_up(self) -> None:
        """Bring the learner to where the events end."""
        started = self.run.last("started")
        if started is not None and (started["strategy"], started["seed"]) != (self._spec.label, self._seed):
            raise RunError(f"{self.run.path} holds the run of {started['strategy']}, seed {started['seed']}")
        self._tidy()
        self._learner.pool.load_state_dict(self._blank)
        for event in self.run.events:
            if event["event"] in POOL_EVENTS:
                self._learner.pool.record(event)
        trained = self.run.last("trained")
        if trained is None or self.run.finished:
            return
        if digest(self.run.path / trained["weights"]) != trained["sha256"]:
            path = self.run.path / trained["weights"]
            raise RunError(f"{path} is missing or is not the file that the run wrote; the run cannot be resumed")
        self._load(trained)

    def _load(self, trained: Event) -> None:
        """Bring the learner to the end of a training."""
        load_model(self._learner.module, self.run.path / trained["weights"])
        state = {"round": trained["round"] + 1, "queries": len(self.run.all("asked"))}
        self._learner.load_state_dict({**self._learner.state_dict(), **state})
