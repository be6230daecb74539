"""Who answers the queries of an experiment: its directory records it, so that no later command answers in place of people."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from distil.errors import RunError, argument
from distil.experiment.config.experiment_config import ExperimentConfig, parse_config
from distil.experiment.config.sections import ORACLE_IN_PYTHON as IN_PYTHON
from distil.experiment.config.strategy_section import StrategySpec
from distil.selection.oracle import Answers, Oracle, Query

MakeOracle = Callable[[StrategySpec, int], Oracle]
"""Strategy and seed of a run -> the oracle that answers its queries."""


def with_oracle(config: ExperimentConfig, oracle: MakeOracle | None) -> ExperimentConfig:
    """The configuration with the name of an oracle that was passed in Python, as the directory records it."""
    if oracle is None:
        return config
    section = {**config.document.get("experiment", {}), "oracle": _name_of(oracle)}
    return parse_config({**config.document, "experiment": section})


def oracle_of(config: ExperimentConfig, named: Callable[[str], MakeOracle]) -> MakeOracle | None:
    """The oracle that a configuration names; None: the labels of the data set.

    Args:
        config: The configuration.
        named: Looks a name up.
    """
    if config.oracle is None:
        return None
    if config.oracle == IN_PYTHON:
        return lambda *_: _Absent(config.output)
    return named(config.oracle)


def check_oracle(mine: Mapping[str, Any], theirs: Mapping[str, Any], output: Path) -> None:
    """Refuse to continue an experiment with another oracle than the one that its directory records.

    Args:
        mine: The document of this command.
        theirs: The document of the directory.
        output: The directory.
    """
    here, there = (document.get("experiment", {}).get("oracle") for document in (mine, theirs))
    if here != there:
        raise RunError(
            f"the queries of {output} are answered by {_described(there)}, and this command has {_described(here)}; "
            f"{_advice(there, output)}, or choose another output directory"
        )


class _Absent:
    """Stands for an oracle that only the program that passed it has."""

    def __init__(self, output: Path) -> None:
        self._output = output

    def ask(self, query: Query) -> Answers:
        """Refuse to answer."""
        raise RunError(
            f"the queries of {self._output} are answered by {IN_PYTHON}, which this command does not have, and {len(query.ids)} "
            f"ids wait for answers; {_advice(IN_PYTHON, self._output)}"
        )


def _name_of(oracle: MakeOracle) -> str:
    """``package.module:callable``, where that imports this object."""
    module, name = getattr(oracle, "__module__", None), getattr(oracle, "__qualname__", "")
    found: Any = sys.modules.get(module or "")
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}:{name}" if found is oracle and module != "__main__" else IN_PYTHON


def _described(oracle: str | None) -> str:
    return "the labels of the data set" if oracle is None else oracle


def _advice(oracle: str | None, output: Path) -> str:
    if oracle == IN_PYTHON:
        return "go on in Python: distil.experiment.suite.run_all(config, oracle=...)"
    return f"go on with: distil resume {argument(output)}"
