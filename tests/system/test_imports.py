from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

import distil
from distil.system.imports import import_torchvision, named_object


@pytest.mark.slow
@pytest.mark.skipif(find_spec("torchvision") is None, reason='needs torchvision: pip install "distil[vision]"')
def test_torchvision_models_can_be_named_and_asked() -> None:
    network = named_object("torchvision.models:resnet18")(num_classes=5)
    images = torch.randn(8, 3, 32, 32)
    chosen = distil.select("badge", network, images, 3)
    assert len(set(chosen.tolist())) == 3
    seen = distil.TorchNetwork(network)
    with seen.asking(distil.Runtime()):
        outputs = seen.outputs(images)
        torch.testing.assert_close(network.fc(outputs.embedding), outputs.logits)
    assert import_torchvision().__name__ == "torchvision"


def test_a_file_whose_name_is_no_identifier_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "01-model.py").write_text("class Nets:\n    def small():\n        return 'small'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert named_object("01-model:Nets.small")() == "small"


def test_an_error_of_another_kind_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: str) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr("distil.system.imports.importlib.import_module", fails)
    with pytest.raises(RuntimeError, match="something else"):
        import_torchvision()
