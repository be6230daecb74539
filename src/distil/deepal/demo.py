"""The published demo: ``python -m distil.deepal.demo --dataset_name MNIST --strategy_name MarginSampling``.

Labels some examples at random and trains. Then every round queries, labels and trains again. Prints the accuracy on the testing
set after every training. ``n_round`` is the number of queries, so the first training is round 0.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence

import numpy as np
import torch

from distil.deepal.strategy import Strategy
from distil.deepal.utils import DATASETS, STRATEGIES, get_dataset, get_net, get_strategy
from distil.errors import DistilError


def main(argv: Sequence[str] | None = None) -> None:
    """Run the demo with the arguments ``argv``; default: those of the command line."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        _run(arguments)
    except DistilError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


def _run(arguments: argparse.Namespace) -> None:
    for name, value in sorted(vars(arguments).items()):
        _say(f"{name}: {value}")
    random.seed(arguments.seed)
    np.random.seed(arguments.seed % 2**32)  # noqa: NPY002 - users' handlers and networks may draw from it
    torch.manual_seed(arguments.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dataset = get_dataset(arguments.dataset_name, arguments.data)
    net = get_net(arguments.dataset_name, device)
    strategy = get_strategy(arguments.strategy_name)(dataset, net)
    dataset.initialize_labels(arguments.n_init_labeled)
    _say(f"labeled: {arguments.n_init_labeled}")
    _say(f"unlabeled: {dataset.n_pool - arguments.n_init_labeled}")
    _say(f"test: {dataset.n_test}")
    strategy.train()
    _say_accuracy(0, strategy)
    for number in range(1, arguments.n_round + 1):
        query_idxs = strategy.query(arguments.n_query)
        strategy.update(query_idxs)
        strategy.train()
        _say_accuracy(number, strategy)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m distil.deepal.demo", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of all random draws")
    parser.add_argument("--n_init_labeled", type=int, default=10000, help="examples labeled at the start")
    parser.add_argument("--n_query", type=int, default=1000, help="examples queried in a round")
    parser.add_argument("--n_round", type=int, default=10, help="rounds of query and training after the first training")
    parser.add_argument("--dataset_name", default="MNIST", choices=DATASETS, help="the data set")
    parser.add_argument("--strategy_name", default="RandomSampling", choices=STRATEGIES, help="the strategy")
    parser.add_argument("--data", help="folder that holds the data sets or receives the download")
    return parser


def _say_accuracy(number: int, strategy: Strategy) -> None:
    """Print the accuracy on the testing set after round ``number``, and the number of labels."""
    dataset = strategy.dataset
    accuracy = dataset.cal_test_acc(strategy.predict(dataset.get_test_data()))
    _say(f"round {number}: test accuracy {accuracy:.4f} with {len(dataset.labeled())} labels")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
