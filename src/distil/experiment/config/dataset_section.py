"""The section ``dataset`` of a configuration: its checks, and the keys that are filled in for the user's own embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from distil.datasets.data_set import DataSet
from distil.datasets.embeddings import load_embeddings
from distil.datasets.load import data_set_names
from distil.errors import ConfigError, nearest
from distil.experiment.config.document import text_in
from distil.experiment.config.faults import Faults
from distil.experiment.config.sections import LINEAR_HEAD, CalledData, EmbeddingsData, NamedData
from distil.experiment.provenance import fingerprint
from distil.system.imports import named_object

EMBEDDINGS = "embeddings"
DataSection: TypeAlias = NamedData | CalledData | EmbeddingsData
_LOADED = ("embeddings", "labels", "test_embeddings", "test_labels", "name", "quoting")


def filled(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document; for embeddings, with their name and, if it names no model, a linear head."""
    data = document.get("dataset")
    if isinstance(data, Mapping) and EMBEDDINGS in data:
        named = {"name": Path(str(data[EMBEDDINGS])).name or EMBEDDINGS, **data}
        document = {"model": {"architecture": LINEAR_HEAD}, **document, "dataset": named}
    return {"train_parameters": {}, **document} if has_linear_head(document) else document


def has_linear_head(document: Mapping[str, Any]) -> bool:
    """Whether the section ``model`` asks for a linear head."""
    return text_in(document.get("model"), "architecture") == LINEAR_HEAD


def pinned(document: Mapping[str, Any], data: DataSet) -> Mapping[str, Any]:
    """The document; for embeddings, with their number of classes and the hash of their content filled in if missing."""
    section = document["dataset"]
    if EMBEDDINGS not in section:
        return document
    model = {"target_classes": data.num_classes, **document["model"]}
    return {**document, "model": model, "dataset": {**section, "sha256": section.get("sha256") or fingerprint(data)}}


def load_own(dataset: Mapping[str, Any], root: str | None) -> DataSet:
    """The data set of the user's own embeddings.

    Raises:
        ConfigError: The hash of its content is not the section's ``sha256``.
    """
    arguments = {key: value for key, value in dataset.items() if key in _LOADED}
    data = load_embeddings(**arguments, root=root)
    if "sha256" in dataset and dataset["sha256"] != fingerprint(data):
        raise ConfigError(
            f"dataset.sha256: the embeddings, ids or labels of {data.name} have changed since this experiment was begun; restore "
            "the old files, or start a new experiment in another output directory"
        )
    return data


def check_data(check: Faults, given: object) -> DataSection:
    """The section ``dataset``, with its faults added to ``check``."""
    if isinstance(given, Mapping) and EMBEDDINGS in given:
        data = check.section("dataset", EmbeddingsData, given)
        if (data.test_embeddings is None) != (data.test_labels is None):
            check.faults.append("dataset must have both test_embeddings and test_labels, or neither")
        return data
    if ":" in text_in(given, "name"):
        called = check.section("dataset", CalledData, given)
        check.attempt("dataset.name", lambda: named_object(called.name))
        return called
    named = check.section("dataset", NamedData, given)
    if named.name and named.name not in data_set_names():
        hint = nearest(named.name, data_set_names())
        known = ", ".join(data_set_names())
        check.faults.append(
            f"dataset.name: no data set is called {named.name!r}{hint} (known: {known}, or package.module:callable; for your own "
            "embeddings, set dataset.embeddings)"
        )
    return named
