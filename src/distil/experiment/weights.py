"""The weights of a run on disk: written with their hash, checked against it when read, removed when no step needs them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from torch import nn

from distil.errors import RunError
from distil.experiment.chain import Event
from distil.experiment.run import Run
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
        with self._written(module, self._run.path / name):
            pass
        return digest(self._run.path / name)

    def load(self, module: nn.Module, trained: Event) -> None:
        """Load the weights that a ``trained`` event names into a module.

        Raises:
            RunError: The file is missing or is not the one that the training wrote.
        """
        path = self._run.path / trained["weights"]
        if digest(path) != trained["sha256"]:
            raise RunError(f"{path} was removed or changed while the run went on; run the same command again")
        load_model(module, path)

    def lost(self) -> Path | None:
        """The file that the next step or the reader of a finished run needs, if it is missing or is not what the run wrote."""
        name, sha256 = self._needed()
        return self._run.path / name if name and digest(self._run.path / name) != sha256 else None

    def restore(self, module: nn.Module, why: str) -> None:
        """Write the file that is lost, from a module that was trained again.

        Args:
            module: The module.
            why: What the error says where its weights are other ones.

        Raises:
            RunError: The weights are not those that the run wrote.
        """
        name, sha256 = self._needed()
        with self._written(module, self._run.path / name) as temporary:
            if digest(temporary) != sha256:
                raise RunError(
                    f"{self._run.path / name} is missing or damaged, and {why}. The events and all results are whole, only the "
                    f"weights are lost: restore the file from a backup, or remove {self._run.path} to run it again"
                )

    def bring_back(self) -> None:
        """Write the weights of the last training of a finished run again, from its final model, which is a copy of them."""
        name = (self._run.last("trained") or {})["weights"]
        with replacing(self._run.path / name) as temporary:
            shutil.copyfile(self._run.path / MODEL, temporary)

    def tidy(self) -> None:
        """Remove weights that no step needs any more, and files that a killed process left unfinished."""
        trained = {} if self._run.finished else self._run.last("trained") or {}
        for path in self._run.path.glob("weights-*.safetensors"):
            if path.name != trained.get("weights"):
                path.unlink()
        remove_unfinished(self._run.path)
        for path in self._run.path.glob(".tmp??????"):  # safetensors writes to a file with this name first
            path.unlink()

    def _needed(self) -> tuple[str, str]:
        """The name and hash of the file that holds the weights of the last training; empty before the first."""
        finished, trained = self._run.last("finished"), self._run.last("trained")
        if finished is not None:
            return finished["model"], finished["sha256"]
        return ("", "") if trained is None else (trained["weights"], trained["sha256"])

    @contextmanager
    def _written(self, module: nn.Module, path: Path) -> Iterator[Path]:
        """Write the weights of a module to a temporary file, which has the name ``path`` after the block."""
        with replacing(path) as temporary:
            temporary.touch()
            mode = temporary.stat().st_mode
            try:
                save_model(module, str(temporary))
            except SafetensorError as error:  # a full disk, for example
                reason = re.sub(' at path ".*"$', "", str(error))  # that of a temporary file
                raise RunError(
                    f"{path} cannot be written: {reason}; check the disk and the space on it, then do it again"
                ) from None
            temporary.chmod(mode)  # safetensors leaves a file that only its owner may read
            yield temporary
