"""Who may know whom: the layers of the library, read off the source.

A file imports only from folders of groups to the left of its own, or from its own folder as long as that makes no circle: folders
of one group do not know each other. Imports inside functions and under TYPE_CHECKING count too. ``distil/__init__`` and
``distil/__main__`` may import anything. Some folders have walls inside; ``CHECKS`` lists them all.
"""

import ast
import re
from pathlib import Path

import pytest

import distil

SOURCE = Path(distil.__file__).parent

GROUPS = [
    ["errors"],
    ["rng", "tasks"],
    ["system", "functional"],
    ["signals", "data", "networks", "evaluation"],
    ["strategies", "measuring", "datasets", "training"],
    ["selection", "embedding", "utils"],
    ["auditing", "experiment", "labeling", "distributed", "active_learning_strategies", "deepal"],
    ["cli"],
]
RANK = {name: rank for rank, group in enumerate(GROUPS) for name in group}
FREE = {"distil", "distil.__main__"}

# Nobody else chooses a device: what runs a module, what iterates over a pool, and what reads the user's arrays.
ARITHMETIC = {"argsort", "topk", "matmul", "softmax", "log_softmax", "log", "cdist", "norm", "multinomial"}
MAY_MOVE = ("distil.networks", "distil.measuring", "distil.training", "distil.data.arrays")


def modules(root):
    """Every module under ``root`` (the package's folder) by its dotted name, as a syntax tree."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = ["distil", *path.relative_to(root).with_suffix("").parts]
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


def imports(tree):
    """The absolute names a module imports, as (module, name or None); relative ones keep their dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (("." * node.level + (node.module or ""), alias.name) for alias in node.names)


def edges(found):
    """(importer, imported) pairs of modules of the library."""
    for name, tree in found.items():
        for module, member in imports(tree):
            if module.split(".")[0] == "distil":
                whole = f"{module}.{member}"
                yield name, whole if member is not None and whole in found else module


def group_of(name):
    return name.split(".")[1]


def wrong_layers(found):
    """Imports that point to the right, and modules that no group has."""
    faults = [f"{name} is in no group" for name in found if name not in FREE and group_of(name) not in RANK]
    for name, target in edges(found):
        if name in FREE:
            continue
        if target in FREE:
            faults.append(f"{name} imports {target}, which may import anything")
        elif target not in found:
            faults.append(f"{name} imports {target}, which does not exist")
        elif group_of(target) != group_of(name):
            there, here = RANK.get(group_of(target), 99), RANK.get(group_of(name), -1)
            if there > here:
                faults.append(f"{name} imports {target}, which is to its right")
            elif there == here:
                faults.append(f"{name} imports {target}, a neighbor")
    return faults


def circles(found):
    """One message for every module that is reached from itself."""
    graph = {name: set() for name in found}
    for name, target in edges(found):
        if name not in FREE and target in graph and target != name:
            graph[name].add(target)
    faults = []
    for start in graph:
        reached, todo = set(), list(graph[start])
        while todo:
            name = todo.pop()
            if name not in reached:
                reached.add(name)
                todo += graph[name]
        if start in reached:
            faults.append(f"{start} imports itself through {sorted(n for n in reached if start in graph[n])}")
    return faults


def relative_imports(found):
    return [
        f"{name} imports {module}" for name, tree in found.items() for module, _ in imports(tree) if module[:1] == "."
    ]


def imports_of(found, package, allowed):
    """Modules outside ``allowed`` (dotted prefixes) that import ``package`` or a part of it."""
    faults = []
    for name, tree in found.items():
        if not any(name == prefix or name.startswith(prefix + ".") for prefix in allowed):
            targets = {module for module, _ in imports(tree)} | {
                f"{module}.{member}" for module, member in imports(tree)
            }
            if any(t == package or t.startswith(package + ".") for t in targets):
                faults.append(f"{name} imports {package}")
    return faults


