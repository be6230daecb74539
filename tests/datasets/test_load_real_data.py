"""The real data sets, if they are on this machine."""

from __future__ import annotations

import bz2

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler

from distil.datasets.load import load


def test_real_mnist(data_root_real):
    data = load("mnist", data_root_real)
    assert data.x_train.shape == (60000, 1, 28, 28)
    assert data.x_test.shape == (10000, 1, 28, 28)
    assert data.y_train.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert data.y_test.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.transform(data.x_train).mean().abs() < 1e-3  # the published mean is this set's mean


def test_real_satimage(data_root_real):
    data = load("satimage", data_root_real)
    reference = np.load(data_root_real / "tabular/satimage/satimage.npz")
    scaler = StandardScaler().fit(reference["X_train"].astype(np.float64))
    np.testing.assert_allclose(data.x_train, scaler.transform(reference["X_train"]), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(data.x_test, scaler.transform(reference["X_test"]), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(data.y_train, reference["y_train"])
    np.testing.assert_array_equal(data.y_test, reference["y_test"])
    assert data.y_train.bincount().tolist() == [1072, 479, 961, 415, 470, 1038]


def test_real_ijcnn1(data_root_real):
    data = load("ijcnn1", data_root_real)
    assert data.x_train.shape == (49990, 22)
    assert data.x_test.shape == (91701, 22)
    assert data.y_train.bincount().tolist() == [45137, 4853]
    with bz2.open(data_root_real / "tabular/ijcnn1/ijcnn1.trn.bz2", "rt") as file:  # read by hand
        for row in range(200):
            label, *cells = next(file).split()
            expected = torch.zeros(22)
            for cell in cells:
                index, value = cell.split(":")
                expected[int(index) - 1] = float(value)
            assert torch.equal(data.x_train[row], expected)
            assert int(data.y_train[row]) == (float(label) > 0)


def test_real_pendigits_by_path(data_root_real):
    data = load("libsvm", data_root_real, path="tabular/pendigits/pendigits", test_path="tabular/pendigits/pendigits.t")
    assert (data.x_train.shape, data.x_test.shape, data.num_classes) == ((7494, 16), (3498, 16), 10)


def test_real_cifar10_subset_by_path(data_root_real):
    data = load("npz", data_root_real, path="image/cifar10/cifar10_subset_10k_2k.npz")
    assert (data.x_train.shape, data.x_test.shape) == ((10000, 3, 32, 32), (2000, 3, 32, 32))
    assert data.class_names[:2] == ("airplane", "automobile")
    np.testing.assert_allclose(data.transform.mean, (0.4914, 0.4822, 0.4465), atol=0.01)
