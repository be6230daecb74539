"""A ``torch.nn.Module`` as a network, which is left exactly as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from distil.errors import UnsupportedModel
from distil.networks.base import LABELS, Differentiable, HasInputs, Network, Outputs, Samples
from distil.networks.dropout import Draw
from distil.networks.dropout_samples import DropoutSamples
from distil.networks.model_inputs import check_differentiable, inputs_of, placed
from distil.networks.model_outputs import ModelOutputs
from distil.networks.module_state import evaluating, placement, unwrapped
from distil.networks.output_kinds import OutputKind
from distil.system.runtime import Runtime


class TorchNetwork(Network, Samples, HasInputs, Differentiable):
    """A ``torch.nn.Module``, unchanged.

    What it returns is found out on the first minibatch, in this order: the callable ``outputs``; the documented protocol
    ``forward(x, last=True) -> (logits, embedding)``; else its plain call, whose logits may be the tensor it returns, the
    first or second of a pair, or a field called ``logits``, and whose embedding is the input of the head: the last Linear
    (or convolution) layer whose output is those logits. A pair of tensors counts as (logits, embedding) only if the
    head maps the one to the other. Compiled and DataParallel modules are asked through the module they wrap.

    Args:
        module: The model.
        head: Name of the layer whose input is the embedding, as in ``module.named_modules()``; default: found.
        outputs: ``outputs(module, x) -> (logits, embedding)``, for a model that none of the above describes.
        returns: ``returns(what the model returned) -> (logits, embedding)``, the latter None for the input of the head.
        inputs: ``inputs(batch) -> x``, for minibatches that are not a tensor, a sequence that starts with one, or a dict.
        output: What the model returns: ``"logits"``; ``"probs"``, rows that sum to 1; or ``"sigmoid"``, one logit of a
            binary model. The latter two are turned into logits of C columns.
        num_classes: C; a model with another number of outputs is an error.

    Raises:
        UnsupportedModel: ``module`` is not a module, or has no layer called ``head``.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        head: str | None = None,
        outputs: Callable[[nn.Module, Any], tuple[Tensor, Tensor | None]] | None = None,
        returns: Callable[[Any], tuple[Tensor, Tensor | None]] | None = None,
        inputs: Callable[[Any], Any] | None = None,
        output: OutputKind = "logits",
        num_classes: int | None = None,
    ) -> None:
        if not isinstance(module, nn.Module):
            raise UnsupportedModel(f"expected a torch.nn.Module, got {type(module).__name__}")
        self.module = unwrapped(module)
        self._read = inputs
        self._outputs = ModelOutputs(
            self.module, head=head, outputs=outputs, returns=returns, output=output, num_classes=num_classes
        )
        self._samples = DropoutSamples(self.module, self._probs)
        self._device, self._dtype = torch.device("cpu"), torch.float32  # where the module is while it is asked

    def __repr__(self) -> str:
        return f"TorchNetwork({type(self.module).__name__}: {self._outputs!r})"

    @contextmanager
    def asking(self, runtime: Runtime) -> Iterator[None]:
        """Evaluation mode, no gradients, the head observed, on the device asked for; all put back afterwards."""
        with evaluating(self.module, runtime.device), torch.no_grad(), self._outputs.watching():
            self._device, self._dtype = placement(self.module)
            yield

    def outputs(self, batch: Any) -> Outputs:  # noqa: ANN401
        """Logits and embedding of one minibatch: one forward pass."""
        x = self._inputs(batch)
        self._outputs.find_out(x)
        return Outputs(*self._outputs.of(x))

    def inputs(self, batch: Any) -> Tensor:  # noqa: ANN401
        """The tensor that the module is called with, as floating-point numbers."""
        x = self._inputs(batch)
        if not isinstance(x, Tensor):
            raise UnsupportedModel(
                f"the model is called with a {type(x).__name__}; what needs its inputs needs one tensor"
            )
        return x if x.is_floating_point() else x.to(self._dtype)

    def differentiable(self, batch: Any) -> tuple[Tensor, Callable[[Tensor], Tensor]]:  # noqa: ANN401
        """The tensor that the module is called with (alone, or as the only entry of a dict), and the way to its logits.

        Raises:
            UnsupportedModel: There is no one such tensor, it holds whole numbers, or the module cuts its outputs off from it.
        """
        x = self._inputs(batch)
        names = [name for name in x if name not in LABELS] if isinstance(x, Mapping) else []
        tensor = x[names[0]] if len(names) == 1 else x
        check_differentiable(tensor)
        self._outputs.find_out(x)

        def logits(z: Tensor) -> Tensor:
            with _differentiable_layers(self.module, z):
                found = self._outputs.of({names[0]: z} if names else z)[0]
            self._outputs.forget()
            if torch.is_grad_enabled() and z.requires_grad and not found.requires_grad:
                raise UnsupportedModel(
                    f"{type(self.module).__name__} gives logits that are cut off from its inputs, so an attack finds no "
                    "direction; remove torch.no_grad and detach from its forward"
                )
            return found

        return tensor, logits

    def sample(self, batch: Any, n_samples: int, draw: Draw) -> Tensor:  # noqa: ANN401
        """Probabilities under K dropout masks, (B, K, C); normalization layers stay in evaluation mode.

        What comes before the first dropout is computed once, all else K times. Whether that gives what K whole passes give is
        tried on a few rows of the first minibatch; where it does not, as in a network with a state or randomness of its own, K
        whole passes are made. A module without dropout gives K equal samples and a warning.
        """
        x = self._inputs(batch)
        self._outputs.find_out(x)
        return self._samples.of(x, n_samples, draw)

    def _inputs(self, batch: Any) -> Any:  # noqa: ANN401
        return placed(inputs_of(batch, self._read), self._device, self._dtype)

    def _probs(self, x: Any) -> Tensor:  # noqa: ANN401
        logits = self._outputs.of(x)[0]
        # Softmax. Why not PyTorch's own: on a CPU it is slow for fewer classes than a vector register holds. What it won: 98 us in
        # place of 671 us for 4,096 rows of 10 classes; of 100 classes it lost, 480 us in place of 342 us (medians of 51 and 21
        # calls, one thread of a Xeon, torch 2.13). Delete it when ``logits.softmax(-1)`` is as fast for ten classes.
        odds = (logits - logits.amax(-1, keepdim=True)).exp_()
        return odds.div_(odds.sum(-1, keepdim=True))


def _differentiable_layers(module: nn.Module, z: Tensor) -> AbstractContextManager[None]:
    """Recurrent layers of cuDNN have no gradients in evaluation mode; PyTorch's own have."""
    recurrent = z.is_cuda and any(isinstance(layer, nn.RNNBase) for layer in module.modules())
    return torch.backends.cudnn.flags(enabled=False) if recurrent else nullcontext()