def part(found, prefix):
    """The modules below ``prefix``."""
    return {name: tree for name, tree in found.items() if name.startswith(prefix + ".")}


def names_of_modules(found):
    """Names that a folder's ``__init__`` has from elsewhere although a module in it is called the same."""
    packages = {name.rpartition(".")[0] for name in found} - {""}
    faults = []
    for package in packages & set(found):
        handed_on = {
            alias.asname or alias.name
            for node in ast.walk(found[package])
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
            if f"{node.module}.{alias.name}" not in found
        }
        faults += [f"{package} re-exports {name}, a module in it" for name in handed_on if f"{package}.{name}" in found]
    return faults


def arithmetic_in_faces(found):
    """Numerics in the faces: a product of matrices, a sort or a reduction belongs to the core."""
    faults = []
    for name, tree in found.items():
        if name.startswith(("distil.active_learning_strategies", "distil.deepal")):
            for node in ast.walk(tree):
                if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
                    faults.append(f"{name}:{node.lineno} {ast.unparse(node)}")
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ARITHMETIC:
                    faults.append(f"{name}:{node.lineno} {ast.unparse(node)}")
    return faults


def modules_in_functional(found):
    """Uses of torch modules in ``functional``: only ``torch.nn.functional`` is free of state."""
    faults = []
    for name, tree in found.items():
        if name.startswith("distil.functional"):
            for module, member in imports(tree):
                whole = f"{module}.{member}" if member else module
                if whole.startswith("torch.nn.") and not whole.startswith("torch.nn.functional"):
                    faults.append(f"{name} imports {whole}")
            for node in ast.walk(tree):
                text = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
                if text.startswith(("nn.", "torch.nn.")) and "functional" not in text:
                    faults.append(f"{name} uses {text}")
    return faults


def decides_nothing(node):
    """Whether an argument of ``.to`` is a type (``x.dtype``, ``dtype``) or the place of another tensor (``x.device``).

    To join a tensor that the caller has placed is not to choose where the work is done; a name, a string or a call may be.
    """
    text = ast.unparse(node)
    attribute = isinstance(node, ast.Attribute) and (node.attr in ("dtype", "device") or text.startswith("torch."))
    return attribute or text == "dtype" or (".dtype" in text and "device" not in text)


