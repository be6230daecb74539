"""Who answers the queries of a directory: recorded, and never the data set in place of another oracle."""

from __future__ import annotations

import json
import sys

import pytest

from distil.errors import ConfigError, InvalidInput, RunError
from distil.experiment.directory import open_config
from distil.experiment.results import run_path
from distil.experiment.run import Run
from distil.experiment.suite import run_all
from distil.selection.oracle import Answers, Pending
from distil.system.executor import Processes

ANSWERING = """
from distil.selection.oracle import Answers, Pending

ASKED = []


def people(spec, seed):
    return People(spec.label, seed)


class People:
    def __init__(self, label, seed):
        self._who = (label, seed)

    def ask(self, query):
        ASKED.append((*self._who, query.round))
        return Answers(query.ids, [0] * len(query.ids)) if len(ASKED) > 1 else Pending()
"""


@pytest.fixture
def small(config):
    """``small(...)``: one strategy, one seed, one selection."""
    loop = {"active_learning__strategies": ["random_sampling"], "active_learning__rounds": 2, "experiment__seeds": 1}
    return lambda **changes: config(**loop, **changes)


@pytest.fixture
def answering(tmp_path, monkeypatch):
    """A module ``answering`` of the user's, whose oracle answers from the second time on."""
    (tmp_path / "answering.py").write_text(ANSWERING)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield
    sys.modules.pop("answering", None)


def recorded(output):
    return json.loads((output / "config.json").read_text())["experiment"].get("oracle")


def labels_of(output):
    return [event["labels"] for event in Run(run_path(output, "random_sampling", 0)).all("labeled")[1:]]


class Resting:
    def ask(self, query):
        return Pending()


class Zeros:
    def ask(self, query):
        return Answers(query.ids, [0] * len(query.ids))


def test_the_labels_of_the_data_set_leave_no_record(small):
    made = small()
    assert run_all(made)
    assert recorded(made.output) is None


def test_an_object_of_python_is_not_replaced_by_the_data_set(small):
    """Not where the directory is resumed, and not where the same configuration is run again; a new answer goes on."""
    made = small()
    assert run_all(made, oracle=lambda *_: Resting()) is False
    assert recorded(made.output) == "an object passed in Python"
    for again, message in [
        (open_config(made.output), "which this command does not have, and 6 ids wait for answers; go on in Python"),
        (made, "and this command has the labels of the data set; go on in Python"),
    ]:
        with pytest.raises(RunError, match=rf"out are answered by an object passed in Python, {message}"):
            run_all(again)
        assert labels_of(made.output) == []
    assert run_all(made, oracle=lambda *_: Zeros())
    assert labels_of(made.output) == [[0] * 6]
    assert run_all(open_config(made.output))  # finished: no answer is needed


def test_people_do_not_go_on_where_the_data_set_answered(small):
    made = small()
    run_all(made)
    with pytest.raises(
        RunError, match=r"answered by the labels of the data set, and this command has an object .* resume"
    ):
        run_all(made, oracle=lambda *_: Zeros())


def test_a_named_oracle_goes_on_under_its_name(small, answering):
    """From a configuration, and passed in Python: the name is recorded, and found again when the run is resumed."""
    made = small(experiment__oracle="answering:people")
    assert run_all(made) is False
    assert recorded(made.output) == "answering:people"
    assert run_all(open_config(made.output))
    assert labels_of(made.output) == [[0] * 6]
    assert sys.modules["answering"].ASKED == [("random_sampling", 0, 1)] * 2
    again = small(experiment__output=str(made.output.with_name("again")))
    run_all(again, oracle=sys.modules["answering"].people)
    assert recorded(again.output) == "answering:people"


def test_a_named_oracle_is_asked_by_one_process(small, answering):
    made = small(experiment__oracle="answering:people")
    with pytest.raises(InvalidInput, match="workers must be 1 with an oracle"):
        run_all(made, executor=Processes(2))


def test_a_name_that_cannot_be_imported_is_refused_before_any_work(small):
    with pytest.raises(ConfigError, match="cannot import 'no_such_module:people'"):
        run_all(small(experiment__oracle="no_such_module:people"))
    assert not small().output.exists()
