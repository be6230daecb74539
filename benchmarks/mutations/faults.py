"""Faults by name: drawn with a seed, found again in another revision by the line that they change, and written into a file."""

from __future__ import annotations

import ast
import random
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mutations.operators import Change, changes

CORE = ("functional", "strategies", "selection", "networks", "measuring", "signals")
_COMMENT = re.compile(r"\s+# .*$")
SKIPPED = {"strategies/reasons.py"}  # words only


@dataclass(frozen=True)
class Fault:
    """One line of one function changed: ``before`` and ``after`` are the line's text without its indentation."""

    file: str
    function: str
    kind: str
    before: str
    after: str


def core_files(source: Path) -> list[Path]:
    """The modules of the core below ``source`` (the package's folder), in a fixed order."""
    paths = [
        path
        for name in CORE
        for path in ([source / name] if name.endswith(".py") else sorted((source / name).glob("*.py")))
    ]
    return [path for path in paths if path.relative_to(source).as_posix() not in SKIPPED]


def draw(source: Path, n: int, seed: int) -> list[Fault]:
    """``n`` faults, spread over the files by their number of lines that can be changed; no two change one line."""
    offers = {path: _offers(path, source) for path in core_files(source)}
    offers = {path: found for path, found in offers.items() if found}
    sizes = {path: len({fault.before for fault in found}) for path, found in offers.items()}
    faults = []
    for path, share in _shares(sizes, n).items():
        faults += _drawn(
            path.read_text(encoding="utf-8"),
            offers[path],
            share,
            random.Random(f"{seed} {path.relative_to(source).as_posix()}"),
        )
    return faults


def _shares(sizes: dict[Path, int], n: int) -> dict[Path, int]:
    """``n`` split in proportion to the sizes, by largest remainders."""
    exact = {path: n * size / sum(sizes.values()) for path, size in sizes.items()}
    shares = {path: int(share) for path, share in exact.items()}
    rest = sorted(exact, key=lambda path: shares[path] - exact[path])
    for path in rest[: n - sum(shares.values())]:
        shares[path] += 1
    return shares


def _drawn(text: str, offers: Sequence[Fault], n: int, rng: random.Random) -> list[Fault]:
    """``n`` of the offers: first a kind of fault, so that rare kinds occur, then one of that kind."""
    left, drawn = list(offers), []
    while left and len(drawn) < n:
        kind = rng.choice(sorted({fault.kind for fault in left}))
        fault = rng.choice([fault for fault in left if fault.kind == kind])
        drawn += [fault] if _compiles(faulty(text, fault)) else []
        left = [other for other in left if (other.function, other.before) != (fault.function, fault.before)]
    return drawn


def _offers(path: Path, source: Path) -> list[Fault]:
    """Every fault that can be made in a file and named by its line: the line occurs once in its function."""
    text = path.read_text(encoding="utf-8")
    by_line = defaultdict(set)
    found = []
    for change in changes(ast.parse(text)):
        node = change.node
        if node.lineno == node.end_lineno:
            before, after = _line(text, node.lineno), _changed_line(text, change)
            by_line[change.owner, before].add(node.lineno)
            fault = Fault(path.relative_to(source).as_posix(), change.owner, change.kind, before, after)
            if before != after:
                found.append(fault)
    return [fault for fault in dict.fromkeys(found) if len(by_line[fault.function, fault.before]) == 1]


def _line(text: str, number: int) -> str:
    """A line's code: comments may change between revisions."""
    return _COMMENT.sub("", text.splitlines()[number - 1]).strip()


def _changed_line(text: str, change: Change) -> str:
    line = text.splitlines()[change.node.lineno - 1].encode()  # offsets of nodes count bytes
    changed = (line[: change.node.col_offset] + change.text.encode() + line[change.node.end_col_offset :]).decode()
    return _COMMENT.sub("", changed).strip()


def _compiles(text: str | None) -> bool:
    try:
        return text is not None and bool(ast.parse(text))
    except SyntaxError:
        return False


def _with_line(text: str, number: int, line: str) -> str:
    lines = text.splitlines(keepends=True)
    indentation = lines[number - 1][: len(lines[number - 1]) - len(lines[number - 1].lstrip())]
    lines[number - 1] = f"{indentation}{line}\n"
    return "".join(lines)


def faulty(text: str, fault: Fault) -> str | None:
    """The file's text with the fault in it; None where its function no longer has the line exactly once."""
    numbers = {
        change.node.lineno
        for change in changes(ast.parse(text))
        if change.owner == fault.function and _line(text, change.node.lineno) == fault.before
    }
    return _with_line(text, numbers.pop(), fault.after) if len(numbers) == 1 else None