def moves(tree):
    """Calls that choose a device for a tensor or module: ``.cpu()``, ``.cuda()``, and ``.to`` a place that is named."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("cpu", "cuda"):
                yield node
            elif node.func.attr == "to":
                named = [k.value for k in node.keywords if k.arg not in ("copy", "memory_format", "non_blocking")]
                if not all(decides_nothing(argument) for argument in [*node.args, *named]):
                    yield node


def device_moves(found):
    return [
        f"{name}:{node.lineno} {ast.unparse(node)}"
        for name, tree in found.items()
        if not name.startswith(MAY_MOVE)
        for node in moves(tree)
    ]


CHECKS = {
    "layers": wrong_layers,
    "no circles": circles,
    "absolute imports": relative_imports,
    "functional sees no module": modules_in_functional,
    "functional sees no data set": lambda found: imports_of(part(found, "distil.functional"), "torch.utils.data", ()),
    "strategies see no data set": lambda found: [
        fault
        for package in ("torch.utils.data", "distil.data", "distil.networks")
        for fault in imports_of(part(found, "distil.strategies"), package, ())
    ],
    "only the learner and the trained head train": lambda found: imports_of(
        part(found, "distil.selection"),
        "distil.training",
        ("distil.selection.learner", "distil.selection.trained_head"),
    ),
    "names of modules": names_of_modules,
    "no arithmetic in the faces": arithmetic_in_faces,
    "one file knows ray": lambda found: imports_of(found, "ray", ("distil.distributed.ray",)),
    "devices": device_moves,
}


def test_the_documented_floors_are_these():
    """docs/architecture.md draws the groups in order, every folder on its own line, and nothing that is not there."""
    text = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawn = text.split("```", 2)[1].strip().splitlines()
    known = {name for name in RANK if (SOURCE / name).is_dir() or (SOURCE / f"{name}.py").is_file()}
    assert len(drawn) == len(GROUPS)
    for line, group in zip(drawn, GROUPS, strict=True):
        assert line.split("  ")[: len(known & {*group})] == [name for name in group if name in known]
    assert known == {p.stem for p in SOURCE.iterdir() if p.suffix in ("", ".py") and not p.name.startswith("__")}


def section(heading):
    """A part of docs/architecture.md, as the rows of its table."""
    text = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = text.split(f"## {heading}\n")[1].split("\n## ")[0].splitlines()
    return [row.strip("| ").split(" | ", 1) for row in rows if row.startswith("| ")][1:]


def test_the_documented_nouns_exist(found):
    classes = {node.name for tree in found.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    nouns = {noun for row in section("Nouns") for cell in row for noun in re.findall(r"`([A-Z]\w+)`", cell)}
    assert len(nouns) > 30
    assert nouns <= classes


def test_the_documented_changes_name_files_and_at_most_three():
    rows = section("Everyday changes")
    assert len(rows) >= 10
    for change, files in rows:
        assert files.count(",") < 3, change
        for name in re.findall(r"`([\w/]+\.\w+)`", files):
            whole = (
                Path(__file__).parents[1] / name if name.startswith("docs/") else SOURCE / name.removeprefix("distil/")
            )
            assert whole.is_file(), f"{change}: {name}"


@pytest.fixture(scope="module")
def found():
    return modules(SOURCE)


@pytest.mark.parametrize("check", CHECKS)
def test_the_library_keeps_to_it(check, found):
    assert len(found) > 15
    assert CHECKS[check](found) == []


def test_every_module_is_read(found):
    assert {
        "distil",
        "distil.errors",
        "distil.functional.centers",
        "distil.strategies.base",
        "distil.strategies",
    } <= set(found)
    assert ("distil.selection.select", "distil.strategies.base") in set(edges(found))
    assert ("distil.strategies", "distil.strategies.gradient") in set(edges(found))


@pytest.mark.parametrize(
    ("check", "path", "text"),
    [
        ("layers", "functional/features.py", "from distil.selection.select import choose"),
        ("layers", "functional/features.py", "import distil.networks.base"),
        ("layers", "functional/centers.py", "def f():\n    from distil.signals import Probs"),
        (
            "layers",
            "errors.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from distil.functional.features import f",
        ),
        ("layers", "functional/centers.py", "from distil.system.files import write_text"),
        ("layers", "measuring/source.py", "from distil.strategies.base import net"),
        ("layers", "signals.py", "from distil.networks.base import net"),
        ("layers", "signals.py", "from distil import strategies"),
        ("layers", "signals.py", "from distil import __version__"),
        ("layers", "helpers.py", "import torch"),
        ("layers", "training/fit.py", "from distil.selection.select import choose"),
        ("layers", "signals.py", "from distil.nowhere import x"),
        ("no circles", "functional/features.py", "from distil.functional.centers import x"),
        ("no circles", "strategies/base.py", "from distil.strategies.gradient import BADGE"),
        ("absolute imports", "selection/select.py", "from . import learner"),
        ("absolute imports", "strategies/base.py", "from ..signals import Probs"),
        ("functional sees no module", "functional/centers.py", "from torch import nn\nx = nn.Linear(2, 2)"),
        ("functional sees no module", "functional/centers.py", "import torch\ndef f(x: torch.nn.Module): ..."),
        ("functional sees no module", "functional/centers.py", "from torch.nn import Module"),
        ("functional sees no data set", "functional/centers.py", "from torch.utils.data import DataLoader"),
        ("functional sees no data set", "functional/centers.py", "from torch.utils import data"),
        ("strategies see no data set", "strategies/base.py", "import torch.utils.data"),
        ("strategies see no data set", "strategies/base.py", "from distil.data.pools import x"),
        ("only the learner and the trained head train", "selection/select.py", "from distil.training.fit import fit"),
        ("names of modules", "selection/__init__.py", "from distil.selection.select import select"),
        ("no arithmetic in the faces", "active_learning_strategies/badge.py", "def f(x): return x.topk(3)"),
        ("no arithmetic in the faces", "active_learning_strategies/badge.py", "def f(x): return x @ x"),
        ("one file knows ray", "selection/select.py", "import ray"),
        ("one file knows ray", "distributed/local.py", "from ray.util import queue"),
        ("devices", "functional/features.py", "def f(x): return x.to('cuda')"),
        ("devices", "functional/features.py", "def f(x, device): return x.to(device, x.dtype)"),
        ("devices", "functional/features.py", "def f(x, where): return x.to(device=where, dtype=x.dtype)"),
        ("devices", "functional/features.py", "def f(x, self): return x.to(self.place(), non_blocking=True)"),
        ("devices", "strategies/base.py", "def f(x): return x.sum().cpu()"),
        ("devices", "functional/centers.py", "def f(x): return x.cuda(0)"),
    ],
)
def test_the_checks_can_fail(check, path, text, tmp_path):
    tree = {
        "__init__.py": "from distil.selection.select import select\n__version__ = '0'",
        "errors.py": "",
        "system/__init__.py": "",
        "system/files.py": "def write_text(): ...",
        "functional/__init__.py": "",
        "functional/features.py": "import torch\ndef f(x, y): return x.to(torch.float64).to(y.device, x.dtype, copy=True)",
        "functional/centers.py": (
            "from torch.nn import functional\nfrom distil.functional.features import f\nx = functional.relu"
        ),
        "signals.py": "from distil.functional.features import f",
        "networks/__init__.py": "",
        "networks/base.py": "net = 1\ndef f(x): return x.to('cpu').cpu()",
        "strategies/__init__.py": "from distil.strategies.gradient import BADGE",
        "strategies/base.py": "from distil.signals import f as net",
        "strategies/gradient.py": "from distil.strategies.base import net\nBADGE = net",
        "measuring/__init__.py": "",
        "measuring/source.py": "from distil.networks.base import net",
        "training/__init__.py": "",
        "training/fit.py": "fit = 1",
        "selection/__init__.py": "from distil.selection import learner",
        "selection/select.py": "from distil.strategies import BADGE\nimport torch.utils.data\nselect = choose = 1",
        "selection/learner.py": "from distil.training.fit import fit",
        "active_learning_strategies/__init__.py": "",
        "active_learning_strategies/badge.py": "from distil.selection.select import select",
        "distributed/__init__.py": "",
        "distributed/ray.py": "import ray\nfrom distil.selection.select import select",
    }
    for name, content in tree.items():
        file = tmp_path / "distil" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    assert {name: run(modules(tmp_path / "distil")) for name, run in CHECKS.items()} == {name: [] for name in CHECKS}
    file = tmp_path / "distil" / path
    file.write_text((file.read_text() + "\n" if file.exists() else "") + text)
    assert CHECKS[check](modules(tmp_path / "distil"))


def test_the_tests_mirror_the_source():
    """The tests of ``distil/FOLDER/FILE.py`` are in ``tests/FOLDER/test_FILE.py`` or, of one aspect, ``test_FILE_ASPECT.py``."""
    tests = Path(__file__).parent
    across = {tests, *(tests / name for name in ("contract", "end_to_end", "faces"))}
    for path in tests.rglob("test_*.py"):
        if path.parent not in across:
            folder = SOURCE / path.parent.relative_to(tests)
            names = [folder.name, *(p.stem for p in folder.glob("*.py"))]
            own = path.stem.removeprefix("test_")
            assert any(own == name or own.startswith(f"{name}_") for name in names), f"{path} is named after no file"
