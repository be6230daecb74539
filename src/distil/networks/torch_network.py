"""A ``torch.nn.Module`` as a network; asking it does not change the module."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from distil.errors import UnsupportedModel
from distil.networks.base import LABELS, Differentiable, HasInputs, Network, Outputs, Samples
from distil.networks.dropout import Draw
from distil.networks.dropout_samples import DropoutSamples
from distil.networks.functions import Function
from distil.networks.model_inputs import (
    check_differentiable,
    inputs_of,
    is_table_of_whole_numbers,
    parameters_of,
    placed,
)
from distil.networks.model_outputs import ModelOutputs
from distil.networks.module_state import check_initialized, evaluating, placement, unwrapped
from distil.networks.output_kinds import OutputKind, activated
from distil.networks.timm_and_transformers import class_names
from distil.rng import Rng
from distil.system.runtime import Runtime
from distil.tasks import Task


class TorchNetwork(Network, Samples, HasInputs, Differentiable):
    """A ``torch.nn.Module``, unchanged.

    Logits and embedding are read in the first of these ways that applies: the callable ``outputs``; the documented protocol
    ``forward(x, last=True) -> (logits, embedding)``; the plain call. The logits of the plain call are the tensor that it
    returns, one of several, or a field called ``logits``. Its embedding is the input of the head: the last Linear
    (or convolution) layer whose output is those logits. A pair of tensors counts as (logits, embedding) only if the head maps one
    to the other; if several of the returned tensors may be the logits, that is an error. The head is found on the first
    minibatch, from the functions that the model calls. In compiled and DataParallel modules, the inner module is called.

    Args:
        module: The model.
        head: Name of the layer whose input is the embedding, as in ``module.named_modules()``; default: found automatically.
        outputs: ``outputs(module, x) -> (logits, embedding)``, for a model that can be read in none of the other ways.
        returns: ``returns(value) -> (logits, embedding)`` reads the model's return value; an embedding of None stands for the
            input of the head.
        inputs: ``inputs(batch) -> x``, for minibatches that are not a tensor, a sequence that starts with one, or a dict.
        output: Kind of the numbers that the model returns: ``"logits"``, which is believed; ``"probs"``, rows that sum to 1; or
            ``"sigmoid"``, one logit of a binary model. The last two are converted to logits of C columns. None: logits, but
            rows that all sum to 1 are refused.
        num_classes: C; a model with another number of outputs is refused.
        classes: Names of the classes; default: those in the configuration of a transformers model.
        task: What the columns of the outputs are: classes, one of which is right; labels of their own, with a sigmoid each; or the
            numbers that a regression model predicts, (B,) or (B, T), which are read as its logits.

    Raises:
        UnsupportedModel: ``module`` is not a module, or has no layer called ``head``.
    """

    column_labels = True

    def __init__(
        self,
        module: nn.Module,
        *,
        head: str | None = None,
        outputs: Callable[[nn.Module, Any], tuple[Tensor | None, Tensor | None]] | None = None,
        returns: Callable[[Any], tuple[Tensor | None, Tensor | None]] | None = None,
        inputs: Callable[[Any], Any] | None = None,
        output: OutputKind | None = "logits",
        num_classes: int | None = None,
        classes: Sequence[Any] | None = None,
        task: Task = "classification",
    ) -> None:
        if not isinstance(module, nn.Module):
            raise UnsupportedModel(f"expected a torch.nn.Module, got {type(module).__name__}")
        check_initialized(module)
        self.module = unwrapped(module)
        self.classes = class_names(self.module) if classes is None and task == "classification" else classes
        self.task = task
        self._read = inputs
        self._parameters = parameters_of(self.module)
        self._outputs = ModelOutputs(
            self.module,
            self._parameters,
            head=head,
            outputs=outputs,
            returns=returns,
            output=output,
            num_classes=num_classes,
            task=task,
        )
        self._samples = DropoutSamples(self.module, self._probs)
        self._device, self._dtype = torch.device("cpu"), torch.float32  # those of the module while it is asked
        self._converts: bool | None = None  # whether tables of whole numbers are converted; None: not known yet

    def __repr__(self) -> str:
        return f"TorchNetwork({type(self.module).__name__}: {self._outputs!r})"

    @contextmanager
    def asking(self, runtime: Runtime) -> Iterator[None]:
        """A context in which the module is on the runtime's device, in evaluation mode and without gradients."""
        with evaluating(self.module, runtime.device), torch.no_grad(), self._outputs.watching():
            self._device, self._dtype = placement(self.module)
            yield

    def outputs(self, batch: Any) -> Outputs:  # noqa: ANN401
        """Logits and embedding of one minibatch, by one forward pass."""
        x = self._inputs(batch)
        self._outputs.find_out(x)
        return Outputs(*self._outputs.of(x))

    def inputs(self, batch: Any) -> Tensor:  # noqa: ANN401
        """The tensor that the module is called with, as floating-point numbers."""
        x = self._inputs(batch)
        if not isinstance(x, Tensor):
            raise UnsupportedModel(
                f"a strategy that reads inputs needs a model that is called with one tensor, and this one is called with a "
                f"{type(x).__name__}; pass inputs=, or use another strategy"
            )
        return x if x.is_floating_point() else x.to(self._dtype)

    def differentiable(self, batch: Any) -> tuple[Tensor, Callable[[Tensor], Tensor]]:  # noqa: ANN401
        """The tensor that the module is called with (alone, or as the only entry of a dict), and the function to its logits.

        Raises:
            UnsupportedModel: The module is called with several tensors or with whole numbers, or its logits are detached from them.
        """
        x = self._inputs(batch)
        names = [name for name in x if name not in LABELS] if isinstance(x, Mapping) else []
        tensor = x[names[0]] if len(names) == 1 else x
        check_differentiable(tensor)
        self._outputs.find_out(x)

        def logits(z: Tensor) -> Tensor:
            with _differentiable_layers(self.module, z):
                out = self._outputs.logits({names[0]: z} if names else z)
            self._outputs.forget()
            if torch.is_grad_enabled() and z.requires_grad and not out.requires_grad:
                raise UnsupportedModel(
                    f"the logits of {type(self.module).__name__} have no gradient by its inputs, which an attack needs; remove "
                    "torch.no_grad and detach from its forward"
                )
            return out

        return tensor, logits

    def sample(self, batch: Any, n_samples: int, draw: Draw) -> Tensor:  # noqa: ANN401
        """Probabilities, or predictions, under K dropout masks, (B, K, C); normalization layers stay in evaluation mode.

        The layers before the first dropout are computed once, all others K times, if a few rows of the first minibatch give the
        same as K whole passes; otherwise, as in a network with a state or randomness of its own, K whole passes are made. A module
        without dropout gives K equal samples and a warning.
        """
        x = self._inputs(batch)
        self._outputs.find_out(x)
        return self._samples.of(x, n_samples, draw)

    def training_inputs(self, batch: Any) -> Any:  # noqa: ANN401
        """The inputs in a minibatch, read as for scoring."""
        return inputs_of(batch, self._read, self.module, self._parameters)

    def training_logits(self, module: nn.Module, x: Any) -> Tensor:  # noqa: ANN401
        """The logits that a training compares with the labels, read as for scoring, in the module's own mode.

        Args:
            module: The module that is trained, the one of this network or a wrapper of it.
            x: Inputs of a minibatch, on the device of the module.
        """
        return self._outputs.in_training(module, x)

    def as_called(self, x: Any) -> Any:  # noqa: ANN401
        """Inputs as the module is called with them: whole numbers in the precision of the module if it can read no others.

        These are tables of numbers, (B, D). Ids of embedding layers stay whole numbers, and so do bytes, which may be pixels of
        another scale than the model's.
        """
        if not is_table_of_whole_numbers(x) or isinstance(self.module, Function):
            return x
        converted = x.to(placement(self.module)[1])
        if self._converts is None:
            with evaluating(self.module, None), torch.no_grad(), Rng(0).scope():
                self._converts = not self._outputs.accepts(x) and self._outputs.accepts(converted)
        return converted if self._converts else x

    def _inputs(self, batch: Any) -> Any:  # noqa: ANN401
        x = inputs_of(batch, self._read, self.module, self._parameters)
        return self.as_called(placed(x, self._device, self._dtype, arrays=not isinstance(self.module, Function)))

    def _probs(self, x: Any) -> Tensor:  # noqa: ANN401
        logits = self._outputs.logits(x)
        if self.task != "classification":
            return activated(logits, self.task)
        # Softmax. Why: PyTorch's own is slow on a CPU for fewer classes than a vector register holds. Gain: 98 us instead of 671 us
        # for 4,096 rows of 10 classes; for 100 classes a loss, 480 us instead of 342 us (medians of 51 and 21 calls, one thread of
        # a Xeon, torch 2.13). Delete it when ``logits.softmax(-1)`` is as fast for ten classes.
        odds = (logits - logits.amax(-1, keepdim=True)).exp_()
        return odds.div_(odds.sum(-1, keepdim=True))


def _differentiable_layers(module: nn.Module, z: Tensor) -> AbstractContextManager[None]:
    """A context without cuDNN if the module has recurrent layers: cuDNN's have no gradients in evaluation mode."""
    recurrent = z.is_cuda and any(isinstance(layer, nn.RNNBase) for layer in module.modules())
    return torch.backends.cudnn.flags(enabled=False) if recurrent else nullcontext()
