"""The seeded faults of ``benchmarks.mutations``: what may change, what is left alone, and how a fault is found again."""

import ast
from pathlib import Path

import pytest
from benchmarks.mutations import trial
from benchmarks.mutations.faults import Fault, core_files, draw, faulty
from benchmarks.mutations.operators import changes

import distil

MODULE = '''
"""A module: 1 + 1."""

LIMIT = 1 + 1


def largest(x: "Array[1 + 1]", n: int = 3) -> list:
    """The largest: a < b."""
    if n < 1:
        raise ValueError(f"expected n >= 1, got {n + 1}")
    return x.sum(dim=1).argmax()  # x < y


def reason(n: int) -> str:
    return "a" * (n + 1)


class Row:
    def __repr__(self) -> str:
        return str(1 + 1)

    def width(self, k):
        return min(self.n, k, key=abs)
'''


@pytest.fixture
def source(tmp_path):
    """The folder of a package whose core has one module."""
    path = tmp_path / "src" / "distil" / "functional" / "rows.py"
    path.parent.mkdir(parents=True)
    path.write_text(MODULE)
    (path.parents[1] / "signals").mkdir()
    (path.parents[1] / "signals" / "base.py").write_text("")
    return path.parents[1]


def test_every_kind_of_change_is_offered_where_code_runs_and_nowhere_else():
    offered = {(c.kind, c.owner, ast.unparse(c.node), c.text) for c in changes(ast.parse(MODULE))}
    assert offered == {
        ("comparison", "largest", "n < 1", "n <= 1"),
        ("comparison", "largest", "n < 1", "n >= 1"),
        ("constant", "largest", "1", "2"),
        ("condition", "largest", "n < 1", "(not n < 1)"),
        ("return", "largest", "x.sum(dim=1).argmax()", "x"),
        ("opposite", "largest", "x.sum(dim=1).argmax", "x.sum(dim=1).argmin"),
        ("axis", "largest", "x.sum(dim=1)", "x.sum(dim=0)"),
        ("argument", "largest", "x.sum(dim=1)", "x.sum()"),
        ("return", "Row.width", "min(self.n, k, key=abs)", "k"),
        ("opposite", "Row.width", "min", "max"),
        ("argument", "Row.width", "min(self.n, k, key=abs)", "min(k, self.n, key=abs)"),
        ("argument", "Row.width", "min(self.n, k, key=abs)", "min(self.n, k)"),
    }


def test_a_draw_repeats_and_no_two_faults_change_one_line(source):
    faults = draw(source, 3, seed=0)
    assert faults == draw(source, 3, seed=0)
    assert len({(fault.function, fault.before) for fault in faults}) == 3
    assert [draw(source, 3, seed) != faults for seed in range(1, 9)].count(True) > 0


def test_a_fault_changes_its_line_and_is_gone_if_the_line_changed():
    fault = Fault("functional/rows.py", "largest", "comparison", "if n < 1:", "if n >= 1:")
    assert faulty(MODULE, fault) == MODULE.replace("if n < 1:", "if n >= 1:")
    assert faulty(MODULE.replace("  # x < y", ""), fault) is not None
    assert faulty(MODULE.replace("n < 1", "n <= 0"), fault) is None
    assert faulty(MODULE.replace("def largest", "def greatest"), fault) is None


def test_the_files_of_the_core():
    names = {path.name for path in core_files(Path(distil.__file__).parent)}
    assert {"uncertainty.py", "learner.py", "measured.py", "wrap.py", "source.py"} <= names
    assert "reasons.py" not in names


def test_a_written_fault_is_removed_again(source):
    path, fault = (
        source / "functional" / "rows.py",
        Fault("functional/rows.py", "largest", "x", "if n < 1:", "if n > 1:"),
    )
    before = path.stat().st_mtime_ns
    with trial.written(source.parents[1], fault) as possible:
        assert possible
        assert "if n > 1:" in path.read_text()
    assert (path.read_text(), path.stat().st_mtime_ns) == (MODULE, before)


@pytest.mark.slow
def test_the_first_failure_is_named(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\nmarkers = ["slow: "]\n')
    (tmp_path / "test_it.py").write_text(
        "import time\ndef test_a(): pass\ndef test_b(): assert 0\ndef test_c(): time.sleep(99)\n"
    )
    assert trial.failing(tmp_path, ["test_it.py::test_a"], 60) == ""
    assert trial.failing(tmp_path, ["test_it.py"], 60) == "test_it.py::test_b"
    assert trial.failing(tmp_path, ["test_it.py::test_c"], 5) is None
