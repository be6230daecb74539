"""How far a project is: what ``distil project status`` prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Status:
    """Numbers of a project.

    Attributes:
        items: Number of items.
        gone: Number of items that their source no longer had when it was last added.
        unreadable: Number of items that the model could not read when it was last fitted, without those that people labeled.
        labeled: Number of items that have a label.
        tied: Number of items whose labels tie, which need another answer or a decision.
        unlabeled: Number of items to which people said only ``skip`` or ``unsure``.
        flagged: Number of flagged items.
        leased: Number of times that an item is handed out and not answered.
        outdated: Number of answers that were given before the content of their item changed.
        classes: Class -> number of items with this label.
        people: Person -> number of answers that count, most first.
        agreement: The share of pairs of labels of one item that are equal; None without an item that two people labeled.
        alpha: Krippendorff's alpha of these labels; None where it is not defined.
    """

    items: int
    gone: int
    unreadable: int
    labeled: int
    tied: int
    unlabeled: int
    flagged: int
    leased: int
    outdated: int
    classes: Mapping[str, int]
    people: Mapping[str, int]
    agreement: float | None
    alpha: float | None
