"""The labeling config of Label Studio: which classes people choose from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final
from xml.etree import ElementTree

from distil.errors import RunError
from distil.labeling.label_studio_json import CONTROL

_TAGS: Final = {"image": "Image", "text": "Text"}


def config_of(shown: str, classes: Sequence[str]) -> str:
    """The labeling config of a new project.

    Args:
        shown: ``image`` or ``text``: the name of the field of a task that people see.
        classes: The names of the classes.

    >>> config_of("text", ["a", 'b"'])
    '<View><Text name="text" value="$text" /><Choices name="label" toName="text" choice="single" required="true" \
showInLine="true"><Choice value="a" /><Choice value="b&quot;" /></Choices></View>'
    """
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, _TAGS[shown], name=shown, value=f"${shown}")
    choices = ElementTree.SubElement(
        view, "Choices", name=CONTROL, toName=shown, choice="single", required="true", showInLine="true"
    )
    _add(choices, classes)
    return _text(view)


def with_classes(config: str, classes: Iterable[str]) -> str | None:
    """A labeling config with the classes that it lacks; everything else stays, as people may have changed it.

    Args:
        config: The present config.
        classes: The names of the classes.

    Returns:
        The new config; None if it has all classes.

    Raises:
        RunError: The config has no choices of the name that distil gave them.
    """
    view = _view(config)
    choices = _choices(view)
    has = _values(choices)
    missing = [name for name in classes if name not in has]
    if not missing:
        return None
    _add(choices, missing)
    return _text(view)


def shown_in(config: str) -> str:
    """The field of a task that a labeling config shows: ``image`` or ``text``."""
    return str(_choices(_view(config)).get("toName"))


def _view(config: str) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(
            config, ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
        )
    except (ElementTree.ParseError, ValueError) as error:
        raise RunError(f"the labeling config in Label Studio cannot be read: {error}") from None


def _choices(view: ElementTree.Element) -> ElementTree.Element:
    found = next((each for each in view.iter("Choices") if each.get("name") == CONTROL), None)
    if found is None or found.get("toName") not in _TAGS:
        raise RunError(
            f'the labeling config in Label Studio has no <Choices name="{CONTROL}"> for the image or text any more; put it back, '
            "under Settings, Labeling Interface"
        )
    return found


def _values(choices: ElementTree.Element) -> set[str | None]:
    return {each.get("value") for each in choices.iter("Choice")}


def _add(choices: ElementTree.Element, classes: Iterable[str]) -> None:
    for name in classes:
        ElementTree.SubElement(choices, "Choice", value=name)


def _text(view: ElementTree.Element) -> str:
    return ElementTree.tostring(view, encoding="unicode")
