"""The section ``dataset`` of a configuration: its checks, and the keys that are filled in for the user's own data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from distil.datasets.data_set import DataSet
from distil.datasets.embeddings import load_embeddings
from distil.datasets.load import data_set_names
from distil.embedding.encoders import check_encoder
from distil.errors import ConfigError
from distil.experiment.config.document import text_in
from distil.experiment.config.embedded_pools import load_embedded
from distil.experiment.config.faults import Faults
from distil.experiment.config.sections import (
    LINEAR_HEAD,
    CalledData,
    DataSection,
    EmbeddingsData,
    EncodedData,
    ImagesData,
    NamedData,
    OwnData,
    TextsData,
)
from distil.experiment.provenance import fingerprint
from distil.system.imports import taking

OwnKind = Literal["embeddings", "images", "texts"]
_OWN: Final[dict[OwnKind, type[OwnData]]] = {"embeddings": EmbeddingsData, "images": ImagesData, "texts": TextsData}
AnyData: TypeAlias = NamedData | CalledData | OwnData
_ENCODED = ("encoder", "weights", "column", "name", "quoting")
_LOADED = ("embeddings", "labels", "test_embeddings", "test_labels", "name", "quoting")


def own_kind(dataset: object) -> OwnKind | None:
    """The key that makes a section ``dataset`` one of the user's own data: what it holds; None for other data sets."""
    if not isinstance(dataset, Mapping):
        return None
    called = ":" in text_in(dataset, "name") and "encoder" not in dataset  # a callable may have parameters of any name
    return next((kind for kind in _OWN if kind in dataset and (kind == "embeddings" or not called)), None)


def data_section(dataset: Mapping[str, Any]) -> type[AnyData]:
    """The class that describes the keys of a section ``dataset``."""
    kind = own_kind(dataset)
    if kind is not None:
        return _OWN[kind]
    return CalledData if ":" in text_in(dataset, "name") else NamedData


def filled(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document; for own data, with its name and, if it names no model, a linear head."""
    data = document.get("dataset")
    kind = own_kind(data)
    if kind is not None and isinstance(data, Mapping):
        named = {"name": Path(str(data[kind])).name or kind, **data}
        document = {"model": {"architecture": LINEAR_HEAD}, **document, "dataset": named}
    return {"train_parameters": {}, **document} if has_linear_head(document) else document


def has_linear_head(document: Mapping[str, Any]) -> bool:
    """Whether the section ``model`` asks for a linear head."""
    return text_in(document.get("model"), "architecture") == LINEAR_HEAD


def pinned(document: Mapping[str, Any], data: DataSet) -> Mapping[str, Any]:
    """The document with the number of outputs, if missing; and for own data with the hash of its content."""
    section = document["dataset"]
    model = {"target_classes": data.num_classes, **document["model"]}
    if own_kind(section) is None:
        return document if model == document["model"] else {**document, "model": model}
    return {**document, "model": model, "dataset": {**section, "sha256": section.get("sha256") or fingerprint(data)}}


def load_own(
    dataset: Mapping[str, Any], root: str | None, device: str | None, *, looking: bool = False, partly: bool = False
) -> DataSet:
    """The data set of the user's own embeddings, images or texts.

    Args:
        dataset: The section ``dataset``.
        root: Folder for files that are not in the working directory.
        device: Device of the encoder.
        looking: Whether only embeddings that were made before are used: no encoder is loaded.
        partly: Whether examples may lack a label, because an oracle answers.

    Raises:
        ConfigError: The hash of its content is not the section's ``sha256``.
    """
    kind, task = own_kind(dataset), dataset.get("task", "classification")
    if kind == "images" or kind == "texts":
        pools = [dataset[kind], *([dataset[f"test_{kind}"]] if dataset.get(f"test_{kind}") else [])]
        labels = [dataset.get("labels"), dataset.get("test_labels")][: len(pools)]
        options = {key: dataset[key] for key in _ENCODED if key in dataset}
        more: dict[str, Any] = {"looking": looking, "partly": partly, "task": task}
        data = load_embedded(kind, pools, labels, **options, root=root, device=device, **more)
    else:
        given = {"labels": None} | {key: dataset[key] for key in _LOADED if key in dataset}
        data = load_embeddings(**given, root=root, partly=partly, task=task)
    if "sha256" in dataset and dataset["sha256"] != fingerprint(data):
        raise ConfigError(
            f"dataset.sha256: the {kind}, ids or labels of {data.name} have changed since this experiment was begun; restore "
            "the old files, or start a new experiment in another output directory"
        )
    return data


def check_data(check: Faults, given: object) -> AnyData:
    """The section ``dataset``, with its faults added to ``check``."""
    kind = own_kind(given)
    if kind is not None and isinstance(given, Mapping):
        data = check.section("dataset", _OWN[kind], given)
        if isinstance(data, EncodedData) and data.encoder:
            check.own("dataset.encoder", lambda: check_encoder(data.encoder, data.weights))
        test = [given.get(f"test_{kind}") is not None, given.get("test_labels") is not None]
        if kind == "embeddings" and test[0] != test[1]:
            check.faults.append("dataset must have both test_embeddings and test_labels, or neither")
        elif test == [False, True]:
            check.faults.append(f"dataset.test_labels needs dataset.test_{kind}")
        return data
    if isinstance(given, Mapping) and data_section(given) is CalledData:
        called = check.section("dataset", CalledData, given)
        check.own("dataset.name", lambda: taking(called.name, **options_of(given)))
        return called
    if isinstance(given, Mapping) and "encoder" in given:
        check.faults.append("dataset.encoder needs dataset.images or dataset.texts, which it embeds")
        return NamedData.model_construct(_fields_set=set(given))
    if isinstance(given, Mapping) and "name" not in given:
        check.faults.append("for your own data, set dataset.embeddings, dataset.images or dataset.texts")
    named = check.section("dataset", NamedData, given)
    if named.name:
        own = "package.module:callable; for your own data, set dataset.embeddings, dataset.images or dataset.texts"
        check.named("dataset.name", named.name, data_set_names(), "data set", own)
    return named


def options_of(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a section ``dataset`` that its reader, or the user's callable, is called with."""
    return {key: value for key, value in dataset.items() if key not in ("name", *DataSection.model_fields)}
