"""The experiment: rounds, what strategies of a seed share, late and partial answers, and going on after a stop."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re

import numpy as np
import pytest
import torch

from distil.datasets.data_set import DataSet
from distil.errors import ConfigError, DistilWarning, InvalidInput, RunError
from distil.evaluation.metrics import METRICS
from distil.experiment import loop as loop_module
from distil.experiment.config.experiment_config import parse_config
from distil.experiment.loop import Experiment
from distil.experiment.run import Run
from distil.experiment.split import split
from distil.selection.oracle import Answers, Pending, TrueLabels
from distil.signals import Labels
from distil.strategies import GLISTER


def blobs(n=90, classes=3, test=False):
    """The first input is the number of the row, as a mark, scaled down so that it says little."""
    generator = torch.Generator().manual_seed(0)

    def part(n):
        y = torch.randint(classes, (n,), generator=generator)
        x = torch.randn(n, 4, generator=generator)
        x[torch.arange(n), 1 + y] += 1.5
        x[:, 0] = torch.arange(n) / 1000
        return x, y

    x, y = part(n)
    return DataSet("blobs", x, y, *(part(40) if test else (None, None)), classes)


def rows_of(x):
    """The marks of ``blobs``."""
    return (x[:, 0] * 1000).round().long().tolist()


DATA = blobs()


def document(tmp_path, **changes):
    made = {
        "model": {"architecture": "two_layer_net", "target_classes": 3, "hidden_units_1": 8},
        "train_parameters": {"lr": 0.1, "batch_size": 8, "n_epoch": 3},
        "active_learning": {"strategy": "margin_sampling", "budget": 6, "rounds": 4, "initial_points": 8},
        "dataset": {"name": "digits", "test_points": 30},
        "experiment": {"output": str(tmp_path / "out")},
    }
    for name, value in changes.items():
        section, key = name.split("__")
        if value is None:
            made[section].pop(key, None)
        else:
            made[section][key] = value
    if "active_learning__strategies" in changes:
        del made["active_learning"]["strategy"]
    return made


@pytest.fixture
def config(tmp_path):
    """``config(section__key=value)``: a small configuration."""
    return lambda **changes: parse_config(document(tmp_path, **changes))


@pytest.fixture
def suite_data(monkeypatch):
    """The data set that is called digits here is ``blobs``."""
    monkeypatch.setattr("distil.experiment.config.experiment_config.load", lambda *_, **__: DATA)


@pytest.fixture
def experiment(tmp_path):
    """``experiment(config, ...)``: one run, in a directory of its own unless ``path`` says which."""
    numbers = iter(range(1000))

    def make(config, *, strategy=0, seed=0, data=DATA, oracle=None, path=None):
        path = path or tmp_path / f"run-{next(numbers)}"
        return Experiment(Run(path), config, config.strategies[strategy], seed, data, oracle)

    return make


@pytest.fixture
def done(experiment):
    """``done(config, ...)``: the same, run to its end; gives the run."""

    def make(*args, **options):
        made = experiment(*args, **options)
        assert made.advance()
        return made.run

    return make


def content(run):
    return {
        name: (run.path / name).read_bytes() if (run.path / name).exists() else None
        for name in ("events.jsonl", "model.safetensors")
    }


def kinds(run):
    return [(event["event"], event.get("round")) for event in run.events]


# -------------------------------------------------------------------------------------------- rounds


def test_the_events_of_a_run(config, done):
    """rounds counts round 0: four rounds, three selections."""
    run = done(config())
    expected = [("started", None), ("labeled", 0), ("trained", 0), ("evaluated", 0)]
    for number in (1, 2, 3):
        expected += [(kind, number) for kind in ("asked", "labeled", "trained", "evaluated")]
    assert kinds(run) == [*expected, ("finished", None)]
    assert [event["labels"] for event in run.all("evaluated")] == [8, 14, 20, 26]


def test_one_round_is_no_selection(config, done):
    assert kinds(done(config(active_learning__rounds=1))) == [
        ("started", None),
        ("labeled", 0),
        ("trained", 0),
        ("evaluated", 0),
        ("finished", None),
    ]


def test_the_start_event_describes_the_run(config, done):
    run = done(config(experiment__threads=2), seed=4)
    started = run.events[0]
    assert (started["strategy"], started["seed"], started["data"]) == ("margin_sampling", 4, "blobs")
    assert (started["pool"], started["test"], started["threads"]) == (60, 30, 2)
    assert started["versions"]["torch"] == torch.__version__


def test_ids_are_distinct_from_the_pool_and_never_from_the_test_split(case, config, done):
    for strategy in ["random_sampling", "margin_sampling", "badge", "core_set", "kmeans_sampling"]:
        with case(strategy):
            made = config(active_learning__strategy=strategy, dataset__validation_points=10)
            run = done(made, seed=2)
            parts = split(DATA, made, 2)
            pool, test, validation = parts.pool.tolist(), rows_of(parts.x_test), rows_of(parts.validation[0])
            assert sorted(pool + test + validation) == list(range(90))
            assert (len(test), len(validation)) == (30, 10)
            assert torch.equal(parts.y_test, DATA.y_train[test])
            assert torch.equal(parts.validation[1], DATA.y_train[validation])
            labeled = [i for event in run.all("labeled") for i in event["ids"]]
            assert len(set(labeled)) == len(labeled) == 26
            assert set(labeled) <= set(pool)
            for asked, answered in zip(run.all("asked"), run.all("labeled")[1:], strict=True):
                assert asked["ids"] == answered["ids"]
                assert len(asked["ids"]) == 6
            for event in run.all("labeled"):
                assert event["labels"] == DATA.y_train[event["ids"]].tolist()


def test_a_test_set_of_its_own(config, done):
    data = blobs(test=True)
    run = done(config(dataset__test_points=None), data=data)
    assert (run.events[0]["pool"], run.events[0]["test"]) == (90, 40)
    with pytest.raises(ConfigError, match=r"test_points: blobs has a test set of its own, of 40 examples"):
        split(data, config(), 0)


def test_a_quarter_is_held_out_by_default(config, done):
    run = done(config(dataset__test_points=None))
    assert run.events[0]["test"] == 90 // 4


def test_the_scores_of_a_selection_are_kept(config, done):
    asked = done(config()).all("asked")
    for event in asked:
        assert len(event["scores"]) == 6
        assert event["scores"] == sorted(event["scores"], reverse=True)
    assert "scores" not in done(config(active_learning__strategy="random_sampling")).all("asked")[0]


def test_the_notes_of_a_selection_are_kept_where_there_are_any(config, done):
    event = done(config(active_learning__strategy="fass")).all("asked")[0]
    assert [note.split(" of ")[0] for note in event["notes"]] == ["a shortlist kept the 30"]
    assert "notes" not in done(config()).all("asked")[0]


def test_a_schedule_runs_from_the_first_selection_to_the_last(config, done):
    for rounds, betas in ((4, ("1", "10", "100")), (2, ("1",))):
        scheduled = config(
            active_learning__strategy="stochastic_acquisition",
            active_learning__strategy_args={"last_beta": 100},
            active_learning__rounds=rounds,
        )
        notes = [event["notes"] for event in done(scheduled).all("asked")]
        assert notes == [[f"beta {beta} of the noise"] for beta in betas]


def test_candidates_are_a_random_part_of_the_unlabeled_pool(config, done, monkeypatch):
    """The picks of one strategy are the best of its own part; the other's are of all."""
    asked = []
    query = loop_module.Learner.query

    def spy(learner, n, *, exclude=None, elapsed=None):
        unlabeled = learner.pool.unlabeled
        asked.append(unlabeled if exclude is None else unlabeled[~torch.isin(unlabeled, exclude)])
        return query(learner, n, exclude=exclude, elapsed=elapsed)

    monkeypatch.setattr(loop_module.Learner, "query", spy)
    entries = [{"name": "margin_sampling", "candidates": 40}, "entropy_sampling"]
    changes = {"active_learning__strategies": entries}
    run = done(config(**changes))
    parts, picks = list(asked), [set(event["ids"]) for event in run.all("asked")]
    assert [len(part) for part in parts] == [40, 40, 40]
    assert all(ids <= set(part.tolist()) for ids, part in zip(picks, parts, strict=True))
    assert parts[0].tolist() != parts[1].tolist()
    asked.clear()
    other = done(config(**changes), strategy=1)
    assert [len(part) for part in asked] == [52, 46, 40]
    assert not {i for event in other.all("asked") for i in event["ids"]} <= set(parts[0].tolist())
    asked.clear()
    again = done(config(**changes))
    assert content(again) == content(run)
    everything = done(config(active_learning__candidates=500))
    assert [set(event["ids"]) for event in everything.all("asked")] == [
        set(event["ids"]) for event in done(config()).all("asked")
    ]


