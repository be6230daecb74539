"""Active learning in rounds: query ids, record their labels, train, and repeat."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from distil.data.arrays import Array, called, from_numpy, is_array
from distil.data.examples import Data, GivenData, LabeledSet, as_data
from distil.data.frames import in_pairs
from distil.data.labels import as_given, labels_of
from distil.data.minibatches import Collate, reader
from distil.errors import DistilWarning, InvalidInput
from distil.evaluation.diagnostics import training_note
from distil.measuring.network_source import NetworkSource
from distil.networks.base import Network
from distil.networks.estimator import Estimator, is_estimator
from distil.networks.module_state import check_initialized
from distil.networks.torch_network import TorchNetwork
from distil.networks.wrap import is_skorch, wrap
from distil.rng import Rng, as_rng
from distil.selection.arguments import RoleData, as_collate, as_pool, costs_of, labels_apart, with_class_names
from distil.selection.estimator_fit import check_estimator_settings, fit_estimator
from distil.selection.evaluate import evaluate
from distil.selection.ids import Ids, split_pair
from distil.selection.known_classes import known_outputs
from distil.selection.pool import Pool
from distil.selection.select import select
from distil.selection.state import check_weights, checked_number, checked_pool, state_of
from distil.signals import LabelProbs, Probs
from distil.strategies.auto import settled
from distil.strategies.base import Needs, Selection, Strategy
from distil.strategies.registry import as_strategy, for_classes, for_task
from distil.system.runtime import Runtime, as_runtime
from distil.tasks import Task
from distil.training.config import FitConfig
from distil.training.fit import Augment, FitResult, Transform, fit, fit_dataset
from distil.training.linear_head import HeadConfig, LinearHead, fit_head
from distil.training.shrink_perturb import shrunk

Retrain = Literal["scratch", "warm", "shrink_perturb"]
RETRAIN: tuple[Retrain, ...] = get_args(Retrain)

Fit = Callable[[Any, LabeledSet, int], object]


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """The default ``fit`` of a learner: the loss of its task on the labeled examples, by ``distil.training.fit``.

    Attributes:
        config: Optimizer, epochs, early stopping.
        num_classes: Number of classes, C; or of labels, or of targets.
        rng: Randomness of minibatch order and dropout; round r draws from ``rng.child(r)``.
        transform: A function that prepares a minibatch of inputs.
        augment: A function that changes a training minibatch at random, before ``transform``.
        validation: Inputs and labels for early stopping with ``config.patience``.
        network: A function from the module to the Network that reads its inputs and logits, as for scoring; default: ``wrap``.
        collate: A function from a list of examples to their minibatch; default: PyTorch's.
        device: The device to train on; default: that of the parameters.
        task: What outputs and labels are.
    """

    config: FitConfig
    num_classes: int
    rng: Rng
    transform: Transform | None = None
    augment: Augment | None = None
    validation: tuple[Tensor, Tensor] | None = None
    network: Callable[[Any], Network] | None = None
    collate: Collate | None = None
    device: torch.device | str | None = None
    task: Task = "classification"

    def __call__(self, module: nn.Module, labeled: LabeledSet, round: int) -> FitResult:  # noqa: A002 - documented name
        """Train ``module`` in place."""
        settings: dict[str, Any] = {
            "num_classes": self.num_classes,
            "rng": self.rng.child(round),
            "transform": self.transform,
            "augment": self.augment,
            "device": self.device,
            "network": self._network(module),
            "task": self.task,
        }
        x = labeled.x if self.collate is None else None
        if x is not None:
            return fit(module, x, labeled.y, self.config, validation=self.validation, **settings)
        if self.validation is not None:
            raise InvalidInput("validation needs a pool that is an array; pass an array, or your own function as fit")
        return fit_dataset(module, labeled, self.config, collate=self.collate, **settings)

    def _network(self, module: nn.Module) -> TorchNetwork | None:
        """The network that reads the module; None for a Network of the user's own class, which cannot be trained through."""
        read = self.network or partial(wrap, num_classes=self.num_classes, task=self.task)
        network = read(module)
        return network if isinstance(network, TorchNetwork) else None


