"""Models that embed images or texts: timm backbones, sentence-transformers, and the user's own callables.

Nothing is downloaded: weights come from files, folders or installed packages.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from distil.embedding.pixels import SIDE, small_copy
from distil.errors import DataNotFound, InvalidInput, UnknownName, UnsupportedModel, nearest
from distil.networks.base import Network, Outputs
from distil.networks.torch_network import TorchNetwork
from distil.networks.weights import weights_in, without_prefix
from distil.rng import Rng
from distil.system.files import digest
from distil.system.imports import import_torchvision, named_object, optional, taking
from distil.system.runtime import Runtime

# Number of minibatches of texts that are sorted by length together. A minibatch is padded to its longest text: for news articles in
# pool order, more than half of the computation is padding, and sorting eight minibatches nearly halves the time.
_WINDOW = 8


PIXELS: Final = "pixels"
"""The name of the encoder that is no model: small copies of the images."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """An encoder in memory.

    Attributes:
        network: The network whose embedding is written.
        prepare: Item of the pool -> prepared item; several threads call it.
        collate: List of prepared items -> minibatch.
        window: Number of minibatches that the network is called with at once, for networks that sort and split them themselves.
    """

    network: Network
    prepare: Callable[[Any], Any]
    collate: Callable[[list[Any]], Any]
    window: int = 1


@dataclass(frozen=True, eq=False)
class Encoder:
    """A model that embeds items.

    Attributes:
        name: Name of the model, for messages.
        identity: Text that is equal for equal models only.
        kind: Kind of items that it embeds: ``"images"``, ``"texts"``, or None for any.
        load: Loads the model; called only if there are items to embed.
    """

    name: str
    identity: str
    kind: str | None
    load: Callable[[Runtime], Loaded]


def encoder_named(model: str, weights: str | Path | None = None) -> Encoder:
    """The encoder that a text names; see :func:`distil.embedding.embed.embed`.

    Raises:
        InvalidInput: ``weights`` is missing, or the model takes none.
        UnknownName: There is no such model or package.
    """
    if model.startswith("timm:"):
        return _timm(model.removeprefix("timm:"), weights)
    if model == PIXELS:
        return _pixels(weights)
    folder = _folder_of(model, weights)
    return _called(model) if folder is None else _sentences(model, folder)


def check_encoder(model: str, weights: str | Path | None = None) -> None:
    """Check the names of an encoder without loading it.

    Raises:
        InvalidInput: ``weights`` is missing, or the model takes none.
        UnknownName: There is no such model or package.
        DataNotFound: There is no such file of weights.
        ConfigError: A callable cannot be imported, or takes other arguments than one list.
    """
    if model.startswith("timm:"):
        name = model.removeprefix("timm:")
        _check_weights(name, weights)
        if not _is_defined_in_timm(name):
            _timm_package(name)
    elif model == PIXELS:
        _pixels(weights)
    elif _folder_of(model, weights) is None:
        taking(model, [])


def imports_code(model: str) -> bool:
    """Whether an encoder is code: a callable, or a package that must be imported to be found."""
    return model != PIXELS and not model.startswith("timm:") and not _is_saved(model)


def _folder_of(model: str, weights: str | Path | None) -> Path | None:
    """The folder of a model of sentence-transformers; None for the user's own callable."""
    if weights is not None:
        raise InvalidInput(_no_weights(f"{model} has its own"))
    if _is_saved(model):
        return Path(model).expanduser()
    if ":" in model:
        return None
    if (folder := _packaged(model)) is not None:
        return folder
    raise UnknownName(
        f"expected a model as timm:NAME, {PIXELS} (no model), a folder that sentence-transformers saved (with "
        f"modules.json), an installed package that holds one, or package.module:callable; got {model!r}"
    )


def _no_weights(why: str) -> str:
    return f"weights are for timm models only; {why}, so leave weights out"


def _is_saved(model: str) -> bool:
    return Path(os.path.expanduser(model), "modules.json").is_file()


def _pixels(weights: str | Path | None) -> Encoder:
    if weights is not None:
        raise InvalidInput(_no_weights("pixels are no model"))
    loaded = Loaded(_Called(PIXELS, lambda batch: batch), small_copy, np.stack)
    return Encoder(PIXELS, f"pixels {SIDE} bilinear", "images", lambda runtime: loaded)  # noqa: ARG005


def _check_weights(name: str, weights: str | Path | None) -> None:
    if weights is None:
        raise InvalidInput(
            f"timm:{name} needs weights, and distil downloads none: pass a file (--weights FILE), or `random` to try the command"
        )
    if weights != "random" and not Path(weights).is_file():
        raise DataNotFound(f"there is no weights file {weights}")


def _is_defined_in_timm(name: str) -> bool:
    """Whether the source of timm defines a model of that name, without a tag; to import it takes more than a second."""
    spec = importlib.util.find_spec("timm")
    folders = (spec.submodule_search_locations or []) if spec else []
    sources = (path for folder in folders for path in Path(folder, "models").glob("*.py"))
    return any(f"@register_model\ndef {name}(" in path.read_text(encoding="utf-8") for path in sources)


