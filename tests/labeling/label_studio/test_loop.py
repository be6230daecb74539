"""Rounds until nothing is open, with a server that goes away meanwhile."""

import pytest

from distil.errors import InvalidInput, RunError
from distil.labeling.label_studio.client import Unreachable
from distil.labeling.label_studio.loop import Looped, loop
from distil.labeling.label_studio.push import PushSettings, remote_of
from distil.labeling.label_studio.remote import Remote


class People:
    """Answer some open tasks in each pause."""

    def __init__(self, studio, each):
        self.studio, self.each = studio, each
        self.open, self.pauses, self.said, self.notes = [], [], [], []

    def sleep(self, seconds):
        self.pauses.append(seconds)
        waiting = [task for task in self.studio.tasks.values() if not task["annotations"]]
        self.open.append(len(waiting))
        for task in waiting[: self.each.pop(0) if self.each else 2]:
            item = task["data"]["distil_id"]
            self.studio.annotate(item, "cat" if int(item) < 5 else "dog")

    def loop(self, project, remote, n=4, **more):
        return loop(
            project, remote, n, PushSettings(), say=self.said.append, note=self.notes.append, sleep=self.sleep, **more
        )


@pytest.fixture
def remote(project, client):
    return remote_of(project, client)


def test_until_nothing_is_open(project, remote, studio):
    people = People(studio, [2, 2, 2])
    assert people.loop(project, remote) == Looped(rounds=4, recorded=10, labeled=10, items=10)
    assert project.labels() == {str(n): "cat" if n < 5 else "dog" for n in range(10)}
    assert len(studio.tasks) == 10
    assert people.open[:3] == [4, 4, 4]  # people always find some
    assert people.said[0] == "0 of 10 items have a label; 4 tasks are open"
    assert people.said[-1] == "10 of 10 items have a label; 0 tasks are open"
    assert project.leases() == []
    assert people.loop(project, remote) == Looped(0, 0, 10, 10)


def test_pauses_grow_while_nothing_happens(project, remote, studio):
    people = People(studio, [0] * 8)
    people.loop(project, remote, every=2.0)
    assert people.pauses[:8] == pytest.approx([2, 2, 3, 4.5, 6.75, 10.125, 12, 12])
    assert people.pauses[9] == 2


def test_a_server_or_writer_that_is_busy_is_waited_for(project, remote, studio):
    people = People(studio, [1])
    studio.faults = [None] * 9  # the first round
    sleep, held = people.sleep, []

    def broken(seconds):
        if len(people.pauses) == 1:
            studio.faults = [503] * 6
        if len(people.pauses) == 4:
            held.append(project.only_writer())
            held[0].__enter__()
        if len(people.pauses) == 6 and held:
            held.pop().__exit__(None, None, None)
        sleep(seconds)

    people.sleep = broken
    assert people.loop(project, remote).labeled == 10
    assert any("out of order; trying again in" in note for note in people.notes)
    assert any("in use by another process" in note for note in people.notes)
    studio.faults = [503] * 3
    with pytest.raises(Unreachable):
        people.loop(project, remote)


def test_a_push_that_fails_is_done_again(project, remote, studio):
    people, predict, fails = People(studio, [4]), remote.predict, [True]

    def broken(predictions):
        predicted = [task for task in studio.tasks.values() if task["predictions"]]
        if predicted and all(task["annotations"] for task in predicted) and fails:
            fails.pop()
            raise Unreachable("gone")
        return predict(predictions)

    remote.predict = broken
    assert people.loop(project, remote).labeled == 10
    assert people.notes == ["gone; trying again in 15 seconds"]
    assert fails == []


def test_a_loop_that_was_killed_goes_on(project, client, studio):
    class Kill(BaseException):
        pass

    people, sleep = People(studio, [1] * 100), None
    kills = iter(range(1, 40))

    def killed(seconds):
        sleep(seconds)
        if next(kills) % 3:
            raise Kill

    sleep, people.sleep = people.sleep, killed
    for _ in range(40):
        try:
            people.loop(project, Remote.find(project, client) or remote_of(project, client))
            break
        except Kill:
            pass
    assert project.labels() == {str(n): "cat" if n < 5 else "dog" for n in range(10)}
    assert len(studio.tasks) == len([each for each in project.events() if each.event.kind == "label"]) == 10


def test_notes_come_once(project, remote, studio):
    people = People(studio, [1] * 20)
    sleep = people.sleep

    def odd(seconds):
        if len(people.pauses) == 1:
            studio.annotate(next(iter(studio.tasks.values()))["data"]["distil_id"], "fox", by=2)
        sleep(seconds)

    people.sleep = odd
    people.loop(project, remote)
    assert len(people.notes) == 1
    assert "'fox' is no class of the project" in people.notes[0]


def test_wrong_pauses(project, remote):
    for every in (0, -1, float("nan"), float("inf")):
        with pytest.raises(InvalidInput, match="every must be a positive number"):
            loop(project, remote, 1, PushSettings(), every=every, say=print, note=print)


def test_refusals_end_the_loop(project, remote, studio):
    people = People(studio, [])
    studio.legacy = False
    with pytest.raises(RunError, match="refused the legacy token"):
        people.loop(project, remote)
