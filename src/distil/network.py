"""Logits, embedding and samples from any model, which is left exactly as it was."""

from __future__ import annotations

import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from distil.dropout import Draw, SampledDropout, unreachable_dropout
from distil.errors import DistilWarning, InvalidInput, UnsupportedModel
from distil.runtime import Runtime

OutputKind = Literal["logits", "probs", "sigmoid"]

# Rows of the first minibatch that are looked at to find out what a model returns.
_TRACED_ROWS = 8


@dataclass(frozen=True, eq=False)
class Outputs:
    """What one minibatch gave.

    Attributes:
        logits: (B, C).
        embedding: (B, D), or None where the network has no embedding that can be found.
    """

    logits: Tensor
    embedding: Tensor | None


class Network(ABC):
    """A model as strategies see it. Asking does not change it."""

    @abstractmethod
    def asking(self, runtime: Runtime) -> AbstractContextManager[None]:
        """A context in which ``outputs`` and ``sample`` may be called; on leaving it the model is as it was before."""

    @abstractmethod
    def outputs(self, batch: Any) -> Outputs:  # noqa: ANN401 - whatever the data set's collate function makes
        """Logits and embedding of one minibatch."""

    @abstractmethod
    def inputs(self, batch: Any) -> Tensor:  # noqa: ANN401
        """What the model is called with, (B, ...) floating: a single tensor."""

    @abstractmethod
    def sample(self, batch: Any, n_samples: int, draw: Draw) -> Tensor:  # noqa: ANN401
        """Probabilities of one minibatch under K samples of the network, (B, K, C)."""


