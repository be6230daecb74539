"""``wrap``: a Network made from a model of any kind."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn

from distil.errors import InvalidInput, UnsupportedModel
from distil.networks.base import Network
from distil.networks.ensemble import Ensemble
from distil.networks.estimator import Estimator, all_classes, is_estimator
from distil.networks.functions import Function
from distil.networks.model_inputs import call_module, parameters_of
from distil.networks.model_outputs import unreadable
from distil.networks.module_state import unwrapped
from distil.networks.output_kinds import OutputKind
from distil.networks.task_estimators import LabelEstimator, Regressor
from distil.networks.timm_and_transformers import POOLINGS, pooled_outputs
from distil.networks.torch_network import TorchNetwork
from distil.networks.weights import loaded
from distil.system.runtime import Runtime
from distil.tasks import Task, as_task

Where = str | int | Callable[[Any], Any]
"""A part of a model's return value: a key or attribute, a position, or a function of the value."""

Returns = Callable[[Any], tuple[Tensor | None, Tensor | None]]
"""Return value of a model -> logits, None if it has none; and embedding, None for the input of the head."""


def wrap(
    model: object,
    *,
    head: str | Callable[[Any], nn.Module] | None = None,
    logits: Where | None = None,
    embedding: Any = None,  # noqa: ANN401 - see below
    output: OutputKind | None = None,
    inputs: Callable[[Any], Any] | None = None,
    num_classes: int | None = None,
    build: Callable[[], nn.Module] | None = None,
    example: Any = None,  # noqa: ANN401 - a minibatch
    task: Task | None = None,
) -> Network:
    """Make a Network, which strategies can ask, from a model of any kind; the model is not changed.

    ``select`` and ``Learner`` call it. Call it yourself to pass arguments for what it cannot find, and print the result to see
    what it found. ``model`` may be:

    * a ``torch.nn.Module``, of torchvision, timm, transformers, Lightning or your own;
    * an initialized skorch net: its module is used, and its criterion decides ``output``;
    * a fitted classifier, pipeline or search of scikit-learn: see ``Estimator``; for other tasks a regressor or a classifier of
      several labels: see ``distil.networks.task_estimators``;
    * a function from a minibatch to logits, or to a pair (logits, embedding), as tensors or arrays. The modules that it uses are
      in evaluation mode while it is asked, and are searched for the head;
    * a list of any of these: their ``Ensemble``; all other arguments apply to each member;
    * a path of weights (``.safetensors``, or a ``state_dict`` that ``torch.save`` wrote), with ``build``;
    * a ``Network``, returned unchanged.

    Args:
        model: The model; see above.
        head: The layer whose input is the embedding: its name, as in ``module.named_modules()``, or a function from the
            module to it. Default: the layer whose output is the logits.
        logits: Position of the logits in the model's return value: a key or attribute, an index, or a function of the value.
            Default: found automatically; a model that returns several candidates needs it. For an estimator: ``"predict_proba"``
            or ``"decision_function"``.
        embedding: A part of the model's return value, given as for ``logits``, to use in place of the input of the head. For
            models of transformers also ``"cls"`` (the first token of the last hidden state), ``"mean"`` (the mean of the tokens in
            ``attention_mask``) or ``"pooled"`` (the ``pooler_output``). For an estimator: a fitted object with ``transform``, or
            a function of the inputs.
        output: Kind of the numbers that the model returns: ``"logits"``; ``"probs"``, rows that sum to 1, or for
            ``task="multilabel"`` a probability for each label; or ``"sigmoid"``, one logit of a binary model. Default: logits,
            unless the rows that it returns all sum to 1, which is an error.
        inputs: A function from the minibatch to the argument of the model, or to a tuple or dict of its arguments. Default: the
            minibatch, or its first items if it is a sequence, as many as the model requires. A dict is passed as keywords if it
            has all required parameters of the model, and otherwise whole.
        num_classes: C; a model with another number of outputs is refused. For estimators, the classes are 0..C-1, also those
            that they have not seen.
        build: A function that makes the module of the weights in a file.
        example: A minibatch to ask the model with now: faults then show before the first minibatch of a pool, and printing the
            result shows the head and the widths.
        task: ``"classification"``, the default: one of C classes is right; ``"multilabel"``: the model has a logit for each of L
            labels; or ``"regression"``: it predicts one number or T numbers, (B,) or (B, T), which are read as its logits.

    Raises:
        UnsupportedModel: The model cannot be read; the message names the argument that would help.
        InvalidInput: An argument cannot be used with this kind of model, or ``model`` is a Network for another task.

    >>> import torch
    >>> model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    >>> wrap(model, example=torch.zeros(2, 8))
    TorchNetwork(Sequential: 3 classes; embedding: 16 numbers, the input of 2)
    """
    given: dict[str, Any] = {
        "head": head,
        "logits": logits,
        "embedding": embedding,
        "output": output,
        "inputs": inputs,
        "num_classes": num_classes,
        "build": build,
        "task": None if task is None else as_task(task),
    }
    network = _network(model, {name: value for name, value in given.items() if value is not None})
    if example is not None:
        with network.asking(Runtime()):
            network.outputs(example)
    return network


