"""The project in Label Studio that belongs to a project of distil: what it holds, each answer of the server checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, Self, TypeVar

from distil.errors import InvalidInput, RunError
from distil.labeling.label_studio.client import Client, Missing, Unreachable
from distil.labeling.label_studio.config import config_of, with_classes
from distil.labeling.project import Project
from distil.labeling.store import chunks
from distil.system.files import write_text

FILE: Final = "label-studio.json"
"""The file in the folder of a project with the numbers of its projects in Label Studio, by address."""
ID_FIELD: Final = "distil_id"
REASON_FIELD: Final = "distil_reason"
"""Fields of the data of a task: the id of the item, and why it was chosen."""

_TITLE: Final = 50  # characters; a longer title is refused
_PAGE: Final = 200  # tasks
_AT_ONCE: Final = 200  # tasks or predictions of one request
_INCLUDE: Final = "id,data,annotations,predictions,result,was_cancelled,completed_by,created_at,updated_at,lead_time"
"""Fields to list: those of tasks and, by the same list, those of their annotations; the others take most of the time."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Task:
    """A task of Label Studio.

    Attributes:
        id: Its number there.
        item: The id of its item; None for a task that distil did not make.
        reason: Why the item was chosen; None where the task does not say.
        annotations: Its annotations, as Label Studio sends them, not checked.
        predictions: Its predictions, in the same way.
    """

    id: int
    item: str | None
    reason: str | None
    annotations: list[Any]
    predictions: list[Any]


class Remote:
    """A project in Label Studio.

    Args:
        client: The client.
        document: The project as the server describes it.

    Attributes:
        id: Its number.
        mark: A short text that no other project has, on any server.
        config: Its labeling config.
        shows_predictions: Whether people see predictions.
    """

    def __init__(self, client: Client, document: Any) -> None:  # noqa: ANN401 - any value of JSON
        self.client = client
        self.id = _field(document, "id", int, "a project")
        created = _field(document, "created_at", str, "a project")
        self.mark = hashlib.blake2b(f"{self.id}:{created}".encode(), digest_size=8).hexdigest()
        self.config, self.shows_predictions = _settings(document)

    @classmethod
    def find(cls, project: Project, client: Client) -> Self | None:
        """The project in Label Studio that was made for a project of distil; None if there is none yet.

        Raises:
            RunError: It was there, and is no longer.
        """
        known = _linked(project).get(client.url)
        if known is not None:
            return cls._known(project, client, **known)
        own = [each for each in _projects(client) if each.get("description") == _description(project)]
        if not own:
            return None
        number = min(_field(each, "id", int, "a project") for each in own)
        remote = cls(client, client.get(f"/api/projects/{number}/"))
        _link(project, remote)
        return remote

    @classmethod
    def _known(cls, project: Project, client: Client, id: object, mark: object) -> Self:  # noqa: A002 - the name in the file
        """The project with this number, if it is the one that was made."""
        try:
            remote = cls(client, client.get(f"/api/projects/{id}/"))
            if remote.mark == mark:
                return remote
        except Missing:
            pass
        raise RunError(
            f"{client.url} no longer has the project {id} that was made for {project.path}; to make a new one, delete "
            f"{project.path / FILE}"
        )

    @classmethod
    def make(cls, project: Project, client: Client, shown: str) -> Self:
        """Make a project in Label Studio, which hands out the tasks of lowest score first.

        Args:
            project: The project of distil.
            client: The client.
            shown: ``image`` or ``text``.
        """
        classes = project.classes
        if not classes:
            raise InvalidInput(f"{project.path} has no classes yet; Label Studio needs some to choose from")
        document = {
            "title": f"distil: {project.path.resolve().name}"[:_TITLE],
            "description": _description(project),
            "label_config": config_of(shown, classes),
            "sampling": "Uncertainty sampling",  # the lowest score of the present model version first
            "maximum_annotations": project.copies,
            "show_collab_predictions": True,
            "enable_empty_annotation": False,
        }
        remote = cls(client, client.send("POST", "/api/projects/", document))
        _link(project, remote)
        view = {"title": "next first", "type": "list", "ordering": ["tasks:predictions_score"]}
        client.send("POST", "/api/dm/views/", {"project": remote.id, "data": view})
        return remote

    @property
    def page(self) -> str:
        """The address at which people label."""
        return f"{self.client.url}/projects/{self.id}/data"

    def refresh(self) -> None:
        """Read the settings again, which people may have changed."""
        self.config, self.shows_predictions = _settings(self.client.get(f"/api/projects/{self.id}/"))

    def add_classes(self, classes: Sequence[str]) -> None:
        """Let people choose the classes that the labeling config does not have yet."""
        config = with_classes(self.config, classes)
        if config is not None:
            self.client.send("PATCH", f"/api/projects/{self.id}/", {"label_config": config})
            self.config = config

    def tasks(self) -> list[Task]:
        """All tasks, in the order of their numbers.

        Raises:
            Unreachable: The list changed while it was read.
        """
        found: dict[int, Task] = {}
        query: dict[str, str | int] = {
            "project": self.id,
            "fields": "all",
            "include": _INCLUDE,
            "resolve_uri": "false",
            "page_size": _PAGE,
        }
        for number in count(1):
            page = self.client.get("/api/tasks/", **query, page=number)
            total = _field(page, "total", int, "a list of tasks")
            some = [_task(each) for each in _field(page, "tasks", list, "a list of tasks")]
            found |= {task.id: task for task in some}
            if len(found) >= total or not some:
                break
        if len(found) != total:
            raise Unreachable(
                f"{self.client.url} listed {len(found)} of {total} tasks, as people changed them; try again"
            )
        return [found[number] for number in sorted(found)]

    def add(self, data: Sequence[dict[str, str]]) -> None:
        """Make a task of each of these data. Label Studio may drop some without an error; ``tasks`` shows what is there."""
        for some in chunks(data, _AT_ONCE):
            self.client.send("POST", f"/api/projects/{self.id}/import", [{"data": each} for each in some])

    def upload(self, files: dict[str, bytes]) -> list[str]:
        """Send files of different names; returns their addresses, in this order.

        Raises:
            RunError: Label Studio took fewer than were sent.
        """
        answer = self.client.upload(f"/api/projects/{self.id}/import?commit_to_project=false", files)
        numbers = [_typed(each, int, "a file") for each in _field(answer, "file_upload_ids", list, "an upload")]
        if len(numbers) != len(files):
            raise RunError(f"{self.client.url} took {len(numbers)} of {len(files)} files, without saying why")
        kept = self.client.get(f"/api/projects/{self.id}/file-uploads", ids=json.dumps(numbers))
        paths = {
            _field(each, "id", int, "a file"): _field(each, "file", str, "a file")
            for each in _typed(kept, list, "a list of files")
        }
        if not {*numbers} <= {*paths}:
            raise RunError(f"{self.client.url} lists {len(paths)} of {len(files)} files that it took")
        return [f"/data/{paths[number]}" for number in numbers]

    def serve(self, folders: Sequence[str]) -> None:
        """Let Label Studio read the files in folders of its own machine.

        Raises:
            RunError: It serves no local files, or not these; the message holds its reason.
        """
        listed = _typed(self.client.get("/api/storages/localfiles/", project=self.id), list, "a list of storages")
        present = {_field(each, "path", str, "a storage") for each in listed}
        for folder in folders:
            if folder not in present:
                storage = {"project": self.id, "title": "distil", "path": folder, "use_blob_urls": True}
                self.client.send("POST", "/api/storages/localfiles/", storage)

    def predict(self, predictions: Sequence[dict[str, Any]]) -> int:
        """Add predictions to tasks; returns how many were created, since wrong ones are dropped without an error."""
        created = 0
        for some in chunks(predictions, _AT_ONCE):
            answer = self.client.send("POST", f"/api/projects/{self.id}/import/predictions", some)
            created += _field(answer, "created", int, "an import of predictions")
        return created

    def show_version(self, version: str) -> None:
        """Show people the predictions of a model version, and order tasks by its scores."""
        self.client.send("PATCH", f"/api/projects/{self.id}/", {"model_version": version})

    def people(self) -> dict[int, str]:
        """Number of a person -> the e-mail address, or the name of the account."""
        names = {}
        for each in _typed(self.client.get("/api/users/"), list, "a list of people"):
            number = _field(each, "id", int, "a person")
            given = [str(each.get(key) or "").strip() for key in ("email", "username")]
            names[number] = next(filter(None, given), f"label-studio user {number}")
        return names

    def counters(self) -> tuple[object, ...]:
        """Numbers that change when people answer; one small request."""
        document = _typed(self.client.get(f"/api/projects/{self.id}/"), dict, "a project")
        names = (
            "task_number",
            "total_annotations_number",
            "skipped_annotations_number",
            "num_tasks_with_annotations",
        )
        return tuple(document.get(name) for name in names)


