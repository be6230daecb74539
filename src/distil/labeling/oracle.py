"""People as the oracle of a run: it asks through a project, and takes the answers that are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distil.errors import InvalidInput, nearest
from distil.labeling.project import Project
from distil.selection.oracle import Answers, Pending, Query


@dataclass(frozen=True, eq=False)
class ProjectOracle:
    """Queues what a run asks for in a project, and answers with what people have said since.

    Attributes:
        project: The project.
        names: The ids of the examples of the run, one for each row; they are ids of items.
        classes: The names of the classes of the run, in their order.
    """

    project: Project
    names: Sequence[str]
    classes: Sequence[str]

    def ask(self, query: Query) -> Answers | Pending:
        """The answers to the examples of a query that need no more; ``Pending()`` if there is none.

        Raises:
            InvalidInput: The project has no such item, or the run has no such class.
        """
        wanted = [(row, self.names[row]) for row in query.ids]
        settled = self.project.settled()
        self.project.queue(name for _, name in wanted if name not in settled)
        answered = [(row, name, settled[name]) for row, name in wanted if name in settled]
        labeled = [(row, self._column(name, label)) for row, name, label in answered if label is not None]
        skipped = [row for row, _, label in answered if label is None]
        if not answered:
            return Pending()
        return Answers([row for row, _ in labeled], [column for _, column in labeled], skipped)

    def _column(self, name: str, label: str) -> int:
        if label not in self.classes:
            raise InvalidInput(
                f"{name!r} has the label {label!r} in {self.project.path}, which is no class of the run"
                f"{nearest(label, self.classes)}; its classes are {', '.join(self.classes)}"
            )
        return self.classes.index(label)