def _network(model: Any, given: Mapping[str, Any]) -> Network:  # noqa: ANN401
    """``model`` as a Network; ``given`` are the arguments of ``wrap`` that are not None."""
    if inspect.isclass(model):
        raise UnsupportedModel(
            f"expected a model, got the class {model.__name__}; pass an instance, {model.__name__}(...)"
        )
    if isinstance(model, (str, os.PathLike)):
        return _module(loaded(Path(model), given.get("build")), {k: v for k, v in given.items() if k != "build"})
    if isinstance(model, (list, tuple)):
        return _ensemble(model, given)
    if "build" in given:
        raise InvalidInput(f"build= needs a path of weights as the model, got {type(model).__name__}")
    if isinstance(model, Network):
        _refuse(given, ("task",), "a Network, which has its own")
        if given.get("task", model.task) != model.task:
            raise InvalidInput(f"{model!r} is a network for {model.task}, and the task is {given['task']}")
        return model
    if isinstance(model, nn.Module):
        return _module(model, given)
    if is_skorch(model):
        return _skorch(model, given)
    if is_estimator(model):
        return _estimator(model, given)
    kind = f"{type(model).__module__}.{type(model).__name__}"
    if kind.startswith("transformers.pipelines."):
        raise UnsupportedModel(
            f"{type(model).__name__} is a pipeline of transformers, which returns texts; pass its model, pipeline.model, with "
            'collate=lambda texts: pipeline.tokenizer(texts, padding=True, return_tensors="pt")'
        )
    if kind == "torch.export.exported_program.ExportedProgram":
        raise UnsupportedModel("an ExportedProgram cannot be called; pass its module, program.module()")
    if callable(model):
        return _function(model, given)
    raise UnsupportedModel(
        f"cannot read a model of type {type(model).__name__}; pass a torch.nn.Module, a fitted classifier of scikit-learn, a "
        "function from a minibatch to logits, or a list of these"
    )


def _module(module: nn.Module, given: Mapping[str, Any], returns: Returns | None = None) -> TorchNetwork:
    """A module as a network; the embedding is the input of its head unless ``embedding`` names another."""
    if inspect.getattr_static(module, "forward", None) is nn.Module.forward:
        raise UnsupportedModel(
            f"{type(module).__name__} cannot be called: it has no forward; pass a module that has one, such as "
            "torch.nn.Sequential(*layers)"
        )
    head, embedding = given.get("head"), given.get("embedding")
    if head is not None and embedding is not None:
        raise InvalidInput("expected head= or embedding=, got both; pass one of them")
    shared: dict[str, Any] = {name: given.get(name) for name in ("output", "inputs", "num_classes")}
    shared["task"] = given.get("task", "classification")
    if embedding in POOLINGS:
        _refuse(given, ("embedding", *shared), f"embedding={embedding!r}")
        parameters = parameters_of(unwrapped(module))
        return TorchNetwork(
            module, outputs=pooled_outputs(embedding, lambda model, x: call_module(model, x, parameters)), **shared
        )
    if "logits" in given or embedding is not None:
        returns = _returns(given.get("logits"), embedding)
    return TorchNetwork(module, head=_layer_name(module, head), returns=returns, **shared)


def _layer_name(module: nn.Module, head: str | Callable[[Any], nn.Module] | None) -> str | None:
    if head is None or isinstance(head, str):
        return head
    layer = head(module)
    name: str | None = next((name for name, own in module.named_modules() if own is layer), None)
    if name is None:
        raise UnsupportedModel(
            f"head= must return a layer of the model, and returned a {type(layer).__name__} that is not one of them"
        )
    return name


def _returns(logits: Where | None, embedding: Where | None) -> Returns:
    """A function that reads logits and embedding from a model's return value."""

    def returns(returned: Any) -> tuple[Tensor | None, Tensor | None]:  # noqa: ANN401
        seen = None if embedding is None else _rows(_part(returned, embedding, "embedding"))
        if logits is not None:
            return _part(returned, logits, "logits"), seen
        return None if seen is not None and _lacks_logits(returned) else _plain_logits(returned), seen

    return returns


def _lacks_logits(returned: Any) -> bool:  # noqa: ANN401
    """Whether a model returned an object with named parts, and none called ``logits``, as transformers without a head do."""
    fields = returned if isinstance(returned, Mapping) else getattr(returned, "__dict__", {})
    return not isinstance(returned, Tensor) and bool(fields) and "logits" not in fields


def _plain_logits(returned: Any) -> Tensor:  # noqa: ANN401
    """Logits when no position was given: the tensor, the field ``logits``, or the first item of a sequence."""
    if isinstance(returned, Tensor):
        return returned
    if isinstance(returned, Mapping):
        logits = returned.get("logits")
    elif isinstance(returned, (tuple, list)):
        logits = returned[0] if returned else None
    else:
        logits = getattr(returned, "logits", None)
    if not isinstance(logits, Tensor):
        raise unreadable(returned)
    return logits


