"""Logits, embedding and samples from any model, which is left exactly as it was."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from typing import Any

import torch
from torch import Tensor, nn

from distil.errors import DistilWarning, InvalidInput, UnsupportedModel
from distil.networks.base import LABELS, Network, Outputs
from distil.networks.dropout import Draw, SampledDropout, example_axes, unreachable_dropout
from distil.networks.head import Head, HeadInput, OutputKind, close, find_head
from distil.networks.memory_format import ChannelsLastPooling
from distil.networks.timm_and_transformers import own_outputs
from distil.networks.trunk import RecordedTrunk, ReplayedTrunk, Survey, Trunk
from distil.system.runtime import Runtime

# Rows of the first minibatch that are looked at to find out what a model returns.
_TRACED_ROWS = 8


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
        returns: ``returns(what the model returned) -> (logits, embedding)``, the latter None for the input of the head.
        inputs: ``inputs(batch) -> x``, for minibatches that are not a tensor, a sequence that starts with one, or a dict.
        output: What the model returns: ``"logits"``; ``"probs"``, rows that sum to 1; or ``"sigmoid"``, one logit of a
            binary model. The latter two are turned into logits of C columns.
        num_classes: C, to be told of a model that has another number of outputs.

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
        if output not in ("logits", "probs", "sigmoid"):
            raise InvalidInput(f"output must be 'logits', 'probs' or 'sigmoid', got {output!r}")
        self.module = _unwrapped(module)
        self.output = output
        self._read = inputs
        self._outputs = outputs
        self._returns = returns
        self._num_classes = num_classes
        self._widths: tuple[int, int | None] | None = None  # of logits and embedding; None: not asked yet
        self._named = self._named_layer(head)
        self._head: Head | None = None
        self._seen = HeadInput()
        read = outputs is not None or returns is not None
        self._documented = not read and "last" in inspect.signature(self.module.forward).parameters
        self._ready = False
        self._warned = False
        self._convolves = any(isinstance(layer, nn.Conv2d) for layer in self.module.modules())
        self._axes: tuple[int | None, ...] | None = None  # of dropout calls; None: not looked at yet
        self._trunk: Trunk | None = None  # None: whole passes
        self._device = torch.device("cpu")
        self._dtype = torch.float32

    def __repr__(self) -> str:
        name = type(self.module).__name__
        if self._widths is None:
            return f"TorchNetwork({name}: logits and embedding are found on the first minibatch)"
        logits, embedding = self._widths
        layers = {layer: name for name, layer in self.module.named_modules()}
        head = None if self._head is None or self._head.layer is None else layers[self._head.layer] or name
        by = "as told" if head is None else f"the input of {head}"
        return f"TorchNetwork({name}: {logits} classes; embedding: {f'{embedding} numbers, {by}' if embedding else 'none found'})"

    @contextmanager
    def asking(self, runtime: Runtime) -> Iterator[None]:
        """Evaluation mode, no gradients, the head observed, on the device asked for; all put back afterwards."""
        home = _placement(self.module)[0]
        trainable = [p for p in self.module.parameters() if p.requires_grad]
        modes = {m: m.training for m in self.module.modules()}
        buffers = [(m, name, b, b.detach().clone()) for m in modes for name, b in m.named_buffers(recurse=False)]
        with ExitStack() as stack:
            stack.callback(self._restore, home, modes, buffers, trainable)
            for parameter in trainable:  # what is differentiated here is differentiated by the inputs
                parameter.requires_grad_(False)
            if runtime.device is not None:
                self.module.to(runtime.device)
            self._device, self._dtype = _placement(self.module)
            self.module.eval()
            stack.enter_context(torch.no_grad())
            stack.callback(self._seen.clear)
            self._asked = stack.enter_context(ExitStack())
            if self._head is not None:
                self._asked.enter_context(self._seen.watching(self._head))
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

    def differentiable(self, batch: Any) -> tuple[Tensor, Callable[[Tensor], Tensor]]:  # noqa: ANN401
        """The tensor that the module is called with (alone, or as the only entry of a dict), and the way to its logits.

        Raises:
            UnsupportedModel: There is no one such tensor, it holds whole numbers, or the module cuts its outputs off from it.
        """
        x = self._inputs(batch)
        names = [name for name in x if name not in LABELS] if isinstance(x, Mapping) else []
        tensor = x[names[0]] if len(names) == 1 else x
        _check_differentiable(tensor)
        if not self._ready:
            self._find_out(_first_rows(x, _TRACED_ROWS))

        def logits(z: Tensor) -> Tensor:
            with self._differentiable_layers(z):
                found = self._logits(self._forward({names[0]: z} if names else z)[0])
            self._seen.clear()  # it would keep the graph alive
            if torch.is_grad_enabled() and z.requires_grad and not found.requires_grad:
                raise UnsupportedModel(
                    f"{type(self.module).__name__} gives logits that are cut off from its inputs, so an attack finds no "
                    "direction; remove torch.no_grad and detach from its forward"
                )
            return found

        return tensor, logits

    def _differentiable_layers(self, z: Tensor) -> AbstractContextManager[None]:
        """Recurrent layers of cuDNN have no gradients in evaluation mode; PyTorch's own have."""
        recurrent = z.is_cuda and any(isinstance(layer, nn.RNNBase) for layer in self.module.modules())
        return torch.backends.cudnn.flags(enabled=False) if recurrent else nullcontext()

    def sample(self, batch: Any, n_samples: int, draw: Draw) -> Tensor:  # noqa: ANN401
        """Probabilities under K dropout masks, (B, K, C); normalization layers stay in evaluation mode.

        What comes before the first dropout is computed once, all else K times. Whether that gives what K whole passes give is
        tried on a few rows of the first minibatch; where it does not, as in a network with a state or randomness of its own, K
        whole passes are made. A module without dropout gives K equal samples and a warning.
        """
        x = self._inputs(batch)
        draws = [draw.child(k) for k in range(n_samples)]
        if not self._ready:
            self._find_out(_first_rows(x, _TRACED_ROWS))
        if self._axes is None:
            self._survey(x, draw)
        if not self._axes:  # no dropout: one sample is all of them
            draws = draws[:1]
        probs = None
        if self._trunk is not None and n_samples > 1:
            probs = self._trunk_once(x, draws, self._trunk)
        if probs is None:
            probs = torch.stack([self._sampled(x, sample) for sample in draws], 1)
        return probs if self._axes else probs.repeat(1, n_samples, 1)

    def _survey(self, x: Any, draw: Draw) -> None:  # noqa: ANN401
        """Look at a few rows: where dropout is called, along which axis the examples lie there, and what may be computed once."""
        two, three = Survey(), Survey()
        for n, survey in ((2, two), (3, three)):
            rows = _first_rows(x, n, repeat=True)
            with survey:
                self._probs(rows)
        self._axes = example_axes(two.shapes, three.shapes)
        trunk = two.trunk()
        if trunk is None or trunk != three.trunk():
            return
        rows = _first_rows(x, _TRACED_ROWS)
        draws = [Draw(draw.rng.child(k), draw.ids[:_TRACED_ROWS], draw.shared) for k in range(2)]
        found = self._trunk_once(rows, draws, trunk)
        if found is not None and close(found, torch.stack([self._sampled(rows, sample) for sample in draws], 1)):
            self._trunk = trunk

    def _trunk_once(self, x: Any, draws: Sequence[Draw], trunk: Trunk) -> Tensor | None:  # noqa: ANN401
        """Probabilities under several masks, (B, K, C), the trunk computed once; None where the network takes another way."""
        recorded = RecordedTrunk(trunk)
        # A TrunkLeft, or what missing numbers lead to; should it be anything else, the whole passes will say so.
        with suppress(RuntimeError, TypeError, ValueError):
            probs = [self._sampled(x, draws[0], recorded)]
            with _attributes_kept(self.module):
                probs += [self._sampled(x, draw, ReplayedTrunk(recorded)) for draw in draws[1:]]
            return torch.stack(probs, 1)
        return None

    def _sampled(self, x: Any, draw: Draw, trunk: RecordedTrunk | ReplayedTrunk | None = None) -> Tensor:  # noqa: ANN401
        """Probabilities under one mask, (B, C)."""
        with self._pooling(), SampledDropout(draw, self._axes) as dropout, trunk or nullcontext():
            probs = self._probs(x)
        if not self._warned:
            self._warned = True
            _warn_about_dropout(self.module, dropout.n_sites, dropout.n_unaligned)
        return probs

    def _pooling(self) -> AbstractContextManager[object]:
        """Faster max pooling, in convolutional networks."""
        return ChannelsLastPooling() if self._convolves else nullcontext()

    def _probs(self, x: Any) -> Tensor:  # noqa: ANN401
        logits = self._logits(self._forward(x)[0])
        # Softmax; PyTorch's own is several times slower on a CPU where there are fewer classes than a vector register holds.
        odds = (logits - logits.amax(-1, keepdim=True)).exp_()
        return odds.div_(odds.sum(-1, keepdim=True))

    def _named_layer(self, head: str | None) -> nn.Module | None:
        layers = dict(self.module.named_modules())
        if head is not None and head not in layers:
            linear = [name for name, layer in layers.items() if isinstance(layer, nn.Linear)]
            raise UnsupportedModel(f"the model has no layer called head={head!r}; its Linear layers: {linear}")
        return None if head is None else layers[head]

    def _restore(
        self,
        home: torch.device,
        modes: dict[nn.Module, bool],
        buffers: list[tuple[nn.Module, str, Tensor, Tensor]],
        trainable: list[nn.Parameter],
    ) -> None:
        for parameter in trainable:
            parameter.requires_grad_(True)
        if _placement(self.module)[0] != home:
            self.module.to(home)
        for layer, mode in modes.items():
            layer.training = mode
        with torch.no_grad():
            for layer, name, buffer, content in buffers:
                layer._buffers[name] = buffer  # the forward pass, or another device, may have put another tensor there
                if not torch.equal(buffer, content):
                    buffer.copy_(content)

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

    def _forward(self, x: Any) -> tuple[Tensor, Tensor | None]:  # noqa: ANN401
        """What the model returns, as (B, ?) outputs and (B, D) embedding."""
        if self._outputs is not None:
            return self._outputs(self.module, x)
        if self._documented:
            logits, embedding = self.module(x, last=True)
            return logits, embedding.flatten(1)
        self._seen.clear()
        returned = call_module(self.module, x)
        if self._returns is not None:
            logits, embedding = self._returns(returned)
            return logits, self._seen.value if embedding is None else embedding
        return self._tensors(returned)[0 if self._head is None else self._head.position], self._seen.value

    def _find_out(self, x: Any) -> None:  # noqa: ANN401
        """Look at what the model returns for a few rows, and find its head."""
        if self._outputs is None and not self._documented and self._head is None:
            returned = self._tensors(self._first_call(x))
            self._head = find_head(self.module, self._named, returned, lambda: call_module(self.module, x), self.output)
            self._asked.enter_context(self._seen.watching(self._head))
            if self._head.layer is None and self._returns is None and returned[0].numel():
                self._outputs = own_outputs(self.module, x, returned[0], call_module)
        logits, embedding = self._forward(x)
        if not isinstance(logits, Tensor) or not logits.is_floating_point():
            raise UnsupportedModel(f"expected floating-point logits from the model, got {_describe(logits)}")
        self._check_kind(logits)
        self._check_classes(self._logits(logits).shape[1])
        self._widths = self._logits(logits).shape[1], None if embedding is None else embedding.shape[1]
        self._ready = True

    def _first_call(self, x: Any) -> Any:  # noqa: ANN401
        try:
            return call_module(self.module, x)
        except (AttributeError, TypeError) as error:
            lists = [name for name, value in x.items() if isinstance(value, list)] if isinstance(x, Mapping) else []
            if not lists:
                raise
            raise UnsupportedModel(
                f"{type(self.module).__name__} cannot be called with a list as {lists[0]!r}; pass a data set whose items hold "
                'tensors (of Hugging Face: data.with_format("torch")), or collate='
            ) from error

    def _check_classes(self, n_found: int) -> None:
        if self._num_classes not in (None, n_found):
            raise UnsupportedModel(
                f"the model has outputs for {n_found} classes, and num_classes is {self._num_classes}; replace its last layer"
            )

    def _tensors(self, returned: Any) -> Sequence[Tensor]:  # noqa: ANN401
        """The tensors that may be the logits."""
        if self._returns is not None:
            return [self._returns(returned)[0]]
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
        if len(logits) == 0:  # nothing to look at; the first rows that come are looked at by the next pass
            return
        sums_to_one = bool((logits >= 0).all()) and close(logits.sum(-1), torch.ones_like(logits.sum(-1)))
        if self.output == "logits" and sums_to_one:
            raise UnsupportedModel(
                'the rows that the model returns already sum to 1; if they are probabilities pass output="probs"'
            )
        if self.output == "probs" and one_column and not bool(((logits >= 0) & (logits <= 1)).all()):
            raise UnsupportedModel(
                'output="probs" expects a column of probabilities, between 0 and 1, and these are not'
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


@contextmanager
def _attributes_kept(module: nn.Module) -> Iterator[None]:
    """Puts back what a forward pass assigns to a module's attributes and buffers."""
    kept = [(d, d.copy()) for layer in module.modules() for d in (layer.__dict__, layer._buffers)]
    try:
        yield
    finally:
        for attributes, content in kept:
            attributes.clear()
            attributes.update(content)


def call_module(module: nn.Module, x: Any) -> Any:  # noqa: ANN401
    """What a module returns for what was made of a minibatch: of a dict, for those entries that it takes, labels left out."""
    if not isinstance(x, Mapping):
        return module(x)
    parameters = inspect.signature(module.forward).parameters
    takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    return module(**{name: v for name, v in x.items() if name not in LABELS and (takes_all or name in parameters)})


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


def _first_rows(x: Any, n: int, *, repeat: bool = False) -> Any:  # noqa: ANN401
    """The first ``n`` rows of a tensor, or of each in a dict or sequence; the first one repeated where there are fewer."""
    if isinstance(x, Tensor):
        return x[:1].repeat(n, *[1] * (x.dim() - 1)) if repeat and len(x) < n else x[:n]
    if isinstance(x, Mapping):
        return {name: _first_rows(value, n, repeat=repeat) for name, value in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x)(_first_rows(value, n, repeat=repeat) for value in x)
    return x


def _check_differentiable(x: object) -> None:
    """Raise UnsupportedModel unless x is a floating-point tensor."""
    advice = (
        "pass TorchNetwork(module, inputs=..., outputs=...), where inputs makes such a tensor of a minibatch (for tokens, their "
        "embeddings) and outputs calls the module with it"
    )
    if not isinstance(x, Tensor):
        raise UnsupportedModel(
            f"the model is called with a {type(x).__name__}, and an attack changes one floating-point tensor; {advice}"
        )
    if not x.is_floating_point():
        raise UnsupportedModel(
            f"the model is called with {x.dtype}, and an attack needs inputs that can change a little; {advice}"
        )


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
