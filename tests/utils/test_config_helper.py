"""The reader of configuration files."""

from __future__ import annotations

import inspect
import json
import warnings

import pytest

from distil.errors import ConfigError
from distil.utils.config_helper import read_config_file


def test_signature():
    assert list(inspect.signature(read_config_file).parameters) == ["filename"]


def test_the_object_as_it_stands(tmp_path, capfd):
    content = {"model": {"architecture": "no such thing"}, "anything": [1, None, "ü"]}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_config_file(str(path)) == read_config_file(path) == content
    assert capfd.readouterr() == ("", "")


def test_other_endings(tmp_path):
    for name in ("config.yaml", "config", "config.json.txt", "json"):
        (tmp_path / name).write_text("{}")
        with pytest.raises(OSError, match=r"ends in \.json") as caught:
            read_config_file(str(tmp_path / name))
        assert isinstance(caught.value, ConfigError)
        assert not isinstance(caught.value, FileNotFoundError)


def test_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no configuration file .*a\.json") as caught:
        read_config_file(str(tmp_path / "a.json"))
    assert isinstance(caught.value, ConfigError)


def test_files_that_are_not_configurations(tmp_path):
    path = tmp_path / "a.json"
    for content, message in (
        (b"{", "read as JSON"),
        (b"[1]", "JSON object, got a list"),
        (b"\xff", "read as JSON"),
        (b"", "read as JSON"),
        (b'{"a":' * 100_000, "read as JSON"),  # too deeply nested
    ):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=message):
            read_config_file(path)
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config_file(tmp_path / "folder.json")