def test_a_pool_that_is_used_up_ends_the_run(config, done):
    made = config(active_learning__budget=52, active_learning__rounds=2)
    run = done(made)
    assert run.last("evaluated")["labels"] == 60
    assert kinds(run)[-1] == ("finished", None)


def test_the_evaluation_is_that_of_the_weights(config, done):
    """Accuracy by hand, from the final model and the test examples of the split."""
    from safetensors.torch import load_file

    made = config(train_parameters__n_epoch=30)
    run = done(made)
    weights, parts = load_file(run.path / "model.safetensors"), split(DATA, made, 0)
    hidden = torch.relu(parts.x_test @ weights["hidden.weight"].T + weights["hidden.bias"])
    predicted = (hidden @ weights["linear.weight"].T + weights["linear.bias"]).argmax(1)
    last = run.last("evaluated")
    assert last["accuracy"] == pytest.approx(float((predicted == parts.y_test).float().mean()), abs=1e-7)
    recalls = [(predicted[parts.y_test == c] == c).float().mean() for c in range(3)]
    assert last["balanced_accuracy"] == pytest.approx(float(sum(recalls) / 3), abs=1e-6)
    assert last["accuracy"] > 0.5


def test_the_final_weights_are_those_of_the_last_training(config, done):
    run = done(config())
    finished, trained = run.last("finished"), run.last("trained")
    whole = hashlib.sha256((run.path / finished["model"]).read_bytes()).hexdigest()
    assert finished["sha256"] == trained["sha256"] == whole
    assert sorted(p.name for p in run.path.iterdir()) == [".lock", "events.jsonl", "model.safetensors", "times.jsonl"]


