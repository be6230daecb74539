"""What spreadsheets make of names that look like numbers, or like true and false."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import ROUND_DOWN, Context, Decimal

from distil.data.cells import unescaped
from distil.data.ids import normal

_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(?:[.,][0-9]{1,40})?(?:([eE])[+-]?[0-9]{1,3})?")
_DIGITS = 15  # of a number in a spreadsheet; it writes zeros for the others


class ClassNames:
    """The classes of a project, found by labels as people and other programs write them.

    Args:
        known: Every name by which a label is understood -> the present name of its class.
    """

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = {normal(name): present for name, present in known.items()} | dict(known)

    def find(self, label: str) -> str | None:
        """The present name of the class: of the one that is written like this, or else in another form; None without one.

        >>> names = ClassNames({"1": "1", "1.0": "1.0"})
        >>> names.find("1"), names.find("1.0"), names.find("2.0")
        ('1', '1.0', None)
        """
        label = label.strip()
        return self._known.get(label) or self._known.get(normal(label))

    def add(self, name: str) -> str:
        """Let a new class be found; returns its name."""
        self._known.setdefault(normal(name), name)
        self._known[name] = name
        return name

    def in_spreadsheets(self, label: str) -> str | None:
        """The class that :meth:`find` finds, or else the only one of whose name a spreadsheet makes this label."""
        return self.find(label) or meant(label, self._known.values())


def meant(cell: str, names: Iterable[str]) -> str | None:
    """The only one of some names of which a spreadsheet makes this cell."""
    found = {name for name in names if is_spreadsheet_form(cell, name)}
    return found.pop() if len(found) == 1 else None


def is_spreadsheet_form(cell: str, name: str) -> bool:
    """Whether a cell is a name, or what a spreadsheet makes of it: TRUE of true, 1 of 01.

    A spreadsheet that saves a csv file as a workbook keeps the ``'`` in front of what would be a formula.

    >>> [is_spreadsheet_form(cell, name) for cell, name in (("TRUE", "true"), ("1", "01"), ("'=a", "=a"), ("=a", "'=a"))]
    [True, True, True, False]
    """
    seen = {normal(each).casefold() for each in (cell, unescaped(cell))}
    return normal(name).casefold() in seen or is_same_number(cell, name)


def is_same_number(cell: str, name: str) -> bool:
    """Whether a cell is what a spreadsheet makes of a name of digits: without zeros in front, and long ones rounded.

    >>> [is_same_number(cell, "0012345678901234567") for cell in ("12345678901234567", "1.23457E+16", "1,23457E+16", "1.24E+16")]
    [True, True, True, False]
    """
    found = _NUMBER.fullmatch(cell)
    if found is None or not _NUMBER.fullmatch(name):
        return False
    seen, whole = Decimal(cell.replace(",", ".")), Decimal(name.replace(",", "."))
    shown = len(seen.as_tuple().digits)
    digits = shown if found[1] else _DIGITS
    return seen in (
        whole,
        Context(digits).plus(whole),
        Context(digits, ROUND_DOWN).plus(whole),  # Excel cuts long ones off
    )
