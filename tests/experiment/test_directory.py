"""The directory of an experiment: whose it is, how it grows, and what a comparison adds to a configuration."""

import shutil

import pytest

from distil.errors import ConfigError, RunError
from distil.experiment.config.experiment_config import parse_config
from distil.experiment.directory import compared, open_config
from distil.experiment.results import finished_runs, run_path
from distil.experiment.run import Run
from distil.experiment.suite import run_all


def test_another_strategy_and_seed_add_only_the_missing_runs(config, trainings, run_files, tmp_path):
    small = config(active_learning__strategies=["random_sampling", "badge"], experiment__seeds=1)
    run_all(small)
    before, done = run_files(small.output), trainings(small.output)
    run_all(config(active_learning__strategies=["margin_sampling"], experiment__seeds=2))
    grown = open_config(small.output)
    assert [spec.label for spec in grown.strategies] == ["random_sampling", "badge", "margin_sampling"]
    assert grown.seeds == (0, 1)
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
    with pytest.raises(RunError, match=r"its mine differ"):
        run_all(config(active_learning__strategies=other))


def test_another_configuration_is_refused_by_the_section_that_differs(case, config):
    for change, section in [
        ({"train_parameters__lr": 0.2}, "train_parameters"),
        ({"model__hidden_units_1": 9}, "model"),
        ({"active_learning__budget": 7}, "active_learning"),
        ({"dataset__test_points": 29}, "dataset"),
        ({"experiment__threads": 2}, "experiment"),
        ({"active_learning__strategy_args": {"lr": 0.5}}, "active_learning"),
    ]:
        with case(change, section):
            run_all(config(experiment__seeds=1))
            with pytest.raises(RunError, match=rf"holds another experiment \(its {section} differ\)"):
                run_all(config(**{"experiment__seeds": 1, **change}))


def test_paths_are_not_part_of_an_experiment(config):
    assert run_all(config())
    assert run_all(config(experiment__data="elsewhere", dataset__download=True))


def test_an_altered_configuration_is_refused(config):
    """Also in what only tables depend on: another seed would be missing from them without a word."""
    made = config(experiment__seeds=1, active_learning__strategies=["random_sampling"], active_learning__rounds=1)
    run_all(made)
    path = made.output / "config.json"
    path.write_text(path.read_text().replace('"seeds": 1', '"seeds": 2'))
    for reads in (lambda: open_config(made.output), lambda: run_all(made)):
        with pytest.raises(RunError, match=r"out/config\.json was changed since distil wrote it"):
            reads()


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


def test_an_empty_folder_is_accepted(config):
    made = config()
    made.output.mkdir()
    assert run_all(made)


def test_folders_without_an_experiment_cannot_be_opened(case, tmp_path):
    for content_ in [None, "{}", "not json", '{"experiment": {}}']:
        with case(content_):
            if content_ is not None:
                (tmp_path / "config.json").write_text(content_)
            with pytest.raises((RunError, ConfigError)):
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
