"""The documented log: the layout that programs read, and every block exactly once whatever happens."""

from __future__ import annotations

import contextlib
import re

import pytest
import torch

from distil.datasets.data_set import DataSet
from distil.errors import RunError
from distil.experiment import loop
from distil.experiment.config.experiment_config import parse_config
from distil.experiment.distil_log import block
from distil.experiment.loop import Experiment
from distil.experiment.run import Run
from distil.experiment.suite import run_all
from distil.selection.oracle import Answers, Pending, TrueLabels

GENERATOR = torch.Generator().manual_seed(0)
DATA = DataSet(
    "noise", torch.randn(60, 4, generator=GENERATOR), torch.randint(3, (60,), generator=GENERATOR), None, None, 3
)
DASHES = "-" * 21


class Stopped(Exception):
    pass


@pytest.fixture
def config(tmp_path, monkeypatch):
    """``config(section__key=value)``: three rounds of two epochs, logged to ``log.txt``."""
    monkeypatch.setattr("distil.experiment.config.experiment_config.load", lambda *_, **__: DATA)

    def make(**changes):
        document = {
            "model": {"architecture": "two_layer_net", "target_classes": 3, "hidden_units_1": 8},
            "train_parameters": {
                "lr": 0.1,
                "batch_size": 8,
                "n_epoch": 2,
                "islogs": True,
                "logs_location": str(tmp_path / "log.txt"),
            },
            "active_learning": {"strategies": ["random_sampling"], "budget": 5, "rounds": 3, "initial_points": 6},
            "dataset": {"name": "digits", "test_points": 20},
            "experiment": {"output": str(tmp_path / "out")},
        }
        for name, value in changes.items():
            section, key = name.split("__")
            document[section][key] = value
        return parse_config(document)

    return make


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.txt"


@pytest.fixture
def experiment(config, tmp_path):
    """``experiment(name)``: a run in a directory of that name."""

    def make(name="run", seed=0, oracle=None, **changes):
        made = config(**changes)
        return Experiment(Run(tmp_path / name), made, made.strategies[0], seed, DATA, oracle)

    return make


def stopped_at(experiment, kind, number):
    def stop(event):
        if (event["event"], event.get("round")) == (kind, number):
            raise Stopped

    with pytest.raises(Stopped):
        experiment.advance(stop)


def blocks(text):
    """The rounds in a log, each with its lines; everything must belong to a block."""
    parts = re.split(rf"^{DASHES}\nRound (\d+)\n{DASHES}\n", text, flags=re.MULTILINE)
    assert parts[0] == ""
    return [(int(number), lines.splitlines()) for number, lines in zip(parts[1::2], parts[2::2], strict=True)]


def without_seconds(text):
    return re.sub(r"Time - .*", "Time - ?", text)


def expected(run):
    """The log of a run, written out from its events."""
    lines = []
    for evaluated, trained in zip(run.all("evaluated"), run.all("trained"), strict=True):
        number = evaluated["round"]
        lines += [DASHES, f"Round {number}", DASHES, f"Training Points - {evaluated['labels']}"]
        lines += [f"Test Accuracy - {round(round(evaluated['accuracy'], 3) * 100, 2)}"]
        lines += ["Selection Time - ?", "Trainining Time - ?"] if number else []
        lines += ["Training"]
        for epoch, (accuracy, loss) in enumerate(trained["log"], 1):
            lines.append(f"Epoch:{epoch}- training accuracy:{accuracy}- training loss:{loss}")
    return "\n".join(lines) + "\n"


# -------------------------------------------------------------------------------------------- layout


def test_the_documented_layout_to_the_letter(tmp_path):
    """Typed from the published script's output, not from this library."""
    run = Run(tmp_path / "run")
    with run.lock():
        run.append({"event": "trained", "round": 1, "log": [[0.15, 2.3125], [0.5, 1.5]]})
        run.time(round=0, step="train", seconds=9.0)
        run.time(round=1, step="select", seconds=0.25)
        run.time(round=1, step="train", seconds=1.5)
        text = block(run, {"event": "evaluated", "round": 1, "labels": 40, "accuracy": 0.71234})
    assert text == (
        "---------------------\n"
        "Round 1\n"
        "---------------------\n"
        "Training Points - 40\n"
        "Test Accuracy - 71.2\n"
        "Selection Time - 0.25\n"
        "Trainining Time - 1.5\n"
        "Training\n"
        "Epoch:1- training accuracy:0.15- training loss:2.3125\n"
        "Epoch:2- training accuracy:0.5- training loss:1.5\n"
    )


