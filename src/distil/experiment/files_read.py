"""The files that an experiment reads: its directory keeps their hashes, and every later command checks them.

``files.json`` holds one SHA-256 for each key of the section ``dataset`` that names a file or a folder, one for the numbers of a
data set with more files than these, and one for each module of the user's that the configuration names. Files are always read
to the end: neither sizes nor dates say that nothing has changed.
"""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import distil.errors
from distil.data.images import images_below
from distil.datasets.data_set import DataSet
from distil.datasets.embeddings import array_file
from distil.datasets.load import FILES, data_root
from distil.datasets.locations import user_file
from distil.errors import RunError
from distil.experiment.config.dataset_section import own_kind
from distil.experiment.config.document import is_sealed, read_kept
from distil.experiment.config.experiment_config import ExperimentConfig
from distil.experiment.config.paths import DATA_ARRAYS, DATA_FILES, rebased
from distil.experiment.provenance import fingerprint
from distil.experiment.run import CONFIG
from distil.system.files import digest

HASHES = "files.json"

Hashes = Mapping[str, str]
"""What is read -> its SHA-256: a key of the configuration, ``dataset`` for the content of the data set, or ``module NAME``."""

_CONTENT, _MODULE = "dataset", "module "


def read_data(config: ExperimentConfig) -> tuple[ExperimentConfig, DataSet, Hashes]:
    """The data set of an experiment, with the configuration that it completes and the hashes of what was read.

    Raises:
        ConfigError: The data does not fit the configuration.
        RunError: The experiment in the output directory was begun with other data.
    """
    files = _hashes_of_files(config)
    check_files(config, files)  # before they are read: a file is then refused by its name
    data = config.load_data()
    config = config.pinned(data)
    hashes = {**files, **_hashes_of_content(config, data)}
    check_files(config, hashes)
    return config, data, hashes


def _hashes_of_files(config: ExperimentConfig) -> dict[str, str]:
    """The hashes of the files and folders that the section ``dataset`` names.

    Raises:
        DataNotFound: There is no such file.
    """
    paths = _paths(config)
    return {f"dataset.{key}": _folder_hash(path) if path.is_dir() else digest(path) for key, path in paths.items()}


def _hashes_of_content(config: ExperimentConfig, data: DataSet) -> dict[str, str]:
    """The hash of a data set in memory, unless files of numbers hold all of it, and those of the user's imported modules.

    A table of images names more files, and the content of others is not known before they are read.
    """
    content = {} if config.dataset["name"] in FILES else {_CONTENT: config.dataset.get("sha256") or fingerprint(data)}
    return content | {f"{_MODULE}{name}": digest(path) for name, path in _modules(config)}


def kept_hashes(output: Path) -> dict[str, str]:
    """The hashes that the directory of an experiment keeps; empty if it holds no experiment yet.

    Raises:
        RunError: The file that keeps them is missing or damaged.
    """
    path, config = output / HASHES, output / CONFIG
    if not config.exists():
        return {}
    if path.exists():
        return read_kept(path)
    if is_sealed(config):
        raise RunError(
            f"{path} is missing, and with it the hashes of the data of the experiment; restore it from a backup"
        )
    return {}


def check_files(config: ExperimentConfig, now: Hashes) -> None:
    """Compare the data with what the experiment in the output directory was begun with.

    Args:
        config: The configuration of the command.
        now: The hashes of its files.

    Raises:
        RunError: Something that is read has changed.
    """
    changed = [
        f"{_name_of(config, what)} has changed since {config.output} was begun: its SHA-256 was {old[:8]} and is {now[what][:8]}"
        for what, old in _changed(config, now).items()
        if not what.startswith(_MODULE)
    ]
    if changed:
        raise RunError(
            f"{'; '.join(changed)}. Restore what has changed, or start a new experiment in another output directory (--output)"
        )


def notes_on_modules(config: ExperimentConfig, now: Hashes) -> list[str]:
    """A sentence for each of the user's modules whose source has changed since the experiment was begun."""
    return [
        f"the source of the {what} has changed since {config.output} was begun; earlier steps used the old one"
        for what in _changed(config, now)
        if what.startswith(_MODULE)
    ]


def _changed(config: ExperimentConfig, now: Hashes) -> dict[str, str]:
    """What has another hash now -> the hash that is kept. A key under which another file is named now is left out."""
    kept = kept_hashes(config.output)
    began = rebased(read_kept(config.output / CONFIG), config.output, Path.cwd())["dataset"] if kept else {}
    before = {what: kept[what] for what, value in now.items() if kept.get(what, value) != value}
    keys = {what: what.partition(".")[2] for what in before}
    return {what: old for what, old in before.items() if began.get(keys[what]) == config.dataset.get(keys[what])}


def _name_of(config: ExperimentConfig, what: str) -> str:
    """What is read, in the words of the configuration."""
    key = what.partition(".")[2]
    return f"{config.dataset[key]} ({what})" if key else f"the data set {config.dataset['name']}"


def _paths(config: ExperimentConfig) -> dict[str, Path]:
    """The files and folders under the keys of the section ``dataset``, where its reader finds them."""
    dataset, name = config.dataset, config.dataset["name"]
    if own_kind(dataset) is None and name not in FILES:
        return {}  # a callable may have parameters of any name
    root = data_root(config.data_root)
    given = {key: str(dataset[key]) for key in DATA_FILES if dataset.get(key) is not None}
    found = {
        key: array_file(name, value, root)[0] if key in DATA_ARRAYS else user_file(name, value, root, folders=True)
        for key, value in given.items()
    }
    weights = dataset.get("weights")
    return {**found, "weights": Path(weights)} if weights and Path(weights).is_file() else found


def _folder_hash(folder: Path) -> str:
    """The hash of the names and contents of all images in a folder."""
    whole = hashlib.sha256()
    for name in sorted(name for name, _ in images_below(folder)):
        whole.update(f"{name}\0{digest(folder / name)}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()


def _modules(config: ExperimentConfig) -> Iterator[tuple[str, Path]]:
    """The user's own modules that the configuration names as ``package.module:callable``, with their source files."""
    packages = [Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "purelib", "platlib")]
    packages.append(Path(distil.errors.__file__).resolve().parent)
    for name in dict.fromkeys(_named_modules(config.document)):
        source = getattr(sys.modules.get(name), "__file__", None)
        if source is not None and not any(Path(source).resolve().is_relative_to(folder) for folder in packages):
            yield name, Path(source)


def _named_modules(value: Any) -> Iterator[str]:  # noqa: ANN401 - what JSON can hold
    """The module of every text in a document that reads as ``package.module:callable``."""
    if isinstance(value, str) and ":" in value:
        yield value.partition(":")[0]
    for part in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _named_modules(part)
