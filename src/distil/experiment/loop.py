"""The experiment: rounds of train, evaluate, select and label, as idempotent steps over a run's events.

A step is done when its events are on disk. After a kill, the next process reads the events, does the first step that has none,
and reaches exactly the same results: see ``steps``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from torch import nn

from distil.datasets.data_set import DataSet
from distil.experiment.chain import Event
from distil.experiment.config.experiment_config import ExperimentConfig
from distil.experiment.config.strategy_section import StrategySpec
from distil.experiment.distil_log import append_block
from distil.experiment.first_round import FirstRound
from distil.experiment.identity import identity_of
from distil.experiment.labeled_file import LABELED
from distil.experiment.replay import replay
from distil.experiment.restore import restore
from distil.experiment.run import Run
from distil.experiment.split import Split, split
from distil.experiment.steps import STEPS, Steps
from distil.experiment.trackers import tracking
from distil.experiment.weights import Weights
from distil.rng import Rng
from distil.selection.learner import Learner
from distil.selection.oracle import Oracle, TrueLabels
from distil.system.runtime import Runtime, threads
from distil.training.linear_head import HeadConfig, LinearHead


class Experiment:
    """One run: a strategy and a seed, in a directory of its own.

    Args:
        run: The run's directory.
        config: The configuration of the experiment.
        spec: The strategy and its arguments.
        seed: Seed of the split, the initial labels, the weights, the minibatch order and the strategy's draws, except those that
            the configuration fixes.
        data: The data set.
        oracle: The oracle that answers queries; default: the data set's own labels.
        first: Directory of round 0, which all strategies of a seed share; default: this run trains its own.

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
        parts = split(data, config, seed)
        runtime = Runtime(device=config.device, batch_size=config.batch_size, progress=False)
        self._fresh = partial(_learner, config, spec, seed, data, parts, runtime)
        self._learner = self._fresh()
        self._blank = self._learner.pool.state_dict()
        self._weights = Weights(run)
        self._steps = Steps(
            run=run,
            config=config,
            spec=spec,
            seed=seed,
            data=data,
            split=parts,
            learner=self._learner,
            weights=self._weights,
            runtime=runtime,
            oracle=oracle or TrueLabels(parts.y),
            first=first,
        )

    def advance(self, on_event: Callable[[Event], None] | None = None, *, wait: bool = False) -> bool:
        """Do all remaining steps; False if the oracle has not answered yet.

        A finished run goes on if the configuration has more rounds than it had then.

        Args:
            on_event: Called with each event once it is on disk.
            wait: Whether to wait for a process that works on the run.

        Raises:
            RunBusy: Another process works on the run, and ``wait`` is False.
        """
        with self.run.lock(wait=wait), threads(self._config.threads):
            self._catch_up()
            return self._go_on(on_event)

    def _go_on(self, on_event: Callable[[Event], None] | None) -> bool:
        with self._tracking() as track:
            while not self.run.finished:
                events = self._next()
                if not events:
                    return False
                for event in events:
                    self._record(event)
                    track(event)
                    if on_event is not None:
                        on_event(event)
        return True

    def _tracking(self) -> AbstractContextManager[Callable[[Event], None]]:
        parameters = {"strategy": self._spec.label, "seed": self._seed, **self._config.document}
        return tracking(self._config.trackers, self.run, self._config.output.name, parameters)

    def _next(self) -> list[Event]:
        """Do the next step and return its events; none while an answer is pending."""
        last: Event = self.run.events[-1] if self.run.events else {"event": None}
        return STEPS[last["event"]](self._steps, last.get("round", 0))

    def _record(self, event: Event) -> None:
        """Record an event in the pool, write it to disk, then remove the weights that are no longer needed."""
        if event["event"] in ("labeled", "skipped"):  # the learner recorded its own query already
            self._learner.pool.record(event)
        log = self._config.log_of(self._spec, self._seed)
        if event["event"] == "evaluated" and log is not None:
            append_block(log, self.run, event)
        self.run.append(event)
        if event["event"] in ("trained", "finished"):
            self._weights.tidy()

    def _catch_up(self) -> None:
        """Bring the learner to the state after the last event."""
        self.run.belong(identity_of(self._config, self._spec, self._seed), self.name)
        self._weights.tidy()
        lost = self._weights.lost()
        if lost is not None:
            every_round = (self._spec.retrain or self._config.retrain) != "scratch"
            restore(lost, self.run, self._fresh(), self._weights, every_round=every_round)
        if self.run.finished and not self.run.done(self._config.rounds):
            self._steps.remove_labels()
            self._weights.bring_back()
            self.run.reopen()
        if self.run.finished and not (self.run.path / LABELED).exists():
            self._steps.write_labels()
        self._learner.pool.load_state_dict(self._blank)
        replay(self.run, self._learner, self._weights)


def _learner(
    config: ExperimentConfig, spec: StrategySpec, seed: int, data: DataSet, parts: Split, runtime: Runtime
) -> Learner:
    seeds, head = config.seeds_of(seed), isinstance(config.fit, HeadConfig)
    build: Callable[[], nn.Module] | LinearHead
    if head:
        build = LinearHead.over(
            parts.x, config.num_classes, ids=parts.pool, transform=parts.transform, task=config.task
        )
    else:
        build = config.builder(data)
    strategy = spec.build()
    return Learner(
        parts.x,
        build,
        strategy,
        num_classes=config.num_classes,
        fit=config.fit,
        retrain=spec.retrain or config.retrain,
        transform=parts.transform,
        augment=None if head else data.augment,
        validation=None if head and not strategy.needs.validation else parts.validation,
        candidates=parts.pool,
        runtime=runtime,
        rng=Rng(seeds.model).child("learner"),
        selection_rng=Rng(seeds.selection).child("learner"),
        task=config.task,
    )
