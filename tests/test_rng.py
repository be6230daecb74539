"""Randomness that depends on a seed and a path alone."""

import os
import random
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from distil.errors import InvalidInput
from distil.rng import Rng, as_rng

PATHS = st.lists(st.one_of(st.integers(-5, 5), st.text(max_size=4)), max_size=4).map(tuple)


def global_draws():
    """Numbers from each global generator; drawing them moves it on."""
    numpy_draw = np.random.random()  # noqa: NPY002 - the global generator is the point
    return float(torch.rand(())), float(numpy_draw), random.random()


@pytest.fixture
def reset():
    """``reset()`` puts the global generators into a known state; they are put back after the test."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002

    def put():
        torch.manual_seed(123)
        np.random.seed(123)  # noqa: NPY002
        random.seed(123)

    put()
    yield put
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    random.setstate(states[2])


@given(seed=st.integers(-(2**70), 2**70), path=PATHS)
def test_a_stream_is_a_function_of_seed_and_path(seed, path):
    one = Rng(seed).child(*path)
    step_by_step = Rng(seed)
    for name in path:
        step_by_step = step_by_step.child(name)
    assert one == step_by_step == Rng(seed, path)
    assert one.integer() == step_by_step.integer()
    assert torch.equal(torch.rand(5, generator=one.torch()), torch.rand(5, generator=step_by_step.torch()))
    assert 0 <= one.integer() < 2**63


@given(seed=st.integers(0, 9), one=PATHS, other=PATHS)
def test_different_paths_are_different_streams(seed, one, other):
    assert (Rng(seed, one).integer() == Rng(seed, other).integer()) == (
        [(type(n), n) for n in one] == [(type(n), n) for n in other]
    )


def test_streams_do_not_depend_on_what_was_drawn_before():
    root = Rng(7)
    expected = {name: torch.rand(4, generator=Rng(7).child(name).torch()).tolist() for name in "abc"}
    for order in ("abc", "cba", "bbbca"):
        for name in order:
            generator = root.child(name).torch()
            torch.rand(100, generator=root.torch())
            assert torch.rand(4, generator=generator).tolist() == expected[name]


def test_the_same_in_another_process():
    code = "from distil.rng import Rng; print(Rng(3).child('select', 5, 'x').integer())"
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) == Rng(3).child("select", 5, "x").integer()


def test_streams_look_uniform_and_unrelated():
    first = np.array([float(torch.rand((), generator=Rng(s).child("a").torch())) for s in range(500)])
    second = np.array([float(torch.rand((), generator=Rng(s).child("b").torch())) for s in range(500)])
    assert scipy.stats.kstest(first, "uniform").pvalue > 1e-3
    assert scipy.stats.pearsonr(first, second).pvalue > 1e-3
    assert len({*first, *second}) == 1000


def test_whole_numbers_of_numpy_are_the_same_numbers():
    for integer in [np.int64, np.int32, np.uint8]:
        assert Rng(integer(3)) == Rng(3), integer
        assert Rng(integer(3)).integer() == Rng(3).integer(), integer
        assert Rng(0).child("round", integer(3)).integer() == Rng(0).child("round", 3).integer(), integer


def test_drawing_does_not_touch_the_global_generators(reset):
    expected = global_draws()
    reset()
    torch.rand(3, generator=Rng(0).child("x").torch())
    assert global_draws() == expected


def test_scope_seeds_all_three_generators(reset):
    with Rng(1).child("fit").scope():
        first = global_draws()
    global_draws()
    with Rng(1).child("fit").scope():
        second = global_draws()
    with Rng(2).child("fit").scope():
        third = global_draws()
    assert first == second
    assert all(a != b for a, b in zip(first, third, strict=True))


def test_scope_puts_the_global_generators_back(reset):
    expected = global_draws()
    reset()
    with Rng(1).scope():
        global_draws()
    assert global_draws() == expected


def test_scope_puts_the_global_generators_back_after_an_exception(reset):
    expected = global_draws()
    reset()

    def fail():
        with Rng(1).scope():
            global_draws()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert global_draws() == expected


def test_scopes_nest(reset):
    with Rng(1).scope():
        outer = [global_draws(), global_draws()]
    with Rng(1).scope():
        first = global_draws()
        with Rng(2).scope():
            inner = global_draws()
        assert [first, global_draws()] == outer
    assert inner not in outer


def test_an_rng_is_a_value():
    assert Rng(0).child("a") in {Rng(0, ("a",))}
    with pytest.raises(AttributeError):
        Rng(0).seed = 1


def test_what_is_no_seed(subtests):
    for seed in ["a", 1.5, None, np.random.default_rng(0), torch.Generator()]:
        with subtests.test(seed=seed):
            with pytest.raises(InvalidInput, match="a seed must be a whole number, got "):
                Rng(seed)
            with pytest.raises(InvalidInput, match=r"the name of a stream must be text or a whole number, got 1\.5"):
                Rng(0).child("x", 1.5)


def test_seeds_become_rngs():
    assert as_rng(None) == as_rng(0) == Rng(0)
    assert as_rng(-1) == Rng(-1)
    assert as_rng(np.int64(4)) == as_rng(torch.tensor(4)) == Rng(4)
    assert as_rng(Rng(3).child("x")) == Rng(3).child("x")


def test_keys_are_distinct_and_functions_of_the_id_alone():
    ids = torch.arange(100_000)
    keys = Rng(3).child("ties").keys(ids)
    assert len(keys.unique()) == len(ids)
    some = torch.tensor([99_999, 5, 0, 77])
    assert Rng(3).child("ties").keys(some).tolist() == keys[some].tolist()
    assert len(Rng(0).keys(torch.tensor([2**62, 2**62 + 1, -1])).unique()) == 3
    for other in (Rng(4).child("ties"), Rng(3).child("tie")):
        assert not bool((other.keys(ids[:100]) == keys[:100]).any())


def test_keys_follow_splitmix64():
    """Its first outputs from the seed 1234567, as published with the Java and C sources (Vigna 2015)."""
    rng = Rng(0)
    offset = (1234567 - rng.integer()) % 2**64
    step = pow(0x9E3779B97F4A7C15, -1, 2**64)
    start = offset * step % 2**64  # the id at which the stream of that seed starts
    ids = [(start + i) % 2**64 for i in range(3)]
    keys = rng.keys(torch.tensor([i - 2**64 if i >= 2**63 else i for i in ids]))
    assert [key % 2**64 for key in keys.tolist()] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_the_order_of_keys_is_uniform():
    first = [int(Rng(seed).keys(torch.arange(6)).argmin()) for seed in range(600)]
    assert scipy.stats.chisquare(np.bincount(first, minlength=6)).pvalue > 1e-3
