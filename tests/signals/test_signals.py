"""Signals: stored, derived and missing ones."""

from unittest.mock import create_autospec

import numpy as np
import pytest
import scipy.special
import torch

from distil.errors import MissingSignal
from distil.functional.features import Outer
from distil.measuring.measurements import Measurements
from distil.signals import (
    EMPTY,
    Derived,
    Embedding,
    Forward,
    Gradient,
    Inputs,
    Labels,
    Logits,
    MCMean,
    MCProbs,
    Measured,
    Probs,
    Signals,
    TopClasses,
    measured_by,
)
from distil.system.runtime import CHUNK_ROWS, Runtime
from distil.system.scratch import Space

MEASURED = [Logits(), Embedding(), Inputs(), Labels(), MCProbs(), MCProbs(3), MCProbs(3, shared=True)]
DERIVED = [
    Probs(),
    TopClasses(),
    MCMean(),
    MCMean(3),
    Gradient(),
    Gradient(part="all"),
    Gradient(part="bias"),
    Gradient(labels="true"),
    Gradient(loss=torch.nn.functional.cross_entropy),
]


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    mc_probs = scipy.special.softmax(rng.normal(size=(6, 3, 4)), -1)
    columns = {Logits(): rng.normal(size=(6, 4)), Embedding(): rng.normal(size=(6, 5)), MCProbs(3): mc_probs}
    columns |= {Inputs(): rng.normal(size=(6, 7)), Labels(): rng.integers(4, size=6)}
    return Signals(torch.tensor([4, 9, 2, 7, 30, 11]), {s: torch.from_numpy(c) for s, c in columns.items()})


@pytest.fixture
def forward():
    """A forward pass that records its calls."""
    recording = create_autospec(Forward, instance=True)
    recording.logits.return_value = "logits"
    recording.embedding.return_value = "embedding"
    recording.labels.return_value = "labels"
    recording.inputs.return_value = torch.arange(24).reshape(2, 3, 4)
    recording.samples.side_effect = lambda n_samples, shared: ("samples", n_samples, shared)
    return recording


def test_measured_signals_ask_the_forward_pass(forward):
    assert Logits().measure(forward) == "logits"
    assert Embedding().measure(forward) == "embedding"
    assert Labels().measure(forward) == "labels"
    assert Inputs().measure(forward).tolist() == np.arange(24).reshape(2, 12).tolist()
    assert MCProbs(4, shared=True).measure(forward) == ("samples", 4, True)
    assert MCProbs(4).measure(forward) == ("samples", 4, False)


def test_derived_signals_are_not_measured(case, forward):
    for signal in DERIVED:
        with case(signal), pytest.raises(MissingSignal, match="derived from"):
            Measurements().columns((signal,), forward, torch.arange(2))


def test_the_two_kinds_share_no_method():
    """Measured signals cannot be derived, and derived ones cannot be measured."""
    assert all(isinstance(s, Measured) and not isinstance(s, Derived) for s in MEASURED)
    assert all(isinstance(s, Derived) and not isinstance(s, Measured) for s in DERIVED)
    assert not {*vars(Measured)} & {"needs", "derive"}
    assert not {*vars(Derived)} & {"measure"}


def test_equal_signals_are_one_key():
    assert {Logits(): 1}[Logits()] == 1
    assert {MCProbs(5): 1}[MCProbs(5, shared=False)] == 1
    everything = MEASURED + DERIVED
    assert len({*everything, *[type(s)(**vars(s)) for s in everything]}) == len(everything)


def test_stored_columns_are_read_as_they_are(table):
    for signal, column in table.values.items():
        assert table[signal] is column


def test_probs_are_the_softmax_of_the_logits(table):
    np.testing.assert_allclose(table[Probs()], scipy.special.softmax(table[Logits()].numpy(), -1), rtol=1e-12)


def test_a_stored_derived_signal_is_not_derived_again(table):
    given = torch.full((6, 4), 0.25)
    assert Signals(table.ids, {**table.values, Probs(): given})[Probs()] is given


def test_mc_mean_is_the_mean_over_samples(table):
    np.testing.assert_allclose(table[MCMean(3)], table[MCProbs(3)].numpy().mean(1), rtol=1e-12)
    with pytest.raises(MissingSignal):
        table[MCMean(10)]


def test_gradient_factors(table):
    gradient = table[Gradient()]
    probs = scipy.special.softmax(table[Logits()].numpy(), -1)
    assert isinstance(gradient, Outer)
    np.testing.assert_allclose(gradient.a, probs - np.eye(4)[probs.argmax(1)], rtol=1e-10, atol=1e-12)
    assert torch.equal(gradient.b, table[Embedding()])


