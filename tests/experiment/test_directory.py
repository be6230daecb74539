"""The directory of an experiment: whose it is, how it grows, and what a comparison adds to a configuration."""

import csv
import json
import re
import shutil

import pytest

from distil.errors import ConfigError, RunError
from distil.experiment import outputs
from distil.experiment.config.experiment_config import parse_config
from distil.experiment.directory import claim, compared, open_config
from distil.experiment.outputs import write_results
from distil.experiment.results import finished_runs, run_path
from distil.experiment.run import Run
from distil.experiment.suite import experiment_of, run_all
from distil.experiment.weights import Weights
from distil.selection.oracle import Answers, Pending, TrueLabels


@pytest.fixture
def no_plot(monkeypatch):
    """Plots are slow, and tested elsewhere."""
    monkeypatch.setattr(outputs, "picture_of", lambda *_, **__: b"picture")


def test_another_strategy_and_seed_add_only_the_missing_runs(config, trainings, run_files, tmp_path):
    small = config(active_learning__strategies=["random_sampling", "badge"], experiment__seeds=1)
    run_all(small)
    before, done = run_files(small.output), trainings(small.output)
    run_all(config(active_learning__strategies=["margin_sampling"], experiment__seeds=2))
    assert {path.parent.parent.name for path in small.output.glob("*/1/events.jsonl")} == {"margin_sampling"}
    grown = open_config(small.output)
    assert [spec.label for spec in grown.strategies] == ["random_sampling", "badge", "margin_sampling"]
    assert grown.seeds == (0, 1)
    run_all(grown)  # what the request did not name
    after = run_files(small.output)
    assert {name: after[name] for name in before} == before
    assert all(trainings(small.output).count(run) == 1 for run in done)
    whole = config(experiment__output=str(tmp_path / "whole"))
    run_all(whole)
    assert run_files(whole.output) == after


def test_fewer_strategies_and_seeds_keep_the_existing_ones(config):
    run_all(config())
    before = (config().output / "config.json").read_bytes()
    assert run_all(config(active_learning__strategies=["badge"], experiment__seeds=1))
    assert (config().output / "config.json").read_bytes() == before


def test_a_label_with_other_settings_is_refused(config):
    run_all(config(active_learning__strategies=["random_sampling", {"name": "badge", "label": "mine"}]))
    other = [{"name": "margin_sampling", "label": "mine"}]
    there = r"active_learning\.strategies\[mine\]\.name is 'badge' there and 'margin_sampling' here"
    with pytest.raises(RunError, match=there):
        run_all(config(active_learning__strategies=other))


def test_another_configuration_is_refused_by_the_keys_that_differ(case, config):
    run_all(config(experiment__seeds=1))
    for change, said in [
        ({"train_parameters__lr": 0.2}, "train_parameters.lr is 0.1 there and 0.2 here"),
        ({"model__hidden_units_1": 9}, "model.hidden_units_1 is 8 there and 9 here"),
        ({"active_learning__budget": 7}, "active_learning.budget is 6 there and 7 here"),
        ({"active_learning__rounds": 2}, "active_learning.rounds is 3 there and 2 here"),
        ({"dataset__test_points": 29}, "dataset.test_points is 200 there and 29 here"),
        ({"experiment__threads": 2}, "experiment.threads is not set there and 2 here"),
        (
            {"active_learning__strategy_args": {"lr": 0.5}},
            "active_learning.strategy_args.lr is not set there and 0.5 here",
        ),
        ({"active_learning__candidates": 50}, "active_learning.candidates is not set there and 50 here"),
        (
            {"train_parameters__lr": 0.2, "train_parameters__n_epoch": 3},
            "train_parameters.lr is 0.1 there and 0.2 here; train_parameters.n_epoch is 2 there and 3 here",
        ),
    ]:
        with case(change), pytest.raises(RunError, match=rf"out holds another experiment: {re.escape(said)}\. Choose"):
            run_all(config(**{"experiment__seeds": 1, **change}))


def test_a_default_that_is_spelled_out_is_no_difference(config):
    before = config(experiment__seeds=1)
    run_all(before)
    kept = (before.output / "config.json").read_bytes()
    assert run_all(config(experiment__seeds=1, experiment__threads=1, train_parameters__isreset=True))
    assert run_all(config(experiment__seeds=1, dataset__task="classification", dataset__label_noise=None))
    assert (before.output / "config.json").read_bytes() == kept