@dataclass(frozen=True, kw_only=True)
class HeadTrainer:
    """The ``fit`` of a learner whose model is a ``LinearHead``.

    Attributes:
        config: Decay and class weights.
        transform: Prepares the labeled rows, as it does a minibatch in scoring.
        network: A function from the head to the Network that reads its inputs, as for scoring; default: ``wrap``.
        collate: A function from a list of examples to their minibatch; default: PyTorch's.
    """

    config: HeadConfig
    transform: Transform | None = None
    network: Callable[[Any], Network] | None = None
    collate: Collate | None = None

    def __call__(self, module: LinearHead, labeled: LabeledSet, round: int) -> FitResult:  # noqa: A002, ARG002 - the loop's word
        """Fit ``module`` in place."""
        network = wrap(module, task=module.task) if self.network is None else self.network(module)
        x = reader(labeled.data, self.collate)(labeled.ids)
        x = network.training_inputs(x) if isinstance(network, TorchNetwork) else x
        return fit_head(module, x if self.transform is None else self.transform(x), labeled.y, self.config)


class Learner:
    """Active learning with a pool, a model and a strategy, in rounds of ``query``, ``label`` and ``fit``.

    Labels may arrive in any order, late or only in part; ``skip`` is for examples that will get none. Pending examples are not
    queried again, unless ``release`` takes their query back; ``unlabel`` withdraws labels.

    Args:
        data: The pool: an array with one row per example, or a map-style Dataset; labels in it are never read.
        model: A module, a scikit-learn classifier, or anything else that ``wrap`` takes and your ``fit`` trains; or a function
            that builds one. With a function, ``retrain="scratch"`` draws new weights every round; with a module, it restores the
            first weights; an estimator's ``fit`` always starts anew.
        strategy: A strategy or its name; a parameter ``n_classes`` that was left out is ``num_classes``.
        num_classes: Number of classes, C; labels are 0..C-1, whether or not all occur. Default: as many as there are ``classes``.
            For ``task="multilabel"`` the number of labels; for ``task="regression"`` that of targets, 1 by default.
        classes: Names of the classes, texts or numbers, in the order of the model's outputs: labels are then these names, in
            ``label`` and ``labels``, and ``fit`` gets their columns. An estimator is fitted to the names. Default: the classes
            that an estimator was fitted to; or the names in the configuration of a transformers model, whose labels may be
            columns too.
        fit: The training: a FitConfig for the built-in trainer, a HeadConfig for a ``LinearHead``, or
            ``fit(module, labeled, round)``, which trains in place or returns another model. Default: the built-in trainer with
            its defaults; for a linear head, its fit to the optimum; for an estimator, its ``fit(X, y)``.
        retrain: The start of each round's training: ``"scratch"``; ``"warm"``, the weights of the previous round; or
            ``"shrink_perturb"``, 0.4 times these plus 0.1 times newly drawn ones (Ash and Adams 2020), which needs a function that
            builds the model; frozen weights and buffers stay as they are. A linear head takes only ``"scratch"``: its optimum does
            not depend on the start.
        network: A function from the model to a Network, if ``wrap`` needs arguments:
            ``lambda model: distil.wrap(model, head="fc")``. The built-in trainer reads inputs and logits through it too.
        transform: A function that prepares a minibatch of inputs, in training and scoring.
        augment: A function that changes a training minibatch at random, before ``transform``; not used in scoring.
        validation: Inputs in an array, and labels as ``label`` takes them, for early stopping with ``FitConfig.patience``, and for
            strategies that read a validation set, such as ``GLISTER(valid=True)``.
        candidates: The examples that may be queried, in any form that ``select`` takes; default: all. The others are held out.
        costs: What a label of each example of ``data`` costs, in any unit, numbers above 0, for strategies such as ``Knapsack``.
        names: A distinct name for every example of ``data``: selections then have ``names``, and all methods take names as ids.
            Default: ``data.names`` if it has one name for each example, as pools of ``distil.open_pool`` may.
        collate: A function from a list of examples, without labels, to their minibatch, in scoring and in training; default:
            PyTorch's.
        runtime: Settings for measuring the pool.
        rng: A seed or an Rng, which decides every random draw.
        seed: A seed; another name of ``rng``.
        selection_rng: A seed or an Rng for the strategy's draws alone; default: ``rng``.
        task: ``"classification"``; ``"multilabel"``, where the label of an example is a row of 0 and 1, (L,), or a list of names
            among ``classes``; or ``"regression"``, where it is a number or a row of T numbers.

    >>> x = torch.linspace(-1, 1, 100)[:, None]
    >>> learner = Learner(x, lambda: nn.Linear(1, 2), "margin_sampling", num_classes=2, fit=FitConfig(lr=1.0))
    >>> learner.label([0, 99], [0, 1])
    >>> for _ in range(3):
    ...     _ = learner.fit()
    ...     ids = learner.query(5)
    ...     learner.label(ids, [int(x[i] > 0) for i in ids])
    >>> len(learner.pool.labeled)
    17
    """

    def __init__(
        self,
        data: GivenData,
        model: Any,  # noqa: ANN401 - anything that wrap takes
        strategy: Strategy | str,
        *,
        num_classes: int | None = None,
        classes: Sequence[Any] | None = None,
        fit: FitConfig | HeadConfig | Fit | None = None,
        retrain: Retrain = "scratch",
        network: Callable[[Any], Network] | None = None,
        transform: Transform | None = None,
        augment: Augment | None = None,
        validation: tuple[Array, Any] | None = None,
        candidates: Ids | None = None,
        costs: Array | Sequence[float] | None = None,
        names: Sequence[Any] | None = None,
        collate: Collate | None = None,
        runtime: Runtime | None = None,
        rng: Rng | int | None = None,
        seed: int | None = None,
        selection_rng: Rng | int | None = None,
        task: Task = "classification",
    ) -> None:
        if retrain not in RETRAIN:
            raise InvalidInput(f"retrain must be one of {', '.join(map(repr, RETRAIN))}, got {retrain!r}")
        self._build = model if callable(model) and not isinstance(model, nn.Module) else None
        if retrain == "shrink_perturb" and self._build is None:
            raise InvalidInput("retrain='shrink_perturb' draws new weights; pass a function that builds the model")
        reader = as_pool(data, names)
        if names is not None:
            _ = reader.index  # refuses repeated names: the names of a learner are ids
        self._ids, self.data, self.names = reader, reader.data, reader.names
        strategy = for_task(as_strategy(strategy), task)
        self.task = task
        self.round = 0
        self.queries = 0
        self._rng = as_rng(rng, seed)
        self._selection_rng = self._rng if selection_rng is None else as_rng(selection_rng)
        self._retrain = retrain
        self._runtime = as_runtime(runtime)
        self._collate = as_collate(collate)
        self._costs = None if costs is None else costs_of(costs, reader)
        self.module = self._built(self._build) if self._build else model
        num_classes, self._classes, self._columns_too = known_outputs(self.module, num_classes, classes, task)
        self.strategy = for_classes(strategy, num_classes)
        self.pool = Pool(
            reader.size,
            num_classes,
            names=self.names,
            classes=self._classes,
            column_labels=self._columns_too,
            task=task,
        )
        if candidates is not None:
            self.pool.hold_out_all_but(self._read(candidates, "candidates"))
        self._network = network or self._reader(transform, num_classes)
        restorable = isinstance(self.module, nn.Module) and not self._build and not _is_fitted_head(self.module, fit)
        self._first = (self.module, _copied(self.module)) if restorable else None
        self._reads = network
        self._validation = self._held_out(validation)
        own = {"transform": transform, "augment": augment, "validation": self._validation}
        self._fit = fit if callable(fit) else self._trainer(fit, num_classes, own)

    def _reader(self, transform: Transform | None, num_classes: int) -> Callable[[Any], Network]:
        """The default for ``network``."""
        if self._classes is not None and self._is_fitted_to_names():
            return partial(Estimator, classes=self._classes)
        return partial(wrap, inputs=_prepared(transform), num_classes=num_classes, task=self.task)

    def _is_fitted_to_names(self) -> bool:
        """Whether the model's ``fit`` takes the names of classes."""
        return self.task == "classification" and is_estimator(self.module) and not is_skorch(self.module)

    def _held_out(self, validation: tuple[Array, Any] | None) -> tuple[Tensor, Tensor] | None:
        """The validation examples as tensors, with columns for labels."""
        if validation is None:
            return None
        if not isinstance(validation, (tuple, list)) or len(validation) != 2 or not is_array(validation[0]):
            raise InvalidInput(
                f"validation must be a pair (inputs, labels) whose inputs are an array, got {type(validation).__name__}"
            )
        x = validation[0] if isinstance(validation[0], Tensor) else from_numpy(validation[0])
        return x, self._columns_of(x, len(x), validation[1], "the labels of validation")

    def _columns_of(self, x: Data, n: int, labels: Any, what: str) -> Tensor:  # noqa: ANN401 - any argument of a caller
        """Labels of examples apart from the pool, in the form that the model is trained on."""
        known: dict[str, Any] = {"classes": self._classes, "column_labels": self._columns_too}
        return labels_of(self.task, labels_apart(x, labels, what), what, torch.arange(n), **known)

    def _trainer(
        self, config: FitConfig | HeadConfig | None, num_classes: int, own: Mapping[str, Any]
    ) -> Callable[..., Any]:
        """The training function, if ``fit`` is not one.

        Args:
            config: The configuration of the built-in trainer, or None.
            num_classes: Number of classes, C.
            own: Settings that only the built-in trainer takes.
        """
        in_epochs = isinstance(self.module, nn.Module) and not _is_fitted_head(self.module, config)
        if not in_epochs and self.strategy.needs.validation:
            own = {**own, "validation": None}  # it is the strategy's alone
        if _is_fitted_head(self.module, config):
            return self._head_trainer(config if isinstance(config, HeadConfig) else HeadConfig(), **own)
        if isinstance(config, HeadConfig):
            raise InvalidInput(f"a HeadConfig fits a LinearHead, not {type(self.module).__name__}; pass a FitConfig")
        if config is not None and not isinstance(config, FitConfig):
            raise InvalidInput(f"fit must be a FitConfig or a function fit(model, labeled, round), got {config!r}")
        if isinstance(self.module, nn.Module):
            rng, device = self._rng.child("fit"), self._runtime.device
            return Trainer(
                config=config or FitConfig(),
                num_classes=num_classes,
                rng=rng,
                device=device,
                network=self._reads,
                collate=self._collate,
                task=self.task,
                **own,
            )
        if config is None and is_estimator(self.module):
            check_estimator_settings(**own)
            return partial(fit_estimator, classes=self._classes if self._is_fitted_to_names() else None)
        name = type(self.module).__name__
        raise InvalidInput(f"the built-in trainer trains modules, not {name}; pass fit(model, labeled, round)")

    def _head_trainer(
        self,
        config: HeadConfig,
        transform: Transform | None,
        augment: Augment | None,
        validation: tuple[Tensor, Tensor] | None,
    ) -> HeadTrainer:
        if augment is not None or validation is not None:
            raise InvalidInput(
                "augment= and validation= cannot be used with a linear head, which is fitted without epochs"
            )
        if self._retrain != "scratch":
            raise InvalidInput(
                f"retrain={self._retrain!r} has no meaning for a linear head, whose optimum does not depend on where a fit starts; "
                "leave it out"
            )
        width = self.module.linear.out_features
        if self.task == "regression" and config.class_weights != "none":
            raise InvalidInput("class_weights has no meaning in regression; leave it out")
        if self.module.task != self.task:
            raise InvalidInput(
                f"the linear head is for {self.module.task}, and the learner for {self.task}; pass LinearHead.over(..., "
                f"task={self.task!r})"
            )
        if width != self.pool.num_classes:
            raise InvalidInput(
                f"the linear head has {width} classes, and the learner {self.pool.num_classes}; pass "
                f"LinearHead.over(..., num_classes={self.pool.num_classes})"
            )
        return HeadTrainer(config=config, transform=transform, network=self._reads, collate=self._collate)

    @property
    def labeled(self) -> LabeledSet:
        """The labeled examples, as ``fit`` gets them."""
        ids = self.pool.labeled
        return LabeledSet(self.data, ids, self.pool.labels(Selection(ids)), self.task)

    @property
    def labels(self) -> dict[Any, Any]:
        """The label of every labeled example, by its name or position; labels are names of classes where these are known.

        ``label`` takes this dict.
        """
        ids = self.pool.labeled
        return dict(zip(called(ids, self.names), self._given(self.pool.labels(Selection(ids))), strict=True))

    @property
    def network(self) -> Network:
        """The model as strategies see it; built on each access, so that nothing is cached across a training."""
        return self._network(self.module)

    def query(
        self,
        n: int,
        *,
        exclude: Ids | None = None,
        query: RoleData | None = None,
        private: RoleData | None = None,
        elapsed: float | None = None,
    ) -> Selection:
        """Choose the next ``n`` ids to label, best first; they are pending from now on.

        Args:
            n: Number of ids, from 1 to the number of unlabeled examples.
            exclude: Examples that may not be queried this time, such as those that another person is labeling, in any form that
                ``select`` takes.
            query: Examples similar to those that you look for, as ``select`` takes them, for strategies such as ``SMI``.
            private: Examples similar to those that you want to avoid, as ``select`` takes them, for strategies such as ``SCG``.
            elapsed: The share of the run that has passed, from 0 at its first query to 1 at its last, for strategies with a
                schedule; default: not known.
        """
        knows_classes = len(self.labeled.y.unique()) > 1
        strategy, notes = settled(self.strategy, embeddings=True, probs=knows_classes)
        network = None if strategy.needs == Needs() else self.network  # an estimator may be unfitted
        found = select(
            strategy,
            network,
            self.data,
            n,
            candidates=Selection(self.pool.unlabeled),
            exclude=exclude,
            labeled=self._labeled_for(network),
            validation=self._validation_for(strategy, network),
            query=query,
            private=private,
            costs=self._costs,
            names=self.names,
            collate=self._collate,
            elapsed=elapsed,
            task=self.task,
            runtime=self._runtime,
            rng=self._selection_rng.child("select", self.queries),
        )
        selection = with_class_names(found, self._classes).with_notes(notes)
        self.pool.record({"event": "asked", "ids": selection})
        self.queries += 1
        return selection

    def label(self, ids: Ids | Mapping[Any, Any], labels: Sequence[Any] | Array | None = None) -> None:
        """Record the labels of some examples, queried or not; a second label of an example replaces the first.

        Args:
            ids: The examples, in any form that ``select`` takes; or a dict {id: label}, a Series of labels whose index holds the
                ids, or a pair (ids, labels).
            labels: One label per id; default: the labels in ``ids``.
        """
        ids, labels = split_pair(ids, self._ids, "ids") if labels is None else (ids, in_pairs(ids, labels, "labels"))
        if labels is None:
            raise InvalidInput("labels are missing; pass label(ids, labels), or a dict {id: label}")
        self.pool.record({"event": "labeled", "ids": self._read(ids, "ids", ordered=True), "labels": labels})

    def skip(self, ids: Ids) -> None:
        """Record that some examples will get no label, so that they are not queried again.

        Args:
            ids: The examples, in any form that ``select`` takes.
        """
        self.pool.record({"event": "skipped", "ids": self._read(ids, "ids")})

    def release(self, ids: Ids) -> None:
        """Take back the query of pending examples, or that examples were skipped, so that they may be queried again.

        Args:
            ids: The examples, in any form that ``select`` takes.
        """
        self.pool.record({"event": "released", "ids": self._read(ids, "ids")})

    def unlabel(self, ids: Ids) -> None:
        """Withdraw the labels of some examples, so that no training uses them; they may be queried again.

        Args:
            ids: The examples, in any form that ``select`` takes.
        """
        self.pool.record({"event": "unlabeled", "ids": self._read(ids, "ids")})

    def probs(self, ids: Ids) -> Tensor:
        """The probabilities that the model gives to the classes or labels of some examples, (n, C).

        Args:
            ids: The examples, in any form that ``select`` takes.

        Raises:
            InvalidInput: The task is regression, or the ids are not of the pool.
        """
        if self.task == "regression":
            raise InvalidInput("regression models give no probabilities; call the model for its predictions")
        rows, signal = self._read(ids, "ids").ids, LabelProbs() if self.task == "multilabel" else Probs()
        source = NetworkSource(self.network, self.data, rows, collate=self._collate, names=self.names)
        return source.table(source.measured((signal,)), self._runtime, Rng(0))[signal]

    def fit(self) -> Any:  # noqa: ANN401 - what the user's fit returns
        """Train on all labeled examples; returns the result of the ``fit`` function, a FitResult from the built-in trainer.

        ``notes`` of a FitResult say so where the training accuracy is hardly more than the share of the most frequent class.
        """
        if len(self.pool.labeled) == 0:
            raise InvalidInput("there are no labels to train on yet; call label(ids, labels) first")
        if self.round > 0:
            self._start_over()
        with self._rng.child("fit", self.round).scope():
            result = self._fit(self.module, self.labeled, self.round)
        if isinstance(result, FitResult):
            note = training_note(result.accuracies[-1], self.labeled.y)
            result = replace(result, notes=(note,) if note else ())
        if isinstance(result, nn.Module) or (result is not None and not isinstance(self.module, nn.Module)):
            self.module = result
        self.round += 1
        return result

    def evaluate(self, data: GivenData, labels: Any) -> dict[str, float]:  # noqa: ANN401 - any argument of a caller
        """How well the model does on examples with known labels, such as a test set.

        Args:
            data: The examples, of the same kind as the pool.
            labels: Their labels, as ``label`` takes them.

        Returns:
            ``accuracy``, ``balanced_accuracy``, ``macro_f1`` and ``calibration_error``; for ``task="multilabel"`` ``macro_f1``,
            ``micro_f1`` and ``subset_accuracy``; for ``task="regression"`` ``r2``, ``rmse`` and ``mae``. See
            ``distil.evaluation.metrics``.
        """
        examples = as_data(data)
        y = self._columns_of(examples, len(examples), labels, "labels")
        return evaluate(self.network, examples, y, self._runtime, self._collate)

    def state_dict(self) -> dict[str, Any]:
        """The state that ``load_state_dict`` continues from: tensors, numbers, and the names of examples and classes.

        It does not contain an estimator.
        """
        return {
            **state_of(self._ids, self.pool, self._classes),
            "round": self.round,
            "queries": self.queries,
            "module": _copied(self.module) if isinstance(self.module, nn.Module) else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from the ``state_dict`` of a learner with the same model and classes; an estimator must be fitted again.

        If the examples have names, the data may be in another order and have more examples. Without names, the data must be the
        same.

        Raises:
            InvalidInput: The state belongs to other examples, classes or another model; the learner is then unchanged.
        """
        pool = checked_pool(state, self._ids, self.pool, self._classes)
        round_, queries = checked_number(state, "round"), checked_number(state, "queries")
        check_weights(self.module, state["module"])
        self.pool.load_state_dict(pool)
        self.round, self.queries = round_, queries
        if state["module"] is not None:
            self.module.load_state_dict(state["module"])

    def _given(self, y: Tensor) -> list[Any]:
        """Labels as ``label`` takes them."""
        return as_given(self.task, y, self._classes)

    def _labeled_for(self, network: Network | None) -> Any:  # noqa: ANN401 - one of the forms that select takes
        """The labeled examples, with labels that the network understands: its classes, else columns."""
        if _takes_columns(network):
            return self.labeled
        ids = Selection(self.pool.labeled)
        return ids, self._given(self.pool.labels(ids))

    def _validation_for(self, strategy: Strategy, network: Network | None) -> Any:  # noqa: ANN401 - as above
        """The validation examples in the same form; None for a strategy that does not read them."""
        if self._validation is None or not strategy.needs.validation:
            return None
        x, y = self._validation
        return x, (y if _takes_columns(network) else self._given(y))

    def _read(self, ids: Ids | Mapping[Any, Any], argument: str, *, ordered: bool = False) -> Selection:
        """Ids in any form as a Selection; a LabeledSet or Subset of other data is refused."""
        return Selection(self._ids.positions(ids, argument, ordered=ordered))

    def _built(self, build: Callable[[], Any]) -> Any:  # noqa: ANN401
        with self._rng.child("model", self.round).scope():
            return build()

    def _start_over(self) -> None:
        """Set the module to the weights from which this round's training starts."""
        if self._retrain == "warm":
            return
        if self._build is None:
            if self._first is None:  # an estimator's fit starts anew
                return
            if self.round == 1:
                warnings.warn(
                    "retrain='scratch' restores the model's first weights every round; pass a function that builds the model "
                    "to draw new ones, or retrain='warm' to continue from the last ones",
                    DistilWarning,
                    stacklevel=3,
                )
            self.module, weights = self._first
            self.module.load_state_dict(weights)
        elif self._retrain == "scratch":
            self.module = self._built(self._build)
        else:
            self.module = shrunk(self.module, self._built(self._build))


def _takes_columns(network: Network | None) -> bool:
    """Whether labels for ``select`` are columns of the model's outputs, rather than its classes."""
    return network is None or network.classes is None or network.column_labels


def _is_fitted_head(module: object, fit: object) -> bool:
    """Whether a module is a linear head that is fitted to its optimum, rather than trained in another way that was asked for."""
    return isinstance(module, LinearHead) and (fit is None or isinstance(fit, HeadConfig))


def _copied(module: nn.Module) -> dict[str, Any]:
    check_initialized(module)
    state = module.state_dict()  # quantized modules hold other values too
    return {name: x.detach().clone() if isinstance(x, Tensor) else deepcopy(x) for name, x in state.items()}


def _prepared(transform: Transform | None) -> Callable[[Any], Any] | None:
    """A function from a minibatch to its transformed inputs; None without a transform."""
    if transform is None:
        return None
    return lambda batch: transform(batch[0] if isinstance(batch, (tuple, list)) else batch)
