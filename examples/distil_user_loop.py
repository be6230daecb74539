"""Active learning as in scripts for DISTIL 0.1: select, add, delete, update, train. Takes seconds on scikit-learn's digits.

Everything except the data comes from the documented modules. To try another strategy, change its class.
"""

import numpy as np
import torch
from sklearn.datasets import load_digits

from distil.active_learning_strategies.badge import BADGE
from distil.utils.data_handler import DataHandler_Points
from distil.utils.models.simpleNN_net import TwoLayerNet
from distil.utils.train_helper import data_train

CLASSES, INITIAL, BUDGET, ROUNDS = 10, 20, 20, 6

torch.manual_seed(42)
images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(42).permutation(len(images))
x, y = (images[order] / 16).astype(np.float32), labels[order]
x_test, y_test = x[:500], y[:500]
x_train, y_train = x[500 : 500 + INITIAL], y[500 : 500 + INITIAL]
x_unlabeled, y_unlabeled = (
    x[500 + INITIAL :],
    y[500 + INITIAL :],
)  # y_unlabeled holds the answers of the people who label

net = TwoLayerNet(64, CLASSES, 128)
training_args = {"n_epoch": 200, "lr": 0.05, "batch_size": 16, "max_accuracy": 0.99, "optimizer": "sgd"}
strategy_args = {"batch_size": 256, "lr": 0.05}

strategy = BADGE(x_train, y_train, x_unlabeled, net, DataHandler_Points, CLASSES, strategy_args)
trainer = data_train(x_train, y_train, net, DataHandler_Points, training_args)
clf = trainer.train()
strategy.update_model(clf)
accuracies = [trainer.get_acc_on_set(x_test, y_test)]
print(f"Round 0: {len(x_train)} labels, accuracy {100 * accuracies[-1]:.1f}")

for round_number in range(1, ROUNDS):
    idx = strategy.select(BUDGET)
    strategy.save_state("./state.pkl")

    x_train = np.concatenate((x_train, x_unlabeled[idx]), axis=0)
    y_train = np.concatenate((y_train, y_unlabeled[idx]), axis=0)
    x_unlabeled = np.delete(x_unlabeled, idx, axis=0)
    y_unlabeled = np.delete(y_unlabeled, idx, axis=0)

    strategy.load_state("./state.pkl")
    strategy.update_data(x_train, y_train, x_unlabeled)
    trainer.update_data(x_train, y_train)
    clf = trainer.train()
    strategy.update_model(clf)
    accuracies.append(trainer.get_acc_on_set(x_test, y_test))
    print(f"Round {round_number}: {len(x_train)} labels, accuracy {100 * accuracies[-1]:.1f}")
