"""What ``distil project status`` says of the pace of people, the accuracy of the model and the effect of its guesses."""

from __future__ import annotations

from typing import Any

from distil.errors import counted


def progress_lines(found: dict[str, Any]) -> list[str]:
    """Sentences on the progress of a project, given as the document that ``--json`` prints."""
    lines = [
        f"{pace['who']}: {pace['per_hour']:,.0f} answers an hour, {pace['median_ms'] / 1000:.1f} s at the median"
        for pace in found["people"]
        if pace["per_hour"] is not None and pace["median_ms"] is not None
    ]
    if found["curve"]:
        last = found["curve"][-1]
        lines.append(f"the model guessed {_bounded(last)} of the last {counted(last['n'], 'random item')} right")
    if found["accuracy"] is not None:
        lines.append(f"{_bounded(found['accuracy'])} of all items are right if the model labels the rest now")
    if found["outlook"] is not None:
        lines += found["outlook"]["sentences"]
    if found["guesses"] is not None:
        effect = [f"{100 * found['guesses'][name]:+.1f}" for name in ("difference", "low", "high")]
        lines.append("seeing a guess changes how often it is accepted by {} points ({} to {})".format(*effect))
        if found["guesses"]["too_fast"]:
            lines.append(
                "half of the accepted guesses were accepted within 0.3 s, which is too fast to look at the item"
            )
    return lines


def _bounded(share: dict[str, Any]) -> str:
    return f"{share['accuracy']:.1%} ({share['low']:.1%} to {share['high']:.1%})"
