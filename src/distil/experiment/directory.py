"""The directory of an experiment: its configuration, and how later commands add strategies and seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from distil.errors import ConfigError, RunError, argument
from distil.experiment.config.document import is_sealed, read_kept, sealed
from distil.experiment.config.experiment_config import ExperimentConfig, parse_config
from distil.experiment.config.paths import rebased
from distil.experiment.files_read import HASHES, Hashes, check_files, kept_hashes
from distil.experiment.growth import Document, by_label, differences, grown
from distil.experiment.oracles import check_oracle
from distil.experiment.run import CONFIG, EVENTS
from distil.experiment.trust import TRUST, check_trust, sign
from distil.system.files import locked, remove_unfinished, write_text

_LOCK = ".lock"
BASELINE = "random_sampling"
SEEDS = 10
"""Number of seeds of a comparison whose configuration gives none."""


def open_config(output: Path, data: str | None = None) -> ExperimentConfig:
    """The configuration that a directory of results was begun with, to look at; the directory may have been moved since.

    Nothing that it names is imported; ``run_all`` does so, if this user wrote or trusts it.

    Args:
        output: The directory.
        data: The folder of the data sets, in place of the one that the configuration names.

    Raises:
        RunError: The directory holds no experiment, its configuration cannot be used, or one of its files was altered.
    """
    if not (output / CONFIG).is_file():
        raise RunError(
            f"{output} holds no experiment: {output / CONFIG} does not exist; pass the directory of a run, by default runs/NAME"
        )
    document = rebased(read_kept(output / CONFIG), output, Path.cwd(), data)
    kept_hashes(output)  # an altered file of hashes ends here too
    given = document.get("experiment", {})
    here = {"output": str(output)} if data is None else {"output": str(output), "data": data}
    if isinstance(given, Mapping):
        document["experiment"] = {**given, **here}
    return _parsed(document, output, looking=True)


def to_run(config: ExperimentConfig, *, trust: bool = False) -> ExperimentConfig:
    """The configuration with everything that it names imported.

    Args:
        config: A configuration; one that ``open_config`` returned is that of a directory.
        trust: Whether to import code that a directory names, though this user did not write its configuration.

    Raises:
        ConfigError: Someone else's directory names code, or something that it names cannot be imported.
    """
    if not config.looking:
        return config
    check_trust(config.output, read_kept(config.output / CONFIG), trust=trust)
    return parse_config(config.document)


def compared(
    config: ExperimentConfig, *, retrain: Sequence[str] = (), full_data: bool = True, ceiling: bool = False
) -> ExperimentConfig:
    """The configuration of a fair comparison: adds random sampling, training on the whole pool, and enough seeds for an interval.

    Args:
        config: The user's configuration.
        retrain: Values of ``retrain``; every strategy is run with each. The label of a strategy that is run with another value
            than the configuration's ends with that value.
        full_data: Whether to train once per seed on the whole pool.
        ceiling: Whether to run the ceiling, which the configuration may ask for too.

    Raises:
        ConfigError: An unknown value of ``retrain``.
    """
    entries = by_label(config.document)
    entries = {BASELINE: {"name": BASELINE, "label": BASELINE}, **entries} if BASELINE not in entries else entries
    other = [mode for mode in dict.fromkeys(retrain) if mode != config.retrain]
    ways = [
        {**entry, "label": f"{label}+{mode}", "retrain": mode} for mode in other for label, entry in entries.items()
    ]
    given = config.document.get("experiment", {})
    more = {} if "seed" in given or "seeds" in given else {"seeds": SEEDS}
    loop = {key: value for key, value in config.document["active_learning"].items() if key != "strategy"}
    return parse_config(
        {
            **config.document,
            "active_learning": {**loop, "strategies": [*entries.values(), *ways]},
            "experiment": {**given, **more, "full_data": full_data, **({"ceiling": True} if ceiling else {})},
        }
    )


def claim(config: ExperimentConfig, hashes: Hashes, *, trust: bool = False) -> ExperimentConfig:
    """Write the configuration into the output directory, joined with the experiment that the directory already holds.

    Several commands may do so at once: each reads and writes under the directory's lock.

    Args:
        config: The configuration of the command.
        hashes: The hashes of what it reads; see ``files_read``.
        trust: Whether to import code that only the directory names, though this user did not write it.

    Returns:
        The joined configuration.

    Raises:
        ConfigError: The directory is not empty and holds no experiment, or someone else's directory names more code.
        RunError: The directory holds an experiment that differs in more than its strategies, seeds, target, fewer rounds and the
            places of equal files, or was begun with other data.
    """
    _check_ours(config.output)
    config.output.mkdir(parents=True, exist_ok=True)
    config = _as_kept(config)
    with directory_lock(config.output):
        for name in (HASHES, TRUST, CONFIG):
            remove_unfinished(config.output, name)
        begun = (config.output / CONFIG).exists()
        joined = _joined(config, hashes, trust=trust) if begun else config.document
        if begun:
            check_files(config, hashes)
        kept = rebased(joined, Path.cwd(), config.output)
        _write(config.output / HASHES, {**hashes, **kept_hashes(config.output)})
        sign(config.output, kept)
        _write(config.output / CONFIG, kept)
    here = {
        key: value
        for key, value in config.document.get("experiment", {}).items()
        if key in ("output", "data", "trackers")
    }
    return parse_config({**joined, "experiment": {**joined.get("experiment", {}), **here}})


def directory_lock(output: Path) -> AbstractContextManager[None]:
    """The lock of a directory, under which its configuration and its tables are read and written; it waits for others."""
    return locked(output / _LOCK)


def _check_ours(output: Path) -> None:
    names = [path.name for path in output.iterdir()] if output.exists() else []
    others = [
        name
        for name in names
        if not name.startswith((_LOCK, HASHES, TRUST, f".{HASHES}.", f".{CONFIG}.", f".{TRUST}."))
    ]
    # looked for last: another command may write it meanwhile, and then begin its runs
    if others and not (output / CONFIG).exists():
        raise ConfigError(f"the output directory {output} exists and holds no experiment; choose another (--output)")
    if not _begun(output) and (output / CONFIG).exists() and not is_sealed(output / CONFIG):
        raise ConfigError(
            f"{output / CONFIG} is not the configuration of an experiment, and would be replaced; choose another output directory "
            "(--output)"
        )


def _begun(output: Path) -> bool:
    """Whether a directory holds a run."""
    return any(output.glob(f"*/*/{EVENTS}"))


def _as_kept(config: ExperimentConfig) -> ExperimentConfig:
    """The configuration with its paths spelled as a directory gives them back: ``./data/a.csv`` is ``data/a.csv``."""
    document = rebased(rebased(config.document, Path.cwd(), config.output), config.output, Path.cwd(), config.data_root)
    return config if document == config.document else parse_config(document)


def _joined(config: ExperimentConfig, hashes: Hashes, *, trust: bool) -> Document:
    """The document of the experiment in the output directory with what the configuration adds."""
    kept = read_kept(config.output / CONFIG)
    there = _parsed(rebased(kept, config.output, Path.cwd(), config.data_root), config.output, looking=True)
    before = _with_moved(there, config, hashes)
    check_oracle(config.document, before.document, config.output)
    found = differences(config, before)
    if found:
        raise RunError(
            f"{config.output} holds another experiment: {'; '.join(found)}. Choose another output directory (--output), or "
            f"continue the old experiment: distil resume {argument(config.output)}"
        )
    own = by_label(config.document)
    if any(":" in entry["name"] for label, entry in by_label(before.document).items() if label not in own):
        check_trust(config.output, kept, trust=trust)
    return grown(config, before)


def _with_moved(there: ExperimentConfig, config: ExperimentConfig, hashes: Hashes) -> ExperimentConfig:
    """The experiment of a directory with the new names of data files that were renamed or moved: their content is the same."""
    same = dict(kept_hashes(config.output).items() & hashes.items())
    moved = {key: value for key, value in config.dataset.items() if f"dataset.{key}" in same}
    dataset = {**there.dataset, **moved}
    return there if dataset == there.dataset else parse_config({**there.document, "dataset": dataset}, looking=True)


def _parsed(document: Document, output: Path, *, looking: bool = False) -> ExperimentConfig:
    """The configuration that a directory holds; its faults name the file, because the caller did not write it."""
    try:
        return parse_config(document, looking=looking)
    except ConfigError as error:
        raise RunError(
            f"{output / CONFIG} cannot be used: {' '.join(str(error).split())}; if it was altered, restore it from a backup"
        ) from None


def _write(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON object with its seal, unless the file holds it already."""
    text = json.dumps(sealed(document), indent=2) + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)
