"""Run the tests of a faulty file in a copy of the tree, from the nearest ones outward, until one fails."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.mutations.faults import Fault, faulty

# Imported once, by the process from which all others are forked: these imports take most of the time of a short test run.
PRELOADED = ["torch", "scipy.stats", "sklearn.linear_model", "sklearn.datasets", "pydantic", "jinja2", "tqdm"]


def copied(tree: Path, to: Path) -> Path:
    """A copy of what the tests of the core read."""
    for name in ("src", "tests", "docs", "examples", "benchmarks", "scripts"):
        shutil.copytree(tree / name, to / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
    for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(tree / name, to)
    return to


def stage(tree: Path, fault: Fault, number: int) -> list[str]:
    """The tests of one stage: of the file (0), of the rest of its folder (1), of the contract of every strategy (2)."""
    folder, stem = Path("tests", fault.file).parent, Path(fault.file).stem
    near = [p for pattern in (f"test_{stem}.py", f"test_{stem}_*.py") for p in (tree / folder).glob(pattern)]
    rest = [p for p in (tree / folder).glob("test_*.py") if p not in near] if folder != Path("tests") else []
    return sorted(str(p.relative_to(tree)) for p in (near, rest, [tree / "tests" / "contract"])[number])


@contextlib.contextmanager
def written(tree: Path, fault: Fault) -> Iterator[bool]:
    """Make the fault in ``tree``, a copy, for the duration of the context; False if its line does not exist there."""
    path = tree / "src" / "distil" / fault.file
    text, stat = path.read_text(encoding="utf-8"), path.stat()
    changed = faulty(text, fault)
    path.write_text(text if changed is None else changed, encoding="utf-8")
    os.utime(path, (time.time() + 1e6,) * 2)  # bytecode of the unchanged file must not match
    try:
        yield changed is not None
    finally:
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def failing(tree: Path, tests: Sequence[str], limit: float) -> str | None:
    """The first test that fails in a new process; empty if all pass, None if they exceed the limit."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_pytest, args=(tree, tests, theirs))
    process.start()
    theirs.close()
    try:
        return str(ours.recv()) if ours.poll(limit) else None
    except EOFError:
        return f"the interpreter ended in {' '.join(tests)}"
    finally:
        if process.is_alive():
            process.join(1)
        if process.is_alive() and process.pid:
            os.killpg(process.pid, signal.SIGKILL)  # with the processes that its tests started
        process.join()


def _pytest(tree: Path, tests: Sequence[str], answer: Connection) -> None:
    os.setsid()
    os.chdir(tree)
    os.environ["PYTHONPATH"] = str(tree / "src")
    sys.path[:0] = [str(tree / "src"), str(tree)]
    sys.dont_write_bytecode = True
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    import pytest

    first = _FirstFailure()
    code = pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-m", "not slow", *tests], plugins=[first])
    answer.send(first.name or ("" if code in (0, 5) else f"pytest ended with {int(code)}"))


class _FirstFailure:
    """A plugin of pytest that keeps the name of the first test, or file, that failed."""

    name = ""

    def pytest_runtest_logreport(self, report: object) -> None:
        self._keep(report)

    def pytest_collectreport(self, report: object) -> None:
        self._keep(report)

    def _keep(self, report: object) -> None:
        if report.failed:
            self.name = self.name or report.nodeid
