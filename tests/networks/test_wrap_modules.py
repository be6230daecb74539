"""Modules that were compiled, traced, exported, frozen, quantized or averaged, and files of their weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from distil.errors import UnsupportedModel
from distil.networks.wrap import wrap
from distil.selection.select import select

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