def test_events_hold_no_clock_and_times_have_every_step(config, done):
    run = done(config())
    assert not any("seconds" in json.dumps(event) or "time" in json.dumps(event) for event in run.events)
    steps = [(entry["step"], entry["round"]) for entry in run.times()]
    assert steps == [("train", 0), *(step for r in (1, 2, 3) for step in (("select", r), ("train", r)))]
    assert all(entry["seconds"] >= 0 for entry in run.times())


def test_max_accuracy_stops_a_training_early(config, done):
    run = done(
        config(train_parameters__max_accuracy=0.7, train_parameters__n_epoch=200, train_parameters__window_size=50)
    )
    for event in run.all("trained"):
        assert event["stopped"] == "max_accuracy"
        assert event["training_accuracy"] >= 0.7
        assert 1 <= event["epochs"] < 200


def test_validation_and_patience(config, done):
    made = config(
        dataset__validation_points=15,
        train_parameters__patience=2,
        train_parameters__n_epoch=100,
        train_parameters__window_size=90,
    )
    run = done(made)
    assert all(event["stopped"] == "patience" for event in run.all("trained"))
    assert all(3 <= event["epochs"] < 100 for event in run.all("trained"))
    for event in run.all("evaluated"):
        assert 15 * event["validation_accuracy"] == pytest.approx(round(15 * event["validation_accuracy"]))
        assert {"validation_balanced_accuracy", "validation_macro_f1"} <= event.keys()
    without = done(config())
    assert not any(name.startswith("validation") for name in without.last("evaluated"))


