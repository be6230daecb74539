"""Labels of images as COCO: images, categories, and an annotation without a box for each image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from distil.errors import InvalidInput
from distil.labeling.items import Item
from distil.labeling.rows import Row


def document_of(rows: Sequence[Row], items: Mapping[str, Item], classes: Sequence[str]) -> dict[str, Any]:
    """The document; categories have the numbers 1, 2, ... in the order of the classes.

    Raises:
        InvalidInput: An item is not an image.
    """
    other = next((row.id for row in rows if items[row.id].path is None), None)
    if other is not None:
        raise InvalidInput(f"COCO holds images, and {other!r} is none; export to .csv, .jsonl or .parquet")
    numbers = {name: number for number, name in enumerate(classes, 1)}
    return {
        "images": [
            {"id": number, "file_name": items[row.id].path, "distil_id": row.id} for number, row in enumerate(rows, 1)
        ],
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
        "annotations": [
            {"id": number, "image_id": number, "category_id": numbers[str(row.label)]}
            for number, row in enumerate(rows, 1)
        ],
    }


def read_document(document: Mapping[str, Any], origin: str) -> tuple[list[Row], list[str]]:
    """The rows of a document, and for each image that has no category or several, why.

    The id of an image is ``distil_id``, or else its ``file_name``.

    Raises:
        InvalidInput: It is not COCO.
    """
    try:
        names = {entry["id"]: str(entry["name"]) for entry in document["categories"]}
        images = {entry["id"]: str(entry.get("distil_id", entry["file_name"])) for entry in document["images"]}
        found: dict[str, set[str]] = defaultdict(set)
        for entry in document["annotations"]:
            found[images[entry["image_id"]]].add(names[entry["category_id"]])
    except (LookupError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{origin}: expected COCO with images, categories and annotations: {error!r}") from error
    refused = [
        f"{item}: it has the categories {', '.join(sorted(found[item]))}" for item in found if len(found[item]) > 1
    ]
    rows = [Row(item, next(iter(names))) for item, names in found.items() if len(names) == 1]
    return rows, [*refused, *(f"{item}: it has no category" for item in images.values() if item not in found)]
