"""``distil verify``: check the promises of the library on this machine."""

from __future__ import annotations

from typing import Any

from distil.cli.options import print_rows


def verify(*, seed: int = 0) -> dict[str, Any]:
    """Check the promises of the library on this machine: intervals, tests, certificates, and strategies by brute force.

    Every check draws data of which the truth is known, and counts how often the library is wrong. The exit code is 1 if a promise
    is broken. It takes about 7 seconds of one core; docs/certainty.md shows the table.

    Args:
        seed: Seed of the data.

    Returns:
        The document that ``--json`` prints: ``checks``, each with ``promise``, ``found``, ``kept`` and ``seconds``; and
        ``failed``, the number of promises that were broken.
    """
    from dataclasses import asdict

    from distil.experiment.verify import verify as checked

    checks = checked(seed)
    return {"checks": [asdict(check) for check in checks], "failed": sum(not check.kept for check in checks)}


def act(given: dict[str, Any]) -> int:
    """Check, and print the table."""
    found = verify(**given)
    rows = [
        ("kept" if each["kept"] else "BROKEN", each["promise"], each["found"], f"{each['seconds']:.1f} s")
        for each in found["checks"]
    ]
    print_rows(("", "promise", "found", "time"), rows)
    broken = found["failed"]
    print(f"{broken} of {len(rows)} promises are broken" if broken else f"all {len(rows)} promises are kept")
    return 1 if broken else 0
