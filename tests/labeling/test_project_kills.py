"""Clients that are killed: the small share of ``python -m benchmarks labeling_kills``."""

import pytest
from benchmarks.labeling_kills import kills


@pytest.mark.slow
def test_kills_lose_nothing_and_count_nothing_twice(tmp_path):
    found = kills(tmp_path, 12)  # raises where the record is wrong
    assert found["acknowledged"] > 100
    assert found["acknowledged again after a kill"] >= 1
