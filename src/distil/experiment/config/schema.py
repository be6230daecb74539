"""Descriptions of the keys of a configuration: JSON Schema for editors, a table for the docs, phrases for errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from distil.experiment.config.sections import OURS, Configuration, Section

Schema = dict[str, Any]

_NOUNS = {"string": "text", "boolean": "true or false", "object": "a JSON object", "null": "null"}


class _ForEditors(GenerateJsonSchema):
    """JSON Schema without titles, which repeat the keys, and without defaults of None, which mean that the key is left out."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002
        return False

    def default_schema(self, schema: Any) -> Schema:  # noqa: ANN401
        if schema.get("default", 0) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


def schema() -> Schema:
    """The JSON Schema of a configuration file, for completion and checks in editors.

    A file may name it under ``$schema``, a key that distil ignores.
    """
    keys = _schema_of(Configuration)
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        **keys,
        "properties": {"$schema": {"type": "string"}, **keys["properties"]},
        "required": ["active_learning", "dataset"],  # the user's own embeddings make the other sections optional
    }


def expected(kind: type[Section], key: str) -> str:
    """The values that a key may have, as the end of a sentence with "must be".

    >>> from distil.experiment.config.sections import ActiveLearning
    >>> expected(ActiveLearning, "budget")
    'a whole number from 1'
    """
    return _words(_schema_of(kind)["properties"][key])


def choices(kind: type[Section], key: str) -> list[str]:
    """The texts that a key, or the entries of its list, may hold, if they form a list; otherwise none."""
    described = _schema_of(kind)["properties"][key]
    return [value for value in described.get("items", described).get("enum", []) if isinstance(value, str)]


def table(kind: type[Section]) -> str:
    """The keys of a section as a Markdown table, mandatory keys first; keys of ours are marked, unless all are ours."""
    required = _schema_of(kind).get("required", [])
    mixed = not all(OURS in field.metadata for field in kind.model_fields.values())
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key in sorted(kind.model_fields, key=lambda key: key not in required):
        field, described = kind.model_fields[key], _schema_of(kind)["properties"][key]
        ours = " *(ours)*" if mixed and OURS in field.metadata else ""
        default = f"`{json.dumps(described['default'])}`" if "default" in described else ""
        null = ", or null" if {"type": "null"} in described.get("anyOf", []) else ""
        lines.append(
            f"| `{key}`{ours} | {_words(described)}{null} | {'mandatory' if key in required else default} | {field.description} |"
        )
    return "\n".join(lines)


@cache
def _schema_of(kind: type[Section]) -> Schema:
    return kind.model_json_schema(schema_generator=_ForEditors)


def _words(described: Mapping[str, Any]) -> str:
    if "anyOf" in described:
        return ", or ".join(dict.fromkeys(_words(one) for one in described["anyOf"] if one != {"type": "null"}))
    if "enum" in described:
        return "one of " + ", ".join(described["enum"])
    if "const" in described:
        return json.dumps(described["const"])
    kind = described.get("type", "object")  # a reference is to a section
    if kind == "array":
        return f"a {'non-empty ' if 'minItems' in described else ''}list, each entry {_words(described['items'])}"
    return _number(kind, described) if kind in ("integer", "number") else _NOUNS[kind]


def _number(kind: str, described: Mapping[str, Any]) -> str:
    least, most, above = (described.get(bound) for bound in ("minimum", "maximum", "exclusiveMinimum"))
    noun = "a whole number" if kind == "integer" else "a fraction" if most == 1 else "a number"
    low = f" from {least}" if least is not None else f" above {above}" if above is not None else ""
    high = "" if most is None else f" to {most:,}" if least is not None else f", at most {most}"
    return noun + low + high