def test_strategies_get_the_validation_points(config, done, monkeypatch):
    seen, select = [], GLISTER.select

    def recording(self, sets, n, rng):
        seen.append(sets.validation[Labels()].tolist())
        return select(self, sets, n, rng)

    monkeypatch.setattr(GLISTER, "select", recording)
    glister = {"active_learning__strategies": [{"name": "glister", "args": {"valid": True}}]}
    unused = dict.fromkeys(f"train_parameters__{key}" for key in ("lr", "batch_size", "n_epoch"))
    head = {"model__architecture": "linear_head", "model__hidden_units_1": None, **unused}
    for model in ({}, head):
        seen.clear()
        made = config(dataset__validation_points=15, **glister, **model)
        done(made)
        assert seen == [split(DATA, made, 0).validation[1].tolist()] * 3
    with pytest.raises(ConfigError, match=r"valid needs a validation set: set dataset\.validation_points"):
        config(**glister)


# -------------------------------------------------------------------------------------------- where a round starts

RECORDING = '''
import torch
from torch import nn

RECORD = []


class Recording(nn.Module):
    """Notes, at every forward pass, whether it is one of training, and the weights."""

    def __init__(self, num_classes):
        super().__init__()
        self.body = nn.Linear(4, 6)
        self.head = nn.Linear(6, num_classes)
        RECORD.append(("built", self.flat()))

    def flat(self):
        return torch.cat([p.detach().flatten() for p in self.parameters()]).tolist()

    def forward(self, x):
        RECORD.append(("training" if self.training else "asking", self.flat()))
        return self.head(torch.relu(self.body(x)))
'''


@pytest.fixture
def recorded(tmp_path, monkeypatch, config, experiment):
    """``recorded(retrain options)``: the weights at the start and the end of every round, and all that were built."""
    import sys

    (tmp_path / "recording_net.py").write_text(RECORDING)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "recording_net", raising=False)

    def run(stop_after=None, **options):
        made = config(
            model__architecture="recording_net:Recording",
            model__hidden_units_1=None,
            **{f"train_parameters__{key}": value for key, value in options.items()},
        )
        record = sys.modules["recording_net"].RECORD
        record.clear()
        if stop_after is None:
            experiment(made).advance()
        else:
            stopped_at(experiment(made, path=tmp_path / "stopped"), stop_after)
            experiment(made, path=tmp_path / "stopped").advance()
        kinds, built = [kind for kind, _ in record], [w for kind, w in record if kind == "built"]
        starts = [w for i, (kind, w) in enumerate(record) if kind == "training" and kinds[i - 1] != "training"]
        last = [i for i, kind in enumerate(kinds) if kind == "training" and kinds[i + 1] != "training"]
        ends = [next(w for kind, w in record[i:] if kind == "asking") for i in last]
        assert len(starts) == len(ends) == 4
        return starts, ends, built

    yield run
    sys.modules.pop("recording_net", None)


class Stopped(Exception):
    pass


def stopped_at(experiment, kind, number=None):
    """Run, and stop as if killed once the event is on disk."""
    if isinstance(kind, tuple):
        kind, number = kind

    def stop(event):
        if event["event"] == kind and event.get("round") == number:
            raise Stopped

    with pytest.raises(Stopped):
        experiment.advance(stop)


def test_isreset_false_keeps_the_weights(recorded):
    starts, ends, built = recorded(isreset=False)
    assert starts[1:] == ends[:-1]
    assert starts[0] == built[0]
    assert all(start != end for start, end in zip(starts, ends, strict=True))


def test_scratch_draws_new_weights(case, recorded):
    for options in [{"isreset": True}, {"retrain": "scratch"}, {}]:
        with case(options):
            starts, ends, built = recorded(**options)
            assert starts == built
            assert len({tuple(start) for start in starts}) == 4
            assert not {tuple(start) for start in starts} & {tuple(end) for end in ends}


def test_shrink_perturb(recorded):
    starts, ends, built = recorded(retrain="shrink_perturb")
    assert starts[0] == built[0]
    for start, before, fresh in zip(starts[1:], ends, built[1:], strict=False):
        assert np.allclose(start, 0.4 * np.array(before) + 0.1 * np.array(fresh), rtol=0, atol=1e-6)


