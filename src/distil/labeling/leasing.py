"""Which items may be handed out, as conditions of SQL on item ``n``, with the parameters ``who`` and ``copies``."""

from __future__ import annotations

from typing import Final

FOR_WHO: Final = (
    "NOT gone AND NOT EXISTS (SELECT 1 FROM lease WHERE item = n AND who = :who) "
    "AND NOT EXISTS (SELECT 1 FROM current WHERE item = n AND who IN (:who, '') AND kind IS NOT NULL)"
)
"""Whether a person does not have the item, has not answered it, and it is not decided."""
WANTED: Final = (
    "(SELECT count(*) FROM current WHERE item = n AND kind IS NOT NULL AND who != '') "
    "+ (SELECT count(*) FROM lease l WHERE item = n AND NOT EXISTS "
    "(SELECT 1 FROM current c WHERE c.item = n AND c.who = l.who AND kind IS NOT NULL)) < :copies"
)
"""Whether it needs more answers than people have given, or have it now to give; a second look of a person is no more."""
AGAIN: Final = "NOT EXISTS (SELECT 1 FROM lease WHERE item = n)"
"""Whether no person has it now."""
CHECKED: Final = (
    "NOT gone AND NOT EXISTS (SELECT 1 FROM lease WHERE item = n AND who = :who) "
    "AND NOT EXISTS (SELECT 1 FROM current WHERE item = n AND who = '' AND kind IS NOT NULL)"
)
"""Whether a person may look at it once more, answered or not: the person does not have it, and it is not decided."""
