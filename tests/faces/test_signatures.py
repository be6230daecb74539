"""Every name and signature of the DISTIL document (release 0.1), typed from it."""

from __future__ import annotations

import importlib
import inspect
from inspect import Parameter

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from distil import active_learning_strategies

NONE = object()  # a parameter without a default
LOSS = object()  # the document's CrossEntropyLoss()

COMMON = [("X", NONE), ("Y", NONE), ("unlabeled_x", NONE), ("net", NONE), ("handler", NONE), ("nclasses", NONE)]
ORDINARY = [*COMMON, ("args", {})]
OF_GRADIENTS = [
    *COMMON[:4],
    ("criterion", NONE),
    *COMMON[4:],
    ("lrn_rate", NONE),
    ("selection_type", NONE),
    ("linear_layer", NONE),
    ("args", {}),
]
SELECT = {"select": [("budget", NONE)]}

# module, class, constructor, methods
STRATEGIES = [
    (
        "badge",
        "BADGE",
        [*COMMON, ("args", NONE)],
        {**SELECT, "select_per_batch": [("budget", NONE), ("batch_size", NONE)]},
    ),
    ("core_set", "CoreSet", ORDINARY, {**SELECT, "furthest_first": [("X", NONE), ("X_set", NONE), ("n", NONE)]}),
    ("craig_active", "CRAIGActive", OF_GRADIENTS, SELECT),
    ("entropy_sampling", "EntropySampling", ORDINARY, SELECT),
    ("entropy_sampling_dropout", "EntropySamplingDropout", ORDINARY, SELECT),
    ("fass", "FASS", ORDINARY, {"select": [("budget", NONE), ("top_n", 5)]}),
    *(
        (
            module,
            "GLISTER",
            [
                *COMMON,
                ("args", NONE),
                ("valid", NONE),
                ("X_val", None),
                ("Y_val", None),
                ("loss_criterion", LOSS),
                ("typeOf", "none"),
                ("lam", None),
                ("kernel_batch_size", 200),
            ],
            SELECT,
        )
        for module in ("glister", "glistner")  # the document prints both spellings
    ),
    (
        "gradmatch_active",
        "GradMatchActive",
        [*OF_GRADIENTS, ("valid", False), ("X_val", None), ("Y_val", None)],
        {"select": [("budget", NONE), ("use_weights", False)]},  # printed without a default; ours is False
    ),
    ("least_confidence", "LeastConfidence", ORDINARY, SELECT),
    ("least_confidence_dropout", "LeastConfidenceDropout", ORDINARY, SELECT),
    ("margin_sampling", "MarginSampling", ORDINARY, SELECT),
    ("margin_sampling_dropout", "MarginSamplingDropout", ORDINARY, SELECT),
    ("random_sampling", "RandomSampling", ORDINARY, SELECT),
    (
        "submod_sampling",
        "SubmodSampling",
        [
            *COMMON,
            ("typeOf", NONE),
            ("selection_type", NONE),
            ("if_grad", False),
            ("args", {}),
            ("kernel_batch_size", 200),
        ],
        SELECT,
    ),
    ("adversarial_bim", "AdversarialBIM", ORDINARY, SELECT),
    ("adversarial_deepfool", "AdversarialDeepFool", ORDINARY, SELECT),
    ("bayesian_active_learning_disagreement_dropout", "BALDDropout", ORDINARY, SELECT),
    ("kmeans_sampling", "KMeansSampling", ORDINARY, SELECT),
    (
        "strategy",
        "Strategy",
        ORDINARY,
        {
            "update_data": [("X", NONE), ("Y", NONE), ("unlabeled_x", NONE)],
            "update_model": [("clf", NONE)],
            "save_state": [("filename", NONE)],
            "load_state": [("filename", NONE)],
            "predict": [("X", NONE), ("useloader", True)],
            "predict_prob": [("X", NONE)],
            "predict_prob_dropout": [("X", NONE), ("n_drop", NONE)],
            "predict_prob_dropout_split": [("X", NONE), ("n_drop", NONE)],
            "get_embedding": [("X", NONE)],
            "get_grad_embedding": [("X", NONE), ("Y", None), ("bias_grad", True)],
        },
    ),
]

HANDLERS = [
    f"DataHandler_{name}"
    for name in ("CIFAR10", "CIFAR100", "FASHION_MNIST", "KMNIST", "MNIST", "Points", "STL10", "SVHN")
]
HANDLER = [("X", NONE), ("Y", None), ("select", True), ("use_test_transform", False)]

