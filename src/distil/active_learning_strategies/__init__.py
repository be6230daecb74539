"""The strategies of DISTIL 0.1 with their documented names and arguments; ``distil.strategies`` makes the selections."""

from distil.active_learning_strategies.adversarial_bim import AdversarialBIM
from distil.active_learning_strategies.adversarial_deepfool import AdversarialDeepFool
from distil.active_learning_strategies.badge import BADGE
from distil.active_learning_strategies.bayesian_active_learning_disagreement_dropout import BALDDropout
from distil.active_learning_strategies.core_set import CoreSet
from distil.active_learning_strategies.craig_active import CRAIGActive
from distil.active_learning_strategies.entropy_sampling import EntropySampling
from distil.active_learning_strategies.entropy_sampling_dropout import EntropySamplingDropout
from distil.active_learning_strategies.fass import FASS
from distil.active_learning_strategies.glister import GLISTER
from distil.active_learning_strategies.gradmatch_active import GradMatchActive
from distil.active_learning_strategies.kmeans_sampling import KMeansSampling
from distil.active_learning_strategies.least_confidence import LeastConfidence
from distil.active_learning_strategies.least_confidence_dropout import LeastConfidenceDropout
from distil.active_learning_strategies.margin_sampling import MarginSampling
from distil.active_learning_strategies.margin_sampling_dropout import MarginSamplingDropout
from distil.active_learning_strategies.random_sampling import RandomSampling
from distil.active_learning_strategies.strategy import Strategy
from distil.active_learning_strategies.submod_sampling import SubmodSampling

__all__ = [
    "BADGE",
    "FASS",
    "GLISTER",
    "AdversarialBIM",
    "AdversarialDeepFool",
    "BALDDropout",
    "CRAIGActive",
    "CoreSet",
    "EntropySampling",
    "EntropySamplingDropout",
    "GradMatchActive",
    "KMeansSampling",
    "LeastConfidence",
    "LeastConfidenceDropout",
    "MarginSampling",
    "MarginSamplingDropout",
    "RandomSampling",
    "Strategy",
    "SubmodSampling",
]
