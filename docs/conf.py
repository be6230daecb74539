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
html_extra_path = ["../extra"]  # pictures that pages show in raw HTML


def _without_substitutions(app, what, name, obj, options, lines):  # noqa: ANN001, ANN202, ARG001 - Sphinx calls it
    """Keep ``|x|`` outside code, which is an absolute value or a size; reStructuredText would look for a substitution."""
    for row, line in enumerate(lines):
        if not line.lstrip().startswith(">>>"):
            parts = re.split(r"(``.*?``)", line)
            lines[row] = "".join(part if part.startswith("``") else part.replace("|", r"\|") for part in parts)


def setup(app):  # noqa: ANN001, ANN201 - Sphinx calls it
    """Register what is done to docstrings."""
    app.connect("autodoc-process-docstring", _without_substitutions)
