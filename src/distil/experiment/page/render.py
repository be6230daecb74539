"""The report as an HTML page that needs no other file."""

from __future__ import annotations

from distil.experiment.page.report import Json
from distil.system.pages import render


def page_of(report: Json) -> str:
    """The page of a report: HTML that loads nothing else.

    Args:
        report: The JSON document that ``report_of`` returns.
    """
    parts = {"title": report["title"], "experiments": report["experiments"], "report": report}
    return render("experiment/page/report.html", parts)
