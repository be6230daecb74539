"""People as the oracle of a run: it asks through a project, and takes the answers that are there."""

from __future__ import annotations

from distil.labeling.project import Project
from distil.selection.oracle import Answers, Pending, Query


class ProjectOracle:
    """Queues what runs ask for in a project, and answers with what people have said since.

    Several runs may share it: the items of all of them are queued, in the order in which they asked.

    Args:
        project: The project. The user's ids of the examples of a run, or their positions as text, are the ids of its items.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._asked: dict[str, None] = {}

    def ask(self, query: Query) -> Answers | Pending:
        """The answers to the examples of a query that need no more; ``Pending()`` if there is none. Labels are names of classes.

        Raises:
            InvalidInput: The project has no such item.
        """
        names = query.names or tuple(map(str, query.ids))
        settled = self._project.settled()
        self._asked |= dict.fromkeys(names)
        self._project.queue(name for name in self._asked if name not in settled)
        answered = [(row, settled[name]) for row, name in zip(query.ids, names, strict=True) if name in settled]
        if not answered:
            return Pending()
        labeled = [(row, label) for row, label in answered if label is not None]
        skipped = [row for row, label in answered if label is None]
        return Answers([row for row, _ in labeled], [label for _, label in labeled], skipped)