def test_another_spelling_of_a_strategy_is_no_difference(case, config, trainings, tmp_path):
    """Each pair builds the same strategy; the directory keeps the spelling that it was begun with, and nothing runs again."""

    def asked(first, *others, output="out"):
        return config(
            active_learning__initial_strategy=first,
            active_learning__strategies=[{**entry, "label": f"s{number}"} for number, entry in enumerate(others)],
            active_learning__rounds=2,
            dataset__test_points=1700,
            experiment__seeds=1,
            experiment__output=str(tmp_path / output),
        )

    spelled = [
        ("core_set", {"name": "core_set", "args": {}}),
        ({"name": "badge"}, {"name": "badge", "args": {}}),
        ({"name": "badge", "args": None}, {"name": "badge", "retrain": "scratch", "candidates": None}),
        ({"name": "coreset"}, {"name": "core_set"}),
        *(
            ({"name": "subsample", "args": {"of": one}}, {"name": "subsample", "args": {"of": other, "size": 10_000}})
            for one, other in [
                ("core_set", {"name": "core_set", "args": {}}),
                ({"name": "balance"}, {"name": "balance", "args": {"of": {"name": "margin_sampling", "args": {}}}}),
            ]
        ),
        ({"name": "bald_dropout", "args": {"n_drop": 5}}, {"name": "bald_dropout", "args": {"n_samples": 5}}),
    ]
    made = asked(*(one for one, _ in spelled))
    claim(made, {})
    kept = (made.output / "config.json").read_bytes()
    for number in range(len(spelled)):
        with case(spelled[number]):
            claim(asked(*(pair[number == other] for other, pair in enumerate(spelled))), {})
            assert (made.output / "config.json").read_bytes() == kept
    for one_or_other in (0, 1):
        run = asked(*(pair[one_or_other] for pair in spelled[:2]), output="run")
        assert run_all(run)
        assert len(trainings(run.output)) == 2
    others = [
        ("size", {"name": "subsample", "args": {"of": "core_set", "size": 9}}, 4),
        ("of", {"name": "subsample", "args": {"of": "badge"}}, 4),
        ("retrain", {"name": "badge", "retrain": "warm"}, 1),
        ("candidates", {"name": "badge", "candidates": 50}, 1),
    ]
    for what, entry, place in others:
        entries = [one for one, _ in spelled]
        entries[place] = entry
        with case(what), pytest.raises(RunError, match=rf"strategies\[s{place - 1}\]\.\w+ is .* there and .* here"):
            claim(asked(*entries), {})
    with pytest.raises(RunError, match=r"initial_strategy is 'core_set' there and 'typiclust' here"):
        claim(asked("typiclust", *(one for one, _ in spelled[1:])), {})


def test_more_rounds_give_the_bytes_of_an_experiment_that_had_them_from_the_start(
    case, config, run_files, tmp_path, no_plot
):
    small = {"dataset__test_points": 1700, "experiment__seeds": 1, "active_learning__strategies": ["badge"]}
    for number, way in enumerate(["scratch", "warm"]):
        change = {**small, "train_parameters__retrain": way}
        with case(way):
            short = config(experiment__output=str(tmp_path / f"a{number}"), experiment__full_data=True, **change)
            run_all(short)
            write_results(short)
            done = {path: path.read_bytes() for path in short.output.rglob("times.jsonl")}
            long = {**change, "active_learning__rounds": 5, "experiment__full_data": True}
            grown = config(experiment__output=str(short.output), **long)
            assert run_all(grown)
            for path, times in done.items():  # nothing is done again
                assert path.read_bytes().startswith(times)
            write_results(grown)
            whole = config(experiment__output=str(tmp_path / f"b{number}"), **long)
            run_all(whole)
            write_results(whole)
            written = ("results.csv", "results.md")
            assert run_files(short.output, *written) == run_files(whole.output, *written)
            assert open_config(short.output).rounds == 5


def test_an_extended_run_that_was_stopped_goes_on(config, run_files, tmp_path, monkeypatch):
    """Between its old end and its new one a run is unfinished; what was written last at the old end may be there or not."""
    one = {"experiment__seeds": 1, "active_learning__strategies": ["badge"]}
    more = {**one, "active_learning__rounds": 4}
    run_all(config(**one))
    for stopped in ("reopen", "tidy"):
        with monkeypatch.context() as patch:
            patch.setattr(Run if stopped == "reopen" else Weights, stopped, lambda _: exec("raise KeyboardInterrupt"))
            with pytest.raises(KeyboardInterrupt):
                run_all(config(**more))
    assert run_all(config(**more))
    whole = config(experiment__output=str(tmp_path / "whole"), **more)
    run_all(whole)
    assert run_files(config().output) == run_files(whole.output)


