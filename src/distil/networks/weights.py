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
        raise InvalidInput(f"{path} holds weights only; pass build=, a function that makes the module of these weights")
    if not path.is_file():
        raise InvalidInput(f"there is no file {path}")
    with Rng(0).scope():
        module = build()
    try:
        if path.suffix == ".safetensors":
            load_model(module, path)
        else:
            module.load_state_dict(weights_in(path))
    except RuntimeError as error:
        raise UnsupportedModel(f"the weights in {path} do not fit the module: {' '.join(str(error).split())}") from None
    return module


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
