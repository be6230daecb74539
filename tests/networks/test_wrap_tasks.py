"""Models for regression and multi-label classification: what ``wrap`` reads when their task is named."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import nn

from distil.errors import InvalidInput, UnsupportedModel
from distil.networks.dropout import Draw
from distil.networks.wrap import wrap
from distil.rng import Rng
from distil.system.runtime import Runtime

X = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))


def net(columns, *end):
    torch.manual_seed(columns)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, columns), *end).eval()


def asked(network, x=X):
    with network.asking(Runtime()):
        found = network.outputs(x)
        return found.logits, found.embedding


def sampled(network, n_samples, x=X):
    with network.asking(Runtime()):
        return network.sample(x, n_samples, Draw(Rng(0), torch.arange(len(x)), False))


def test_predictions_are_columns_of_any_number_and_the_embedding_is_found():
    for model, columns in ((net(1), 1), (net(3), 3), (net(1, nn.Flatten(0)), 1)):
        predictions, embedding = asked(wrap(model, task="regression"))
        assert predictions.shape == (40, columns)
        torch.testing.assert_close(predictions, model(X).detach().reshape(40, columns))
        torch.testing.assert_close(embedding, model[:2](X).detach())
    assert repr(wrap(net(1), task="regression", example=X)).endswith(
        "1 predictions; embedding: 5 numbers, the input of 3)"
    )


def test_logits_of_labels_and_probabilities_of_labels_are_equal():
    raw = net(4)
    logits, embedding = asked(wrap(raw, task="multilabel"))
    torch.testing.assert_close(logits, raw(X).detach())
    through, same = asked(wrap(nn.Sequential(raw, nn.Sigmoid()), task="multilabel", output="probs"))
    torch.testing.assert_close(through, logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(same, embedding)
    saturated = asked(wrap(lambda x: (x[:, :2] > 0).float(), task="multilabel", output="probs"))[0]
    assert torch.equal(saturated.sigmoid().round(), (X[:, :2] > 0).float())


def test_dropout_samples_are_predictions_or_probabilities_of_labels():
    values = sampled(wrap(net(2), task="regression"), 300)
    assert values.shape == (40, 300, 2)
    assert float(values.std(1).mean()) > 0.05
    assert float(values.min()) < 0  # no sigmoid, no softmax
    hidden = net(2)[:2](X).detach()
    layer = net(2)[3]
    variance = (
        hidden.square() @ layer.weight.detach().square().T
    )  # of a sum of h_i w_i m_i, m_i 0 or 2 with equal chances
    torch.testing.assert_close(values.var(1), variance, atol=0.05, rtol=0.5)
    probs = sampled(wrap(net(3), task="multilabel"), 5)
    assert 0 <= float(probs.min()) <= float(probs.max()) <= 1
    assert not torch.allclose(probs.sum(-1), torch.ones(40, 5))


def test_ensembles_average_predictions_and_probabilities_of_labels():
    members = [net(2), nn.Sequential(nn.Linear(6, 2))]
    ensemble = wrap(members, task="regression")
    outputs = torch.stack([member(X).detach() for member in members], 1)
    torch.testing.assert_close(asked(ensemble)[0], outputs.mean(1))
    torch.testing.assert_close(sampled(ensemble, 9), outputs)
    labels = wrap(members, task="multilabel")
    torch.testing.assert_close(asked(labels)[0].sigmoid(), outputs.sigmoid().mean(1))
    torch.testing.assert_close(sampled(labels, 9), outputs.sigmoid())
    with pytest.raises(InvalidInput, match="must have one task, got classification, regression"):
        wrap([wrap(net(2)), wrap(net(2), task="regression")])


def test_configured_models_of_transformers_are_read_for_their_own_task_only():
    for configured, task in (("multi_label_classification", "multilabel"), ("regression", "regression")):
        model = net(3)
        model.config = SimpleNamespace(problem_type=configured)
        assert asked(wrap(model, task=task))[0].shape == (40, 3)
        for other in {"classification", "multilabel", "regression"} - {task}:
            with pytest.raises(
                UnsupportedModel, match=f'problem_type="{configured}", and the task is {other}; pass task="{task}"'
            ):
                asked(wrap(model, task=other))


def test_refusals(case):
    for model, settings, error, message in [
        (net(3), {"task": "regresion"}, InvalidInput, "did you mean 'regression'"),
        (net(3), {"task": "regression", "output": "probs"}, UnsupportedModel, "returns predictions"),
        (net(1, nn.Flatten(0)), {"task": "multilabel"}, UnsupportedModel, r"a logit for each label, \(B, L\)"),
        (net(1), {"task": "multilabel", "output": "sigmoid"}, UnsupportedModel, "with output='sigmoid'"),
        (net(3, nn.Sigmoid()), {"task": "multilabel"}, UnsupportedModel, 'ends with a sigmoid, so .*output="probs"'),
        (net(3), {"task": "multilabel", "output": "probs"}, UnsupportedModel, "some values are outside"),
        (net(3), {"task": "regression", "num_classes": 2}, UnsupportedModel, "the model has 3"),
        (Ridge(), {"task": "regression"}, UnsupportedModel, "Ridge is not fitted; call its fit first"),
        ([Ridge(), Ridge()], {"task": "multilabel"}, UnsupportedModel, "Ridge has no predict_proba"),
        (Ridge(), {"task": "regression", "logits": "predict_proba"}, InvalidInput, "logits= cannot be used with Ridge"),
        (
            wrap(net(3)),
            {"task": "regression"},
            InvalidInput,
            "is a network for classification, and the task is regression",
        ),
    ]:
        with case(message), pytest.raises(error, match=message):
            asked(wrap(model, **settings))
    assert wrap(wrap(net(3), task="regression")).task == "regression"
    assert asked(wrap(net(1, nn.Sigmoid()), task="regression"))[0].shape == (
        40,
        1,
    )  # predictions from 0 to 1 are predictions


def test_a_net_of_skorch_is_read_for_its_criterion():
    skorch = pytest.importorskip("skorch")
    trained = skorch.NeuralNetRegressor(net(1), max_epochs=1, verbose=0).initialize()
    with pytest.raises(UnsupportedModel, match="is trained with MSELoss; regression models need task"):
        wrap(trained)
    assert asked(wrap(trained, task="regression"))[0].shape == (40, 1)
    labels = skorch.NeuralNet(net(3), criterion=nn.BCEWithLogitsLoss, max_epochs=1, verbose=0).initialize()
    assert asked(wrap(labels, task="multilabel"))[0].shape == (40, 3)
    assert np.isfinite(asked(wrap(labels, task="multilabel"))[0].numpy()).all()