def test_a_command_with_fewer_rounds_ends_a_run_that_another_left_beyond_them(config, run_files, tmp_path):
    """Of two commands on one directory the one that was asked for more rounds is killed, and the other takes over its run."""
    one = {"experiment__seeds": 1, "active_learning__strategies": ["badge"]}
    short, long = config(**one), config(**one, active_learning__rounds=6)
    true = TrueLabels(short.load_data().y_train)

    class Leaving:
        def ask(self, query):
            return Pending() if query.round == 4 else true.ask(query)

    assert not run_all(long, oracle=lambda *_: Leaving())
    before = experiment_of(short, short.load_data(), "badge", 0)
    assert before.advance()
    assert (before.run.last("finished"), len(before.run.all("evaluated"))) == (before.run.events[-1], 5)
    assert run_all(long, oracle=lambda *_: true)
    whole = config(**one, active_learning__rounds=6, experiment__output=str(tmp_path / "whole"))
    run_all(whole)
    assert run_files(long.output) == run_files(whole.output)


def test_a_pool_that_is_used_up_needs_no_more_rounds(config):
    """All of the pool is asked for and half of it skipped: a run may be finished before its last round."""
    pool = {
        "dataset__test_points": 1797 - 20,
        "experiment__seeds": 1,
        "active_learning__strategies": ["random_sampling"],
    }
    made = config(active_learning__rounds=2, active_learning__budget=12, **pool)

    class Oracle:
        def ask(self, query):
            return Answers(query.ids[6:], [0] * (len(query.ids) - 6), skipped=query.ids[:6])

    assert run_all(made, oracle=lambda *_: Oracle())
    run = Run(run_path(made.output, "random_sampling", 0))
    assert [run.done(rounds) for rounds in (1, 2, 7)] == [True, True, True]
    run.events[:] = [event for event in run.events if event["event"] != "skipped"]
    assert [run.done(rounds) for rounds in (2, 3)] == [True, False]


def test_a_target_may_be_set_later(config, no_plot):
    one = {"experiment__seeds": 1, "active_learning__strategies": ["badge"]}
    run_all(config(**one))
    runs = {path: path.read_bytes() for path in config().output.rglob("events.jsonl")}
    for target in (0.3, 0.2):
        later = config(experiment__target_accuracy=target, **one)
        run_all(later)
        write_results(later)
        assert open_config(later.output).target_accuracy == target
        assert f"labels to {100 * target:.0f} %" in (later.output / "results.md").read_text()
    run_all(config(**one))  # which says nothing of a target
    assert open_config(config().output).target_accuracy == 0.2
    assert {path: path.read_bytes() for path in runs} == runs


def test_a_request_does_what_it_names_and_tables_show_what_the_directory_holds(config, no_plot):
    made, narrow = config(), {"active_learning__strategies": ["random_sampling"], "experiment__seeds": 1}
    run_all(config(active_learning__strategies=["badge"]))
    claim(made, {})  # a command that was killed before its first run
    assert run_all(config(**narrow))
    begun = {str(path.parent.relative_to(made.output)) for path in made.output.rglob("events.jsonl")}
    assert begun == {"badge/0", "badge/1", "random_sampling/0"}
    write_results(config(**narrow), page=True)
    rows = csv.reader((made.output / "results.csv").read_text().splitlines()[1:])
    assert {tuple(row[:2]) for row in rows} == {("badge", "0"), ("badge", "1"), ("random_sampling", "0")}
    table = (made.output / "results.md").read_text()
    assert table.startswith("# digits, 1 seed\n")
    assert "The table has 1 of 2 seeds" in table
    assert "margin_sampling is left out: 0 of 2 seeds finished. Continue with: distil resume" in table
    assert [line.split()[1] for line in table.splitlines() if line[:2] == "| "][2:] == ["random_sampling", "badge"]
    assert run_all(open_config(made.output))
    write_results(made)
    assert "left out" not in (made.output / "results.md").read_text()
    page = (made.output / "report.html").read_text(encoding="utf-8")
    assert "left out" not in page  # a page that is there is made again
    assert "margin_sampling" in page


def test_paths_are_not_part_of_an_experiment(config):
    assert run_all(config())
    assert run_all(config(experiment__data="elsewhere", dataset__download=True))


def test_an_altered_configuration_is_refused(config):
    """Also in what only tables depend on: another seed would be missing from them without a word. Nor can the seal be taken off."""
    made = config(experiment__seeds=1, active_learning__strategies=["random_sampling"], active_learning__rounds=1)
    run_all(made)
    path = made.output / "config.json"
    changed = json.loads(path.read_text().replace('"seeds": 1', '"seeds": 2'))
    bare = {key: value for key, value in changed.items() if key != "hash"}
    for content, said in ((changed, "was changed since distil wrote it"), (bare, "lacks the key 'hash'")):
        path.write_text(json.dumps(content))
        for reads in (lambda: open_config(made.output), lambda: run_all(made)):
            with pytest.raises(RunError, match=rf"out/config\.json {said}"):
                reads()


