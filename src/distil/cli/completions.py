"""What a shell completes: names of strategies and other short lists, found without importing torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path


def strategy_names() -> list[str]:
    """The names under which distil registers its strategies, out of the source files."""
    folder = Path(__file__).parents[1] / "strategies"
    texts = (path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    return sorted(name for text in texts for name in re.findall(r'^@register\("(\w+)"\)', text, re.MULTILINE))


def _completion(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Complete a name, or the last one of a list with commas."""

    def complete(incomplete: str) -> list[str]:
        before, comma, _ = incomplete.rpartition(",")
        return [f"{before}{comma}{name}" for name in names()]

    return complete


COMPLETIONS = {
    "strategy": _completion(strategy_names),
    "strategies": _completion(strategy_names),
    "sampling": _completion(lambda: ("uniform", "stratified", "active")),
    "measure": _completion(lambda: ("accuracy", "macro_f1", "loss")),
    "track": _completion(lambda: ("tensorboard", "mlflow")),
    "retrain": _completion(lambda: ("scratch", "warm", "shrink_perturb")),
}
"""By the name of an option, what completes its values."""