@pytest.mark.parametrize("at", [("evaluated", 0), ("trained", 1), ("asked", 2), ("labeled", 3)])
@pytest.mark.parametrize("retrain", ["warm", "shrink_perturb", "scratch"])
def test_a_resumed_round_starts_from_the_same_weights(recorded, retrain, at):
    starts, ends, _ = recorded(retrain=retrain)
    again = recorded(stop_after=at, retrain=retrain)
    assert again[0] == starts
    assert again[1] == ends


# -------------------------------------------------------------------------------------------- pairing

STRATEGIES = ["random_sampling", "margin_sampling", "badge"]


def test_strategies_of_one_seed_share_everything_but_their_choices(config, done):
    made = config(active_learning__strategies=STRATEGIES)
    runs = [done(made, strategy=k, seed=3) for k in range(3)]
    shared = [
        (
            {k: v for k, v in run.events[0].items() if k != "strategy"},
            run.events[1],  # initial ids and labels
            run.events[2],  # the weights of round 0, by their hash
            run.events[3],  # and their evaluation
        )
        for run in runs
    ]
    assert shared[0] == shared[1] == shared[2]
    assert shared[0][2]["sha256"]
    assert len({tuple(run.all("asked")[0]["ids"]) for run in runs}) == 3


def test_a_strategy_is_not_disturbed_by_the_others_in_the_file(config, done):
    alone = done(config(active_learning__strategy="badge"))
    among = done(config(active_learning__strategies=STRATEGIES), strategy=2)
    assert content(alone) == content(among)


def test_seeds_differ_in_everything(config, done):
    made = config()
    runs = [done(made, seed=seed) for seed in (0, 1)]
    for number in (1, 2):
        assert runs[0].events[number] != runs[1].events[number]
    tests = [set(rows_of(split(DATA, made, seed).x_test)) for seed in (0, 1)]
    assert tests[0] != tests[1]


@pytest.mark.filterwarnings("ignore:.*dropout")
def test_the_same_seed_gives_the_same_bytes(case, config, done):
    for strategy in ["random_sampling", "margin_sampling", "badge", "bald_dropout"]:
        with case(strategy):
            made = config(active_learning__strategy=strategy)
            first = done(made, seed=5)
            torch.manual_seed(99)
            np.random.seed(99)  # noqa: NPY002
            second = done(made, seed=5)
            assert content(first) == content(second)


def test_the_number_of_rounds_to_come_changes_nothing(config, done):
    """So a budget can be extended, and learning curves of different lengths can be compared."""
    short, long = done(config(active_learning__rounds=3)), done(config(active_learning__rounds=5))
    assert long.events[: len(short.events) - 1] == short.events[:-1]


def test_the_thread_count_is_that_of_the_configuration_and_restored(config, experiment, monkeypatch):
    seen = []
    real = METRICS["accuracy"]
    measure = lambda *a: (seen.append(torch.get_num_threads()), real.measure(*a))[1]  # noqa: E731
    monkeypatch.setitem(METRICS, "accuracy", dataclasses.replace(real, measure=measure))
    before = torch.get_num_threads()
    made = experiment(config(experiment__threads=before + 1))
    assert made.advance()
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before
    stopped_at(experiment(config(experiment__threads=before + 1)), "evaluated", 1)
    assert torch.get_num_threads() == before


# -------------------------------------------------------------------------------------------- oracles


class Recorder:
    """Remembers every query, and answers as ``answer(query, number)`` does."""

    def __init__(self, answer):
        self.queries = []
        self._answer = answer

    def ask(self, query):
        self.queries.append(query)
        return self._answer(query, len(self.queries) - 1)


def truth(ids):
    return Answers(ids, DATA.y_train[list(ids)].tolist())


def advance_until_done(make, most=50):
    for _ in range(most):
        made = make()
        if made.advance():
            return made.run
    raise AssertionError("it never ends")