def test_a_configuration_whose_seal_was_moved_is_one_line_that_names_it(config):
    """By two lines that were swapped, for example: what is then wrong are keys, which the caller never wrote."""
    made = config(experiment__seeds=1, active_learning__strategies=["random_sampling"], active_learning__rounds=1)
    run_all(made)
    path = made.output / "config.json"
    document = json.loads(path.read_text())
    document["experiment"]["hash"] = document.pop("hash")
    path.write_text(json.dumps(document))
    for reads in (lambda: open_config(made.output), lambda: run_all(made)):
        with pytest.raises(RunError, match=r"out/config\.json lacks the key 'hash'") as error:
            reads()
        assert len(str(error.value).splitlines()) == 1


def test_a_run_of_another_configuration_seed_or_strategy_is_refused(case, config):
    """Copied from elsewhere, or with a configuration whose seal was taken off; finished runs too, and by tables."""
    made = config(experiment__seeds=2, active_learning__rounds=1)
    run_all(made)
    for what, start, end, message in [
        (
            "seed",
            "badge/0",
            "badge/1",
            r"badge/1/events\.jsonl, line 1: expected the run of badge, seed 1, .* badge, seed 0;",
        ),
        (
            "strategy",
            "random_sampling/1",
            "badge/1",
            "run of badge, seed 1, but it holds that of random_sampling, seed 1;",
        ),
    ]:
        with case(what):
            shutil.rmtree(made.output / end)
            shutil.copytree(made.output / start, made.output / end)
            for reads in (lambda: finished_runs(made), lambda: run_all(made)):
                with pytest.raises(RunError, match=message):
                    reads()
    other = config(experiment__seeds=2, active_learning__rounds=1, train_parameters__lr=0.2)
    with pytest.raises(
        RunError, match=r"random_sampling, seed 0, but it holds .*, seed 0, with another configuration; choose"
    ):
        finished_runs(other)


def test_a_folder_with_other_content_is_refused(config):
    made = config()
    made.output.mkdir()
    (made.output / "thesis.tex").write_text("precious")
    with pytest.raises(ConfigError, match="exists and holds no experiment"):
        run_all(made)
    assert [p.name for p in made.output.iterdir()] == ["thesis.tex"]


def test_a_configuration_of_the_users_own_is_not_replaced(config, document):
    """``distil run config.json --output .``: the folder is not that of an experiment, and the file stays as it is."""
    made = config()
    made.output.mkdir()
    path = made.output / "config.json"
    path.write_text(json.dumps(document()))
    before = path.read_bytes()
    with pytest.raises(
        ConfigError, match=r"out/config\.json is not the configuration of an experiment, .* choose another"
    ):
        run_all(made)
    assert path.read_bytes() == before
    assert [p.name for p in made.output.iterdir()] == ["config.json"]


def test_an_empty_folder_is_accepted(config):
    made = config()
    made.output.mkdir()
    assert run_all(made)


def test_folders_without_an_experiment_cannot_be_opened(case, tmp_path):
    for content_ in [None, "{}", "not json", '{"experiment": {}}']:
        with case(content_):
            if content_ is not None:
                (tmp_path / "config.json").write_text(content_)
            with pytest.raises(RunError):
                open_config(tmp_path)


def test_a_comparison_has_random_sampling_seeds_and_the_bound(document):
    made = document(active_learning__strategies=["badge"])
    del made["experiment"]["seeds"]
    found = compared(parse_config(made))
    assert [spec.label for spec in found.strategies] == ["random_sampling", "badge"]
    assert (found.full_data, found.seeds) == (True, tuple(range(10)))
    assert not compared(parse_config(made), full_data=False).full_data


def test_every_strategy_is_run_with_every_retrain(config):
    made = compared(config(active_learning__strategies=["badge"]), retrain=["scratch", "warm"], full_data=False)
    assert [(spec.label, spec.retrain) for spec in made.strategies] == [
        ("random_sampling", None),
        ("badge", None),
        ("random_sampling+warm", "warm"),
        ("badge+warm", "warm"),
    ]
    run_all(made)
    one, other = (Run(run_path(made.output, label, 0)).all("trained") for label in ("badge", "badge+warm"))
    assert one[0] == other[0]
    assert one[1] != other[1]
    with pytest.raises(ConfigError, match="retrain must be one of scratch, warm, shrink_perturb, got 'hot'"):
        compared(config(), retrain=["hot"])


def test_labels_of_reserved_folders_are_refused(case, config):
    for label in ["full_data", "first_round"]:
        with (
            case(label),
            pytest.raises(ConfigError, match=f"the label '{label}' is the name of a folder that distil uses"),
        ):
            config(active_learning__strategies=[{"name": "badge", "label": label}])
