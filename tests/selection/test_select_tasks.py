"""``select`` and ``select_from`` in regression and multi-label classification."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from distil import select, select_from, wrap
from distil.errors import InvalidInput, MissingSignal, UnsupportedModel

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5)).astype(np.float32)
Y = (X @ RNG.normal(size=(5, 1))).astype(np.float32)
LABELED = [4, 8, 15, 16]


def net(columns):
    torch.manual_seed(columns)
    return nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Dropout(), nn.Linear(6, columns)).eval()


def outputs(model):
    with torch.no_grad():
        return model(torch.from_numpy(X)).numpy(), model[:2](torch.from_numpy(X)).numpy()


def test_a_model_and_arrays_of_its_outputs_give_equal_picks():
    model = net(2)
    predicted, hidden = outputs(model)
    targets = RNG.normal(size=(4, 2))
    labeled = (LABELED, targets)
    for name in ("greedy_sampling", "lcmd", "max_det", "badge", "last_layer_variance", "core_set", "random_sampling"):
        one = select(name, model, X, 6, labeled=labeled, task="regression", seed=1)
        arrays = {"predictions": predicted, "embeddings": hidden}
        assert one.tolist() == select_from(name, 6, labeled=labeled, task="regression", seed=1, **arrays).tolist(), name
    labels = net(3)
    probs, hidden = torch.tensor(outputs(labels)[0]).sigmoid().numpy(), outputs(labels)[1]
    for name in ("multilabel_uncertainty", "badge", "lcmd", "typiclust"):
        one = select(name, labels, X, 6, labeled=LABELED, task="multilabel", seed=1)
        arrays = {"probs": probs, "embeddings": hidden}
        assert one.tolist() == select_from(name, 6, labeled=LABELED, task="multilabel", seed=1, **arrays).tolist(), name


def test_every_form_of_targets_is_read():
    given = {"task": "regression", "predictions": Y, "embeddings": X}
    values = Y[LABELED, 0]
    expected = select_from("greedy_sampling", 5, labeled=(LABELED, values), **given).tolist()
    assert expected != select_from("greedy_sampling", 5, labeled=(LABELED, values + 2), **given).tolist()
    for labeled in (
        (LABELED, values.tolist()),
        (LABELED, torch.tensor(values)[:, None]),
        (LABELED, pd.Series(values)),
        dict(zip(LABELED, values.tolist(), strict=True)),
        ([*LABELED[::-1]], values[::-1]),
    ):
        assert select_from("greedy_sampling", 5, labeled=labeled, **given).tolist() == expected
    assert select_from("greedy_sampling", 5, labeled=LABELED, labels=values, **given).tolist() == expected
    assert (
        select_from("greedy_sampling", 5, labeled=(LABELED, values), **{**given, "predictions": Y[:, 0]}).tolist()
        == expected
    )
    model = nn.Linear(5, 1)
    apart = (X[LABELED], values)
    inside = select("greedy_sampling", model, X, 5, labeled=(LABELED, values), task="regression")
    data = torch.utils.data.TensorDataset(torch.tensor(X[LABELED]), torch.tensor(values))
    for labeled in (apart, data):
        candidates = np.delete(np.arange(60), LABELED)
        found = select("greedy_sampling", model, X, 5, labeled=labeled, candidates=candidates, task="regression")
        assert found.tolist() == inside.tolist()


def test_dropout_and_ensembles_give_the_variance():
    members = [net(1), net(2)[:3] + nn.Sequential(nn.Linear(6, 1)), nn.Linear(5, 1)]
    stacked = np.stack([member(torch.from_numpy(X)).detach().numpy() for member in members], 1)
    found = select("variance_sampling", members, X, 5, task="regression")
    assert found.tolist() == (-stacked.var(1).sum(1)).argsort()[:5].tolist()
    sampled = select("variance_sampling", net(1), X, 5, task="regression", seed=0)
    assert sampled.tolist() != select("variance_sampling", net(1), X, 5, task="regression", seed=1).tolist()


def test_half_precision_and_memory_mapped_arrays(tmp_path):
    np.save(tmp_path / "p.npy", Y)
    mapped = np.load(tmp_path / "p.npy", mmap_mode="r")
    labeled = (LABELED, Y[LABELED])
    expected = select_from("greedy_sampling", 5, task="regression", predictions=Y, embeddings=X, labeled=labeled)
    found = select_from("greedy_sampling", 5, task="regression", predictions=mapped, embeddings=X, labeled=labeled)
    assert found.tolist() == expected.tolist()
    rough = (RNG.random((60, 4)) * 1.0005).astype(np.float16)  # sums and ends of probabilities are rounded
    assert len(select_from("multilabel_uncertainty", 5, task="multilabel", probs=np.minimum(rough, 1))) == 5


def test_a_task_is_never_guessed(case):
    probs = RNG.random((60, 3))
    sums = probs / probs.sum(1, keepdims=True)
    given = {"embeddings": X, "labeled": (LABELED, Y[LABELED, 0])}
    for call, error, message in [
        (lambda: select_from("margin_sampling", 3, probs=probs), InvalidInput, "not a probability distribution"),
        (lambda: select_from("margin_sampling", 3, probs=sums, task="multilabel"), InvalidInput, "multilabel: badge"),
        (lambda: select_from("badge", 3, predictions=Y, **given), InvalidInput, 'predictions is for task="regression"'),
        (lambda: select_from("lcmd", 3, probs=sums, task="regression"), InvalidInput, "probs is for task=.* or task="),
        (lambda: select_from("lcmd", 3, mc_probs=probs[:, None], task="multilabel"), InvalidInput, "mc_probs is for"),
        (lambda: select_from("lcmd", 3, task="regression"), InvalidInput, "pass predictions=, embeddings= or mc_pred"),
        (lambda: select_from("lcmd", 3, probs=sums, task="classify"), InvalidInput, "did you mean 'classification'"),
        (lambda: select("lcmd", net(1), X, 3), UnsupportedModel, "regression models need task"),
        (lambda: select("lcmd", wrap(net(1), task="regression"), X, 3), InvalidInput, "a network for regression"),
        (
            lambda: select_from(
                "multilabel_uncertainty", 3, probs=probs + 0.5, task="multilabel", names=list(range(100, 160))
            ),
            InvalidInput,
            r"probs\[\d{3}\] must be probabilities of labels",
        ),
        (
            lambda: select_from("multilabel_uncertainty", 3, probs=probs * np.nan, task="multilabel"),
            InvalidInput,
            r"probs\[0\] must be probabilities of labels",
        ),
    ]:
        with case(message), pytest.raises(error, match=message):
            call()


def test_wrong_targets_are_named(case):
    given = {"task": "regression", "predictions": Y, "embeddings": X, "names": [f"n{i}" for i in range(60)]}
    for labels, error, message in [
        ([1.0, 2.0], InvalidInput, "must have one entry for each of the 4 examples, got 2"),
        ([1.0, None, 2.0, 3.0], InvalidInput, "NaN or infinite values in 1 of 4 examples: ids 'n8'"),
        (["a", "b", "c", "d"], InvalidInput, "labels must hold numbers"),
        ({1.0, 2.0, 3.0, 4.0}, InvalidInput, "a list, one number for each example; got set"),
    ]:
        with case(message), pytest.raises(error, match=message):
            select_from("greedy_sampling", 3, labeled=(["n4", "n8", "n15", "n16"], labels), **given)
    with pytest.raises(MissingSignal, match=r"GreedySampling needs `labels` \(N, T\)"):
        select_from("greedy_sampling", 3, labeled=["n4"], **given)
