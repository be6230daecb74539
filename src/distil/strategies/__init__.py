"""The strategies, one small frozen class each; importing this package registers all of them."""

from distil.strategies.base import (
    STRATEGIES,
    Needs,
    ScoreStrategy,
    Selection,
    Sets,
    Strategy,
    register,
    strategy_named,
)
from distil.strategies.bayesian import (
    BALD,
    EntropySamplingDropout,
    LeastConfidenceDropout,
    MarginSamplingDropout,
)
from distil.strategies.diversity import CoreSet, KMeansSampling
from distil.strategies.gradient import BADGE
from distil.strategies.uncertainty import EntropySampling, LeastConfidence, MarginSampling, RandomSampling

__all__ = [
    "BADGE",
    "BALD",
    "STRATEGIES",
    "CoreSet",
    "EntropySampling",
    "EntropySamplingDropout",
    "KMeansSampling",
    "LeastConfidence",
    "LeastConfidenceDropout",
    "MarginSampling",
    "MarginSamplingDropout",
    "Needs",
    "RandomSampling",
    "ScoreStrategy",
    "Selection",
    "Sets",
    "Strategy",
    "register",
    "strategy_named",
]