GET = [("path", NONE), ("tr_load_args", None), ("te_load_args", None)]
DATASET = {
    "add_label_noise": [("y_trn", NONE), ("num_cls", NONE), ("noise_ratio", 0.8)],
    **{f"get_{name}": GET for name in ("CIFAR10", "CIFAR100", "FASHION_MNIST", "KMNIST", "MNIST", "STL10", "SVHN")},
    "get_dataset": [("name", NONE), *GET],
    "get_imbalanced_idx": [("y_trn", NONE), ("num_cls", NONE), ("class_ratio", 0.6)],
    "make_data_redundant": [
        ("X", NONE),
        ("Y", NONE),
        ("initial_bud", NONE),
        ("unique_points", 5000),
        ("amtRed", 2),
    ],
}

TABLE = [("device", NONE), ("x_trn", NONE), ("y_trn", NONE), ("N_trn", NONE), ("batch_size", NONE)]
KERNELS = [
    (
        "similarity_mat",
        "SimilarityComputation",
        TABLE,
        {
            "compute_score": [("idxs", NONE)],
            "distance": [("x", NONE), ("y", NONE), ("exp", 2)],
            "get_index": [("data", NONE), ("data_sub", NONE)],
        },
    ),
    (
        "submodular",
        "SubmodularFunction",
        [*TABLE, ("submod", NONE), ("selection_type", NONE)],
        {"lazy_greedy_max": [("budget", NONE)]},
    ),
]

# The 18 modules of the document's list, with the builders that the published code has in them.
MODELS = {
    "densenet": ["DenseNet121", "DenseNet161", "DenseNet169", "DenseNet201"],
    "dla": ["DLA"],
    "dla_simple": ["SimpleDLA"],
    "dpn": ["DPN26", "DPN92"],
    "efficientnet": ["EfficientNetB0"],
    "googlenet": ["GoogLeNet"],
    "lenet": ["LeNet"],
    "mobilenet": ["MobileNet"],
    "mobilenetv2": ["MobileNetV2"],
    "pnasnet": ["PNASNetA", "PNASNetB"],
    "preact_resnet": [f"PreActResNet{depth}" for depth in (18, 34, 50, 101, 152)],
    "regnet": ["RegNetX_200MF", "RegNetX_400MF", "RegNetY_400MF"],
    "resnet": [f"ResNet{depth}" for depth in (18, 34, 50, 101, 152)],
    "resnext": ["ResNeXt29_2x64d", "ResNeXt29_4x64d", "ResNeXt29_8x64d", "ResNeXt29_32x4d"],
    "senet": ["SENet18"],
    "shufflenet": ["ShuffleNetG2", "ShuffleNetG3"],
    "shufflenetv2": ["ShuffleNetV2"],
    "vgg": ["VGG"],
}
# The modules that only published scripts import.
MORE_MODELS = {
    "cifar10net": ["CifarNet"],
    "mnist_net": ["MnistNet"],
    "logreg_net": ["LogisticRegNet"],
    "simple_net": ["TwoLayerNet", "ThreeLayerNet"],
    "simpleNN_net": ["TwoLayerNet", "ThreeLayerNet"],
}
FIRST_ARGUMENTS = {
    "VGG": [("vgg_name", NONE)],
    "ShuffleNetV2": [("net_size", 1.0)],  # published without a default
    "LogisticRegNet": [("input_dim", NONE), ("num_classes", NONE)],
    "TwoLayerNet": [("input_dim", NONE), ("num_classes", NONE), ("hidden_units", NONE)],
    "ThreeLayerNet": [("input_dim", NONE), ("num_classes", NONE), ("hidden_units_1", NONE), ("hidden_units_2", NONE)],
}
VECTORS = {"LogisticRegNet", "TwoLayerNet", "ThreeLayerNet"}


def signature(function, *, bound=False):
    """Names and defaults in order; all of them positional, as scripts pass them."""
    parameters = list(inspect.signature(function).parameters.values())[1 if bound else 0 :]
    assert {p.kind for p in parameters} <= {Parameter.POSITIONAL_OR_KEYWORD}
    return [(p.name, NONE if p.default is Parameter.empty else p.default) for p in parameters]


def same(owner, actual, documented):
    """Check that the signature of ``owner`` is the documented one."""
    assert [name for name, _ in actual] == [name for name, _ in documented], owner
    for (name, default), (_, expected) in zip(actual, documented, strict=True):
        if expected is LOSS:
            assert type(default) is nn.CrossEntropyLoss, (owner, name)
            assert (default.weight, default.reduction, default.label_smoothing) == (None, "mean", 0), (owner, name)
        elif expected is NONE:
            assert default is NONE, (owner, name)
        else:
            assert default is not NONE, (owner, name)
            assert default == expected, (owner, name)
            assert type(default) is type(expected), (owner, name)