class TorchNetwork(Network):
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
        inputs: ``inputs(batch) -> x``, for minibatches that are not a tensor, a sequence that starts with one, or a dict.
        output: What the model returns: ``"logits"``; ``"probs"``, rows that sum to 1; or ``"sigmoid"``, one logit of a
            binary model. The latter two are turned into logits of C columns.

    Raises:
        UnsupportedModel: ``module`` is not a module, or has no layer called ``head``.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        head: str | None = None,
        outputs: Callable[[nn.Module, Any], tuple[Tensor, Tensor | None]] | None = None,
        inputs: Callable[[Any], Any] | None = None,
        output: OutputKind = "logits",
    ) -> None:
        if not isinstance(module, nn.Module):
            raise UnsupportedModel(f"expected a torch.nn.Module, got {type(module).__name__}")
        if output not in ("logits", "probs", "sigmoid"):
            raise InvalidInput(f"output must be 'logits', 'probs' or 'sigmoid', got {output!r}")
        self.module = _unwrapped(module)
        self.output = output
        self._read = inputs
        self._outputs = outputs
        self._layer = self._named_layer(head)
        self._documented = outputs is None and "last" in inspect.signature(self.module.forward).parameters
        self._ready = False
        self._warned = False
        self._head_input: Tensor | None = None
        self._device = torch.device("cpu")
        self._dtype = torch.float32

    @contextmanager
    def asking(self, runtime: Runtime) -> Iterator[None]:
        """Evaluation mode, no gradients, the head observed, on the device asked for; all put back afterwards."""
        home = _placement(self.module)[0]
        modes = {m: m.training for m in self.module.modules()}
        buffers = {name: b.detach().clone() for name, b in self.module.named_buffers()}
        with ExitStack() as stack:
            stack.callback(self._restore, home, modes, buffers)
            if runtime.device is not None:
                self.module.to(runtime.device)
            self._device, self._dtype = _placement(self.module)
            self.module.eval()
            stack.enter_context(torch.no_grad())
            stack.enter_context(self._observed())
            yield

    def outputs(self, batch: Any) -> Outputs:  # noqa: ANN401
        """Logits and embedding of one minibatch: one forward pass."""
        x = self._inputs(batch)
        if not self._ready:
            self._find_out(_first_rows(x, _TRACED_ROWS))
        logits, embedding = self._forward(x)
        return Outputs(self._logits(logits), embedding)

    def inputs(self, batch: Any) -> Tensor:  # noqa: ANN401
        """The tensor that the module is called with, as floating-point numbers."""
        x = self._inputs(batch)
        if not isinstance(x, Tensor):
            raise UnsupportedModel(
                f"the model is called with a {type(x).__name__}; what needs its inputs needs one tensor"
            )
        return x if x.is_floating_point() else x.to(self._dtype)

    def sample(self, batch: Any, n_samples: int, draw: Draw) -> Tensor:  # noqa: ANN401
        """Probabilities under K dropout masks, (B, K, C): K forward passes; normalization layers stay in evaluation mode.

        A module without dropout gives K equal samples and a warning.
        """
        x = self._inputs(batch)
        if not self._ready:
            self._find_out(_first_rows(x, _TRACED_ROWS))
        probs = []
        for k in range(n_samples):
            with SampledDropout(draw.child(k)) as dropout:
                probs.append(self._logits(self._forward(x)[0]).softmax(-1))
            if k == 0 and not self._warned:
                self._warned = True
                _warn_about_dropout(self.module, dropout.n_sites, dropout.n_unaligned)
        return torch.stack(probs, 1)

    def _named_layer(self, head: str | None) -> nn.Module | None:
        layers = dict(self.module.named_modules())
        if head is not None and head not in layers:
            linear = [name for name, layer in layers.items() if isinstance(layer, nn.Linear)]
            raise UnsupportedModel(f"the model has no layer called head={head!r}; its Linear layers: {linear}")
        return None if head is None else layers[head]

    def _restore(self, home: torch.device, modes: dict[nn.Module, bool], buffers: dict[str, Tensor]) -> None:
        if _placement(self.module)[0] != home:
            self.module.to(home)
        for layer, mode in modes.items():
            layer.training = mode
        with torch.no_grad():
            for name, buffer in self.module.named_buffers():
                if name in buffers and not torch.equal(buffer, buffers[name]):
                    buffer.copy_(buffers[name])

    @contextmanager
    def _observed(self) -> Iterator[None]:
        """Keep the input of the head while the context lasts; ``_find_out`` may still have to find the head."""
        with ExitStack() as self._observing:
            if self._layer is not None:
                self._observe(self._layer)
            try:
                yield
            finally:
                self._head_input = None

    def _observe(self, layer: nn.Module) -> None:
        def keep(_: nn.Module, args: tuple[Any, ...]) -> None:
            self._head_input = args[0]

        self._observing.callback(layer.register_forward_pre_hook(keep).remove)

    def _inputs(self, batch: Any) -> Any:  # noqa: ANN401
        if self._read is not None:
            x = self._read(batch)
        elif isinstance(batch, (list, tuple)) and batch and isinstance(batch[0], (Tensor, Mapping)):
            x = batch[0]
        else:
            x = batch
        if self._read is None and not isinstance(x, (Tensor, Mapping)):
            raise UnsupportedModel(
                f"cannot read a minibatch of type {type(batch).__name__}: expected a tensor, a sequence that starts with one, or a "
                "dict; pass inputs=, a function from the minibatch to what the model is called with"
            )
        return self._placed(x)

    def _placed(self, x: Any) -> Any:  # noqa: ANN401
        if isinstance(x, Tensor):
            dtype = self._dtype if x.is_floating_point() else x.dtype
            return x.to(self._device, dtype, non_blocking=True)
        if isinstance(x, Mapping):
            return {name: self._placed(value) for name, value in x.items()}
        if isinstance(x, (list, tuple)):
            return type(x)(self._placed(value) for value in x)
        return x

    def _call(self, x: Any) -> Any:  # noqa: ANN401
        if not isinstance(x, Mapping):
            return self.module(x)
        parameters = inspect.signature(self.module.forward).parameters
        takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
        labels = {"label", "labels"}  # a pool's labels are never read
        return self.module(
            **{name: v for name, v in x.items() if name not in labels and (takes_all or name in parameters)}
        )

    def _forward(self, x: Any) -> tuple[Tensor, Tensor | None]:  # noqa: ANN401
        """What the model returns, as (B, ?) outputs and (B, D) embedding."""
        if self._outputs is not None:
            return self._outputs(self.module, x)
        if self._documented:
            logits, embedding = self.module(x, last=True)
            return logits, embedding.flatten(1)
        self._head_input = None
        logits = self._tensors(self._call(x))[self._position]
        return logits, None if self._head_input is None else _embedding(self._head_input)

    def _find_out(self, x: Any) -> None:  # noqa: ANN401
        """Look at what the model returns for a few rows, and find its head."""
        self._position = 0
        if self._outputs is None and not self._documented:
            self._find_head(x, self._tensors(self._call(x)))
        logits = self._forward(x)[0]
        if not isinstance(logits, Tensor) or not logits.is_floating_point():
            raise UnsupportedModel(f"expected floating-point logits from the model, got {_describe(logits)}")
        self._check_kind(logits)
        self._ready = True

    def _find_head(self, x: Any, returned: Sequence[Tensor]) -> None:  # noqa: ANN401
        found: list[tuple[nn.Module, int, Tensor]] = []

        def look(layer: nn.Module, args: tuple[Any, ...], out: Any) -> None:  # noqa: ANN401
            for position, tensor in enumerate(returned):
                if isinstance(out, Tensor) and _is_head(_embedding(out), tensor, self.output):
                    found.append((layer, position, _embedding(args[0])))

        with ExitStack() as stack:
            for layer in self.module.modules():
                if isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)):
                    stack.callback(layer.register_forward_hook(look).remove)
            self._call(x)
        if len(returned) > 1:
            found = [f for f in found if any(_close(f[2], t) for i, t in enumerate(returned) if i != f[1])]
            if not found:
                shapes = ", ".join(str(tuple(t.shape)) for t in returned)
                raise UnsupportedModel(
                    f"the model returns {len(returned)} tensors ({shapes}) and no layer of it maps one to another, so which is "
                    "the logits is unknown; pass outputs=lambda module, x: (logits, embedding)"
                )
        if self._layer is None and found:
            self._layer, self._position = found[-1][:2]
            self._observe(self._layer)

    def _tensors(self, returned: Any) -> Sequence[Tensor]:  # noqa: ANN401
        """The tensors that may be the logits."""
        if isinstance(returned, Tensor):
            return [returned]
        if isinstance(returned, Mapping) and isinstance(returned.get("logits"), Tensor):
            return [returned["logits"]]
        if isinstance(getattr(returned, "logits", None), Tensor):
            return [returned.logits]
        if isinstance(returned, (list, tuple)) and returned and all(isinstance(t, Tensor) for t in returned):
            return returned
        raise UnsupportedModel(
            f"cannot read logits from what the model returns ({_describe(returned)}); expected a tensor (B, C), a pair "
            "(logits, embedding) or an object with logits; pass outputs=lambda module, x: (logits, embedding)"
        )

    def _check_kind(self, logits: Tensor) -> None:
        one_column = logits.dim() == 1 or (logits.dim() == 2 and logits.shape[1] == 1)
        if logits.dim() > 2 or logits.dim() == 0:
            raise UnsupportedModel(
                f"expected logits of shape (B, C), got {tuple(logits.shape)}; pass outputs= to reduce them to one row an example"
            )
        if self.output == "logits" and one_column:
            raise UnsupportedModel('the model returns one column; for a binary model pass output="sigmoid"')
        if self.output == "sigmoid" and not one_column:
            raise UnsupportedModel(f'output="sigmoid" expects one column of logits, got {tuple(logits.shape)}')
        sums_to_one = bool((logits >= 0).all()) and _close(logits.sum(-1), torch.ones_like(logits.sum(-1)))
        if self.output == "logits" and sums_to_one:
            raise UnsupportedModel(
                'the rows that the model returns already sum to 1; if they are probabilities pass output="probs"'
            )
        if self.output == "probs" and not one_column and not sums_to_one:
            raise UnsupportedModel('output="probs" expects rows that are >= 0 and sum to 1, and these do not')

    def _logits(self, returned: Tensor) -> Tensor:
        """(B, C) float32 or float64 logits, C >= 2."""
        returned = returned if returned.dtype == torch.float64 else returned.float()
        if self.output == "logits":
            return returned
        column = returned.reshape(len(returned), -1)
        if self.output == "sigmoid":
            return torch.cat([torch.zeros_like(column), column], 1)
        probs = torch.cat([1 - column, column], 1) if column.shape[1] == 1 else column
        return probs.clamp_min(torch.finfo(probs.dtype).tiny).log()