def _timm_package(name: str) -> Any:  # noqa: ANN401 - a module
    """The package timm; UnknownName if it has no model of that name."""
    import_torchvision(f"timm:{name}")
    timm = optional("timm", f"timm:{name}")
    if not timm.is_model(name):
        raise UnknownName(f"timm has no model {name!r}{nearest(name, timm.list_models())}")
    return timm


def _timm(name: str, weights: str | Path | None) -> Encoder:
    _check_weights(name, weights)
    content = "random" if weights is None or weights == "random" else digest(Path(weights))

    def load(runtime: Runtime) -> Loaded:  # noqa: ARG001 - the network places itself
        module = _timm_module(name, None if weights is None or weights == "random" else Path(weights))
        timm = optional("timm", f"timm:{name}")
        settings = timm.data.resolve_model_data_config(module)
        prepare = timm.data.create_transform(**settings, is_training=False)
        return Loaded(TorchNetwork(module, outputs=_features), prepare, torch.stack)

    return Encoder(f"timm:{name}", f"timm:{name} {_version('timm')} {content}", "images", load)


def _timm_module(name: str, weights: Path | None) -> nn.Module:
    """A model without its head; InvalidInput if the weights do not fit."""
    timm = _timm_package(name)
    with Rng(0).scope():
        module: nn.Module = timm.create_model(name, pretrained=False, num_classes=0)
    if weights is None:
        return module
    state = without_prefix(weights_in(weights), module)
    head = getattr(module, "pretrained_cfg", {}).get("classifier") or ()
    heads = tuple(f"{part}." for part in ([head] if isinstance(head, str) else head))
    state = {key: value for key, value in state.items() if not (heads and key.startswith(heads))}
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise InvalidInput(f"{weights} does not fit timm:{name}: {' '.join(str(error).split())[:400]}") from error
    return module


def _features(module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """The features as logits and as embedding: a backbone has no head."""
    features = module(x)
    return features, features


def _sentences(name: str, folder: Path) -> Encoder:
    stamp = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        stamp.update(f"{path.relative_to(folder).as_posix()} {digest(path)}\n".encode())

    def load(runtime: Runtime) -> Loaded:
        _torchvision_if_there()
        package = optional("sentence_transformers", name)
        device = None if runtime.device is None else str(runtime.device)
        with _without_bars():
            model = package.SentenceTransformer(str(folder), device=device, local_files_only=True)

        def encode(texts: list[str]) -> Any:  # noqa: ANN401
            size = -(-len(texts) // _WINDOW)
            return model.encode(texts, batch_size=size, show_progress_bar=False, convert_to_numpy=True)

        return Loaded(_Called(name, encode), lambda text: text, list, _WINDOW)

    return Encoder(
        name, f"sentence-transformers {_version('sentence-transformers')} {stamp.hexdigest()}", "texts", load
    )


@contextmanager
def _without_bars() -> Iterator[None]:
    """A context without the progress bar of transformers, which it shows even without a terminal."""
    logging: Any = sys.modules.get("transformers.utils.logging")
    shown = logging is not None and logging.is_progress_bar_enabled()
    if shown:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _torchvision_if_there() -> None:
    """If torchvision is installed, import it safely before sentence-transformers does."""
    if importlib.util.find_spec("torchvision") is not None:
        import_torchvision()


def _packaged(name: str) -> Path | None:
    """The folder of a sentence-transformers model in an installed package; None if there is none."""
    try:
        spec = importlib.util.find_spec(name.replace("-", "_"))
    except (ImportError, ValueError):
        return None
    for place in (spec.submodule_search_locations or []) if spec else []:
        files = sorted(Path(place).rglob("modules.json"), key=lambda path: len(path.parts))
        if files:
            return files[0].parent
    return None


def _called(name: str) -> Encoder:
    call = named_object(name)
    source = importlib.util.find_spec(name.partition(":")[0])
    content = digest(Path(source.origin)) if source is not None and source.origin else ""
    return Encoder(
        name,
        f"{name} {content}",
        None,
        lambda runtime: Loaded(_Called(name, call), lambda item: item, list),  # noqa: ARG005
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "?"


class _Called(Network):
    """A callable from a list of items to their embeddings (B, D), as a network."""

    def __init__(self, name: str, call: Callable[[list[Any]], Any]) -> None:
        self._name = name
        self._call = call

    def asking(self, runtime: Runtime) -> AbstractContextManager[None]:  # noqa: ARG002
        return torch.inference_mode()

    def outputs(self, batch: Any) -> Outputs:  # noqa: ANN401
        returned = self._call(batch)
        try:
            x = torch.as_tensor(returned if isinstance(returned, Tensor) else np.array(returned, np.float32)).float()
        except (ValueError, TypeError) as error:
            raise UnsupportedModel(
                f"{self._name} must return an array ({len(batch)}, D) of numbers for {len(batch):,} items, got "
                f"{type(returned).__name__} ({str(error).splitlines()[0]})"
            ) from error
        if x.dim() != 2 or len(x) != len(batch):
            raise UnsupportedModel(
                f"{self._name} must return an array ({len(batch)}, D) for {len(batch)} items, got shape {tuple(x.shape)}"
            )
        return Outputs(x, x)
