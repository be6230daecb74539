"""``distil verify``: all promises are kept; a library that breaks one is found, with exit code 1."""

from __future__ import annotations

import json

import numpy as np
import pytest

from distil.cli import main
from distil.experiment import verify
from distil.experiment.verify import PROMISES, at_most
from distil.functional.estimates import Estimate

QUICK = ("interval of the accuracy, stratified draws", "margin_sampling", "core_set", "the same seed")


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(verify, "PROMISES", {name: PROMISES[name] for name in QUICK})


def test_the_table(quick, capsys):
    assert main(["verify", "--seed", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[:2] for line in lines[:-1]] == [["kept", name] for name in QUICK]
    assert lines[-1] == "all 4 promises are kept"


def test_a_broken_promise(quick, capsys, monkeypatch):
    def normal(values, level=0.95):
        mean, half = values.mean(), 1.96 * values.std() / np.sqrt(len(values))
        return Estimate(mean, mean - half, mean + half)

    monkeypatch.setattr(verify, "stratified_estimate", normal)
    monkeypatch.setattr(verify, "_margin", lambda probs: -probs.max(1))
    monkeypatch.setattr(verify, "select_from", lambda _, n, **__: np.arange(n))
    assert main(["verify", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["failed"] >= 2
    assert [check["kept"] for check in found["checks"]][1:3] == [False, False]
    assert main(["verify"]) == 1
    out = capsys.readouterr().out
    assert "BROKEN\tcore_set\t0 of 10 selections are those of brute force" in out
    assert "promises are broken" in out


def test_a_share_is_compared_exactly():
    """The least number of broken promises of 200 that is too many: its chance is below 1 in 10,000 at 5 %."""
    from scipy.stats import binom

    most = next(k for k in range(200) if binom.sf(k - 1, 200, 0.05) < 1e-4)
    assert not at_most(most, 200)[1]
    assert at_most(most - 1, 200)[1]


@pytest.mark.slow
def test_every_promise_is_kept():
    assert [check.promise for check in verify.verify(seed=1) if not check.kept] == []
