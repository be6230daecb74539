"""The keys of the configuration for editors and readers."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

from distil.experiment.config.schema import expected, schema, table
from distil.experiment.config.sections import (
    ActiveLearning,
    EmbeddingsData,
    ExperimentSection,
    NamedData,
    TrainParameters,
)

ROOT = Path(__file__).parents[3]


def test_the_page_and_the_schema_are_current():
    """Where this fails: ``python scripts/config_docs.py``."""
    for path, text in runpy.run_path(str(ROOT / "scripts" / "config_docs.py"))["current"]().items():
        assert path.read_text(encoding="utf-8") == text, path


def test_the_page_has_a_table_for_every_section():
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    for kind in (TrainParameters, ActiveLearning, NamedData, EmbeddingsData, ExperimentSection):
        assert table(kind) in page


def kinds(section):
    """What a section may be, by the schema; the first is the usual one."""
    found = schema()["properties"][section]
    return [
        schema()["$defs"][one["$ref"].rpartition("/")[2]] if "$ref" in one else one
        for one in found.get("anyOf", [found])
    ]


def test_the_examples_have_keys_of_the_schema(case):
    for name in ["digits", "satimage"]:
        with case(name):
            assert not schema()["additionalProperties"]
            for section, content in json.loads(
                (ROOT / "examples" / f"{name}.json").read_text(encoding="utf-8")
            ).items():
                usual, *_ = kinds(section)
                assert set(content) <= set(usual["properties"])
                assert not usual["additionalProperties"]


def test_the_content_of_the_schema():
    assert schema()["required"] == ["active_learning", "dataset"]  # the others may be left out for embeddings
    assert "$schema" in schema()["properties"]
    loop = kinds("active_learning")[0]["properties"]
    assert loop["budget"] == {"description": "Number of examples per selection.", "minimum": 1, "type": "integer"}
    assert "default" not in loop["candidates"]  # None stands for "left out"
    optimizer = kinds("train_parameters")[0]["properties"]["optimizer"]
    assert (optimizer["enum"], optimizer["default"]) == (["sgd", "adam", "adamw"], "sgd")
    assert "digits" in kinds("dataset")[0]["properties"]["name"]["examples"]
    assert kinds("model")[1]["properties"]["architecture"]["pattern"] == ":"


def test_expected_values_in_words(case):
    for kind, key, words in [
        (ActiveLearning, "budget", "a whole number from 1"),
        (ActiveLearning, "strategy_args", "a JSON object"),
        (NamedData, "label_noise", "a fraction above 0, at most 1"),
        (NamedData, "label", "a whole number, or text, or a non-empty list, each entry a whole number, or text"),
        (TrainParameters, "islogs", "true or false"),
        (TrainParameters, "retrain", "one of scratch, warm, shrink_perturb"),
        (TrainParameters, "amp", '"auto", or true or false'),
        (ExperimentSection, "trackers", "a list, each entry one of tensorboard, mlflow"),
        (
            ExperimentSection,
            "seeds",
            "a whole number from 1 to 10,000, or a non-empty list, each entry a whole number",
        ),
    ]:
        with case(kind, key, words):
            assert expected(kind, key) == words


def test_a_row_of_the_table():
    rows = table(ActiveLearning).splitlines()
    assert "| `budget` | a whole number from 1 | mandatory | Number of examples per selection. |" in rows
    assert any(row.startswith("| `candidates` *(ours)* | a whole number from 1, or null |  | ") for row in rows)
    assert "*(ours)*" not in table(EmbeddingsData)  # all of them are


def test_pydantic_is_imported_only_for_configurations():
    code = (
        "import sys, distil.cli, contextlib, io\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    distil.cli.main(['--help'])\n"
        "print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
