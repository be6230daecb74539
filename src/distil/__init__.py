"""distil: deep active learning. Given a model, a pool and a budget, it selects the examples to label next.

>>> import torch, distil
>>> pool, model = torch.randn(1000, 8), torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
>>> ids = distil.select("badge", model, pool, 20)
>>> len(ids)
20

The names are imported when they are first used: ``import distil`` alone loads neither torch nor NumPy.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:  # for type checkers and editors; the tests compare these names with _HOMES and _MODULES
    from distil import active_learning_strategies as active_learning_strategies
    from distil import deepal as deepal
    from distil import errors as errors
    from distil import functional as functional
    from distil import signals as signals
    from distil import strategies as strategies
    from distil import utils as utils
    from distil.cli.audit import audit as audit
    from distil.cli.compare import compare as compare
    from distil.cli.embed import embed as embed
    from distil.cli.evaluate import evaluate as evaluate
    from distil.cli.finish import finish as finish
    from distil.cli.forecast import forecast as forecast
    from distil.cli.report import report as report
    from distil.cli.run import run as run
    from distil.cli.select import pick as pick
    from distil.data.examples import LabeledSet as LabeledSet
    from distil.data.pools import open_pool as open_pool
    from distil.errors import ConfigError as ConfigError
    from distil.errors import DataNotFound as DataNotFound
    from distil.errors import DistilError as DistilError
    from distil.errors import DistilWarning as DistilWarning
    from distil.errors import InvalidInput as InvalidInput
    from distil.errors import MissingPackage as MissingPackage
    from distil.errors import MissingSignal as MissingSignal
    from distil.errors import RunError as RunError
    from distil.errors import UnknownName as UnknownName
    from distil.errors import UnsupportedModel as UnsupportedModel
    from distil.evaluation.stopping import LabelBudget as LabelBudget
    from distil.evaluation.stopping import LowUncertainty as LowUncertainty
    from distil.evaluation.stopping import SmallGain as SmallGain
    from distil.evaluation.stopping import StablePredictions as StablePredictions
    from distil.labeling.project import Project as Project
    from distil.networks.base import Network as Network
    from distil.networks.base import Outputs as Outputs
    from distil.networks.ensemble import Ensemble as Ensemble
    from distil.networks.estimator import Estimator as Estimator
    from distil.networks.torch_network import TorchNetwork as TorchNetwork
    from distil.networks.wrap import wrap as wrap
    from distil.rng import Rng as Rng
    from distil.selection.explanation import explain as explain
    from distil.selection.learner import Learner as Learner
    from distil.selection.pool import Pool as Pool
    from distil.selection.select import select as select
    from distil.selection.select import select_from as select_from
    from distil.selection.stopping import Stopping as Stopping
    from distil.strategies import STRATEGIES as STRATEGIES
    from distil.strategies import Needs as Needs
    from distil.strategies import ScoreStrategy as ScoreStrategy
    from distil.strategies import Selection as Selection
    from distil.strategies import Sets as Sets
    from distil.strategies import Strategy as Strategy
    from distil.strategies import register as register
    from distil.strategies import strategy_named as strategy_named
    from distil.system.runtime import Runtime as Runtime
    from distil.training.config import FitConfig as FitConfig
    from distil.training.fit import FitResult as FitResult
    from distil.training.fit import fit as fit
    from distil.training.fit import fit_dataset as fit_dataset
    from distil.training.linear_head import HeadConfig as HeadConfig
    from distil.training.linear_head import LinearHead as LinearHead

_HOMES = {
    "STRATEGIES": "distil.strategies",
    "ConfigError": "distil.errors",
    "DataNotFound": "distil.errors",
    "DistilError": "distil.errors",
    "DistilWarning": "distil.errors",
    "Ensemble": "distil.networks.ensemble",
    "Estimator": "distil.networks.estimator",
    "FitConfig": "distil.training.config",
    "FitResult": "distil.training.fit",
    "HeadConfig": "distil.training.linear_head",
    "InvalidInput": "distil.errors",
    "LabelBudget": "distil.evaluation.stopping",
    "LabeledSet": "distil.data.examples",
    "Learner": "distil.selection.learner",
    "LinearHead": "distil.training.linear_head",
    "LowUncertainty": "distil.evaluation.stopping",
    "MissingPackage": "distil.errors",
    "MissingSignal": "distil.errors",
    "Needs": "distil.strategies",
    "Network": "distil.networks.base",
    "Outputs": "distil.networks.base",
    "Pool": "distil.selection.pool",
    "Project": "distil.labeling.project",
    "Rng": "distil.rng",
    "RunError": "distil.errors",
    "Runtime": "distil.system.runtime",
    "ScoreStrategy": "distil.strategies",
    "Selection": "distil.strategies",
    "Sets": "distil.strategies",
    "SmallGain": "distil.evaluation.stopping",
    "StablePredictions": "distil.evaluation.stopping",
    "Stopping": "distil.selection.stopping",
    "Strategy": "distil.strategies",
    "TorchNetwork": "distil.networks.torch_network",
    "UnknownName": "distil.errors",
    "UnsupportedModel": "distil.errors",
    "audit": "distil.cli.audit",
    "compare": "distil.cli.compare",
    "embed": "distil.cli.embed",
    "evaluate": "distil.cli.evaluate",
    "explain": "distil.selection.explanation",
    "finish": "distil.cli.finish",
    "fit": "distil.training.fit",
    "fit_dataset": "distil.training.fit",
    "forecast": "distil.cli.forecast",
    "open_pool": "distil.data.pools",
    "pick": "distil.cli.select",
    "register": "distil.strategies",
    "report": "distil.cli.report",
    "run": "distil.cli.run",
    "select": "distil.selection.select",
    "select_from": "distil.selection.select",
    "strategy_named": "distil.strategies",
    "wrap": "distil.networks.wrap",
}
"""Public name -> the module that defines it."""

_MODULES = ("active_learning_strategies", "deepal", "errors", "functional", "signals", "strategies", "utils")
"""Public modules, which ``import distil`` makes available as attributes."""

__all__ = [*_HOMES]


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})


if not TYPE_CHECKING:  # a type checker that saw this function would accept every name, misspelled ones too

    def __getattr__(name):  # noqa: ANN001, ANN202 - never seen by a type checker
        """The public name or module, imported; see PEP 562."""
        if name not in _HOMES and name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        _warn_of_namesake()
        if name in _MODULES:
            return import_module(f"{__name__}.{name}")
        return getattr(import_module(_HOMES[name]), name)


@cache  # warn once
def _warn_of_namesake() -> None:
    """Warn if ``decile-distil`` is installed: its package has the same name, so files of both would be mixed."""
    import warnings
    from importlib.metadata import PackageNotFoundError, distribution

    from distil.errors import DistilWarning

    try:
        namesake = distribution("decile-distil")
    except PackageNotFoundError:
        return
    warnings.warn(
        f"decile-distil {namesake.version} and distil are both installed, and both have a package called `distil`: files of one "
        "replace those of the other. Uninstall both, then install the one you want",
        DistilWarning,
        stacklevel=3,
    )
