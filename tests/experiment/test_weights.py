"""The weights of a run on disk: hashed, checked, and removed once no step needs them."""

import hashlib

import pytest
import torch
from torch import nn

from distil.errors import RunError
from distil.experiment.run import Run
from distil.experiment.weights import Weights


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def trained(round_, name, sha256=""):
    return {"event": "trained", "round": round_, "weights": name, "sha256": sha256}


def test_saved_weights_are_loaded_and_the_hash_is_that_of_the_file(run, tmp_path):
    torch.manual_seed(0)
    module, other = nn.Linear(3, 2), nn.Linear(3, 2)
    sha256 = Weights(run).save(module, "weights-000.safetensors")
    assert sha256 == hashlib.sha256((tmp_path / "weights-000.safetensors").read_bytes()).hexdigest()
    assert not torch.equal(module.weight, other.weight)
    Weights(run).load(other, trained(0, "weights-000.safetensors", sha256))
    assert torch.equal(module.weight, other.weight)
    assert torch.equal(module.bias, other.bias)


def test_another_file_is_refused_and_the_module_left_alone(case, run, tmp_path):
    for damage in ["missing", "other bytes"]:
        with case(damage):
            module = nn.Linear(3, 2)
            before = module.weight.clone()
            sha256 = Weights(run).save(nn.Linear(3, 2), "weights-000.safetensors")
            path = tmp_path / "weights-000.safetensors"
            path.unlink() if damage == "missing" else path.write_bytes(path.read_bytes()[:-1] + b"?")
            with pytest.raises(
                RunError, match="is missing or is not the file that the run wrote, so the run cannot be resumed"
            ):
                Weights(run).load(module, trained(0, "weights-000.safetensors", sha256))
            assert torch.equal(module.weight, before)


def test_only_the_weights_of_the_last_training_are_kept(run, tmp_path):
    names = {"weights-000.safetensors", "weights-001.safetensors", "weights-002.safetensors", "events.jsonl"}
    unfinished = {".weights-003.safetensors.17.tmp", ".log.json.17.tmp"}
    for name in names | unfinished | {"model.safetensors"}:
        (tmp_path / name).touch()
    run.append(trained(0, "weights-000.safetensors"))
    run.append(trained(1, "weights-001.safetensors"))
    Weights(run).tidy()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"weights-001.safetensors", "events.jsonl", "model.safetensors"}
    run.append({"event": "finished", "model": "model.safetensors", "sha256": ""})
    Weights(run).tidy()
    assert {path.name for path in tmp_path.iterdir()} == {"events.jsonl", "model.safetensors"}
