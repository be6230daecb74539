"""The texts in the package that advise something."""

import ast
import re
from functools import cache
from pathlib import Path

import distil

ROOT = Path(distil.__file__).parent
NO_MESSAGES = ("experiment/config/sections.py",)  # the descriptions of the configuration's keys
VERBS = (
    "add|ask|attach|begin|call|change|check|choose|close|continue|convert|correct|delete|derive|did you mean|"
    "drop|embed|expected NAME|export|fill|fit|flatten|free|give|go on|install|keep|label|leave|load|look|lower|"
    "make|move|name|open|pass|pip install|push|put|remove|rename|reorder|repair|restart|restore|run|save|say|"
    "set|start|stop|store|take|try|uninstall|use|wait|withdraw|write"
)
ADVICE = re.compile(
    rf"(?:(?:^|[;:] |; then: |[.] | or | otherwise )(?:{VERBS}) |[(]--[a-z]|: distil [a-z]|`distil [a-z])"
)


@cache
def messages():
    """Every text in the package that gives advice: its file, the text with X for its values, and a pattern of what it becomes."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        parts_of = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
            elif (
                isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts_of | documented
            ):
                parts = [node.value]
            else:
                continue
            text = "".join("X" if part is None else str(part) for part in parts)
            if (
                name not in NO_MESSAGES
                and ADVICE.search(text)
                and not text.lstrip().startswith(("SELECT", "CREATE", "<"))
            ):
                pattern = ".*?".join(re.escape(str(part)) for part in parts if part is not None)
                found.append((name, text, re.compile(pattern, re.DOTALL)))
    return found
