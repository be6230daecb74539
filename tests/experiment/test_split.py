"""What a seed makes of a data set, and which parts of that can be fixed."""

from dataclasses import asdict

import torch

from distil.experiment.results import run_path
from distil.experiment.run import Run
from distil.experiment.split import split
from distil.experiment.suite import run_all


def test_label_noise_changes_labels_of_the_pool_only(config):
    made = config(dataset__label_noise=0.25)
    data = made.load_data()
    clean, noisy = split(data, config(), 0), split(data, made, 0)
    assert torch.equal(clean.pool, noisy.pool)
    assert int((clean.y != noisy.y)[noisy.pool].sum()) == len(noisy.pool) // 4
    assert torch.equal(clean.y_test, noisy.y_test)
    held = torch.ones(len(noisy.y), dtype=torch.bool).index_fill_(0, noisy.pool, False)
    assert torch.equal(clean.y[held], noisy.y[held])


def test_imbalance_makes_classes_rare_in_the_pool_only(config):
    made = config(dataset__imbalance=0.5)
    data = made.load_data()
    clean, rare = split(data, config(), 0), split(data, made, 0)
    counts, before = rare.y[rare.pool].bincount(minlength=10), clean.y[clean.pool].bincount(minlength=10)
    assert int((counts < before).sum()) == 5
    assert set(counts[counts < before].tolist()) == {int(before.min()) // 10}
    assert torch.equal(clean.y_test, rare.y_test)


def test_changes_of_the_pool_that_are_null_are_none(config):
    made = config(dataset__imbalance=None, dataset__label_noise=None)
    data = made.load_data()
    clean, same = split(data, config(), 0), split(data, made, 0)
    assert torch.equal(clean.pool, same.pool)
    assert torch.equal(clean.y, same.y)


def test_each_part_of_a_replicate_has_a_seed_that_can_be_fixed(case, config, tmp_path):
    for part in ["split", "initial", "model", "selection"]:
        with case(part):
            fixed = {f"experiment__{part}_seed": 7, "experiment__output": str(tmp_path / part)}
            made = config(**fixed, active_learning__strategies=["random_sampling"])
            run_all(made)
            runs = [Run(run_path(made.output, "random_sampling", seed)) for seed in (0, 1)]
            for seed, run in zip((0, 1), runs, strict=True):
                assert run.events[0]["seeds"] == {
                    **dict.fromkeys(("split", "initial", "model", "selection"), seed),
                    part: 7,
                }
                assert run.events[0]["seeds"] == asdict(made.seeds_of(seed))
            splits = [split(made.load_data(), made, seed) for seed in (0, 1)]
            assert torch.equal(splits[0].pool, splits[1].pool) == (part == "split")


def test_fixed_parts_are_shared_by_replicates(config):
    fixed = {f"experiment__{part}_seed": 3 for part in ("split", "initial", "model")}
    made = config(**fixed, active_learning__strategies=["random_sampling"])
    run_all(made)
    one, other = (Run(run_path(made.output, "random_sampling", seed)) for seed in (0, 1))
    assert one.all("trained")[0] == other.all("trained")[0]
    assert one.all("asked") != other.all("asked")
