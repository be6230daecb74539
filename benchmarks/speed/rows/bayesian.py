"""BatchBALD and BAIT."""

from __future__ import annotations

from benchmarks.speed.spec import Row

ROWS: tuple[Row, ...] = ()
