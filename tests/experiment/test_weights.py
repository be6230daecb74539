"""The weights of a run on disk: hashed, checked, and removed once no step needs them."""

import hashlib
import os
import stat

import pytest
import torch
from safetensors import SafetensorError
from torch import nn

from distil.errors import RunError
from distil.experiment import weights
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
            with pytest.raises(RunError, match="was removed or changed while the run went on"):
                Weights(run).load(module, trained(0, "weights-000.safetensors", sha256))
            assert torch.equal(module.weight, before)


def test_only_the_weights_of_the_last_training_are_kept(run, tmp_path):
    names = {"weights-000.safetensors", "weights-001.safetensors", "weights-002.safetensors", "events.jsonl"}
    unfinished = {".weights-003.safetensors.17.tmp", ".log.json.17.tmp", ".tmpa8Bc0Z"}  # the last is safetensors' own
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


def test_the_file_that_is_needed_and_lost(run, tmp_path):
    """The weights of the last training, then the model; nothing before the first training."""
    assert Weights(run).lost() is None
    module = nn.Linear(3, 2)
    for name, event in [
        ("weights-000.safetensors", lambda sha256: trained(0, "weights-000.safetensors", sha256)),
        ("model.safetensors", lambda sha256: {"event": "finished", "model": "model.safetensors", "sha256": sha256}),
    ]:
        run.append(event(Weights(run).save(module, name)))
        assert Weights(run).lost() is None
        (tmp_path / name).write_bytes(b"?")
        assert Weights(run).lost() == tmp_path / name
        with pytest.raises(RunError, match=r"is missing or damaged, and it is so.* only the weights are lost"):
            Weights(run).restore(nn.Linear(3, 2), "it is so")
        assert (tmp_path / name).read_bytes() == b"?"
        Weights(run).restore(module, "")
        assert Weights(run).lost() is None


@pytest.mark.skipif(os.name != "posix", reason="file modes")
def test_the_file_has_the_mode_of_any_other_file(run, tmp_path):
    """safetensors makes files that only their owner may read."""
    before = os.umask(0o027)
    try:
        Weights(run).save(nn.Linear(3, 2), "model.safetensors")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "model.safetensors").stat().st_mode) == 0o640


def test_a_full_disk_is_one_line(run, tmp_path, monkeypatch):
    """safetensors has an error of its own for it."""

    def full(*_):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(weights, "save_model", full)
    with pytest.raises(
        RunError, match=r"model\.safetensors cannot be written: I/O error: No space left .*the space on it"
    ):
        Weights(run).save(nn.Linear(3, 2), "model.safetensors")
    assert list(tmp_path.iterdir()) == []
