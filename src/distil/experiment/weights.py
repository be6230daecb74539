"""The weights of a run on disk: written with their hash, checked against it when read, removed when no step needs them."""

from __future__ import annotations

from safetensors.torch import load_model, save_model
from torch import nn

from distil.errors import RunError
from distil.experiment.run import Event, Run
from distil.system.files import digest, remove_unfinished, replacing

MODEL = "model.safetensors"


class Weights:
    """The weights files in the directory of a run.

    Args:
        run: The run; its events name the files and their hashes.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def save(self, module: nn.Module, name: str) -> str:
        """Write the weights of a module, and return the file's SHA-256."""
        with replacing(self._run.path / name) as temporary:
            save_model(module, str(temporary))
        return digest(self._run.path / name)

    def load(self, module: nn.Module, trained: Event) -> None:
        """Load the weights that a ``trained`` event names into a module.

        Raises:
            RunError: The file is missing or is not the one that the training wrote.
        """
        path = self._run.path / trained["weights"]
        if digest(path) != trained["sha256"]:
            raise RunError(
                f"{path} is missing or is not the file that the run wrote, so the run cannot be resumed; restore the file, or "
                f"remove {path.parent} to run it again"
            )
        load_model(module, path)

    def tidy(self) -> None:
        """Remove weights that no step needs any more, and files that a killed process left unfinished."""
        trained = {} if self._run.finished else self._run.last("trained") or {}
        for path in self._run.path.glob("weights-*.safetensors"):
            if path.name != trained.get("weights"):
                path.unlink()
        remove_unfinished(self._run.path)
