"""Reading the JSON of a configuration: values that no file should hold are one clear error that names their key."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from distil.errors import ConfigError, RunError
from distil.experiment.config.document import plain, read_json, sealed
from distil.experiment.config.experiment_config import parse_config, read_config

SMALL = {
    "model": {"architecture": "two_layer_net", "target_classes": 10, "hidden_units_1": 8},
    "train_parameters": {"lr": 0.05, "batch_size": 16, "n_epoch": 2},
    "active_learning": {"strategy": "random_sampling", "budget": 5, "rounds": 3},
    "dataset": {"name": "digits"},
}
LR = "train_parameters.lr"


@pytest.fixture
def read(tmp_path):
    """``read(text)``: the configuration of a file."""

    def write(text, encoding="utf-8"):
        (tmp_path / "a.json").write_text(text, encoding=encoding)
        return read_config(tmp_path / "a.json")

    return write


def test_values_that_no_file_should_hold(case, read):
    for value, message in [
        ("NaN", f"{LR} must be finite, got nan"),
        ("-Infinity", f"{LR} must be finite, got -inf"),
        ("1e999", f"{LR} must be finite, got inf"),
        ("1" + "0" * 400, f"{LR} must be a number of at most 64 bits"),
        ("-" + "1" * 5000, f"{LR} must be a number of at most 64 bits"),
        (str(2**63), f"{LR} must be a number of at most 64 bits"),
        ("[" * 60 + "]" * 60, "is in more than 50 lists and objects"),
        ('{"a":' * 60 + "1" + "}" * 60, "is in more than 50 lists and objects"),
        ("[" * 100_000 + "]" * 100_000, "a.json cannot be read: its lists and objects are more than 50 deep"),
    ]:
        with case(value, message):
            with pytest.raises(ConfigError) as caught:
                read(json.dumps(SMALL).replace("0.05", value))
            assert message in str(caught.value)
            assert len(str(caught.value)) < 300


def test_arguments_of_the_users_own_callables_are_checked_too(read):
    document = {**SMALL, "dataset": {"name": "mine:data", "scales": [1.0, math.inf], "more": {"shift": math.nan}}}
    with pytest.raises(ConfigError) as caught:
        read(json.dumps(document))
    assert "dataset.scales[1] must be finite" in str(caught.value)
    assert "dataset.more.shift must be finite" in str(caught.value)


def test_the_largest_numbers_are_numbers():
    whole = {"experiment": {"seeds": [2**63 - 1, -(2**63)]}}
    assert parse_config({**SMALL, **whole}).seeds == (2**63 - 1, -(2**63))


def test_python_values_that_are_not_json(case):
    for value in [np.int64(5), {1, 2}, b"x", object()]:
        with (
            case(value),
            pytest.raises(ConfigError, match=r"active_learning\.budget must be text, a number, .* got a value of type"),
        ):
            parse_config({**SMALL, "active_learning": {**SMALL["active_learning"], "budget": value}})


def test_keys_are_text_and_a_document_is_not_inside_itself():
    with pytest.raises(ConfigError, match="model has the key 1; keys must be text"):
        parse_config({**SMALL, "model": {**SMALL["model"], 1: 2}})
    circle = {}
    circle["model"] = circle
    with pytest.raises(ConfigError, match="is in more than 50 lists and objects"):
        parse_config(circle)


def test_tuples_are_lists():
    assert plain({"a": (1, (2,))}, []) == {"a": [1, [2]]}


def test_a_byte_order_mark_and_the_schema_key_are_accepted(read):
    """A byte order mark, and the address of the schema."""
    config = read(json.dumps({"$schema": "https://example.org/schema.json", **SMALL}), encoding="utf-8-sig")
    assert set(config.document) == {*SMALL, "experiment"}


def test_a_file_that_does_not_name_its_experiment_section(read):
    with pytest.raises(ConfigError, match="section experiment must be a JSON object, got None"):
        read(json.dumps({**SMALL, "experiment": None}))


def test_a_path_is_the_same_in_every_error():
    loop = {"strategies": ["badge", {"name": "badge", "candidates": math.nan}], "budget": 5, "rounds": 3}
    with pytest.raises(ConfigError, match=r"active_learning\.strategies\[1\]\.candidates must be finite"):
        parse_config({**SMALL, "active_learning": loop})
    loop["strategies"][1]["candidates"] = 0
    with pytest.raises(ConfigError, match=r"active_learning\.strategies\[1\]\.candidates must be a whole number"):
        parse_config({**SMALL, "active_learning": loop})


# -------------------------------------------------------------------------------------------- the seal


def test_a_sealed_document_is_read_without_its_seal(tmp_path):
    """In any layout: the seal is on the content, and an editor may have laid it out anew."""
    path = tmp_path / "config.json"
    for layout in ({"indent": 2}, {"sort_keys": True, "separators": (",", ":"), "ensure_ascii": False}):
        path.write_text(json.dumps(sealed({**SMALL, "naïve": [1.5, None]}), **layout), encoding="utf-8")
        assert read_json(path) == {**SMALL, "naïve": [1.5, None]}


def test_a_sealed_document_that_was_changed_is_refused(case, tmp_path):
    """Every changed digit and letter; without the seal it is a configuration of the user's own."""
    path = tmp_path / "config.json"
    for old, new in [("0.05", "0.06"), ("10", "11"), ("random", "rendom"), ('"budget": 5, ', "")]:
        with case(old):
            text = json.dumps(sealed(SMALL))
            assert old in text
            path.write_text(text.replace(old, new, 1))
            with pytest.raises(RunError, match=r"config\.json was changed since distil wrote it") as error:
                read_json(path)
            assert len(str(error.value).splitlines()) == 1
            changed = json.loads(text.replace(old, new, 1))
            del changed["hash"]
            path.write_text(json.dumps(changed))
            assert read_json(path) == changed
