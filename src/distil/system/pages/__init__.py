"""Pages of HTML made from templates: one file each, which loads nothing, with every text escaped."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, values: Mapping[str, Any]) -> str:
    """The page that a template makes of values.

    Every text is escaped where the template names it. Data for a script goes through the filter ``tojson``, which escapes
    what could end the ``<script>``; ``source(path)`` puts in a style sheet or a script of this package as it is.

    Args:
        template: Its path inside the package, such as ``auditing/audit.html``.
        values: By the names that the template has for them; one that is missing is an error.
    """
    return _environment().get_template(template).render(values)


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # only what writes a page needs it
    from markupsafe import Markup

    loader = PackageLoader("distil", "")
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.policies["json.dumps_kwargs"] = {"allow_nan": False}  # and not sorted: the order of keys is that of strategies
    made.globals["source"] = lambda path: Markup(loader.get_source(made, path)[0])
    return made
