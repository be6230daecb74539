"""HTML pages made from templates: each is one file that loads no other, with every text escaped."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, values: Mapping[str, Any]) -> str:
    """Render a template as an HTML page.

    Every text is escaped where the template inserts it. Data for a script goes through the filter ``tojson``, which escapes
    everything that could end the ``<script>``; ``source(path)`` inserts a style sheet or script of this package unchanged.

    Args:
        template: The path of the template inside the package, such as ``auditing/audit.html``.
        values: Name in the template -> value; a missing name is an error.
    """
    return _environment().get_template(template).render(values)


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # imported only when a page is written
    from markupsafe import Markup

    loader = PackageLoader("distil", "")
    pages = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pages.policies["json.dumps_kwargs"] = {
        "allow_nan": False
    }  # keys are not sorted: they keep the order of the strategies
    pages.globals["source"] = lambda path: Markup(loader.get_source(pages, path)[0])
    return pages
