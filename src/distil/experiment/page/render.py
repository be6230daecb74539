"""The report as an HTML page that needs no other file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distil.experiment.config.experiment_config import ExperimentConfig
from distil.experiment.page.report import Json, report_of
from distil.system.files import write_text
from distil.system.pages import render


def write_page(configs: Sequence[ExperimentConfig], path: Path) -> Path:
    """Write the page of one or several experiments, and return its path; see ``report_of``."""
    write_text(path, page_of(report_of(configs)))
    return path


def page_of(report: Json) -> str:
    """The page of a report: HTML that loads nothing else.

    Args:
        report: The JSON document that ``report_of`` returns.
    """
    parts = {"title": report["title"], "experiments": report["experiments"], "report": report}
    return render("experiment/page/report.html", parts)
