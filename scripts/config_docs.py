"""Write docs/experiment.schema.json, and the tables of keys in docs/configuration.md, from the classes of the configuration."""

from __future__ import annotations

import json
import re
from pathlib import Path

from distil.experiment.config import sections
from distil.experiment.config.schema import schema, table

DOCS = Path(__file__).parents[1] / "docs"
_TABLE = re.compile(r"<!-- keys of (\w+) -->\n.*?<!-- end of keys -->", re.DOTALL)


def current() -> dict[Path, str]:
    """The current content of each file."""
    page = DOCS / "configuration.md"
    return {
        page: _TABLE.sub(_with_table, page.read_text(encoding="utf-8")),
        DOCS / "experiment.schema.json": json.dumps(schema(), indent=2) + "\n",
    }


def _with_table(found: re.Match[str]) -> str:
    return f"<!-- keys of {found[1]} -->\n{table(getattr(sections, found[1]))}\n<!-- end of keys -->"


if __name__ == "__main__":
    for path, text in current().items():
        path.write_text(text, encoding="utf-8")
