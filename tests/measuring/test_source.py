"""Sources of arrays: what a part of one keeps, and what messages call a column."""

import numpy as np
import pytest
import torch

from distil.errors import InvalidInput, MissingSignal
from distil.measuring.source import ArraySource, arguments_of
from distil.rng import Rng
from distil.signals import Embedding, Gradient, Labels, Measured, Probs
from distil.system.runtime import Runtime


def test_a_part_of_a_source_names_the_examples_and_computes_as_the_whole_does():
    x = np.zeros((5, 3), dtype=np.float32)
    source = ArraySource(torch.arange(5), {"embeddings": x}, names=list("abcde"), precision=torch.float64)
    part = source.of(torch.tensor([1, 3]))
    assert part.table((Embedding(),), Runtime(), Rng(0))[Embedding()].dtype == torch.float64
    x[3] = np.nan
    with pytest.raises(InvalidInput, match=r"ids 'd'$"):
        part.table((Embedding(),), Runtime(), Rng(0))


def test_a_missing_array_is_asked_for_with_its_shape(subtests):
    for signal, asked in [
        (Embedding(), r"`embeddings` \(N, D\)"),
        (Probs(), r"`probs` \(N, C\)"),
        (Labels(), r"`labels` \(N,\)"),
    ]:
        with subtests.test(signal=signal, asked=asked), pytest.raises(MissingSignal, match=asked):
            ArraySource(torch.arange(2), {"mc_probs": np.full((2, 3, 2), 0.5)}).measured((signal,))


def test_a_signal_says_itself_which_array_holds_it():
    class Depth(Measured):
        argument = "depths"

        def measure(self, forward):
            return forward.logits()

    assert arguments_of([Gradient(), Depth()]) == ["probs", "embeddings", "depths"]