def _part(returned: Any, where: Where, what: Literal["logits", "embedding"]) -> Tensor:  # noqa: ANN401
    if callable(where):
        part = where(returned)
    elif isinstance(where, int):
        part = returned[where] if isinstance(returned, Sequence) and -len(returned) <= where < len(returned) else None
    elif isinstance(returned, Mapping):
        part = returned.get(where)
    else:
        part = getattr(returned, where, None)
    if not isinstance(part, Tensor):
        raise UnsupportedModel(
            f"the model's return value, of type {type(returned).__name__}, has no tensor at {what}={where!r}; pass "
            f"distil.wrap(model, {what}=...) with a key, a position or a function of that value"
        )
    return part


def _rows(embedding: Tensor) -> Tensor:
    """An embedding as rows (B, D)."""
    if embedding.dim() < 2:
        raise UnsupportedModel(
            f"the embedding must be a row of numbers for each example, (B, D), got a tensor {tuple(embedding.shape)}"
        )
    return embedding.flatten(1)


def is_skorch(model: object) -> bool:
    """Whether a model is a net of skorch; its labels are columns of its module's outputs."""
    return callable(getattr(model, "forward_iter", None)) and not isinstance(model, nn.Module)


def _skorch(net: Any, given: Mapping[str, Any]) -> TorchNetwork:  # noqa: ANN401
    """The module of a skorch net; with the criterion NLLLoss, skorch expects the module to return probabilities."""
    module = getattr(net, "module_", None)
    if not isinstance(module, nn.Module):
        raise UnsupportedModel(f"{type(net).__name__} has no module yet; call its initialize() or fit() first")
    kinds: dict[str, OutputKind] = {"BCEWithLogitsLoss": "sigmoid", "NLLLoss": "probs", "BCELoss": "probs"}
    criterion = type(getattr(net, "criterion_", None)).__name__
    regression = criterion in ("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss")
    if regression and given.get("task") != "regression":
        raise UnsupportedModel(
            f'{type(net).__name__} is trained with {criterion}; regression models need task="regression"'
        )
    if given.get("task") == "multilabel":
        kinds["BCEWithLogitsLoss"] = "logits"
    network = _module(module, {**({} if regression else {"output": kinds.get(criterion, "logits")}), **given})
    own = getattr(net, "classes_", None)
    if network.classes is None and own is not None:
        network.classes = np.asarray(own)
    return network


def _estimator(estimator: object, given: Mapping[str, Any]) -> Network:
    task = given.get("task", "classification")
    known: tuple[str, ...] = ("embedding", "inputs", "num_classes")
    if task != "regression":
        known = ("logits", *known)
    _refuse(
        given, (*known, "task"), f"{type(estimator).__name__}, which takes {', '.join(f'{name}=' for name in known)}"
    )
    classes = np.arange(given["num_classes"]) if "num_classes" in given else given.get("classes")
    settings = {name: given[name] for name in ("logits", "embedding", "inputs") if name in given}
    if task == "regression":
        return Regressor(estimator, outputs=given.get("num_classes"), **settings)
    if task == "multilabel":
        return LabelEstimator(estimator, outputs=given.get("num_classes"), **settings)
    return Estimator(estimator, classes=classes, **settings)


def _ensemble(models: Sequence[Any], given: Mapping[str, Any]) -> Ensemble:
    unnamed = "num_classes" not in given and given.get("task", "classification") == "classification"
    if models and unnamed and all(is_estimator(m) and not is_skorch(m) for m in models):
        given = {**given, "classes": all_classes(models)}
    return Ensemble([_network(model, given) for model in models])


def _refuse(given: Mapping[str, Any], known: Sequence[str], what: str) -> None:
    """Raise InvalidInput if an argument was given that cannot be used with the model."""
    others = [f"{name}=" for name in given if name not in known and name != "classes"]
    if others:
        raise InvalidInput(f"{' and '.join(others)} cannot be used with {what}")


# --- functions ------------------------------------------------------------------------------------------------------


def _function(function: Callable[[Any], Any], given: Mapping[str, Any]) -> TorchNetwork:
    """A function as a network, with the modules that it uses."""
    module = Function(function)
    head = given.get("head")
    if isinstance(head, str):  # a name in the user's own module, not in Function
        layers = dict(layer for used in module.used for layer in used.named_modules())
        given = {**given, "head": lambda _: layers.get(head)}
    return _module(module, given, _of_function)


def _of_function(returned: Any) -> tuple[Tensor | None, Tensor | None]:  # noqa: ANN401
    """Logits, or a pair of logits and embedding."""
    pair = isinstance(returned, (tuple, list)) and len(returned) == 2 and all(isinstance(t, Tensor) for t in returned)
    return (returned[0], _rows(returned[1])) if pair else (_plain_logits(returned), None)
