"""A start for training between the weights of the previous round and new ones."""

from __future__ import annotations

import warnings

import torch
from torch import nn

from distil.errors import DistilWarning

SHRINK, PERTURB = 0.4, 0.1
"""Factors of the old weights and of newly drawn ones in ``retrain="shrink_perturb"``."""


def shrunk(old: nn.Module, fresh: nn.Module) -> nn.Module:
    """``fresh`` with its trainable weights mixed with those of ``old``; frozen weights and buffers are those of ``old``."""
    reused = {id(p) for p in old.parameters() if p.requires_grad}
    if any(id(p) in reused for p in fresh.parameters()):
        warnings.warn(
            "the function that builds the model returned weights of the earlier model instead of newly drawn ones; they are "
            "shrunk without a perturbation",
            DistilWarning,
            stacklevel=4,
        )
    with torch.no_grad():
        for before, new in zip(old.parameters(), fresh.parameters(), strict=True):
            kept = before.to(new.device)
            if not new.requires_grad:
                new.copy_(kept)
            elif new is before:
                new.mul_(SHRINK)
            else:
                new.copy_(SHRINK * kept + PERTURB * new)
        for buffer, other in zip(old.buffers(), fresh.buffers(), strict=True):
            other.copy_(buffer)  # statistics of normalization layers
    return fresh
