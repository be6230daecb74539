"""What of a text is sent: lists get a line or two, and the item on the screen asks for the rest of a long one."""

from __future__ import annotations

import unicodedata
from typing import Final

LISTED: Final = 400
"""Characters of a text in a list."""
HANDED_OUT: Final = 20_000
"""Characters of a text that is handed out to be answered."""
_BEFORE: Final = 120  # characters before what was searched for


def plain(text: str) -> str:
    """A text for comparison: without case, and each accent in one way (file names may write it in another)."""
    return unicodedata.normalize("NFC", text.casefold())


def excerpt(text: str, most: int, sought: str = "") -> str:
    """At most ``most`` characters of a text, and an ellipsis at each end where it was cut.

    Args:
        text: The text.
        most: The number of characters.
        sought: What was searched for: its first occurrence is in the excerpt.
    """
    if len(text) <= most:
        return text
    start = max(0, _place(text, plain(sought)) - min(_BEFORE, most // 4)) if sought else 0
    start = min(start, len(text) - most)
    end = start + most
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def _place(text: str, sought: str) -> int:
    """Where the first occurrence begins; 0 without one. Without case some letters have another length, as the German sharp s."""
    written = plain(text)
    at = written.find(sought)
    if at < 0 or len(written) == len(text):
        return max(at, 0)
    low, high = (
        0,
        len(text),
    )  # the longest beginning that is not longer, without case, than what stands before the occurrence
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(plain(text[:middle])) <= at else (low, middle - 1)
    return low
