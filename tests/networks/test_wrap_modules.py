"""Modules that were compiled, traced, exported, frozen, quantized or averaged, and files of their weights."""

from __future__ import annotations

from contextlib import suppress

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from distil.errors import MissingPackage, UnsupportedModel
from distil.networks.wrap import wrap
from distil.selection.learner import Learner
from distil.selection.select import select
from distil.system.imports import import_torchvision

X = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def net(seeded):
    return seeded(lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)))


def exported(net, dynamic):
    shapes = ({0: torch.export.Dim.AUTO},) if dynamic else None
    return torch.export.export(net.eval(), (X[:4],), dynamic_shapes=shapes)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_modules_in_other_forms_work_or_say_what_to_pass(case, net):
    expected = [select(name, net, X, 5).tolist() for name in ("margin_sampling", "core_set")]
    watched = {
        "an average": AveragedModel(net),
        "a graph": torch.fx.symbolic_trace(net),
        "a compiled function": torch.compile(lambda x: net(x), backend="eager"),
    }
    closed = {
        "traced": torch.jit.trace(net.eval(), X[:4]),
        "scripted": torch.jit.script(net),
        "frozen": torch.jit.freeze(torch.jit.script(net.eval())),
        "exported": exported(net, dynamic=True).module(),
    }
    for name, module in (watched | closed).items():
        with case(name):
            assert select("margin_sampling", module, X, 5).tolist() == expected[0]
            if name in watched:
                assert select("core_set", module, X, 5).tolist() == expected[1]
            else:
                with pytest.raises(UnsupportedModel, match=r"TorchScript .*exported .*pass the original module"):
                    select("core_set", module, X, 5)
                pair = wrap(lambda x, module=module: (module(x), net[1](net[0](x))))
                assert select("core_set", pair, X, 5).tolist() == expected[1]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_a_quantized_model_has_the_embedding_of_its_linear_head(net):
    quantized = torch.ao.quantization.quantize_dynamic(net.eval(), {nn.Linear}, dtype=torch.qint8)
    with torch.no_grad():
        hidden = quantized[1](quantized[0](X))
    expected = select("core_set", lambda x: (quantized(x), quantized[1](quantized[0](x))), X, 5).tolist()
    assert len(hidden) == len(X)
    assert select("core_set", quantized, X, 5).tolist() == expected


def test_modules_that_cannot_be_asked_are_named(case, net):
    for model, message in [
        (exported(net, dynamic=False), r"an ExportedProgram cannot be called; pass its module, program\.module\(\)"),
        (exported(net, dynamic=False).module(), r"cannot be called with a tensor \(8, 6\) .*dynamic first axis"),
        (
            nn.Sequential(nn.LazyLinear(5), nn.Linear(5, 3)),
            r"lazy layers without weights \(0\.weight.*model\(x\[:2\]\)",
        ),
        (nn.Linear(6, 3, device="meta"), "on the device meta, which holds no numbers"),
    ]:
        with case(message), pytest.raises(UnsupportedModel, match=message):
            select("margin_sampling", model, X, 5)


def test_weights_of_wrapped_modules_are_read(case, net, tmp_path):
    build = lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))  # noqa: E731
    expected = select("badge", net, X, 5).tolist()
    state = net.state_dict()
    path = tmp_path / "weights.pt"
    for prefix in ("", "module.", "_orig_mod.", "model.net."):
        for more in ({}, {"n_averaged": torch.tensor(3)}):
            with case(prefix, more):
                if prefix or not more:
                    torch.save({prefix + name: x for name, x in state.items()} | more, path)
                    assert select("badge", wrap(path, build=build), X, 5).tolist() == expected
    torch.save({f"{prefix}{name}": x for name, x in state.items() for prefix in ("a.", "b.")}, path)
    with pytest.raises(UnsupportedModel, match=r"the weights of the module 2 times, with the prefixes 'a\.', 'b\.'"):
        wrap(path, build=build)


def test_lists_of_layers_are_named():
    for layers in (nn.ModuleList([nn.Linear(6, 3)]), nn.ModuleDict({"a": nn.Linear(6, 3)}), nn.ParameterList()):
        with pytest.raises(UnsupportedModel, match=f"{type(layers).__name__} cannot be called: it has no forward"):
            select("entropy_sampling", layers, torch.zeros(9, 6), 2)


def test_inputs_of_another_shape_than_the_model_was_built_for_are_named():
    """Scoring and training refuse them alike, with the words of PyTorch and the shape of an example."""
    conv = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 3))
    for model, x, shape in [
        (nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)), torch.zeros(9, 6), r"\(6,\)"),
        (nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 3)), torch.zeros(9, 6), r"\(6,\)"),
        (nn.LSTM(5, 3, batch_first=True), torch.zeros(9, 4, 6), r"\(4, 6\)"),
        (conv, torch.zeros(9, 1, 3, 3), r"\(1, 3, 3\)"),
        (conv, torch.zeros(9, 6), r"\(6,\)"),
    ]:
        learner = Learner(x, model, "random_sampling", num_classes=3, rng=0)
        learner.label(range(4), [0, 1, 2, 0])
        message = rf"{type(model).__name__} cannot be called with a tensor .*built for, not {shape}"
        for call in (lambda m=model, x=x: select("entropy_sampling", m, x, 2), learner.fit):
            with pytest.raises(UnsupportedModel, match=message):
                call()


class Broken(nn.Module):
    def forward(self, x):
        raise self.error


def test_an_error_of_the_model_itself_is_its_own():
    for error in (RuntimeError("out of luck"), ValueError("no such word")):
        model = Broken()
        model.error = error
        with pytest.raises(type(error), match=str(error)) as raised:
            select("entropy_sampling", model, torch.zeros(9, 6), 2)
        assert raised.value is error


def test_a_decoder_without_inputs_is_named():
    with suppress(MissingPackage):
        import_torchvision()
    transformers = pytest.importorskip("transformers")
    sizes = {"vocab_size": 20, "d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
    model = transformers.T5Model(transformers.T5Config(**sizes, decoder_start_token_id=0, pad_token_id=0))
    items = [
        {"input_ids": torch.arange(2, 8) + row, "attention_mask": torch.ones(6, dtype=torch.long)} for row in range(9)
    ]
    with pytest.raises(UnsupportedModel, match=r"T5Model has an encoder and a decoder, .*model.get_encoder\(\)"):
        select("core_set", wrap(model, embedding="cls"), items, 2)
    assert len(select("core_set", wrap(model.get_encoder(), embedding="mean"), items, 2)) == 2
