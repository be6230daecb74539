"""The strategies of the DeepAL paper; ``distil.strategies`` makes the selections and documents the details."""

from __future__ import annotations

from distil import strategies as core
from distil.deepal.data import Data, Ids
from distil.deepal.nets import Net
from distil.deepal.strategy import Strategy


class RandomSampling(Strategy):
    """Queries a uniform random subset; see ``distil.strategies.RandomSampling``."""

    def query(self, n: int) -> Ids:
        """See ``Strategy.query``."""
        return self.select(core.RandomSampling(), n)


class LeastConfidence(Strategy):
    """Queries by smallest probability of the most probable class; see ``distil.strategies.LeastConfidence``."""

    def query(self, n: int) -> Ids:
        """See ``Strategy.query``."""
        return self.select(core.LeastConfidence(), n)


class MarginSampling(Strategy):
    """Queries by smallest difference between the two largest probabilities; see ``distil.strategies.MarginSampling``."""

    def query(self, n: int) -> Ids:
        """See ``Strategy.query``."""
        return self.select(core.MarginSampling(), n)


class EntropySampling(Strategy):
    """Queries by largest entropy of the predicted distribution; see ``distil.strategies.EntropySampling``."""

    def query(self, n: int) -> Ids:
        """See ``Strategy.query``."""
        return self.select(core.EntropySampling(), n)


class _WithDropout(Strategy):
    """Base of the strategies that sample dropout masks.

    Args:
        dataset: See ``Strategy``.
        net: See ``Strategy``.
        n_drop: Number of dropout masks per example; also an attribute.
    """

    def __init__(self, dataset: Data, net: Net, n_drop: int = 10) -> None:
        super().__init__(dataset, net)
        self.n_drop = n_drop


class LeastConfidenceDropout(_WithDropout):
    """Queries by least confidence of the mean over ``n_drop`` dropout masks; see ``distil.strategies.LeastConfidenceDropout``."""

    def query(self, n: int) -> Ids:
        """See ``Strategy.query``."""
        return self.select(core.LeastConfidenceDropout(self.n_drop), n)


class MarginSamplingDropout(_WithDropout):
    """Queries by smallest margin of the mean over ``n_drop`` dropout masks; see ``distil.strategies.MarginSamplingDropout``."""

    def query(self, n: int) -> Ids:
        """See ``Strategy.query``."""
        return self.select(core.MarginSamplingDropout(self.n_drop), n)


class EntropySamplingDropout(_WithDropout):
    """Queries by largest entropy of the mean over ``n_drop`` dropout masks; see ``distil.strategies.EntropySamplingDropout``."""

    def query(self, n: int) -> Ids:
        """See ``Strategy.query``."""
        return self.select(core.EntropySamplingDropout(self.n_drop), n)


class BALDDropout(_WithDropout):
    """Queries by largest mutual information between label and weights, over ``n_drop`` masks; see ``distil.strategies.BALD``."""

    def query(self, n: int) -> Ids:
        """See ``Strategy.query``."""
        return self.select(core.BALD(self.n_drop), n)


class KMeansSampling(Strategy):
    """Queries the example nearest to the mean of each of n clusters; see ``distil.strategies.KMeansSampling``."""

    def query(self, n: int) -> Ids:
        """See ``Strategy.query``."""
        return self.select(core.KMeansSampling(), n)


class KMediansSampling(Strategy):
    """Queries the example nearest to the median of each of n clusters; see ``distil.strategies.KMediansSampling``."""

    def query(self, n: int) -> Ids:
        """See ``Strategy.query``."""
        return self.select(core.KMediansSampling(), n)


class KCenterGreedy(Strategy):
    """Queries, one by one, the example farthest from all that are labeled or picked; see ``distil.strategies.CoreSet``."""

    def query(self, n: int) -> Ids:
        """See ``Strategy.query``."""
        return self.select(core.CoreSet(), n)


class AdversarialBIM(Strategy):
    """Queries by smallest perturbation of BIM that changes the prediction; see ``distil.strategies.AdversarialBIM``.

    Args:
        dataset: See ``Strategy``.
        net: See ``Strategy``.
        eps: Change of each input feature in one step, in the units of the network's inputs; also an attribute.
    """

    def __init__(self, dataset: Data, net: Net, eps: float = 0.05) -> None:
        super().__init__(dataset, net)
        self.eps = eps

    def query(self, n: int) -> Ids:
        """See ``Strategy.query``."""
        return self.select(core.AdversarialBIM(self.eps), n)


class AdversarialDeepFool(Strategy):
    """Queries by smallest perturbation of DeepFool that changes the prediction; see ``distil.strategies.AdversarialDeepFool``.

    Args:
        dataset: See ``Strategy``.
        net: See ``Strategy``.
        max_iter: Most steps per example; also an attribute.
    """

    def __init__(self, dataset: Data, net: Net, max_iter: int = 50) -> None:
        super().__init__(dataset, net)
        self.max_iter = max_iter

    def query(self, n: int) -> Ids:
        """See ``Strategy.query``."""
        return self.select(core.AdversarialDeepFool(self.max_iter), n)
