"""The settings of Sphinx for the site, which ``scripts/site.py`` builds."""

import re

from distil import __version__

project = "distil"
author = "The distil authors"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
suppress_warnings = [
    "misc.highlighting_failure",  # excerpts of JSON, and console output
    "myst.header",
    "ref.python",  # the documented interfaces have classes of the same names
]
default_role = "code"

myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_use_ivar = True
napoleon_use_rtype = False
python_use_unqualified_type_names = True
add_module_names = False

html_theme = "furo"
html_title = f"distil {release}"
html_copy_source = False
html_show_sphinx = False
html_show_search_summary = False  # a page that is opened as a file may not read the text of others
html_extra_path = ["../extra"]  # pictures that pages show in raw HTML


def _without_substitutions(app, what, name, obj, options, lines):  # noqa: ANN001, ANN202, ARG001 - Sphinx calls it
    """Keep ``|x|`` outside code, which is an absolute value or a size; reStructuredText would look for a substitution."""
    for row, line in enumerate(lines):
        if not line.lstrip().startswith(">>>"):
            parts = re.split(r"(``.*?``)", line)
            lines[row] = "".join(part if part.startswith("``") else part.replace("|", r"\|") for part in parts)


# Without a mouse, what scrolls sideways is scrolled with the arrow keys, once it has the focus.
FOCUS = """
new ResizeObserver(() => {
  for (const each of document.querySelectorAll("pre, .table-wrapper")) {
    if (each.scrollWidth > each.clientWidth) each.tabIndex = 0; else each.removeAttribute("tabindex");
  }
}).observe(document.documentElement);
"""

# On a phone, the pictures of the gallery, a table in plain HTML, stand one below the other.
STYLE = "@media (max-width: 46em) { article table:not(.docutils) td { display: block; width: auto } }"


def _with_levels(app, pagename, templatename, context, doctree):  # noqa: ANN001, ANN202, ARG001 - Sphinx calls it
    """Give the captions of the contents, which Sphinx marks as headings, the level that headings need."""
    tree = context["furo_navigation_tree"]
    context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')
    context["metatags"] = context.get("metatags", "") + f"<style>{STYLE}</style>"


def setup(app):  # noqa: ANN001, ANN201 - Sphinx calls it
    """Register what is done to docstrings and pages."""
    app.connect("autodoc-process-docstring", _without_substitutions)
    app.connect("html-page-context", _with_levels, priority=900)  # after the theme has made the contents
    app.add_js_file(None, body=FOCUS)
