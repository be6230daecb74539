"""The section ``dataset`` of a configuration: its keys, and what embeddings make unnecessary to say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distil.datasets.data_set import DataSet
from distil.datasets.embeddings import load_embeddings
from distil.datasets.load import data_set_names
from distil.errors import ConfigError, nearest
from distil.experiment.config.faults import Faults
from distil.experiment.provenance import fingerprint
from distil.system.imports import named_object

EMBEDDINGS = "embeddings"
_SPLIT_KEYS = ("test_points", "validation_points", "redundancy", "label_noise", "imbalance")
_NAMED_KEYS = ("name", *_SPLIT_KEYS, "download", "path", "test_path", "label", "standardize")
_FILE_KEYS = (EMBEDDINGS, "labels", "test_embeddings", "test_labels")
_OWN_KEYS = (*_FILE_KEYS, "name", *_SPLIT_KEYS, "standardize", "sha256")

# A linear head on embeddings, and a training that suits it: they are standardized, so one rate serves embeddings of any scale. The
# decay is strong because there are many numbers to a label.
_LINEAR_HEAD = {
    "model": {"architecture": "logistic_regression"},
    "train_parameters": {
        "optimizer": "adamw",
        "lr": 0.03,
        "weight_decay": 1.0,
        "batch_size": 64,
        "n_epoch": 50,
        "window_size": None,
    },
}


def filled(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document; of embeddings, with their name, and the sections of a linear head that it leaves out."""
    data = document.get("dataset")
    if not isinstance(data, Mapping) or EMBEDDINGS not in data:
        return document
    return {**_LINEAR_HEAD, **document, "dataset": {"name": Path(str(data[EMBEDDINGS])).name, **data}}


def pinned(document: Mapping[str, Any], data: DataSet) -> Mapping[str, Any]:
    """The document; of embeddings, with what only the data tells: the number of classes, and the hash of its content."""
    section = document["dataset"]
    if EMBEDDINGS not in section:
        return document
    model = {"target_classes": data.num_classes, **document["model"]}
    return {**document, "model": model, "dataset": {**section, "sha256": section.get("sha256") or fingerprint(data)}}


def load_own(dataset: Mapping[str, Any], root: str | None) -> DataSet:
    """The data set of the user's own embeddings.

    Raises:
        ConfigError: Its content has another hash than the section says.
    """
    taken = {key: value for key, value in dataset.items() if key in (*_FILE_KEYS, "name", "standardize")}
    data = load_embeddings(**taken, root=root)
    if "sha256" in dataset and dataset["sha256"] != fingerprint(data):
        raise ConfigError(
            f"dataset.sha256: the embeddings, ids or labels of {data.name} are not those that this experiment was begun with; put "
            "those back, or begin another with the new ones, in an output directory of its own"
        )
    return data


def check_data(check: Faults, data: Mapping[str, Any]) -> None:
    """Note what is wrong with the section.

    Args:
        check: Collects the faults.
        data: The section.
    """
    own = EMBEDDINGS in data
    name = "" if own else str(data.get("name", ""))
    if ":" in name:
        check.attempt("dataset.name", lambda: named_object(name))
    elif own:
        check.keys("dataset.", data, _OWN_KEYS, ("labels",))
        if ("test_embeddings" in data) != ("test_labels" in data):
            check.faults.append("dataset.test_embeddings and dataset.test_labels go together: give both, or neither")
    else:
        check.keys("dataset.", data, _NAMED_KEYS, ("name",))
        if "name" in data and name not in data_set_names():
            hint = nearest(name, data_set_names())
            known = ", ".join(data_set_names())
            check.faults.append(
                f"dataset.name: there is none called {name!r}{hint} (known: {known}, or package.module:callable; of your own "
                "embeddings, dataset.embeddings)"
            )
    _check_values(check, data, ":" in name)


def _check_values(check: Faults, data: Mapping[str, Any], called: bool) -> None:
    for key in ("test_points", "validation_points"):
        if key in data:
            check.count(f"dataset.{key}", data[key])
    if not called:  # the keys of somebody's own callable are its own
        for key in ("path", "test_path", *_FILE_KEYS, "sha256"):
            check.text(f"dataset.{key}", data.get(key))
        for key in ("download", "standardize"):
            if not isinstance(data.get(key, False), bool):
                check.faults.append(f"dataset.{key} must be true or false, got {data[key]!r}")
        if not isinstance(data.get("label", 0), (str, int)):
            check.faults.append(f"dataset.label must be the name or the number of a column, got {data['label']!r}")
    if "redundancy" in data:
        check.count("dataset.redundancy", data["redundancy"], least=2)
    for key in ("label_noise", "imbalance"):
        check.fraction(f"dataset.{key}", data.get(key))
