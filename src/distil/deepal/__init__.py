"""DeepAL: the interface of Huang, "DeepAL: Deep Active Learning in Python" (2021), on distil's training and selection.

``Data`` records which examples of a pool are labeled, ``Net`` trains a classifier and predicts with it, and a ``Strategy``
queries a ``Data`` with a ``Net``::

    dataset = get_dataset("MNIST")
    net = get_net("MNIST", "cpu")
    strategy = MarginSampling(dataset, net)
    dataset.initialize_labels(100)
    strategy.train()
    for _ in range(10):
        query_idxs = strategy.query(20)
        strategy.update(query_idxs)
        strategy.train()
        print(dataset.cal_test_acc(strategy.predict(dataset.get_test_data())))

Ids are positions in the whole pool. Every query, training and ``initialize_labels`` draws one seed from torch's global generator
and takes all its randomness from that seed, so ``torch.manual_seed`` makes a run repeatable.
"""

from distil.deepal.data import Data, get_CIFAR10, get_FashionMNIST, get_MNIST, get_SVHN
from distil.deepal.handlers import CIFAR10_Handler, MNIST_Handler, SVHN_Handler
from distil.deepal.nets import CIFAR10_Net, MNIST_Net, Net, SVHN_Net
from distil.deepal.query_strategies import (
    AdversarialBIM,
    AdversarialDeepFool,
    BALDDropout,
    EntropySampling,
    EntropySamplingDropout,
    KCenterGreedy,
    KMeansSampling,
    KMediansSampling,
    LeastConfidence,
    LeastConfidenceDropout,
    MarginSampling,
    MarginSamplingDropout,
    RandomSampling,
)
from distil.deepal.strategy import Strategy
from distil.deepal.utils import NoSuchName, get_dataset, get_handler, get_net, get_params, get_strategy

__all__ = [
    "AdversarialBIM",
    "AdversarialDeepFool",
    "BALDDropout",
    "CIFAR10_Handler",
    "CIFAR10_Net",
    "Data",
    "EntropySampling",
    "EntropySamplingDropout",
    "KCenterGreedy",
    "KMeansSampling",
    "KMediansSampling",
    "LeastConfidence",
    "LeastConfidenceDropout",
    "MNIST_Handler",
    "MNIST_Net",
    "MarginSampling",
    "MarginSamplingDropout",
    "Net",
    "NoSuchName",
    "RandomSampling",
    "SVHN_Handler",
    "SVHN_Net",
    "Strategy",
    "get_CIFAR10",
    "get_FashionMNIST",
    "get_MNIST",
    "get_SVHN",
    "get_dataset",
    "get_handler",
    "get_net",
    "get_params",
    "get_strategy",
]