def test_round_0_has_no_selection(tmp_path):
    run = Run(tmp_path / "run")
    with run.lock():
        run.append({"event": "trained", "round": 0, "log": [[0.5, 1.0]]})
        run.time(round=0, step="train", seconds=1.5)
        text = block(run, {"event": "evaluated", "round": 0, "labels": 20, "accuracy": 0.5})
    assert text.splitlines() == [
        DASHES,
        "Round 0",
        DASHES,
        "Training Points - 20",
        "Test Accuracy - 50.0",
        "Training",
        "Epoch:1- training accuracy:0.5- training loss:1.0",
    ]


def test_accuracies_are_rounded_to_a_tenth_of_a_percent(case, tmp_path):
    for accuracy, text in [
        (1.0, "100.0"),
        (0.0, "0.0"),
        (0.9146, "91.5"),
        (0.5784, "57.8"),
        (0.001, "0.1"),
        (0.57, "57.0"),
    ]:
        with case(accuracy, text):
            run = Run(tmp_path / "run")
            assert f"Test Accuracy - {text}\n" in block(run, {"round": 0, "labels": 1, "accuracy": accuracy})


def test_the_log_of_a_run(experiment, path):
    made = experiment()
    assert made.advance()
    assert without_seconds(path.read_text()) == expected(made.run)
    for number, lines in blocks(path.read_text()):
        seconds = {line.split(" - ")[0]: float(line.split(" - ")[1]) for line in lines if "Time - " in line}
        times = {e["step"]: e["seconds"] for e in made.run.times() if e["round"] == number}
        assert seconds == ({"Selection Time": times["select"], "Trainining Time": times["train"]} if number else {})


def test_the_epochs_are_those_of_the_training(experiment):
    made = experiment()
    made.advance()
    for event in made.run.all("trained"):
        assert len(event["log"]) == event["epochs"] == 2
        assert event["log"][-1] == [event["training_accuracy"], event["training_loss"]]


def test_logging_changes_nothing_else(experiment):
    logged, quiet = experiment("a"), experiment("b", train_parameters__islogs=False)
    logged.advance()
    quiet.advance()
    assert [{k: v for k, v in e.items() if k != "log"} for e in logged.run.events] == quiet.run.events
    assert not (quiet.run.path / "log_start").exists()


# -------------------------------------------------------------------------------------------- exactly once


@pytest.mark.parametrize(
    "before", ["", "notes of my own\n", "-" * 21 + "\nRound 0\n" + "-" * 21 + "\nTraining Points - 1\n"]
)
def test_the_log_is_appended_to(experiment, path, before):
    path.write_text(before)
    made = experiment()
    made.advance()
    text = path.read_text()
    assert text.startswith(before)
    assert without_seconds(text[len(before) :]) == expected(made.run)


def test_a_second_experiment_is_appended_to_the_first(experiment, path):
    first, second = experiment("a"), experiment("b", seed=1)
    first.advance()
    second.advance()
    assert without_seconds(path.read_text()) == expected(first.run) + expected(second.run)


def test_the_folder_is_created(experiment, tmp_path):
    location = tmp_path / "new" / "folder" / "log.txt"
    experiment(train_parameters__logs_location=str(location)).advance()
    assert len(blocks(location.read_text())) == 3


STEPS = [(kind, number) for number in range(3) for kind in ("labeled", "trained", "evaluated")]


@pytest.mark.parametrize(("kind", "number"), STEPS)
def test_stopped_and_resumed(experiment, path, kind, number):
    path.write_text("notes\n")
    stopped_at(experiment(), kind, number)
    made = experiment()
    assert made.advance()
    assert without_seconds(path.read_text()) == "notes\n" + expected(made.run)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_stopped_between_a_block_and_its_event(experiment, path, monkeypatch, number):
    """The block is written, the event that says so is not: once more, and it would be there twice."""
    path.write_text("notes\n")
    append = Run.append

    def killed(self, event):
        if (event["event"], event.get("round")) == ("evaluated", number):
            raise Stopped
        append(self, event)

    with monkeypatch.context() as patched:
        patched.setattr(Run, "append", killed)
        with pytest.raises(Stopped):
            experiment().advance()
    written = path.read_text()
    assert f"Round {number}\n" in written
    made = experiment()
    assert made.advance()
    assert path.read_text().startswith(written)
    assert without_seconds(path.read_text()) == "notes\n" + expected(made.run)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.6, 0.99])
