"""The algorithms, from tensors to tensors, without a model, a data set or a file.

The modules are attributes of this package and need no import of their own: ``distil.functional.centers.k_center_greedy``.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for type checkers and editors; the tests compare these names with the files
    from distil.functional import adversarial as adversarial
    from distil.functional import anchors as anchors
    from distil.functional import bait as bait
    from distil.functional import batchbald as batchbald
    from distil.functional import bayesian_regression as bayesian_regression
    from distil.functional import bounds as bounds
    from distil.functional import budgets as budgets
    from distil.functional import centers as centers
    from distil.functional import cluster_margin as cluster_margin
    from distil.functional import clustering as clustering
    from distil.functional import components as components
    from distil.functional import contrastive as contrastive
    from distil.functional import coverage as coverage
    from distil.functional import dpp as dpp
    from distil.functional import epig as epig
    from distil.functional import estimates as estimates
    from distil.functional import falcun as falcun
    from distil.functional import features as features
    from distil.functional import gains as gains
    from distil.functional import galaxy as galaxy
    from distil.functional import glister as glister
    from distil.functional import gradients as gradients
    from distil.functional import greedy as greedy
    from distil.functional import greedy_sampling as greedy_sampling
    from distil.functional import herding as herding
    from distil.functional import knapsack as knapsack
    from distil.functional import laplace as laplace
    from distil.functional import last_layer as last_layer
    from distil.functional import lcmd as lcmd
    from distil.functional import logistic_regression as logistic_regression
    from distil.functional import matching as matching
    from distil.functional import max_det as max_det
    from distil.functional import mixing as mixing
    from distil.functional import multilabel as multilabel
    from distil.functional import nearest as nearest
    from distil.functional import neighbors as neighbors
    from distil.functional import noise as noise
    from distil.functional import outliers as outliers
    from distil.functional import preferences as preferences
    from distil.functional import projection as projection
    from distil.functional import reductions as reductions
    from distil.functional import representatives as representatives
    from distil.functional import ridge_regression as ridge_regression
    from distil.functional import scale as scale
    from distil.functional import similarity as similarity
    from distil.functional import streamed as streamed
    from distil.functional import submodular as submodular
    from distil.functional import targeted as targeted
    from distil.functional import temperature as temperature
    from distil.functional import uncertainty as uncertainty
    from distil.functional import weighted_rows as weighted_rows

__all__ = [module.name for module in iter_modules(__path__)]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:  # a type checker that saw this function would accept every name, misspelled ones too

    def __getattr__(name):  # noqa: ANN001, ANN202 - never seen by a type checker
        """Import the module of that name; see PEP 562."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return import_module(f"{__name__}.{name}")