def test_an_oracle_that_answers_late(config, done, experiment, tmp_path):
    """Pending twice at every query; the run rests, is resumed, and ends with the very bytes of one that never waited."""
    oracle = Recorder(lambda query, number: truth(query.ids) if number % 3 == 2 else Pending())
    path = tmp_path / "late"
    first = experiment(config(), oracle=oracle, path=path)
    assert first.advance() is False
    assert kinds(Run(path))[-1] == ("asked", 1)
    assert not Run(path).finished
    run = advance_until_done(lambda: experiment(config(), oracle=oracle, path=path))
    assert content(run) == content(done(config()))
    assert len(oracle.queries) == 9
    for start in (0, 3, 6):  # an unanswered query is asked again, as it was
        assert oracle.queries[start] == oracle.queries[start + 1] == oracle.queries[start + 2]
    assert [q.round for q in oracle.queries[::3]] == [1, 2, 3]


def test_an_experiment_that_rests_can_be_advanced_again(config, done, experiment):
    """The same object, asked until the answers are there."""
    oracle = Recorder(lambda query, number: truth(query.ids) if number % 2 else Pending())
    made = experiment(config(), oracle=oracle)
    assert [made.advance() for _ in range(4)] == [False, False, False, True]
    assert content(made.run) == content(done(config()))


def test_an_experiment_that_was_interrupted_can_be_advanced_again(config, done, experiment):
    made = experiment(config())
    stopped_at(made, "trained", 1)
    assert made.advance()
    assert content(made.run) == content(done(config()))


def check_bookkeeping(run, queries, made):
    """Nothing is lost, nothing asked twice, nothing trained on that was not answered."""
    initial = run.all("labeled")[0]["ids"]
    asked = [i for event in run.all("asked") for i in event["ids"]]
    assert len(set(asked)) == len(asked)  # the pending are never asked again
    assert not set(asked) & set(initial)
    assert set(asked) <= set(split(DATA, made, 0).pool.tolist())
    labeled = [i for event in run.all("labeled")[1:] for i in event["ids"]]
    skipped = [i for event in run.all("skipped") for i in event["ids"]]
    assert len(set(labeled + skipped)) == len(labeled) + len(skipped)
    known, waiting, so_far = set(initial), [], iter(queries)
    for event in run.events:
        if event["event"] == "asked":
            waiting = event["ids"] + sorted(waiting)
        elif event["event"] in ("labeled", "skipped") and event["round"] > 0:
            if event["event"] == "skipped" or not any(
                e["event"] == "skipped" and e["round"] == event["round"] for e in run.events
            ):
                query = next(so_far)
                assert list(query.ids) == waiting  # this round's first, then what is still out
            waiting = [i for i in waiting if i not in event["ids"]]
            known |= set(event["ids"]) if event["event"] == "labeled" else set()
        elif event["event"] == "evaluated":
            assert event["labels"] == len(known)
    assert set(asked) == set(labeled) | set(skipped) | set(waiting)
    return waiting


def test_an_oracle_that_answers_partly(config, experiment):
    """Half of what is out, the older half last: the rest stays pending and is answered rounds later, or never."""
    oracle = Recorder(lambda query, _: truth(query.ids[1::2]))
    made = config(active_learning__rounds=6, active_learning__budget=4)
    run = experiment(made, oracle=oracle)
    assert run.advance()
    waiting = check_bookkeeping(run.run, oracle.queries, made)
    assert waiting
    assert len(run.run.all("asked")) == 5


def test_an_oracle_that_skips(config, experiment):
    def answer(query, _):
        return Answers(query.ids[2:], DATA.y_train[list(query.ids[2:])].tolist(), skipped=query.ids[:2])

    oracle = Recorder(answer)
    made = config(active_learning__rounds=6, active_learning__budget=4)
    run = experiment(made, oracle=oracle)
    assert run.advance()
    assert check_bookkeeping(run.run, oracle.queries, made) == []
    assert [event["labels"] for event in run.run.all("evaluated")] == [8, 10, 12, 14, 16, 18]


