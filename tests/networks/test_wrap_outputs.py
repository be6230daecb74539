"""What models return: candidates for the logits, and kinds of models that are refused by name."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from distil.errors import UnsupportedModel
from distil.networks.torch_network import TorchNetwork
from distil.networks.wrap import wrap
from distil.selection.select import select, select_from

N = 30
X = torch.randn(N, 6, generator=torch.Generator().manual_seed(0))


class Heads(nn.Module):
    """Class logits, features and the logits of a domain classifier, which is called last."""

    def __init__(self, pack=lambda z, h, d: (z, h, d)):
        super().__init__()
        self.body, self.classes, self.domains = nn.Linear(6, 5), nn.Linear(5, 3), nn.Linear(5, 2)
        self.pack = pack

    def forward(self, x):
        h = self.body(x).relu()
        return self.pack(self.classes(h), h, self.domains(h))


def test_several_candidates_for_the_logits_are_asked_for(case, seeded):
    heads = seeded(Heads)
    with torch.no_grad():
        z, h, d = heads(X)
    for strategy in ("margin_sampling", "badge"):
        with (
            case(strategy),
            pytest.raises(UnsupportedModel, match=r"position 0 \(8, 3\), position 2 \(8, 2\)") as caught,
        ):
            select(strategy, heads, X, 6)
        assert "distil.wrap(model, logits=0)" in str(caught.value)  # done below
    for network, probs in [
        (wrap(heads, logits=0), z),
        (wrap(heads, logits=2), d),
        (wrap(heads, head="classes"), z),
        (wrap(heads, head="domains"), d),
        (wrap(heads, num_classes=3), z),
        (wrap(heads, num_classes=2), d),
        (wrap(heads, logits=0, embedding=1), z),
        (wrap(seeded(Heads, lambda z, h, d: {"cls": z, "dom": d}), logits="dom"), d),
        (wrap(seeded(Heads, lambda z, h, d: (h, z))), z),
    ]:
        with case(network):
            expected = select_from("badge", 6, probs=probs.softmax(1), embeddings=h)
            assert select("badge", network, X, 6).tolist() == expected.tolist()
    with pytest.raises(UnsupportedModel, match=r"cannot read logits .*a dict of cls, dom.*pass logits= to distil.wrap"):
        select("margin_sampling", seeded(Heads, lambda z, h, d: {"cls": z, "dom": d}), X, 6)
    with pytest.raises(UnsupportedModel, match=r"no layer of it maps one to another.*logits=0"):
        select("margin_sampling", seeded(Heads, lambda z, h, d: (z, d)), X, 6)


def test_models_for_other_tasks_are_refused_by_name(case):
    net = lambda n: nn.Sequential(nn.Linear(6, n))  # noqa: E731
    configured, linear = {}, net(3)
    for task in ("multi_label_classification", "regression"):
        configured[task] = net(3)
        configured[task].config = SimpleNamespace(problem_type=task)
    for model, message in [
        (nn.Sequential(net(3), nn.Sigmoid()), "ends with a sigmoid of 3 columns; multi-label models"),
        (lambda x: torch.sigmoid(linear(x)), "ends with a sigmoid of 3 columns; multi-label models"),
        (wrap(nn.Sequential(net(3), nn.Sigmoid()), output="probs"), "some rows do not; multi-label models"),
        (wrap(net(3), output="sigmoid"), "expects one column, .*multi-label models"),
        (
            configured["multi_label_classification"],
            'problem_type="multi_label_classification", .*; pass task="multilabel"',
        ),
        (configured["regression"], 'problem_type="regression", .*; pass task="regression"'),
        (net(1), "one column; for the logit of a binary classifier .*regression models need task"),
        (lambda x: net(3)(x)[:, :, None, None].expand(-1, -1, 4, 4), r"got \(8, 3, 4, 4\); dense outputs"),
        (lambda x: {"out": x}, "a dict of out.* Models for segmentation and detection are not supported"),
        (lambda x: [{"boxes": x, "scores": x}] * len(x), "a dict of boxes, scores.*detection"),
    ]:
        with case(message), pytest.raises(UnsupportedModel, match=message) as caught:
            select("margin_sampling", model, X, 3)
        if model is configured["regression"]:
            assert "sigmoid" not in str(caught.value)


def test_sigmoids_of_a_model_said_to_return_logits_are_believed():
    model = nn.Sequential(nn.Linear(6, 3), nn.Sigmoid())
    probs = model(X).softmax(1).detach()
    expected = select_from("margin_sampling", 5, probs=probs).tolist()
    assert select("margin_sampling", wrap(model, output="logits"), X, 5).tolist() == expected
    assert select("margin_sampling", TorchNetwork(model), X, 5).tolist() == expected  # as the documented interfaces do


def test_a_model_without_a_head_has_embeddings_only(case):
    class Base(nn.Module):
        """As the base models of transformers: named parts, among them no logits."""

        def forward(self, x):
            return SimpleNamespace(last_hidden_state=x[:, None] * torch.ones(1, 4, 1), pooler_output=x + 1)

        @property
        def base_model(self):
            return self

    for embedding in ("cls", "mean", "pooled", lambda out: out.pooler_output):
        for strategy in ("core_set", "typiclust"):
            with case(strategy, embedding):
                expected = select_from(strategy, 6, embeddings=X)
                network = wrap(Base(), embedding=embedding)
                assert select(strategy, network, X, 6).tolist() == expected.tolist()
        with case(embedding), pytest.raises(UnsupportedModel, match="returns no logits, and this strategy reads them"):
            select("badge", network, X, 6)
    assert "no logits; embedding: 6 numbers" in repr(wrap(Base(), embedding="cls", example=X))


def test_an_embedding_that_is_not_a_row_for_each_example_is_refused(case):
    net = nn.Linear(6, 3)
    for model in (
        wrap(net, embedding=lambda z: z.sum()),
        wrap(net, embedding=lambda z: z[:, 0]),
        lambda x: (net(x), x[:, 0]),
    ):
        with (
            case(model),
            pytest.raises(UnsupportedModel, match="the embedding must be a row of numbers for each example"),
        ):
            select("core_set", model, X, 3)


def test_a_named_head_that_the_model_does_not_call_is_refused():
    heads = Heads(lambda z, *_: z)
    heads.unused = nn.Linear(5, 3)
    with pytest.raises(UnsupportedModel, match="the model does not call the layer head='unused'"):
        select("badge", wrap(heads, head="unused"), X, 3)


def test_a_model_without_a_head_is_told_of_the_embedding():
    with pytest.raises(UnsupportedModel, match='pass embedding= in the same way, or for transformers "cls"'):
        select("core_set", lambda x: {"last_hidden_state": x}, X, 3)
    assert len(select("core_set", wrap(lambda x: {"last_hidden_state": x}, embedding="last_hidden_state"), X, 3)) == 3


def test_a_long_return_value_is_described_briefly():
    """Detectors return a dict for each example."""
    boxes = Heads(lambda z, h, d: [{"boxes": row, "scores": row} for row in z])
    with pytest.raises(
        UnsupportedModel, match=r"\(a list of (a dict of boxes, scores, ){4}4 more\); expected a tensor"
    ):
        select("margin_sampling", boxes, X, 2)
