"""A small share of ``python -m benchmarks fuzz``: changed inputs are read or refused by an error of the library."""

import pytest
from benchmarks.fuzz import TARGETS, changed, targets


def test_every_target_has_valid_inputs(case):
    assert tuple(targets.TARGETS) == TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_changed_inputs(name, tmp_path):
    assert changed(name, tmp_path, cases=25) == 25


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_more_changed_inputs(name, tmp_path):
    assert changed(name, tmp_path, cases=400, seed=1) == 400


def test_a_fault_is_seen(tmp_path, monkeypatch):
    def fragile(data):
        if data != b"whole":
            raise KeyError("a fault")

    monkeypatch.setitem(targets.TARGETS, "config", lambda folder: ([b"whole"], fragile))
    with pytest.raises(KeyError, match="a fault"):
        changed("config", tmp_path, cases=1)
