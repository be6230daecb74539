"""The linear head as a module, fitted by a Learner and by experiments."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.preprocessing import StandardScaler

import distil
from distil import HeadConfig, Learner, LinearHead
from distil.errors import DistilWarning, InvalidInput
from distil.experiment import outputs
from distil.experiment.config.experiment_config import parse_config
from distil.experiment.loop import Experiment
from distil.experiment.outputs import write_results
from distil.experiment.run import Run
from distil.experiment.split import split
from distil.experiment.suite import run_all
from distil.functional.logistic_regression import fit_logistic_regression, pool_scale
from distil.rng import Rng
from distil.signals import Given
from distil.strategies import STRATEGIES
from distil.strategies.registry import tasks_of
from distil.training.linear_head import fit_head, held_out

N = 120


@pytest.fixture(scope="module")
def pool():
    """Three blobs far from the origin, and their classes."""
    draws = torch.Generator().manual_seed(0)
    y = torch.arange(N) % 3
    x = torch.randn(N, 6, generator=draws)
    x[torch.arange(N), y] += 3
    return 40 * x + 1000, y


def test_the_head_of_a_pool_is_the_functional_fit(pool):
    x, y = pool
    head = LinearHead.over(x, 3)
    assert torch.equal(head(x), torch.zeros(N, 3))
    result = fit_head(head, x[:30], y[:30], HeadConfig())
    center, spread = pool_scale([x])
    expected = fit_logistic_regression((x[:30].double() - center) / spread, y[:30], 3)
    assert result.chosen == {"decay": expected.decay, "temperature": pytest.approx(expected.temperature, rel=1e-4)}
    logits = (x.double() - center) / spread @ expected.weight.T + expected.bias
    assert torch.allclose(head(x).double(), logits, atol=1e-3)
    assert result.accuracies == (float((logits[:30].argmax(1) == y[:30]).double().mean()),)
    assert result.losses[0] == pytest.approx(float(torch.nn.functional.cross_entropy(logits[:30], y[:30])), abs=1e-3)
    assert (result.stopped, result.n_epochs) == ("optimum", 1)


def test_held_out_probabilities_hardly_depend_on_the_folds_and_leave_the_head_alone(pool):
    x, y = pool
    head = LinearHead.over(x, 3)
    found = [held_out(head, x[:60], y[:60], Rng(seed)) for seed in (0, 0, 1)]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert (found[0] - found[2]).abs().mean() < 0.05
    wrong = y[:60].clone()
    wrong[5] = (wrong[5] + 1) % 3
    assert held_out(head, x[:60], wrong, Rng(0))[5].argmax() == y[5], "its own label does not count"
    assert torch.equal(head(x), torch.zeros(N, 3))


def test_only_the_rows_of_the_pool_count_and_arrays_may_be_read_only(pool):
    x = pool[0].numpy().copy()
    x.flags.writeable = False
    ids = torch.arange(0, N, 2)
    head = LinearHead.over(x, 3, ids=ids, transform=lambda rows: rows / 2)
    assert np.allclose(head.center, x[::2].astype(float).mean(0) / 2, rtol=1e-6)
    assert float(head.spread) == pytest.approx(np.sqrt(((x[::2] - x[::2].mean(0)) ** 2).sum(1).mean()) / 2, rel=1e-5)


def test_the_fit_and_the_selection_see_the_same_rows_at_every_scale_and_offset(case, pool):
    x, y = pool[0].double(), pool[1]

    def picks(rows):
        learner = Learner(rows, LinearHead.over(rows, 3), "margin_sampling", num_classes=3, rng=0)
        learner.label(range(30), y[:30])
        learner.fit()
        return learner.query(5).tolist()

    expected = picks(x)
    for name, rows in {
        "far away": x + 2.0**40,  # float32 would round all rows to one
        "large": x * 2.0**900,
        "small": x * 2.0**-1000,
        "large in float32": (x * 2.0**115).float(),
        "small in float32": (x * 2.0**-125).float(),
    }.items():
        with case(name):
            assert picks(rows) == expected


def test_a_pool_that_gives_no_head_is_refused_by_name(case, pool):
    x = pool[0].clone()
    x[7, 2] = torch.nan
    for given, num_classes, message in [
        (x, 3, f"pool has NaN or infinite values in 1 of {N} examples: ids 7"),
        (x.tolist(), 3, "pool must be an array with one row per example, got list"),
        (x[:, 0], 3, "pool must have one row per example"),
        (pool[0], 1, "num_classes must be a whole number from 2, got 1"),
        (pool[0], "3", "num_classes must be a whole number from 2, got '3'"),
    ]:
        with case(message), pytest.raises(InvalidInput, match=message):
            LinearHead.over(given, num_classes)
    with pytest.raises(InvalidInput, match="the linear head has 4 classes, and the learner 3"):
        Learner(pool[0], LinearHead.over(pool[0], 4), "badge", num_classes=3)


def test_a_learner_fits_to_the_optimum_every_round(pool):
    x, y = pool
    rounds = []
    for data in (x, torch.utils.data.TensorDataset(x)):
        learner = Learner(data, LinearHead.over(x, 3), "margin_sampling", num_classes=3, rng=0)
        learner.label(range(12), y[:12])
        learner.fit()
        ids = learner.query(5).tolist()
        learner.label(ids, y[ids])
        learner.fit()
        alone = LinearHead.over(x, 3)
        labeled = learner.pool.labeled
        fit_head(alone, x[labeled], y[labeled], HeadConfig())
        assert torch.equal(learner.module.linear.weight, alone.linear.weight)
        rounds.append(ids)
    assert rounds[0] == rounds[1]
    assert float((learner.module(x).argmax(1) == y).double().mean()) > 0.9


def test_a_learner_reads_the_rows_of_a_head_as_for_scoring(pool):
    x, y = pool
    expected = LinearHead.over(x, 3)
    fit_head(expected, x[:12], y[:12], HeadConfig())
    items = [{"row": row, "id": i} for i, row in enumerate(x)]
    keyed = [(row.tolist(), i) for i, row in enumerate(x)]

    def network(head):
        return distil.wrap(head, inputs=lambda batch: batch["row"])

    for data, options in [
        (items, {"network": network}),
        (keyed, {"collate": lambda examples: torch.tensor([row for row, _ in examples])}),
    ]:
        learner = Learner(data, LinearHead.over(x, 3), "margin_sampling", num_classes=3, rng=0, **options)
        learner.label(range(12), y[:12])
        learner.fit()
        assert torch.equal(learner.module.linear.weight, expected.linear.weight)
        assert len(learner.query(5)) == 5


def test_what_a_learner_refuses(pool):
    x, _ = pool
    head = LinearHead.over(x, 3)
    for options, message in [
        ({"retrain": "warm"}, "retrain='warm' has no meaning for a linear head"),
        ({"augment": lambda rows, _: rows}, "cannot be used with a linear head"),
        ({"validation": (x, torch.zeros(N, dtype=torch.int64))}, "cannot be used with a linear head"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            Learner(x, head, "margin_sampling", num_classes=3, **options)
    with pytest.raises(InvalidInput, match="a HeadConfig fits a LinearHead, not Linear"):
        Learner(x, torch.nn.Linear(6, 3), "margin_sampling", num_classes=3, fit=HeadConfig())
    with pytest.raises(InvalidInput, match="rows of 6 numbers"):
        fit_head(head, torch.zeros(4, 5), torch.zeros(4, dtype=torch.int64), HeadConfig())
    with pytest.raises(InvalidInput, match="class_weights"):
        HeadConfig(class_weights="even")


def test_one_class_is_said_in_words(pool):
    x, _ = pool
    head = LinearHead.over(x, 3)
    with pytest.warns(DistilWarning, match="all 4 labels are of class 2"):
        result = fit_head(head, x[:4], torch.full((4,), 2), HeadConfig())
    assert result.chosen == {}
    assert bool((head(x).argmax(1) == 2).all())


@pytest.mark.filterwarnings("ignore::distil.errors.DistilWarning")  # a head has no dropout
def test_every_strategy_selects_with_a_head(pool):
    x, y = pool
    head = LinearHead.over(x, 3)
    fit_head(head, x[:20], y[:20], HeadConfig())
    sets = {"labeled": (x[:20], y[:20]), "validation": (x[20:30], y[20:30]), "query": x[30:34], "private": x[34:36]}
    for name, cls in STRATEGIES.items():
        if "classification" not in tasks_of(cls()):
            continue
        if any(isinstance(signal, Given) for signal in cls().needs.signals):  # no model measures it
            continue
        found = distil.select(name, head, x[40:], 4, rng=0, costs=torch.ones(len(x) - 40), **sets)
        assert len(set(found.tolist())) == 4, name


def test_the_embedding_is_the_scaled_row_and_gradients_go_through_it(pool):
    x, y = pool
    head = LinearHead.over(x, 3)
    fit_head(head, x[:20], y[:20], HeadConfig())
    network = distil.wrap(head)
    with network.asking(distil.Runtime()):
        outputs = network.outputs(x)
    assert torch.allclose(outputs.embedding, head.features(x))
    assert torch.allclose(outputs.embedding @ head.linear.weight.T + head.linear.bias, outputs.logits, atol=1e-5)


# ---------------------------------------------------------------------------------------------------------- experiments


def document(folder, **changes):
    made = {
        "active_learning": {"strategies": ["random_sampling", "badge"], "budget": 5, "rounds": 3, "initial_points": 10},
        "dataset": {"embeddings": str(folder / "emb.npy"), "labels": str(folder / "labels.csv")},
        "experiment": {"output": str(folder / "out"), "seeds": 2},
    }
    return {**made, **changes}


@pytest.fixture
def folder(tmp_path, pool):
    x, y = pool
    np.save(tmp_path / "emb.npy", x.numpy())
    (tmp_path / "labels.csv").write_text(
        "id,label\n" + "".join(f"{row},{label}\n" for row, label in enumerate(y.tolist()))
    )
    return tmp_path


def test_an_experiment_scales_by_its_pool_and_keeps_the_whole_head(folder, pool):
    x, y = pool
    config = parse_config(document(folder))
    data = config.load_data()
    config = config.pinned(data)
    assert run_all(config)
    parts = split(data, config, 1)
    run = Run(config.output / "badge" / "1")
    kept = load_file(run.path / "model.safetensors")
    center, spread = pool_scale([x[parts.pool]])
    assert torch.allclose(kept["center"], center.float())
    assert float(kept["spread"]) == pytest.approx(spread, rel=1e-6)
    ids = [id_ for event in run.all("labeled") for id_ in event["ids"]]
    head = LinearHead(center, spread, 3)
    fit_head(head, x[ids], y[ids], HeadConfig())
    assert torch.allclose(kept["linear.weight"], head.linear.weight, atol=1e-4)
    trained = run.last("trained")
    assert (trained["stopped"], trained["epochs"]) == ("optimum", 1)
    assert trained["decay"] > 0
    assert trained["temperature"] > 0


def test_a_run_that_is_killed_goes_on_to_the_same_bytes(folder):
    config = parse_config(document(folder))
    data = config.load_data()
    config = config.pinned(data)
    spec = config.strategies[1]
    whole = Run(folder / "whole")
    Experiment(whole, config, spec, 0, data).advance()
    for after in (3, 5, 8):
        part = Run(folder / f"part{after}")
        with pytest.raises(KeyboardInterrupt):
            Experiment(part, config, spec, 0, data).advance(_stop_after(after))
        Experiment(Run(part.path), config, spec, 0, data).advance()
        for name in ("events.jsonl", "model.safetensors"):
            assert (part.path / name).read_bytes() == (whole.path / name).read_bytes()


def _stop_after(count):
    seen = []

    def on_event(event):
        seen.append(event)
        if len(seen) == count:
            raise KeyboardInterrupt

    return on_event


def test_tables_are_standardized_over_the_pool_by_default(tmp_path):
    draws = np.random.default_rng(0)
    x = draws.normal(size=(80, 3)) * [1, 100, 1e-3] + [0, 1e4, 5]
    path = tmp_path / "a.csv"
    np.savetxt(path, np.column_stack([x, np.arange(80) % 2]), delimiter=",")
    dataset = {"name": "csv", "path": str(path)}
    for model, train in [
        ({"architecture": "two_layer_net", "hidden_units_1": 4}, {"lr": 0.1, "batch_size": 16, "n_epoch": 2}),
        ({"architecture": "linear_head"}, {}),
    ]:
        made = document(tmp_path, dataset=dataset, model={**model, "target_classes": 2}, train_parameters=train)
        config = parse_config(made)
        data = config.load_data()
        parts = split(data, config, 0)
        scaler = StandardScaler().fit(x[parts.pool])
        rest = torch.tensor([row for row in range(80) if row not in set(parts.pool.tolist())])
        assert np.allclose(
            parts.transform(parts.x_test).sort(0).values, np.sort(scaler.transform(x[rest]), 0), atol=1e-2
        )
        plain = parse_config({**made, "dataset": {**dataset, "standardize": False}})
        assert split(data, plain, 0).transform is None
    digits = parse_config(
        {**made, "dataset": {"name": "digits"}, "model": {"architecture": "linear_head", "target_classes": 10}}
    )
    assert not digits.standardizes(digits.load_data())


def test_a_training_that_collapses_is_reported_in_words(tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "picture_of", lambda *_, **__: b"picture")
    made = document(tmp_path, dataset={"name": "digits", "test_points": 200})
    made["model"] = {"architecture": "two_layer_net", "hidden_units_1": 8, "target_classes": 10}
    made["train_parameters"] = {"lr": 1e-9, "batch_size": 16, "n_epoch": 1}
    made["active_learning"] = {**made["active_learning"], "initial_points": 40, "rounds": 2}
    config = parse_config(made)
    assert run_all(config)
    trained = Run(config.output / "badge" / "0").all("trained")
    noted = [event for event in trained if "notes" in event]
    assert noted
    assert all("the training collapsed" in event["notes"][0] for event in noted)
    write_results(config, page=True)
    sentence = "trainings learned next to nothing; seed "
    assert sentence in (config.output / "results.md").read_text()
    assert sentence in (config.output / "report.html").read_text()
