"""What spreadsheets make of names that look like numbers, or like true and false."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import ROUND_DOWN, Context, Decimal

from distil.data.cells import unescaped
from distil.data.ids import normal
from distil.errors import InvalidInput

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

    def in_spreadsheets(self, label: str, *, typed: bool) -> str | None:
        """The class that :meth:`find` finds, or else the only one of whose name a spreadsheet makes this label.

        Args:
            label: The label.
            typed: Whether it is as somebody typed it.

        Raises:
            InvalidInput: It may not be as it was typed, and a spreadsheet saves the names of several classes like it.
        """
        found = self.find(label)
        may_be = {present for name, present in self._known.items() if saved(name) == label}
        if not typed and may_be - {found} and len(may_be | {found} - {None}) > 1:
            raise InvalidInput(
                f"the label {label!r} may be the class {' or '.join(map(repr, sorted(may_be)))}, because a spreadsheet program "
                "saves these names alike; ask for a workbook (--out sheet.xlsx), which keeps them apart, or "
                "rename the classes (distil project classes --rename), and write their new names"
            )
        return found or meant(label, self._known.values())


def saved(name: str) -> str:
    """What a spreadsheet saves for a name that is typed into it: 1 for 01 and 1.0, TRUE for true, other names as they are.

    >>> [saved(name) for name in ("01", "1.50", "+7", "1,50", "12345678901234567", "true", "cat", "-0")]
    ['1', '1.5', '7', '1,5', '12345678901234500', 'TRUE', 'cat', '0']
    """
    if name.lower() in ("true", "false"):
        return name.upper()
    if not _NUMBER.fullmatch(name):
        return name
    number = f"{Context(_DIGITS, ROUND_DOWN).plus(Decimal(name.replace(',', '.'))):f}"
    number = number.rstrip("0").rstrip(".") if "." in number else number
    return number.replace(".", ",") if "," in name else number


def are_typed(labels: Iterable[str]) -> bool:
    """Whether labels are as people typed them, because one of them is not as a spreadsheet would have saved it."""
    return any(saved(label) != label for label in labels)


def saved_alike(names: Iterable[str], known: Iterable[str]) -> tuple[str, str] | None:
    """The first of some names for which a spreadsheet saves the same as for another known name, and that name; None without one.

    >>> saved_alike(["2", "01"], ["1", "2", "01"]), saved_alike(["1", "2"], ["1", "2"])
    (('01', '1'), None)
    """
    by_form: dict[str, list[str]] = {}
    for name in known:
        by_form.setdefault(saved(name), []).append(name)
    pairs = ((name, other) for name in names for other in by_form.get(saved(name), ()) if other != name)
    return next(pairs, None)


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
