"""Check docs, docstrings, comments and messages for phrases that CONTRIBUTING.md rules out.

``python scripts/prose.py [PATH ...]`` exits with 1 where it finds one. The list is short: it holds phrases that this
project used too often, not a theory of style.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

BANNED = {
    r"\b(is|are|was|were|be|being|been|cannot be) told\b": "say what the code knows, logs or receives",
    r"\btold (apart|of|by|as)\b": "distinguished, logged, identified",
    r"\bwhoever\b": "name the reader or the caller",
    r"\bnobody\b": "no row, no user, nothing",
    r"\bno use for\b": "does not need",
    r"\bas they are are\b": "rewrite",
    r"\bsuch as (it is|they are)\b": "unchanged",
    r"\bif you like\b": "optional",
    r"\blook(ed|s)? at where\b": "used without copying",
    r"\bforetell|\bforetold\b": "estimate, expected",
    r"\bbeside (a|the|its|their|that of|each)\b": "next to (a place), or against, as well as",
    r"\bsooner or later\b": "say when",
    r"\bthere (is|are) nothing to be\b": "rewrite",
    r"\bof yours\b": "your own",
    r"\bin the place of\b": "in place of, or a stand-in for",
    r"\b(no|not a) part of the answer\b": "does not change the answer",
    r"\blikewise\b": "say it again",
    r"\bwhat there is to\b": "name it",
    r"\bto be had\b": "available",
    r"\bfor ever\b": "endlessly, an endless loop",
    r"\bthan it is worth\b": "rewrite",
    r"^\s*[a-z_]+: (Of|Whose|Likewise)\b": "begin the entry with a noun",
    r'^"""(Of|Whose|Likewise)\b': "begin the docstring with a verb or a noun",
}
PATTERNS = {re.compile(pattern, re.IGNORECASE): advice for pattern, advice in BANNED.items()}
SKIPPED = {"CONTRIBUTING.md", "CHANGELOG.md", "scripts/prose.py"}


def files(paths: list[str]) -> Iterator[Path]:
    """The pages and modules of the project, or of the given paths."""
    listed = subprocess.run(
        ["git", "ls-files", *(paths or ["src", "docs", "README.md", "benchmarks", "examples", "scripts"])],
        capture_output=True, text=True, check=True, cwd=ROOT,
    ).stdout.split()  # fmt: skip
    for name in listed:
        if name not in SKIPPED and name.endswith((".py", ".md")) and (ROOT / name).exists():
            yield ROOT / name


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a page, or of the strings and comments of a module, with their numbers."""
    if path.suffix == ".md":
        yield from enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        return
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type in (tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", -1)):
                for offset, line in enumerate(token.string.splitlines()):
                    yield token.start[0] + offset, line


def main(paths: list[str]) -> int:
    """Print every phrase that is found; 1 if there is one."""
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]!r}: {advice}\n"
        for path in files(paths)
        for number, line in prose(path)
        for pattern, advice in PATTERNS.items()
        for match in [pattern.search(line)]
        if match
    ]
    sys.stdout.writelines(found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
