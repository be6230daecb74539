"""distil: deep active learning. Given a model, a pool and a budget, which examples to label next.

>>> import torch, distil
>>> pool, model = torch.randn(1000, 8), torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
>>> ids = distil.select("badge", model, pool, 20)
>>> len(ids)
20
"""

from __future__ import annotations

import warnings
from importlib.metadata import PackageNotFoundError, distribution

from distil.data.examples import LabeledSet
from distil.data.pools import open_pool
from distil.errors import (
    ConfigError,
    DataNotFound,
    DistilError,
    DistilWarning,
    InvalidInput,
    MissingPackage,
    MissingSignal,
    RunError,
    UnknownName,
    UnsupportedModel,
)
from distil.networks.base import Network, Outputs
from distil.networks.ensemble import Ensemble
from distil.networks.estimator import Estimator
from distil.networks.torch_network import TorchNetwork
from distil.networks.wrap import wrap
from distil.rng import Rng
from distil.selection.learner import Learner
from distil.selection.pool import Pool
from distil.selection.select import select, select_from
from distil.strategies import (
    STRATEGIES,
    Needs,
    ScoreStrategy,
    Selection,
    Sets,
    Strategy,
    register,
    strategy_named,
)
from distil.system.runtime import Runtime
from distil.training.config import FitConfig
from distil.training.fit import FitResult, fit, fit_dataset

__version__ = "0.1.0.dev0"

__all__ = [
    "STRATEGIES",
    "ConfigError",
    "DataNotFound",
    "DistilError",
    "DistilWarning",
    "Ensemble",
    "Estimator",
    "FitConfig",
    "FitResult",
    "InvalidInput",
    "LabeledSet",
    "Learner",
    "MissingPackage",
    "MissingSignal",
    "Needs",
    "Network",
    "Outputs",
    "Pool",
    "Rng",
    "RunError",
    "Runtime",
    "ScoreStrategy",
    "Selection",
    "Sets",
    "Strategy",
    "TorchNetwork",
    "UnknownName",
    "UnsupportedModel",
    "fit",
    "fit_dataset",
    "open_pool",
    "register",
    "select",
    "select_from",
    "strategy_named",
    "wrap",
]


def _warn_of_namesake() -> None:
    """The distribution ``decile-distil`` installs a package of the same name; files of both would be mixed."""
    try:
        found = distribution("decile-distil")
    except PackageNotFoundError:
        return
    warnings.warn(
        f"decile-distil {found.version} is installed beside distil, and both install a package called `distil`: files of one "
        "replace those of the other. Uninstall both, then install the one you want",
        DistilWarning,
        stacklevel=3,
    )


_warn_of_namesake()
