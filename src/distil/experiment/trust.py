"""Code that the directory of an experiment names is imported only if this user wrote the configuration there.

A configuration in a directory may come from anywhere, and names of the form ``package.module:callable`` in it may be any code. So
every configuration that this user writes and that names code is signed: ``trust.json`` holds an id of the directory, and for each
configuration an HMAC of id and content under a key that only this user can read. Without a signature the code is imported only
on request. Configurations that name nothing but strategies, architectures and data sets of distil need no signature.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distil.embedding.encoders import PIXELS
from distil.errors import ConfigError, DistilError, DistilWarning, argument
from distil.experiment.config.dataset_section import own_kind
from distil.experiment.config.document import PROJECT, read_json, text_in
from distil.experiment.run import CONFIG
from distil.system.files import write_text
from distil.system.user_key import NoKey, user_key

TRUST = "trust.json"


def code_in(document: Mapping[str, Any]) -> dict[str, str]:
    """The code that a configuration names: key -> name.

    Encoders other than pixels and those of timm count as code: a folder of sentence-transformers names the classes that load it.
    """
    data, loop = document.get("dataset"), document.get("active_learning")
    oracle = text_in(document.get("experiment"), "oracle")
    found = {
        "model.architecture": text_in(document.get("model"), "architecture"),
        "dataset.name": text_in(data, "name") if own_kind(data) is None else "",
        "experiment.oracle": "" if oracle.startswith(PROJECT) else oracle,
        **{f"active_learning.{key}": name for key, name in _strategies(loop if isinstance(loop, Mapping) else {})},
    }
    code = {key: name for key, name in found.items() if ":" in name}
    encoder = text_in(data, "encoder")
    harmless = encoder in ("", PIXELS) or encoder.startswith("timm:")
    return code if harmless else {**code, "dataset.encoder": encoder}


def _strategies(loop: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Key and name of every strategy in a section ``active_learning``."""
    listed = loop.get("strategies")
    entries = {key: loop.get(key) for key in ("strategy", "initial_strategy")}
    entries |= {
        f"strategies[{number}]": entry for number, entry in enumerate(listed if isinstance(listed, list) else [])
    }
    return [(key, entry if isinstance(entry, str) else text_in(entry, "name")) for key, entry in entries.items()]


def check_trust(output: Path, document: Mapping[str, Any], *, trust: bool) -> None:
    """Refuse a configuration in a directory that names code, unless this user wrote it or trusts it.

    Args:
        output: The directory.
        document: The content of its ``config.json``.
        trust: Whether the caller trusts it.

    Raises:
        ConfigError: The code would be imported on behalf of someone else; the message names it.
    """
    code = code_in(document)
    if not code or trust:
        return
    try:
        if _is_signed(output, document, user_key()):
            return
        why = "no configuration that you wrote"
    except NoKey as error:
        why = f"not known to be yours ({error})"
    listing = ", ".join(f"{key} {name}" for key, name in code.items())
    raise ConfigError(
        f"{output / CONFIG} is {why}, and would import code: {listing}; look at it, then pass --trust (trust=True)"
    )


def sign(output: Path, document: Mapping[str, Any]) -> None:
    """Sign a configuration that this user writes into a directory, if it names code.

    Without a key, because the user's data folder cannot be written, it warns that the directory will have to be trusted.
    """
    if not code_in(document):
        return
    try:
        key = user_key()
    except NoKey as error:
        warnings.warn(f"distil resume {argument(output)} will need --trust: {error}", DistilWarning, stacklevel=2)
        return
    identity, signatures = _signatures(output)
    identity = identity or secrets.token_hex(16)
    mine = _signature(key, identity, document)
    if mine not in signatures:
        content = {"id": identity, "signatures": [*signatures, mine]}
        write_text(output / TRUST, json.dumps(content, indent=2) + "\n")


def _is_signed(output: Path, document: Mapping[str, Any], key: bytes) -> bool:
    identity, signatures = _signatures(output)
    mine = _signature(key, identity, document)
    return any(hmac.compare_digest(mine, signature) for signature in signatures)


def _signatures(output: Path) -> tuple[str, list[str]]:
    """The id of a directory and its signatures; empty where there are none, or the file is damaged."""
    try:
        content = read_json(output / TRUST)
    except DistilError:
        return "", []
    listed = content.get("signatures")
    signatures = [one for one in listed if isinstance(one, str) and one.isascii()] if isinstance(listed, list) else []
    return text_in(content, "id"), signatures


def _signature(key: bytes, identity: str, document: Mapping[str, Any]) -> str:
    text = json.dumps([identity, document], sort_keys=True)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