def test_an_oracle_that_does_everything_at_once_and_is_interrupted(config, experiment, tmp_path):
    """Late, partly, with skips; a resumption at every step must make no difference."""

    def fresh():
        def answer(query, _):
            a, b = query.ids[::3], query.ids[1::3]
            return Answers(a, DATA.y_train[list(a)].tolist(), skipped=b)

        return Recorder(answer)

    made = config(active_learning__rounds=3, active_learning__budget=6)
    oracle = fresh()
    whole = experiment(made, oracle=oracle)
    assert whole.advance()
    check_bookkeeping(whole.run, oracle.queries, made)
    steps = [(e["event"], e.get("round")) for e in whole.run.events if e["event"] not in ("skipped", "finished")]
    for number, step in enumerate(steps):
        path = tmp_path / f"interrupted-{number}"
        stopped_at(experiment(made, oracle=fresh(), path=path), *step)
        resumed = experiment(made, oracle=fresh(), path=path)
        assert resumed.advance()
        assert content(resumed.run) == content(whole.run), step


def test_all_skipped(config, experiment):
    oracle = Recorder(lambda query, _: Answers((), (), skipped=query.ids))
    run = experiment(config(), oracle=oracle)
    assert run.advance()
    assert [event["labels"] for event in run.run.all("evaluated")] == [8] * 4
    assert len({i for event in run.run.all("skipped") for i in event["ids"]}) == 18


def test_no_empty_query_after_a_kill_between_skips_and_labels(config, experiment, tmp_path, monkeypatch):
    """The skips of all examples are on disk, so the next process asks nothing and waits for nothing."""
    path = tmp_path / "run"
    append = Run.append

    def killed(self, event):
        append(self, event)
        if event["event"] == "skipped":
            raise Stopped

    monkeypatch.setattr(Run, "append", killed)
    with pytest.raises(Stopped):
        experiment(config(), oracle=Recorder(lambda q, _: Answers((), (), skipped=q.ids)), path=path).advance()
    monkeypatch.setattr(Run, "append", append)
    oracle = Recorder(lambda query, _: truth(query.ids) if query.ids else Pending())
    resumed = experiment(config(), oracle=oracle, path=path)
    assert resumed.advance()
    assert all(query.ids for query in oracle.queries)


def test_pending_answers_do_not_end_the_run(config, experiment):
    """An answer without labels while the query is pending: the next round asks for more."""
    oracle = Recorder(lambda query, number: Answers((), ()) if number == 0 else truth(query.ids))
    made = config()
    run = experiment(made, oracle=oracle)
    assert run.advance()
    assert check_bookkeeping(run.run, oracle.queries, made) == []
    assert len(oracle.queries[1].ids) == 12


def test_an_answer_that_cannot_be_right_is_an_error_and_not_the_end_of_the_run(config, experiment, tmp_path):
    """Once it is corrected, the run goes on: nothing wrong may have been written down. The cases are in test_answers."""
    for number, wrong in enumerate([lambda ids: Answers(ids, [3] * len(ids)), lambda _: Answers([90], [0])]):
        made, path = config(), tmp_path / str(number)
        with pytest.raises(InvalidInput, match="oracle"):
            experiment(made, oracle=Recorder(lambda query, _, wrong=wrong: wrong(query.ids)), path=path).advance()
        resumed = experiment(made, oracle=TrueLabels(DATA.y_train), path=path)
        assert resumed.advance()
        for event in resumed.run.all("labeled"):
            assert event["labels"] == DATA.y_train[event["ids"]].tolist()


# -------------------------------------------------------------------------------------------- going on


def test_stopped_after_every_event_and_resumed(config, done, experiment, tmp_path):
    whole = done(config(active_learning__strategy="badge"))
    for number, (kind, round_) in enumerate(kinds(whole)[:-1]):
        path = tmp_path / f"stopped-{number}"
        stopped_at(experiment(config(active_learning__strategy="badge"), path=path), kind, round_)
        assert len(Run(path).events) == number + 1
        assert content(done(config(active_learning__strategy="badge"), path=path)) == content(whole)


def test_a_finished_run_is_left_alone(config, done, experiment):
    run = done(config())
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in run.path.iterdir() if p.name != ".lock"}
    events = []
    assert experiment(config(), path=run.path).advance(events.append)
    assert events == []
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in run.path.iterdir() if p.name != ".lock"} == before


def test_on_event_gets_events_in_order_after_they_are_on_disk(config, experiment):
    made, calls = experiment(config()), []
    made.advance(lambda event: calls.append((event, Run(made.run.path).events[-1] == event)))
    assert [event for event, _ in calls] == made.run.events
    assert all(on_disk for _, on_disk in calls)


