"""All runs of an experiment: nothing is done twice, whatever stops them, in one process or in several."""

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from distil.errors import ConfigError, InvalidInput
from distil.experiment.config.document import read_json
from distil.experiment.config.experiment_config import parse_config
from distil.experiment.directory import claim, compared, open_config
from distil.experiment.outputs import write_results
from distil.experiment.results import run_path
from distil.experiment.run import Run
from distil.experiment.split import split
from distil.experiment.suite import run_all
from distil.selection.oracle import Pending, TrueLabels
from distil.system.executor import Processes

STRATEGIES = ["random_sampling", "badge", "margin_sampling"]
WRITTEN = ("config.json", "results.csv", "results.md")


def test_run_all(several):
    assert run_all(several)
    for label in STRATEGIES:
        for seed in (0, 1):
            run = Run(run_path(several.output, label, seed))
            assert run.finished
            assert (run.events[0]["strategy"], run.events[0]["seed"]) == (label, seed)
    assert read_json(several.output / "config.json") == several.document


def test_again_with_the_same_configuration(several, run_files):
    run_all(several)
    write_results(several)
    before, times = run_files(several.output, *WRITTEN), [p.read_bytes() for p in several.output.rglob("times.jsonl")]
    assert len(before) == 6 * 2 + 3
    assert run_all(several)
    write_results(several)
    assert run_files(several.output, *WRITTEN) == before
    assert [p.read_bytes() for p in several.output.rglob("times.jsonl")] == times  # nothing was done twice


def test_an_experiment_that_cannot_run_leaves_no_files(config):
    made = config(active_learning__budget=1000)
    with pytest.raises(ConfigError, match="left for the pool"):
        run_all(made)
    assert not made.output.exists()


def test_full_data_is_one_training_on_the_whole_pool(config):
    made = config(experiment__full_data=True)
    run_all(made)
    run = Run(run_path(made.output, "full_data", 1))
    assert [event["event"] for event in run.events] == ["started", "labeled", "trained", "evaluated", "finished"]
    assert run.last("evaluated")["labels"] == run.events[0]["pool"] == 1797 - 200
    assert sorted(run.last("labeled")["ids"]) == split(made.load_data(), made, 1).pool.tolist()


class Stopped(Exception):
    pass


class Nothing:
    """An oracle whose answers are not there yet."""

    def ask(self, query):
        return Pending()


def test_moved_and_resumed(several, run_files, tmp_path):
    """Stopped, moved to another place, resumed there: the bytes of an undisturbed run."""
    run_all(several)
    write_results(several)
    whole = run_files(several.output, *WRITTEN)
    del whole["config.json"]  # it says where the output was
    shutil.rmtree(several.output)

    counter = iter(range(1000))

    class Leaving:
        def ask(self, query):
            if next(counter) == 4:
                raise Stopped
            return TrueLabels(several.load_data().y_train).ask(query)

    with pytest.raises(Stopped):
        run_all(several, oracle=lambda *_: Leaving())
    elsewhere = tmp_path / "else" / "where"
    elsewhere.parent.mkdir()
    shutil.move(several.output, elsewhere)
    moved = open_config(elsewhere)
    assert moved.output == elsewhere
    assert run_all(moved, oracle=lambda *_: TrueLabels(several.load_data().y_train))
    write_results(moved)
    found = run_files(elsewhere, *WRITTEN)
    assert {name: found[name] for name in whole} == whole
    assert not several.output.exists()


def test_runs_that_wait_for_answers_do_not_stop_the_others(several):
    assert run_all(several, oracle=lambda *_: Nothing()) is False
    for label in STRATEGIES:
        for seed in (0, 1):
            last = Run(run_path(several.output, label, seed)).events[-1]
            assert (last["event"], last["round"]) == ("asked", 1)
    assert run_all(several, oracle=lambda *_: TrueLabels(several.load_data().y_train))


def test_the_oracle_is_asked_for_by_strategy_and_seed(several):
    made = []

    def oracle(spec, seed):
        made.append((spec.label, seed))
        return TrueLabels(several.load_data().y_train)

    run_all(several, oracle=oracle)
    assert sorted(made) == sorted((label, seed) for label in STRATEGIES for seed in (0, 1))


@pytest.mark.slow
def test_two_workers_give_the_bytes_of_one(config, run_files, trainings, tmp_path):
    one, two = config(), config(experiment__output=str(tmp_path / "two"))
    assert run_all(one)
    assert run_all(two, executor=Processes(2))
    assert run_files(two.output) == run_files(one.output)
    assert [run[2] for run in trainings(two.output)].count(0) == 2


def test_workers_cannot_have_an_oracle(config):
    with pytest.raises(InvalidInput, match="1 with an oracle"):
        run_all(config(), executor=Processes(2), oracle=lambda *_: None)


def _alive(pids):
    return [pid for pid in pids if os.path.exists(f"/proc/{pid}") and "Z" not in _status(pid)]


def _status(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc"), reason="children are found in /proc")
def test_a_parallel_comparison_killed_and_run_again_is_whole_and_nothing_ran_twice(document, run_files, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(document(experiment__seeds=3, train_parameters__n_epoch=20)))
    command = [sys.executable, "-m", "distil", "compare", str(path), "--workers", "2", "--seeds", "3", "--no-progress"]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    out = tmp_path / "out"
    deadline = time.monotonic() + 300
    while len(list(out.glob("*/*/times.jsonl"))) < 4 and time.monotonic() < deadline and killed.poll() is None:
        time.sleep(0.01)
    assert killed.poll() is None, "the comparison ended before it could be killed"
    with open(f"/proc/{killed.pid}/task/{killed.pid}/children") as file:
        children = file.read().split()
    assert len(children) >= 2
    killed.kill()  # the parent alone: the workers must end by themselves
    killed.communicate()
    while _alive(children) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _alive(children)
    finished = {p.parent for p in out.glob("*/*/model.safetensors")}
    before = {str(p): Run(p).times() for p in finished}
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    assert {name: Run(name).times() for name in before} == before
    whole = document(experiment__seeds=3, train_parameters__n_epoch=20, experiment__output=str(tmp_path / "whole"))
    run_all(compared(parse_config(whole)))
    assert run_files(out) == run_files(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="commands are forks of one process")
def test_commands_that_start_together_lose_nothing_and_do_nothing_twice():
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "benchmarks", "together", "--tries", "3", "--quick"]
    environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split(": ")[1:] for line in done.stdout.splitlines()] == [
        ["2 commands", "whole"],
        ["3 commands", "whole"],
        ["2 commands, one killed", "whole"],
    ]


def test_a_run_that_another_process_holds_is_done_last_and_waited_for(config, trainings):
    """The other process holds the first of the runs, and ends in the middle of the call without having done it."""
    made, said, seen = config(active_learning__strategies=["badge"]), [], []
    claim(made, {})
    other = Run(run_path(made.output, "badge", 0))
    held = ExitStack()
    held.enter_context(other.lock())

    def say(sentence):
        said.append(sentence)
        seen.append(Run(run_path(made.output, "badge", 1)).finished)
        held.close()

    assert run_all(made, say=say)
    assert said == ["waiting for badge, seed 0, which another command is running"]
    assert seen == [True]
    assert Run(other.path).finished
    assert len(trainings(made.output)) == 2 * 3
