"""The strategies, each a small frozen dataclass; importing this package registers all of them."""

from distil.strategies.adversarial import AdversarialBIM, AdversarialDeepFool
from distil.strategies.anchors import Anchors
from distil.strategies.auto import Auto
from distil.strategies.base import Needs, ScoreStrategy, Selection, Sets, Strategy
from distil.strategies.bayesian import (
    BALD,
    BatchBALD,
    EntropySamplingDropout,
    LeastConfidenceDropout,
    MarginSamplingDropout,
    MeanStd,
    VariationRatio,
)
from distil.strategies.clustered import CLUE, ALFAMix, ClusterMargin, DropQuery
from distil.strategies.cold_start import TCM, CentroidStart
from distil.strategies.contrastive import CAL, FALCUN
from distil.strategies.coverage import ProbCover, TypiClust
from distil.strategies.diversity import CoreSet, KMeansSampling, KMediansSampling, RobustCoreSet
from distil.strategies.fisher import BAIT
from distil.strategies.galaxy import GALAXY
from distil.strategies.gradient import BADGE, KDPP, BADGEPerBatch
from distil.strategies.gradient_matching import CRAIG, GLISTER, GradMatch
from distil.strategies.herding import MaxHerding, UHerding
from distil.strategies.information import EPIG, ExpectedGradientLength, QueryByCommittee
from distil.strategies.kernel import LCMD, MaxDet
from distil.strategies.knapsack import Knapsack
from distil.strategies.mix import Mix
from distil.strategies.multilabel import MultilabelUncertainty
from distil.strategies.predictive import Predictive
from distil.strategies.preferences import DeltaUCB, DoubleReverseThompson
from distil.strategies.refine import Refine
from distil.strategies.registry import STRATEGIES, register, strategy_named
from distil.strategies.regression import GreedySampling, LastLayerVariance, VarianceSampling
from distil.strategies.stochastic import SkipTop, StochasticAcquisition
from distil.strategies.submodular import FASS, SubmodularSampling
from distil.strategies.targeted import SCG, SCMI, SMI
from distil.strategies.tokens import MNLP, ClassStratifiedEntropy, TokenUncertainty
from distil.strategies.uncertainty import (
    EntropySampling,
    LeastConfidence,
    MarginSampling,
    RandomSampling,
    RatioOfConfidence,
)
from distil.strategies.wrappers import Balance, GreeDi, Partition, Prefilter, Subsample

__all__ = [
    "BADGE",
    "BAIT",
    "BALD",
    "CAL",
    "CLUE",
    "CRAIG",
    "EPIG",
    "FALCUN",
    "FASS",
    "GALAXY",
    "GLISTER",
    "KDPP",
    "LCMD",
    "MNLP",
    "SCG",
    "SCMI",
    "SMI",
    "STRATEGIES",
    "TCM",
    "ALFAMix",
    "AdversarialBIM",
    "AdversarialDeepFool",
    "Anchors",
    "Auto",
    "BADGEPerBatch",
    "Balance",
    "BatchBALD",
    "CentroidStart",
    "ClassStratifiedEntropy",
    "ClusterMargin",
    "CoreSet",
    "DeltaUCB",
    "DoubleReverseThompson",
    "DropQuery",
    "EntropySampling",
    "EntropySamplingDropout",
    "ExpectedGradientLength",
    "GradMatch",
    "GreeDi",
    "GreedySampling",
    "KMeansSampling",
    "KMediansSampling",
    "Knapsack",
    "LastLayerVariance",
    "LeastConfidence",
    "LeastConfidenceDropout",
    "MarginSampling",
    "MarginSamplingDropout",
    "MaxDet",
    "MaxHerding",
    "MeanStd",
    "Mix",
    "MultilabelUncertainty",
    "Needs",
    "Partition",
    "Predictive",
    "Prefilter",
    "ProbCover",
    "QueryByCommittee",
    "RandomSampling",
    "RatioOfConfidence",
    "Refine",
    "RobustCoreSet",
    "ScoreStrategy",
    "Selection",
    "Sets",
    "SkipTop",
    "StochasticAcquisition",
    "Strategy",
    "SubmodularSampling",
    "Subsample",
    "TokenUncertainty",
    "TypiClust",
    "UHerding",
    "VarianceSampling",
    "VariationRatio",
    "register",
    "strategy_named",
]