def test_there_are_eighteen_strategies():
    assert len({name for _, name, *_ in STRATEGIES} - {"Strategy"}) == 18
    assert {name for _, name, *_ in STRATEGIES} == set(active_learning_strategies.__all__)


def test_strategies():
    for module, name, constructor, methods in STRATEGIES:
        cls = getattr(importlib.import_module(f"distil.active_learning_strategies.{module}"), name)
        assert getattr(active_learning_strategies, name) is cls
        assert issubclass(cls, active_learning_strategies.Strategy)
        same(cls, signature(cls), constructor)
        for method, documented in methods.items():
            same(f"{name}.{method}", signature(getattr(cls, method), bound=True), documented)
            assert inspect.getdoc(getattr(cls, method))
        assert inspect.getdoc(cls)


def test_only_badge_and_glister_require_args():
    required = {
        name
        for _, name, *_ in STRATEGIES
        if inspect.signature(getattr(active_learning_strategies, name)).parameters["args"].default is Parameter.empty
    }
    assert required == {"BADGE", "GLISTER"}


def test_both_spellings_are_one_class():
    from distil.active_learning_strategies.glister import GLISTER
    from distil.active_learning_strategies.glistner import GLISTER as SPELLED_OTHERWISE

    assert GLISTER is SPELLED_OTHERWISE


def test_handlers_and_dataset_functions():
    for name in HANDLERS:
        cls = getattr(importlib.import_module("distil.utils.data_handler"), name)
        same(cls, signature(cls), HANDLER)
        assert issubclass(cls, Dataset)
    for name, documented in DATASET.items():
        same(name, signature(getattr(importlib.import_module("distil.utils.dataset"), name)), documented)


def test_the_published_spelling_of_the_initial_budget_is_accepted():
    from distil.utils.dataset import make_data_redundant

    x, y = torch.arange(40.0).reshape(20, 2).numpy(), [0] * 20
    assert make_data_redundant(x, y, intial_bud=2, unique_points=3).shape == (20, 2)


def test_kernel_classes():
    for module, name, constructor, methods in KERNELS:
        cls = getattr(importlib.import_module(f"distil.utils.{module}"), name)
        same(cls, signature(cls), constructor)
        for method, documented in methods.items():
            same(f"{name}.{method}", signature(getattr(cls, method), bound=True), documented)


def test_submodular_function_is_a_similarity_computation():
    from distil.utils.similarity_mat import SimilarityComputation
    from distil.utils.submodular import SubmodularFunction

    assert issubclass(SubmodularFunction, SimilarityComputation)


def test_model_builders():
    assert len(MODELS) == 18
    for module, names in {**MODELS, **MORE_MODELS}.items():
        for name in names:
            builder = getattr(importlib.import_module(f"distil.utils.models.{module}"), name)
            assert getattr(importlib.import_module("distil.utils.models"), name) is builder
            first = FIRST_ARGUMENTS.get(name, [])
            sizes = [("num_classes", 10), ("channels", 1 if name == "MnistNet" else 3)]
            same(name, signature(builder), first if name in VECTORS else [*first, *sizes])


def test_the_forward_of_every_model():
    from distil.utils.models import TwoLayerNet

    same("forward", signature(TwoLayerNet.forward, bound=True), [("x", NONE), ("last", False), ("freeze", False)])
    net = TwoLayerNet(4, 3, 5)
    logits, embedding = net(torch.zeros(2, 4), last=True, freeze=True)
    assert (logits.shape, embedding.shape, net.get_embedding_dim()) == ((2, 3), (2, 5), 5)
    assert torch.equal(net(torch.zeros(2, 4)), logits)


def test_training_helper():
    from distil.utils.train_helper import data_train

    arguments = [("X", NONE), ("Y", NONE), ("net", NONE), ("handler", NONE), ("args", NONE)]
    same("data_train", signature(data_train), arguments)
    methods = {
        "update_index": [("idxs_lb", NONE)],
        "update_data": [("X", NONE), ("Y", NONE)],
        "get_acc_on_set": [("X_test", NONE), ("Y_test", NONE)],
        "train": [("gradient_weights", None)],
    }
    for method, published in methods.items():
        same(method, signature(getattr(data_train, method), bound=True), published)


def test_config_helper(tmp_path):
    from distil.utils.config_helper import read_config_file

    same("read_config_file", signature(read_config_file), [("filename", NONE)])
    path = tmp_path / "a.json"
    path.write_text('{"anything": [1]}')
    assert read_config_file(str(path)) == {"anything": [1]}
    with pytest.raises(OSError, match="json"):
        read_config_file(str(tmp_path / "a.txt"))