def as_network(model: Network | nn.Module) -> Network:
    """``model`` itself if it is a Network, else a TorchNetwork of it."""
    return model if isinstance(model, Network) else TorchNetwork(model)


def _unwrapped(module: nn.Module) -> nn.Module:
    """The module inside ``torch.compile`` and (Distributed)DataParallel: hooks do not see through compiled graphs."""
    while True:
        inner = dict(module.named_children())
        if type(module).__name__ == "OptimizedModule" and "_orig_mod" in inner:
            module = inner["_orig_mod"]
        elif isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            module = module.module
        else:
            return module


def _placement(module: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Device of the first parameter or buffer, and the first floating dtype; CPU and float32 without any."""
    tensors = [*module.parameters(), *module.buffers()]
    floating = [t.dtype for t in tensors if t.is_floating_point()]
    device = tensors[0].device if tensors else torch.device("cpu")
    return device, floating[0] if floating else torch.float32


def _first_rows(x: Any, n: int) -> Any:  # noqa: ANN401
    if isinstance(x, Tensor):
        return x[:n]
    if isinstance(x, Mapping):
        return {name: _first_rows(value, n) for name, value in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x)(_first_rows(value, n) for value in x)
    return x


def _embedding(x: Tensor) -> Tensor:
    """Rows of a head's input or output: (B, D) as it is, the mean over places of (B, D, places...)."""
    return x if x.dim() <= 2 else x.flatten(2).mean(2)


def _is_head(out: Tensor, returned: Tensor, output: OutputKind) -> bool:
    """Whether a layer's output is the logits, or what softmax, log-softmax or sigmoid made ``returned`` of."""
    if out.dim() != 2 or out.numel() != returned.numel():
        return False
    out, returned = out.float(), returned.float().reshape(out.shape)
    made = [out, out.log_softmax(-1)]
    if output == "probs":
        made += [out.softmax(-1)] if out.shape[1] > 1 else [out.sigmoid()]
    return any(_close(m, returned) for m in made)


def _close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a.float(), b.float(), rtol=1e-4, atol=1e-5)


def _describe(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)} of {value.dtype}"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {', '.join(_describe(v) for v in value) or 'nothing'}"
    return type(value).__name__


def _warn_about_dropout(module: nn.Module, n_sites: int, n_unaligned: int) -> None:
    hidden = unreachable_dropout(module)
    where = f"; dropout that cannot be reached: {', '.join(hidden)}" if hidden else ""
    name = type(module).__name__
    if n_sites == 0:
        warnings.warn(f"{name} has no dropout that can be sampled, so all samples are equal{where}", DistilWarning, 2)
    elif hidden:
        warnings.warn(f"part of {name}'s dropout stays off while sampling{where}", DistilWarning, 2)
    if n_unaligned:
        warnings.warn(
            f"{n_unaligned} dropout calls of {name} see tensors without an example axis; their masks are shared by all examples",
            DistilWarning,
            2,
        )
