"""Export and import of labels, in the formats of other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, Literal, get_args

from distil.errors import DataNotFound, InvalidInput, nearest
from distil.labeling import coco, label_studio_json
from distil.labeling.class_lists import import_classes, is_class_list
from distil.labeling.events import check_name
from distil.labeling.hugging_face import read_folder, write_folder
from distil.labeling.project import Project
from distil.labeling.rows import Imported, Row, answers_of, import_rows, labels_of
from distil.labeling.table_rows import ENDINGS, answer_records, label_records, read_rows, write_records
from distil.system.files import publish

Format = Literal["table", "label-studio", "coco", "huggingface"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)


def export_labels(
    project: Project,
    path: str | Path,
    format: Format = "table",  # noqa: A002 - the word for it
    *,
    answers: bool = False,
    force: bool = False,
) -> int:
    """Write the labels of a project; returns the number of rows, tasks' answers or images.

    Args:
        project: The project.
        path: The file; a new folder for ``huggingface``.
        format: ``table``: ``.csv``, ``.jsonl``, ``.parquet`` or ``.xlsx`` by the ending of the path, with the columns ``id``,
            ``text`` or ``file``, and ``label``; ``label-studio``: tasks in JSON, with all answers; ``coco``: images, in JSON;
            ``huggingface``: a folder for ``datasets.load_dataset``.
        answers: Write the answers of all people, decisions and flags, in place of one label for each item; only for tables.
        force: Replace a file of that name that has other content; without it, no file is replaced.

    Raises:
        InvalidInput: There is a file with other content, the format does not fit the path or the items, or there is nothing to
            export.
    """
    path, format = Path(path).expanduser(), as_format(format)  # noqa: A001
    if answers and format != "table":
        raise InvalidInput("answers are written to .csv, .jsonl, .parquet or .xlsx, and always to label-studio")
    everything = answers or format == "label-studio"
    rows = answers_of(project) if everything else labels_of(project)
    if not rows:
        raise InvalidInput(f"{path} was not written: there is nothing to export yet")
    items = {item.id: item for item in project.items()}
    if format == "huggingface":
        write_folder(rows, items, path)
    elif format == "table":
        _check_ending(path, *ENDINGS)
        write_records(answer_records(rows) if everything else label_records(rows, items), path, force=force)
    else:
        _check_ending(path, ".json")
        document: Any = label_studio_json.tasks_of(rows, items)
        if format == "coco":
            document = coco.document_of(rows, items, project.classes)
        publish(path, json.dumps(document, indent=1).encode(), force=force)
    return len(rows)


def as_format(name: str) -> Format:
    """The format of this name; InvalidInput if there is none."""
    found = next((each for each in FORMATS if each == name), None)
    if found is None:
        raise InvalidInput(f"format must be one of {', '.join(FORMATS)}, got {name!r}{nearest(str(name), FORMATS)}")
    return found


def _check_ending(path: Path, *endings: str) -> None:
    if path.suffix.lower() not in endings:
        raise InvalidInput(f"{path}: expected a name that ends in {' or '.join(endings)}")


def import_labels(project: Project, path: str | Path, who: str = "import") -> Imported:
    """Record the labels in a file or folder; what people said before is never changed, and contradictions are listed.

    Args:
        project: The project, whose items are found by their ids.
        path: What ``export_labels`` writes; a table with ids and labels; tasks of Label Studio; COCO; a folder of a data set; a
            folder with a folder of images for each class; or a list of classes, as ``distil project classes --json`` prints it.
        who: The name under which labels that come without a person are recorded.

    Raises:
        DataNotFound: There is nothing at the path.
        InvalidInput: It holds no labels, or none of its ids is that of an item.
    """
    check_name("the name of a person", who)
    path = Path(path).expanduser()
    if not path.exists():
        raise DataNotFound(f"there is no file or folder {path}")
    document = _json(path) if path.is_file() and path.suffix.lower() == ".json" else None
    if is_class_list(document):
        return import_classes(project, document, str(path), who)
    rows, refused = _read(path, document)
    return import_rows(project, rows, who, refused)


def _read(path: Path, document: Any) -> tuple[list[Row], list[str]]:  # noqa: ANN401 - any value of JSON
    """The rows at a path, and why others could not be read; ``document`` is the content of a JSON file."""
    if path.is_dir():
        return read_folder(path), []
    if document is not None:
        if isinstance(document, dict) and "annotations" in document:
            return coco.read_document(document, str(path))
        if isinstance(document, list) and any(isinstance(each, dict) and "data" in each for each in document):
            return label_studio_json.read_tasks(document, str(path))
    return read_rows(path), []


def _json(path: Path) -> Any:  # noqa: ANN401 - any value of JSON
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} cannot be read as JSON: {error}") from error
