"""Numbers that need a pass over all answers."""

import time

from distil.labeling.server.service import Progress


def test_numbers_are_computed_again_after_a_time_that_grows_with_their_cost(project, say, monkeypatch):
    now, spent = [100.0], [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    numbers = Progress(project)
    compute = numbers._computed

    def slow():
        now[0] += spent[0]
        return compute()

    monkeypatch.setattr(numbers, "_computed", slow)

    def labeled():
        return numbers.document()["classes"]["cat"]

    assert labeled() == 0
    say("anna", "label", "1", "cat")
    now[0] += 2
    assert labeled() == 0
    now[0] += 2
    spent[0] = 5.0
    assert labeled() == 1
    say("anna", "label", "2", "cat")
    now[0] += 49
    assert labeled() == 1
    now[0] += 2
    assert labeled() == 2
