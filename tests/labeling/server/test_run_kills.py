"""Servers that are killed, and one that is asked a lot: the small shares of ``python -m benchmarks labeling_server``."""

import pytest
from benchmarks.labeling_server import kills, latency


@pytest.mark.slow
def test_kills_lose_nothing_count_nothing_twice_and_give_no_item_to_two_people(tmp_path):
    found = kills(tmp_path, 10)  # raises where the record is wrong
    assert found["acknowledged"] > 50
    assert found["acknowledged again"] >= 1


@pytest.mark.slow
def test_answers_while_the_model_trains(tmp_path):
    found = latency(tmp_path, 5_000, 5)
    assert found["answers"] > 20
    assert found["POST p50, ms"] < 500  # on a machine that does other things meanwhile; the benchmark measures
