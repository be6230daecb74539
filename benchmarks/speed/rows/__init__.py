"""The rows: one algorithm each, with its naive forms and its bars."""

from benchmarks.speed.rows import (
    adversarial,
    badge,
    bayesian,
    centers,
    clustering,
    coverage,
    dropout,
    mapped,
    matching,
    scoring,
    submodular,
)
from benchmarks.speed.spec import Row

_SUBJECTS = (
    centers,
    badge,
    clustering,
    submodular,
    matching,
    adversarial,
    dropout,
    scoring,
    mapped,
    coverage,
    bayesian,
)

ROWS: dict[str, Row] = {row.name: row for subject in _SUBJECTS for row in subject.ROWS}
"""All rows by name, in the order of the table."""
