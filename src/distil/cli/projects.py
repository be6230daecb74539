"""What the commands on labeling projects share."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from distil.cli.options import PathLike, path_of
from distil.errors import InvalidInput

if TYPE_CHECKING:
    from distil.labeling.project import Project


@contextmanager
def writing(project: PathLike) -> Iterator[Project]:
    """The open project, in which no other process writes meanwhile."""
    from distil.labeling.project import Project

    with Project.open(path_of("project", project)) as opened, opened.only_writer():
        yield opened


def person(who: str | None) -> str:
    """The name of a person; by default that of the user's account."""
    if who is not None:
        return who
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError) as error:
        raise InvalidInput("the account of this process has no name; say who answers (--who)") from error