def test_on_event_gets_skips_too(config, experiment):
    events = []
    oracle = Recorder(lambda query, _: Answers((), (), skipped=query.ids))
    made = experiment(config(), oracle=oracle)
    made.advance(events.append)
    assert events == made.run.events


def test_the_run_of_another_strategy_or_seed_is_refused(config, experiment, tmp_path):
    made = config(active_learning__strategies=STRATEGIES)
    stopped_at(experiment(made, path=tmp_path / "run"), "evaluated", 0)
    for other in ({"strategy": 1}, {"seed": 1}):
        with pytest.raises(RunError, match="it holds that of random_sampling, seed 0"):
            experiment(made, path=tmp_path / "run", **other).advance()


def damage(path, how):
    """Remove a file, or put other bytes in its place."""
    path.unlink()
    if how == "other":
        path.write_bytes(b"something else")


@pytest.mark.parametrize("retrain", ["scratch", "shrink_perturb"])
def test_lost_weights_are_trained_again(case, config, done, experiment, tmp_path, retrain):
    """To the same bytes: those that the next step needs, and the model of a finished run."""
    made = config(train_parameters__retrain=retrain)
    whole = done(made)
    before = content(whole)
    for number, (at, how) in enumerate([(1, "missing"), (2, "other")]):
        with case(at, how):
            path = tmp_path / f"stopped-{number}"
            stopped_at(experiment(made, path=path), "trained", at)
            damage(path / f"weights-{at:03d}.safetensors", how)
            with pytest.warns(DistilWarning, match="is missing or is not what the run wrote; it is trained again"):
                assert content(done(made, path=path)) == before
            damage(whole.path / "model.safetensors", how)
            with pytest.warns(DistilWarning, match=r"model\.safetensors is missing"):
                assert content(done(made, path=whole.path)) == before


def test_weights_that_no_training_gives_again_are_lost(config, done, monkeypatch):
    """As with a model of the user's own that draws at random. The events stay."""
    run = done(config())
    before = (run.path / "events.jsonl").read_bytes()
    damage(run.path / "model.safetensors", "missing")
    monkeypatch.setattr(loop_module.Learner, "fit", lambda _: None)
    monkeypatch.setattr("distil.experiment.restore.versions", lambda: {**run.events[0]["versions"], "torch": "9.9"})
    version = re.escape(torch.__version__)
    wanted = f"training again gave other weights .* made with torch {version}, now 9.9.* only the weights are lost"
    with pytest.warns(DistilWarning), pytest.raises(RunError, match=wanted):
        done(config(), path=run.path)
    assert not list(run.path.glob("*.safetensors"))
    assert (run.path / "events.jsonl").read_bytes() == before


def test_two_processes_on_one_run(config, experiment, tmp_path):
    stopped_at(experiment(config(), path=tmp_path / "run"), "evaluated", 0)
    before = (tmp_path / "run" / "events.jsonl").read_bytes()
    with Run(tmp_path / "run").lock(), pytest.raises(RunError, match="another process"):
        experiment(config(), path=tmp_path / "run").advance()
    assert (tmp_path / "run" / "events.jsonl").read_bytes() == before


def test_an_error_in_the_training_leaves_a_run_that_can_go_on(config, done, experiment, tmp_path, monkeypatch):
    whole = done(config())
    real = loop_module.Learner.fit

    def fail(self):
        if self.round == 2:
            raise RuntimeError("out of memory")
        return real(self)

    with monkeypatch.context() as patched:
        patched.setattr(loop_module.Learner, "fit", fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            experiment(config(), path=tmp_path / "run").advance()
    assert content(done(config(), path=tmp_path / "run")) == content(whole)


def test_learning_pays(config, done):
    """More labels make a better model: the loop is wired the right way round."""
    made = config(active_learning__rounds=7, active_learning__initial_points=4, train_parameters__n_epoch=40)
    points = [[e["accuracy"] for e in done(made, seed=seed).all("evaluated")] for seed in range(4)]
    means = np.mean(points, axis=0)
    assert means[-1] > means[0] + 0.05
