"""Signals, the quantities that strategies read, and the table that holds them.

Signals are frozen and hashable, so strategies that need equal signals share one pass over the pool. *Measured* signals come
from a forward pass or an array, *given* signals from an array only; *derived* signals are computed from stored ones when a
strategy reads them, and are not stored.
"""

from distil.signals.base import EMPTY, Derived, Forward, Given, Measured, OfTokens, Signal, Signals, measured_by
from distil.signals.derived import (
    AdversarialDistance,
    AdversarialGap,
    Gradient,
    MCMean,
    Probs,
    ResponsePairs,
    TopClasses,
)
from distil.signals.given import Deviations, Rewards, TokenEntropies, TokenUncertainties
from distil.signals.measured import (
    Attacked,
    AugmentedProbs,
    Costs,
    Embedding,
    Inputs,
    LabelProbs,
    Labels,
    Logits,
    MCPredictions,
    MCProbs,
    Perturbation,
    Predictions,
    Targets,
)

__all__ = [
    "EMPTY",
    "AdversarialDistance",
    "AdversarialGap",
    "Attacked",
    "AugmentedProbs",
    "Costs",
    "Derived",
    "Deviations",
    "Embedding",
    "Forward",
    "Given",
    "Gradient",
    "Inputs",
    "LabelProbs",
    "Labels",
    "Logits",
    "MCMean",
    "MCPredictions",
    "MCProbs",
    "Measured",
    "OfTokens",
    "Perturbation",
    "Predictions",
    "Probs",
    "ResponsePairs",
    "Rewards",
    "Signal",
    "Signals",
    "Targets",
    "TokenEntropies",
    "TokenUncertainties",
    "TopClasses",
    "measured_by",
]