def test_a_torn_block_is_completed(experiment, path, monkeypatch, number, share):
    """Killed in the middle of writing a block: a reader of the log must find all of it in the end."""
    path.write_text("notes\n")
    append = Run.append

    def killed(self, event):
        if (event["event"], event.get("round")) == ("evaluated", number):
            raise Stopped
        append(self, event)

    begun = experiment()
    with monkeypatch.context() as patched:
        patched.setattr(Run, "append", killed)
        with pytest.raises(Stopped):
            begun.advance()
    blocks = path.read_text().split("-" * 21 + "\nRound")
    path.write_text(path.read_text()[: len(path.read_text()) - int((1 - share) * len(blocks[-1])) - 1])
    made = experiment()
    assert made.advance()
    assert without_seconds(path.read_text()) == "notes\n" + expected(made.run)


def test_killed_before_the_position_in_the_file_was_saved(experiment, path, tmp_path):
    """Made, but empty: the blocks of earlier runs must not be taken for this one's."""
    experiment("earlier").advance()
    earlier = path.read_text()
    stopped_at(experiment(), "trained", 0)
    (tmp_path / "run" / "log_start").touch()
    made = experiment()
    made.advance()
    assert without_seconds(path.read_text()) == without_seconds(earlier) + expected(made.run)


def test_a_damaged_note_is_one_line_that_names_it(case, experiment, path):
    stopped_at(experiment(), "evaluated", 0)
    note = experiment().run.path / "log.json"
    whole = note.read_bytes()
    for damaged in [
        b"",
        b"rubbish",
        b"\xff",
        b"[" * 100_000,
        b"[1]",
        b'{"round": 0}',
        whole.replace(b'"offset": 0', b'"offset": "0"'),
    ]:
        with case(damaged[:30]):
            note.write_bytes(damaged)
            with pytest.raises(RunError, match=r"run/log\.json: expected the round, offset and block .* Remove it"):
                experiment().advance()
    note.unlink()
    assert experiment().advance()
    assert without_seconds(path.read_text()) == expected(experiment().run)


def test_a_finished_run_writes_nothing_more(experiment, path):
    experiment().advance()
    before = path.read_text()
    experiment().advance()
    assert path.read_text() == before


# -------------------------------------------------------------------------------------------- several runs

SEVERAL = {"active_learning__strategies": ["random_sampling", "margin_sampling"], "experiment__seeds": 2}


def logs_of(made):
    """The log of each run, and what should be in it."""
    runs = {
        (spec.label, seed): Run(made.output / spec.label / str(seed)) for spec in made.strategies for seed in made.seeds
    }
    return [
        (made.log.with_name(f"log-{label}-{seed}.txt").read_text(), expected(run))
        for (label, seed), run in runs.items()
    ]


def check_logs(made):
    found = logs_of(made)
    assert len(found) == 4
    for text, wanted in found:
        assert without_seconds(text) == wanted
    assert len(list(made.log.parent.glob("*.txt"))) == 4


def test_each_of_several_runs_has_a_log_of_its_own(config):
    """The published script makes one run; its format cannot distinguish the blocks of several runs."""
    made = config(**SEVERAL)
    assert run_all(made)
    check_logs(made)


def test_stopped_again_and_again_the_logs_are_the_same(config, monkeypatch):
    real, counter = loop.Experiment._record, iter(range(10_000))

    def stopping(self, event):
        real(self, event)
        if next(counter) % 3 == 2:
            raise Stopped

    monkeypatch.setattr(loop.Experiment, "_record", stopping)
    complete = False
    while not complete:
        with contextlib.suppress(Stopped):
            complete = run_all(config(**SEVERAL))
    check_logs(config(**SEVERAL))


def test_runs_that_wait_for_answers(config):
    made = config(**SEVERAL)

    class Patient:
        """Answers every second time."""

        def __init__(self):
            self.asked = 0

        def ask(self, query):
            self.asked += 1
            answers = Answers(query.ids, DATA.y_train[list(query.ids)].tolist())
            return answers if self.asked % 2 == 0 else Pending()

    oracles = {}
    while not run_all(made, oracle=lambda spec, seed: oracles.setdefault((spec.label, seed), Patient())):
        pass
    check_logs(made)


def test_two_experiments_in_turns_on_one_log(experiment, path):
    """Each stops after its round 0, then both go on: neither may take the other's blocks for its own."""
    for name, seed in (("a", 0), ("b", 1)):
        stopped_at(experiment(name, seed), "evaluated", 0)
    finished = [experiment(name, seed, TrueLabels(DATA.y_train)) for name, seed in (("a", 0), ("b", 1))]
    for made in finished:
        assert made.advance()
    found = [number for number, _ in blocks(path.read_text())]
    assert found == [0, 0, 1, 2, 1, 2]
