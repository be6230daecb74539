"""The report as an HTML page that needs no other file."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from distil.experiment.config.experiment_config import ExperimentConfig
from distil.experiment.page.report import Json, report_of
from distil.system.files import write_text


def write_page(configs: Sequence[ExperimentConfig], path: Path) -> Path:
    """Write the page of one or several experiments; returns its path. See ``report_of``."""
    write_text(path, page_of(report_of(configs)))
    return path


def page_of(report: Json) -> str:
    """The page of a report: HTML that is read offline, and links to nothing.

    Args:
        report: What ``report_of`` returned.
    """
    folder = files("distil.experiment.page")
    parts = {
        "title": html.escape(report["title"]),
        "style": (folder / "page.css").read_text(encoding="utf-8"),
        "figures": (folder / "figures.js").read_text(encoding="utf-8"),
        "sections": (folder / "sections.js").read_text(encoding="utf-8"),
        "tables": "\n\n".join(html.escape(f"{e['name']}\n\n{e['table']}") for e in report["experiments"]),
        # Without < no text can end the element that it is in.
        "report": json.dumps(report, allow_nan=False).replace("<", "\\u003c"),
    }
    template = (folder / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)
