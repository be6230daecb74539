"""Files that are no configuration: one line that names the file, at once, and without reading all of it."""

from __future__ import annotations

import json
import os
import tracemalloc

import pytest

from distil.errors import ConfigError
from distil.experiment.config.document import read_json

DOCUMENT = {"dataset": {"name": "digits"}}
TEXT = json.dumps(DOCUMENT)


def test_files_that_are_no_configuration(case, tmp_path):
    path = tmp_path / "a.json"
    for content, message in [
        (b"", "a.json cannot be read as JSON: it is empty"),
        (b" \n\t", "a.json cannot be read as JSON: it is empty"),
        (b"\xef\xbb\xbf", "a.json cannot be read as JSON: it is empty"),
        (
            TEXT.encode("utf-16"),
            "a.json cannot be read: it is not UTF-8 text (byte 0); pass a JSON file, saved as UTF-8",
        ),
        (TEXT.encode("utf-16-le"), "a.json cannot be read as JSON"),
        (TEXT.encode("utf-32"), "a.json cannot be read: it is not UTF-8 text"),
        (TEXT[:-3].encode(), "a.json cannot be read as JSON"),
        (b"[" * 200_000, "its lists and objects are more than 50 deep"),
        (b'{"a":' * 200_000, "its lists and objects are more than 50 deep"),
        (b'{"dataset": {"name": "digits", "name": "mnist"}}', "the key 'name' occurs twice in one object"),
        (b"\0" * 100, "a.json cannot be read as JSON"),
        (b"\x1f\x8b\x08\x00", "a.json cannot be read: it is not UTF-8 text (byte 1)"),
        (b'"text"', "must hold a JSON object"),
        (b"[" + b"1," * 2**20, "a.json is larger than 1 MB"),
    ]:
        with case(content[:20]):
            path.write_bytes(content)
            with pytest.raises(ConfigError) as caught:
                read_json(path)
            assert message in str(caught.value)
            assert "\n" not in str(caught.value)
            assert str(caught.value).count("a.json") == 1
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory; pass a JSON file"):
        read_json(tmp_path)


def test_a_large_file_is_not_read_into_memory(tmp_path):
    path = tmp_path / "zeros.json"
    path.touch()
    os.truncate(path, 2**31)  # sparse
    tracemalloc.start()
    with pytest.raises(ConfigError, match=r"zeros\.json is larger than 1 MB"):
        read_json(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**23


def test_the_largest_file_is_read(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(TEXT + " " * (2**20 - len(TEXT)))
    assert read_json(path) == DOCUMENT
