"""Pairs of responses from arrays and from files, against enumeration."""

import itertools
import json
import re

import numpy as np
import pytest

from distil.cli import main
from distil.errors import InvalidInput, MissingSignal
from distil.selection.select import select_from
from distil.strategies import DeltaUCB, DoubleReverseThompson

RNG = np.random.default_rng(0)
N, R = 40, 3
ARRAYS = {"rewards": RNG.normal(size=(N, R)), "deviations": RNG.gamma(1, 0.5, size=(N, R))}


def gaps(beta):
    """By prompt: (difference, pair) of the best pair."""
    bounds = zip(ARRAYS["rewards"], beta * ARRAYS["deviations"], strict=True)
    pairs = list(itertools.permutations(range(R), 2))
    return [max(((r[i] + s[i]) - (r[j] - s[j]), (i, j)) for i, j in pairs) for r, s in bounds]


def test_delta_ucb_ranks_prompts_by_their_widest_pair():
    for beta in (1.0, 0.25):
        expected = sorted(range(N), key=lambda row, beta=beta: -gaps(beta)[row][0])[:12]
        found = select_from(DeltaUCB(beta), 12, **ARRAYS)
        assert found.tolist() == expected
        for row, reason, score in zip(found, found.reasons, found.scores.tolist(), strict=True):
            gap, (i, j) = gaps(beta)[row]
            assert reason == f"response {i} may be better than response {j} by {gap:.3g}"
            assert score == pytest.approx(gap)


def test_double_reverse_thompson_names_pairs_and_is_random():
    found = [select_from("double_reverse_thompson", 12, **ARRAYS, seed=seed) for seed in (0, 0, 1)]
    assert found[0].tolist() == found[1].tolist() != found[2].tolist()
    assert found[0].reasons == found[1].reasons
    assert bool((found[0].scores[:-1] >= found[0].scores[1:]).all())
    for reason in found[0].reasons:
        best, worst = map(int, re.fullmatch(r"response (\d) drawn as best, response (\d) as worst", reason).groups())
        assert best != worst
    certain = select_from(DoubleReverseThompson(0), 12, **ARRAYS)  # without draws: the spread of the means
    spreads = np.ptp(ARRAYS["rewards"], axis=1)
    assert certain.tolist() == (-spreads).argsort()[:12].tolist()


def test_arrays_that_are_missing_or_wrong_are_named():
    with pytest.raises(
        MissingSignal, match=r"DeltaUCB needs `deviations` \(N, R\), got only `rewards`; pass deviations="
    ):
        select_from("delta_ucb", 3, rewards=ARRAYS["rewards"])
    with pytest.raises(InvalidInput, match=r"needs an array; pass rewards= and deviations="):
        select_from("delta_ucb", 3)
    with pytest.raises(InvalidInput, match="rewards and deviations must both be"):
        select_from("delta_ucb", 3, rewards=ARRAYS["rewards"], deviations=ARRAYS["deviations"][:, :2])
    names = [f"prompt {i}" for i in range(N)]
    for name, value, fault in (
        ("deviations", -0.5, r"deviations must be at least 0, got -0.5 as the smallest number: ids 'prompt 7'"),
        ("rewards", np.nan, r"rewards has NaN or infinite values in 1 of 40 examples: ids 'prompt 7'"),
    ):
        wrong = ARRAYS[name].copy()
        wrong[7, 1] = value
        with pytest.raises(InvalidInput, match=fault):
            select_from("delta_ucb", 3, **{**ARRAYS, name: wrong}, names=names)


def test_the_command_takes_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, array in ARRAYS.items():
        np.save(f"{name}.npy", array)
    for strategy in ("delta_ucb", "double_reverse_thompson"):
        given = ["--rewards", "rewards.npy", "--deviations", "deviations.npy", "--strategy", strategy]
        assert main(["select", *given, "--n", "4", "--json", "--seed", "2"]) == 0
        picks = json.loads(capsys.readouterr().out)["picks"]
        expected = select_from(strategy, 4, **ARRAYS, seed=2)
        assert [entry["id"] for entry in picks] == [str(row) for row in expected]
        assert [entry["why"] for entry in picks] == list(expected.reasons)
    assert main(["select", "--strategy", "delta_ucb", "--n", "4", "--rewards", "rewards.npy"]) == 2
    assert "DeltaUCB needs deviations; pass --deviations" in capsys.readouterr().err
