"""Files of weights, read without pickle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, load_model
from torch import nn

from distil.errors import InvalidInput, UnsupportedModel
from distil.rng import Rng


def loaded(path: Path, build: Callable[[], nn.Module] | None) -> nn.Module:
    """The module that ``build`` makes, with the weights in the file. Only tensors are read from the file."""
    if build is None:
        raise InvalidInput(
            f"the model {str(path)!r} is a path, so it must be a file of weights; pass distil.wrap({str(path)!r}, build=...) with "
            "a function that builds the module"
        )
    if not path.is_file():
        raise InvalidInput(f"there is no file {path}")
    with Rng(0).scope():
        module = build()
    try:
        if path.suffix == ".safetensors":
            if set(weights_in(path)) & set(module.state_dict()):
                load_model(module, path)
            else:
                module.load_state_dict(without_prefix(weights_in(path), module))
        else:
            module.load_state_dict(without_prefix(weights_in(path), module))
    except RuntimeError as error:
        raise UnsupportedModel(f"the weights in {path} do not fit the module: {' '.join(str(error).split())}") from None
    return module


def without_prefix(state: Mapping[str, Any], module: nn.Module) -> Mapping[str, Any]:
    """The weights with the names that they have in the module.

    DataParallel, torch.compile, averaged models and Lightning modules put a prefix before the names of the module in them
    (``module.``, ``_orig_mod.``, ``model.``), next to weights of their own.
    """
    own = list(module.state_dict())
    if not own or set(own) & set(state):
        return state
    prefixes = [name.removesuffix(own[0]) for name in state if name.endswith(f".{own[0]}")]
    whole = [prefix for prefix in prefixes if all(prefix + name in state for name in own)]
    if len(whole) > 1:
        raise UnsupportedModel(
            f"the file holds the weights of the module {len(whole)} times, with the prefixes {', '.join(map(repr, whole))}; save "
            "one of them"
        )
    return {name: state[whole[0] + name] for name in own} if whole else state


def weights_in(path: Path) -> Mapping[str, Any]:
    """The tensors in a file, by name: safetensors, or a state_dict that ``torch.save`` wrote. Nothing else is unpickled.

    Raises:
        UnsupportedModel: The file holds something else, or cannot be read.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError:
        raise UnsupportedModel(
            f"{path} must hold tensors only, and holds other objects; save model.state_dict() instead"
        ) from None
    except (OSError, EOFError, RuntimeError, SafetensorError) as error:
        raise UnsupportedModel(f"{path} cannot be read as a weights file: {error}") from None
    return _state(content)


def _state(content: Any) -> Mapping[str, Any]:  # noqa: ANN401
    """The weights in a saved object: the object itself, or an entry of it, as Lightning's ``state_dict``."""
    for name in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            return content[name]  # type: ignore[no-any-return]
    if not isinstance(content, Mapping):
        raise UnsupportedModel(f"expected a state_dict in the file, got a {type(content).__name__}")
    return content
