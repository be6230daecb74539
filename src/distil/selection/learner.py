"""The loop around a selection: ask for ids, tell labels, train, again."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from distil.data.arrays import Array
from distil.data.examples import Data, LabeledSet, Rows
from distil.data.minibatches import Collate
from distil.errors import DistilWarning, InvalidInput
from distil.networks.base import Network
from distil.networks.estimator import Estimator, is_estimator, named_classes
from distil.networks.wrap import wrap
from distil.rng import Rng, as_rng
from distil.selection.arguments import as_collate, as_pool
from distil.selection.ids import Ids, split_pair
from distil.selection.pool import Pool
from distil.selection.select import select
from distil.strategies.base import Needs, Selection, Strategy
from distil.strategies.registry import as_strategy
from distil.system.runtime import Runtime, as_runtime
from distil.training.config import FitConfig
from distil.training.fit import Augment, FitResult, Transform, fit, fit_dataset

Retrain = Literal["scratch", "warm", "shrink_perturb"]
RETRAIN: tuple[Retrain, ...] = get_args(Retrain)

# Share of the old weights kept, and of freshly drawn ones added, by shrink_perturb.
SHRINK, PERTURB = 0.4, 0.1


_STATE = ("pool", "round", "queries", "module")

Fit = Callable[[Any, LabeledSet, int], object]


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """The default ``fit`` of a learner: cross entropy on the labeled examples, by ``distil.training.fit``.

    Attributes:
        config: Optimizer, epochs, when to stop.
        num_classes: C.
        rng: Minibatch order and dropout; round r draws from ``rng.child(r)``.
        transform: Prepares a minibatch of inputs.
        augment: Changes a training minibatch at random, before ``transform``.
        validation: Inputs and labels for early stopping with ``config.patience``.
        device: Where to train; default: where the parameters are.
    """

    config: FitConfig
    num_classes: int
    rng: Rng
    transform: Transform | None = None
    augment: Augment | None = None
    validation: tuple[Tensor, Tensor] | None = None
    device: torch.device | str | None = None

    def __call__(self, module: nn.Module, labeled: LabeledSet, round: int) -> FitResult:  # noqa: A002 - the loop's word
        """Train ``module`` in place."""
        settings: dict[str, Any] = {
            "num_classes": self.num_classes,
            "rng": self.rng.child(round),
            "transform": self.transform,
            "augment": self.augment,
            "device": self.device,
        }
        x = labeled.x
        if x is not None:
            return fit(module, x, labeled.y, self.config, validation=self.validation, **settings)
        if self.validation is not None:
            raise InvalidInput("validation tensors go with a pool that is an array; pass a fit function of your own")
        return fit_dataset(module, labeled, self.config, **settings)


class Learner:
    """A pool, a model and a strategy, in rounds: ``query``, ``label``, ``fit``.

    Labels may come in any order, late, partly, or not at all (``skip``); what is pending is never asked again.

    Args:
        data: The pool: an array whose rows are examples, or a map-style Dataset; labels it may hold are never read.
        model: A module, a classifier of scikit-learn, or anything else that ``wrap`` takes and your ``fit`` trains; or a function
            that builds one (then ``retrain="scratch"`` starts from new weights every round; of a module, ``scratch`` restores the
            first weights, and an estimator's ``fit`` starts over by itself).
        strategy: A strategy or its name.
        num_classes: C; labels are 0..C-1, whether or not all occur. Of an estimator that is fitted to classes with other names,
            labels are these.
        fit: How to train: a FitConfig for the built-in trainer, or ``fit(module, labeled, round)``, which trains in place or
            returns another model. Default: the built-in trainer with its defaults; of an estimator, its ``fit(X, y)``.
        retrain: Where each round's training starts: ``"scratch"``; ``"warm"``, the weights of the round before; or
            ``"shrink_perturb"``, those times 0.4 plus 0.1 times freshly drawn ones (Ash and Adams 2020), which wants a builder.
        network: How the model is read, where ``wrap`` needs to know more: ``lambda model: distil.wrap(model, head="fc")``.
        transform: Prepares a minibatch of inputs, in training and scoring alike.
        augment: Changes a training minibatch at random, before ``transform``; never used in scoring.
        validation: Inputs and labels for early stopping with ``FitConfig.patience``.
        candidates: What may be asked, in any form that ``select`` takes ids in; default: all. The others are held out.
        names: A name for every example of ``data``, distinct: selections then have ``names``, and wherever ids are given,
            names may be. Default: ``data.names``, where a data set has as many, as those of ``distil.open_pool`` do.
        collate: Makes a minibatch of a list of examples when the pool is measured; default: PyTorch's own way.
        runtime: How the pool is measured.
        rng: A seed, or an Rng, that decides every draw.
        selection_rng: The same for the strategy's draws alone; default: ``rng``.

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
        data: Data,
        model: Any,  # noqa: ANN401 - whatever wrap takes
        strategy: Strategy | str,
        *,
        num_classes: int,
        fit: FitConfig | Fit | None = None,
        retrain: Retrain = "scratch",
        network: Callable[[Any], Network] | None = None,
        transform: Transform | None = None,
        augment: Augment | None = None,
        validation: tuple[Tensor, Tensor] | None = None,
        candidates: Ids | None = None,
        names: Sequence[Any] | None = None,
        collate: Collate | None = None,
        runtime: Runtime | None = None,
        rng: Rng | int | None = None,
        selection_rng: Rng | int | None = None,
    ) -> None:
        if retrain not in RETRAIN:
            raise InvalidInput(f"retrain must be one of {', '.join(map(repr, RETRAIN))}, got {retrain!r}")
        self._build = model if callable(model) and not isinstance(model, nn.Module) else None
        if retrain == "shrink_perturb" and self._build is None:
            raise InvalidInput("retrain='shrink_perturb' draws fresh weights: pass a function that builds the model")
        reader = as_pool(data, names)
        if names is not None:
            _ = reader.index  # names of a learner are ids: refused where one is there twice
        self._ids, self.data, self.names = reader, reader.data, reader.names
        self.strategy = as_strategy(strategy)
        self.round = 0
        self.queries = 0
        self._rng = as_rng(rng)
        self._selection_rng = self._rng if selection_rng is None else as_rng(selection_rng)
        self._retrain = retrain
        self._runtime = as_runtime(runtime)
        self._collate = as_collate(collate)
        self.module = self._fresh(self._build) if self._build else model
        self._classes = _named_classes(self.module, num_classes)
        self.pool = Pool(reader.size, num_classes, names=self.names, classes=self._classes)
        if candidates is not None:
            self.pool.hold_out_all_but(self._read(candidates, "candidates"))
        self._network = network or self._reader(transform, num_classes)
        trained = isinstance(self.module, nn.Module)
        self._first = (self.module, _copied(self.module)) if trained and not self._build else None
        own = {"transform": transform, "augment": augment, "validation": validation}
        self._fit = fit if callable(fit) else self._trainer(fit, num_classes, own)

    def _reader(self, transform: Transform | None, num_classes: int) -> Callable[[Any], Network]:
        """How the model is read where the caller does not say."""
        if self._classes is not None:
            return partial(Estimator, classes=self._classes)
        return partial(wrap, inputs=_prepared(transform), num_classes=num_classes)

    def _trainer(self, config: FitConfig | None, num_classes: int, own: Mapping[str, Any]) -> Callable[..., Any]:
        """How the model is trained where the caller gives no function for it.

        Args:
            config: Of the built-in trainer.
            num_classes: C.
            own: Settings that only the built-in trainer has.
        """
        if config is not None and not isinstance(config, FitConfig):
            raise InvalidInput(f"fit must be a FitConfig or a function fit(model, labeled, round), got {config!r}")
        if isinstance(self.module, nn.Module):
            rng, device = self._rng.child("fit"), self._runtime.device
            return Trainer(config=config or FitConfig(), num_classes=num_classes, rng=rng, device=device, **own)
        if config is None and is_estimator(self.module):
            _check_estimator_settings(**own)
            return partial(fit_estimator, classes=self._classes)
        name = type(self.module).__name__
        raise InvalidInput(f"the built-in trainer trains modules, not {name}; pass fit(model, labeled, round)")

    @property
    def labeled(self) -> LabeledSet:
        """The labeled examples, as they are given to ``fit``."""
        ids = self.pool.labeled
        return LabeledSet(self.data, ids, self.pool.labels(Selection(ids)))

    @property
    def network(self) -> Network:
        """The model as strategies see it; made anew each time, so nothing is remembered across a training."""
        return self._network(self.module)

    def query(self, n: int, *, exclude: Ids | None = None) -> Selection:
        """The next ``n`` ids to label, best first; they are pending from now on.

        Args:
            n: From 1 to the number of unlabeled examples.
            exclude: What may not be asked this time, such as what somebody else looks at now, in any form that ``select`` takes
                ids in.
        """
        selection = select(
            self.strategy,
            None if self.strategy.needs == Needs() else self.network,  # an estimator may not be fitted yet
            self.data,
            n,
            candidates=Selection(self.pool.unlabeled),
            exclude=exclude,
            labeled=self._labeled_by_name(),
            names=self.names,
            collate=self._collate,
            runtime=self._runtime,
            rng=self._selection_rng.child("select", self.queries),
        )
        self.pool.record({"event": "asked", "ids": selection})
        self.queries += 1
        return selection

    def label(self, ids: Ids | Mapping[Any, Any], labels: Sequence[Any] | Array | None = None) -> None:
        """Note the labels of some examples, whether or not they were asked; a label that is given again replaces the first.

        Args:
            ids: Which examples, in any form that ``select`` takes ids in; or a dict {id: label}, or a pair (ids, labels).
            labels: Their labels, as many; default: those in ``ids``.
        """
        if labels is None:
            ids, labels = split_pair(ids, self._ids)
        if labels is None:
            raise InvalidInput("labels are missing; pass label(ids, labels), or a dict {id: label}")
        self.pool.record({"event": "labeled", "ids": self._read(ids, "ids", ordered=True), "labels": labels})

    def skip(self, ids: Ids) -> None:
        """Never ask these again; ids come in any form that ``select`` takes them in."""
        self.pool.record({"event": "skipped", "ids": self._read(ids, "ids")})

    def fit(self) -> Any:  # noqa: ANN401 - what the user's fit returns
        """Train on everything labeled so far; returns what ``fit`` returned (a FitResult from the built-in trainer)."""
        if len(self.pool.labeled) == 0:
            raise InvalidInput("there are no labels to train on yet; call label(ids, labels) first")
        if self.round > 0:
            self._start_over()
        with self._rng.child("fit", self.round).scope():
            result = self._fit(self.module, self.labeled, self.round)
        if isinstance(result, nn.Module) or (result is not None and not isinstance(self.module, nn.Module)):
            self.module = result
        self.round += 1
        return result

    def state_dict(self) -> dict[str, Any]:
        """Everything that ``load_state_dict`` needs to go on, as tensors and ints; an estimator is not in it."""
        return {
            "pool": self.pool.state_dict(),
            "round": self.round,
            "queries": self.queries,
            "module": _copied(self.module) if isinstance(self.module, nn.Module) else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state_dict`` of a learner that was made with the same arguments; an estimator has to be fitted again."""
        if not isinstance(state, Mapping) or set(state) != set(_STATE):
            raise InvalidInput(
                f"a state is what state_dict() of a Learner gave, a dict of {', '.join(_STATE)}; got {_keys(state)}"
            )
        self.pool.load_state_dict(state["pool"])
        self.round, self.queries = int(state["round"]), int(state["queries"])
        if state["module"] is not None:
            self.module.load_state_dict(state["module"])

    def _labeled_by_name(self) -> Any:  # noqa: ANN401 - one of the forms that select takes
        """The labeled examples, their labels being the classes as the network calls them."""
        if self._classes is None:
            return self.labeled
        ids = Selection(self.pool.labeled)
        return ids, [self._classes[column] for column in self.pool.labels(ids).tolist()]

    def _read(self, ids: Ids | Mapping[Any, Any], argument: str, *, ordered: bool = False) -> Selection:
        """Ids of this pool, which a LabeledSet or Subset of other data has none of."""
        return Selection(self._ids.positions(ids, argument, ordered=ordered))

    def _fresh(self, build: Callable[[], Any]) -> Any:  # noqa: ANN401
        with self._rng.child("model", self.round).scope():
            return build()

    def _start_over(self) -> None:
        """Set the weights that this round's training starts from."""
        if self._retrain == "warm":
            return
        if self._build is None:
            if self._first is None:  # an estimator's fit starts over by itself
                return
            if self.round == 1:
                warnings.warn(
                    "retrain='scratch' restores the model's first weights every round; pass a function that builds the model "
                    "to draw new ones, or retrain='warm' to go on from the last",
                    DistilWarning,
                    stacklevel=3,
                )
            self.module, weights = self._first
            self.module.load_state_dict(weights)
        elif self._retrain == "scratch":
            self.module = self._fresh(self._build)
        else:
            fresh = self._fresh(self._build)
            with torch.no_grad():
                for old, new in zip(self.module.parameters(), fresh.parameters(), strict=True):
                    new.copy_(SHRINK * old.to(new.device) + PERTURB * new)
            self.module = fresh


def _keys(state: object) -> str:
    return f"a dict of {list(state)}" if isinstance(state, Mapping) else type(state).__name__


def _named_classes(model: object, num_classes: int) -> list[Any] | None:
    """The classes that a fitted estimator knows by other names than 0..C-1; None where labels are these numbers."""
    classes = named_classes(model)
    if classes is None or set(classes.tolist()) <= set(range(num_classes)):
        return None
    if len(classes) != num_classes:
        raise InvalidInput(
            f"num_classes is {num_classes}, and the model is fitted to {len(classes)}: {classes.tolist()[:10]}"
        )
    return list(classes.tolist())


def fit_estimator(
    model: Any,  # noqa: ANN401
    labeled: LabeledSet,
    round: int,  # noqa: A002, ARG001 - the loop's word
    classes: Sequence[Any] | None = None,
) -> object:
    """``model.fit(X, y)``: X an array where the pool is one, or of examples that are arrays; rows of a frame; else a list."""
    x: Any = labeled.x
    if isinstance(labeled.data, Rows):
        x = labeled.data.batch(labeled.ids)
    elif x is None:
        x = [labeled[row][0] for row in range(len(labeled))]
        x = np.stack([np.asarray(row) for row in x]) if isinstance(x[0], (Tensor, np.ndarray)) else x
    else:
        x = x.numpy(force=True)
    y = labeled.y.numpy()
    return model.fit(x, y if classes is None else np.asarray(classes)[y])


def _check_estimator_settings(**settings: object) -> None:
    told = [f"{name}=" for name, value in settings.items() if value is not None]
    if told:
        raise InvalidInput(f"{' and '.join(told)} cannot be used with an estimator; put what prepares into a Pipeline")


def _copied(module: nn.Module) -> dict[str, Any]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def _prepared(transform: Transform | None) -> Callable[[Any], Any] | None:
    """What reads a minibatch: its inputs through the transform; None leaves it to the network."""
    if transform is None:
        return None
    return lambda batch: transform(batch[0] if isinstance(batch, (tuple, list)) else batch)