def test_a_missing_measured_signal_is_named_with_the_measured_ones(case):
    for signal in MEASURED:
        with case(signal):
            table = Signals(torch.arange(2), {})
            with pytest.raises(MissingSignal) as caught:
                table[signal]
            assert repr(signal) in str(caught.value)
            assert "nothing" in str(caught.value)
            with pytest.raises(LookupError, match=r"measured: MCProbs\(n_samples=7"):
                Signals(torch.arange(2), {MCProbs(7): torch.rand(2, 7, 3)})[signal]


def test_a_derived_signal_needs_its_sources():
    with pytest.raises(MissingSignal, match=r"^Embedding\(\) was not measured.*Logits\(\)"):
        Signals(torch.arange(2), {Logits(): torch.rand(2, 3)})[Gradient()]


def test_rows_keep_ids_and_values_together(table):
    rows = torch.tensor([5, 0, 0])
    part = table.rows(rows)
    assert part.ids.tolist() == [11, 4, 4]
    assert len(part) == 3
    for signal in table.values:
        assert torch.equal(part[signal], table[signal][rows])
    assert len(table.rows(torch.empty(0, dtype=torch.long))) == 0
    assert table.rows(torch.empty(0, dtype=torch.long))[Logits()].shape == (0, 4)


def test_the_empty_table():
    assert len(EMPTY) == 0
    assert EMPTY.ids.dtype == torch.int64


def test_the_signals_that_must_be_stored(case):
    for needs, given, stored in [
        ((), (), ()),
        ((Logits(),), (), (Logits(),)),
        ((Probs(),), (), (Logits(),)),
        ((Gradient(),), (), (Logits(), Embedding())),
        ((Probs(), Logits(), Probs()), (), (Logits(),)),
        ((MCMean(4), MCProbs(4), MCProbs(5)), (), (MCProbs(4), MCProbs(5))),
        ((Probs(),), (Probs(),), (Probs(),)),
        ((Gradient(),), (Probs(),), (Probs(), Embedding())),
        ((Gradient(part="bias"),), (), (Logits(),)),
        ((Gradient(part="all", labels="true"),), (), (Logits(), Embedding(), Labels())),
        ((Gradient(loss=max),), (Probs(),), (Logits(), Embedding())),
        ((Gradient(),), (Gradient(), Probs()), (Gradient(),)),
        ((Embedding(),), (Probs(),), (Embedding(),)),
        ((Gradient(), Probs()), (Probs(),), (Probs(), Embedding())),
    ]:
        with case(needs, given, stored):
            assert measured_by(needs, given) == stored


def test_the_signals_of_measured_by_are_enough(case, table):
    for signal in {*MEASURED, *DERIVED} - {MCProbs(3, shared=True), MCProbs(), MCMean()}:  # these are not in the table
        with case(signal):
            stored = measured_by((signal,))
            assert all(isinstance(s, Measured) for s in stored)
            exactly = Signals(table.ids, {s: table.values[s] for s in stored})
            assert len(exactly[signal]) == 6


def test_the_two_most_probable_classes(table):
    order = np.argsort(-table[Logits()].numpy(), axis=1)
    np.testing.assert_array_equal(table[TopClasses()], order[:, :2])
    single = Signals(table.ids, {Probs(): torch.ones(6, 1)})
    assert single[TopClasses()].tolist() == [[0]] * 6


def test_an_excerpt_holds_the_columns_that_are_asked_for(table):
    rows = torch.tensor([5, 0, 2])
    found = table.excerpt(rows, (TopClasses(), Embedding()))
    assert found.ids.tolist() == [11, 4, 2]
    assert list(found.values) == [TopClasses(), Embedding()]
    assert torch.equal(found[TopClasses()], table[TopClasses()][rows])
    assert torch.equal(found[Embedding()], table[Embedding()][rows])
    assert table.excerpt(rows, ()).values == {}
    with pytest.raises(MissingSignal, match=r"MCProbs\(n_samples=77, shared=False\) was not measured"):
        table.excerpt(rows, (MCMean(77),))


def test_a_column_derived_row_by_row_is_the_same_in_blocks():
    n = CHUNK_ROWS + 3
    x = torch.randn(n, 3, generator=torch.Generator().manual_seed(0))
    tables = [Signals(torch.arange(n), {Embedding(): x}, space=space) for space in (None, Space(Runtime()))]
    for rule in (
        lambda t: t[Embedding()].sum(1),
        lambda t: t[Embedding()],
        lambda t: t[Embedding()][:, :, None] * torch.ones(2),
    ):
        whole, blocks = (table.row_by_row(rule) for table in tables)
        assert torch.equal(whole, blocks)