def _settings(document: Any) -> tuple[str, bool]:  # noqa: ANN401
    """The labeling config of a project, and whether people see predictions."""
    config = _field(document, "label_config", str, "a project")
    return config, document.get("show_collab_predictions") is not False


def _description(project: Project) -> str:
    """The description by which the project is found again after a process was killed while making it."""
    return f"Made by distil for its project {project.id}"


def _projects(client: Client) -> Iterator[dict[str, Any]]:
    """All projects on the server."""
    for number in count(1):
        page = client.get("/api/projects/", include="id,description", page_size=100, page=number)
        for each in _field(page, "results", list, "a list of projects"):
            yield _typed(each, dict, "a project")
        if page.get("next") is None:
            return


def _linked(project: Project) -> dict[str, dict[str, Any]]:
    """Address -> number and mark of the project there."""
    path = project.path / FILE
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError:
        found = None
    sound = isinstance(found, dict) and all(
        isinstance(each, dict) and {*each} == {"id", "mark"} and type(each["id"]) is int for each in found.values()
    )
    if not sound:
        raise RunError(f"{path} is damaged; delete it: the project in Label Studio is found again by its description")
    return dict(found)


def _link(project: Project, remote: Remote) -> None:
    linked = {**_linked(project), remote.client.url: {"id": remote.id, "mark": remote.mark}}
    write_text(project.path / FILE, json.dumps(linked, indent=1) + "\n")


def _task(document: Any) -> Task:  # noqa: ANN401
    data = _field(document, "data", dict, "a task")
    item, reason = data.get(ID_FIELD), data.get(REASON_FIELD)
    return Task(
        _field(document, "id", int, "a task"),
        str(item) if isinstance(item, (str, int)) else None,
        reason if isinstance(reason, str) else None,
        _field(document, "annotations", list, "a task"),
        _field(document, "predictions", list, "a task"),
    )


def _field(document: Any, name: str, kind: type[_T], what: str) -> _T:  # noqa: ANN401
    """A field of an answer, of the type that it must have."""
    return _typed(_typed(document, dict, what).get(name), kind, f"`{name}` of {what}")


def _typed(value: Any, kind: type[_T], what: str) -> _T:  # noqa: ANN401
    if not isinstance(value, kind) or isinstance(value, bool):
        raise RunError(
            f"Label Studio sent {what} as {type(value).__name__}, expected {kind.__name__}; distil knows its version 1.23"
        )
    return value
