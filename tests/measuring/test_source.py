"""Sources of arrays: what a part of one keeps, and what messages call a column."""

import numpy as np
import pytest
import torch

from distil.errors import InvalidInput, MissingSignal
from distil.measuring.source import ArraySource, arguments_of, check_finite
from distil.rng import Rng
from distil.signals import Embedding, Gradient, Labels, Logits, Measured, Probs, Signals
from distil.system.runtime import CHUNK_ROWS, Runtime


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


def test_bfloat16_probabilities_have_its_tolerance_also_when_they_were_read_as_float32():
    g = torch.Generator().manual_seed(0)
    probs = torch.randn(50, 2000, generator=g).softmax(1)
    for half in (torch.bfloat16, torch.float16):
        rounded = probs.to(half)
        assert float((rounded.float().sum(1) - 1).abs().max()) < 1e-2
        for given in (rounded, rounded.float(), rounded.double()):
            assert _probs_of(given).shape == probs.shape
    skewed = torch.full((50, 128), 1 / 128 + 2.0**-15)  # its sum is off by 0.4 %
    assert _probs_of(skewed.bfloat16().float()).shape == (50, 128)
    with pytest.raises(InvalidInput, match=r"probs\[0\] is not a probability distribution"):
        _probs_of(skewed * (1 + 1e-6))


def _probs_of(probs):
    source = ArraySource(torch.arange(len(probs)), {"probs": probs})
    return source.table((Probs(),), Runtime(), Rng(0))[Probs()]


def test_masked_classes_have_logits_of_minus_infinity():
    ids = torch.tensor([3, 5, 8])
    logits = torch.tensor([[0.0, -torch.inf, 1.0], [2.0, 0.0, -torch.inf], [1e4, -1e4, -torch.inf]])
    table = check_finite(Signals(ids, {Logits(): logits}))
    assert table[Probs()][0, 1] == 0
    torch.testing.assert_close(table[Probs()][2], torch.tensor([1.0, 0, 0]), rtol=0, atol=0)
    for wrong in (torch.inf, torch.nan):
        bad = logits.clone()
        bad[1, 1] = wrong
        with pytest.raises(InvalidInput, match=r"NaN or infinite values in 1 of 3 examples: ids 5"):
            check_finite(Signals(ids, {Logits(): bad}))
    bad = logits.clone()
    bad[1] = -torch.inf
    with pytest.raises(
        InvalidInput, match="minus infinity for all classes of an example; at least one must be finite: ids 5"
    ):
        check_finite(Signals(ids, {Logits(): bad}))
    with pytest.raises(
        InvalidInput, match="infinite values in 3 of 3 examples: ids 3, 5, 8"
    ):  # masks are for logits only
        check_finite(Signals(ids, {Embedding(): logits}))


def test_columns_beyond_the_memory_are_read_where_they_are(tmp_path):
    """Rows scattered over a mapped file in half precision: no copy in memory or in a file, and the values of one."""
    rng = np.random.default_rng(0)
    n = CHUNK_ROWS + 900
    np.save(tmp_path / "x.npy", rng.normal(size=(n, 4)).astype(np.float16))
    np.save(tmp_path / "p.npy", rng.dirichlet(np.ones(3), n).astype(np.float16))
    arrays = {"embeddings": np.load(tmp_path / "x.npy", "r"), "probs": np.load(tmp_path / "p.npy", "r")}
    ids = torch.from_numpy(np.delete(np.arange(n), rng.choice(n, 50, replace=False)))
    nowhere = Runtime(memory=1000, scratch=tmp_path / "nowhere")  # a copy in a file would fail
    found = ArraySource(ids, arrays).table((Probs(), Embedding()), nowhere, Rng(0), copied=False)
    copied = ArraySource(ids, arrays).table((Probs(), Embedding()), Runtime(), Rng(0))
    expected, features = copied[Gradient()], found.features(Gradient())
    assert found.values == {}
    assert len(found) == len(features) == len(ids)
    for rows in (slice(0, 70), torch.tensor([900, 2, 2, 31])):
        some = features[rows]
        assert torch.equal(some.a, expected.a[rows])
        assert torch.equal(some.b, expected.b[rows])
        assert some.b.dtype == torch.float32
        assert torch.equal(found.rows(rows)[Embedding()], copied.rows(rows)[Embedding()])
    for memory in (1 << 16, 1 << 30):
        table = ArraySource(ids, arrays).table((Embedding(),), Runtime(memory=memory), Rng(0), copied=False)
        assert (table.reader is None) == (memory > 1 << 16)
        assert torch.equal(table.rows(slice(0, None))[Embedding()], copied[Embedding()])


def test_rows_that_are_not_copied_are_checked():
    x = np.zeros((9, 2), dtype=np.float16)
    x[7] = np.inf
    nothing = Runtime(memory=0)
    with pytest.raises(InvalidInput, match=r"NaN or infinite values .*: ids 7$"):
        ArraySource(torch.arange(9), {"embeddings": x}).table((Embedding(),), nothing, Rng(0), copied=False)
    with pytest.raises(InvalidInput, match=r"probs\[0\] is not a probability distribution"):
        ArraySource(torch.arange(9), {"probs": x}).table((Probs(),), nothing, Rng(0), copied=False)
