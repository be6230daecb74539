"""The public names, the cost of importing the package, and the warning about its namesake."""

from __future__ import annotations

import ast
import inspect
import os
import pickle
import pkgutil
import pydoc
import re
import subprocess
import sys
import typing
from importlib import import_module
from pathlib import Path

import pytest

import distil

SOURCE = Path(distil.__file__).parents[1]


def python(code, *path, **environment):
    """Run code in a new interpreter; returns its standard output and standard error."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*path, SOURCE))), **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


# -------------------------------------------------------------------------------------------- names


def test_all_is_sorted_and_without_repeats():
    """Constants, classes, functions, each in alphabetical order."""

    def rank(name):
        return (not name.isupper(), not name[0].isupper(), name)

    assert distil.__all__ == sorted(set(distil.__all__), key=rank)


def seen_by_type_checkers(module):
    """Name -> the module that it is imported from, in the block of a package's ``__init__`` that type checkers read."""
    (block,) = [
        node
        for node in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    found = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname == alias.name  # the form that re-exports a name
            found[alias.name] = node.module
    return found


def test_type_checkers_see_the_very_names():
    assert seen_by_type_checkers(distil) == {**dict.fromkeys(distil._MODULES, "distil"), **distil._HOMES}
    assert distil.__all__ == list(distil._HOMES)


def test_the_names_and_modules_are_those_that_were_promised():
    assert {
        "select",
        "select_from",
        "Learner",
        "fit",
        "wrap",
        "pick",
        "embed",
        "audit",
        "evaluate",
        "finish",
        "run",
        "compare",
        "report",
    } <= {*distil.__all__}
    assert {"signals", "strategies", "functional", "errors"} <= {*distil._MODULES}
    for name in distil._MODULES:
        assert getattr(distil, name) is import_module(f"distil.{name}")


def test_the_modules_of_functional():
    files = {path.stem for path in Path(distil.functional.__file__).parent.glob("*.py")} - {"__init__"}
    assert {*distil.functional.__all__} == files
    assert seen_by_type_checkers(distil.functional) == dict.fromkeys(files, "distil.functional")
    assert files <= {*dir(distil.functional)}


@pytest.mark.parametrize("module", [distil, distil.functional], ids=lambda m: m.__name__)
def test_a_name_that_does_not_exist(module):
    with pytest.raises(AttributeError, match=f"module '{module.__name__}' has no attribute 'slect'"):
        module.slect  # noqa: B018 - the attribute is looked up
    assert not hasattr(module, "__wrapped__")


def test_every_name_can_be_imported_and_is_described(case):
    for name in distil.__all__:
        with case(name):
            value = getattr(distil, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                text = value.__dict__.get("__doc__") if inspect.isclass(value) else value.__doc__
                assert text
                assert not re.match(rf"{re.escape(name)}\(", text), "the signature that a dataclass writes by itself"
                assert text.strip()[0].isupper() or text.strip()[0] in "`("
                assert value.__module__.startswith("distil")


def test_star_import():
    names = {}
    exec("from distil import *", names)
    assert set(distil.__all__) <= names.keys()


def public_members(cls):
    for name, member in vars(cls).items():
        if name.startswith("_"):
            continue
        if isinstance(member, (staticmethod, classmethod)):
            member = member.__func__
        if inspect.isfunction(member) or isinstance(member, property):
            yield name, member


def test_every_method_of_a_public_class_is_described(case):
    for name in [n for n in distil.__all__ if inspect.isclass(getattr(distil, n))]:
        with case(name):
            missing = [member for member, value in public_members(getattr(distil, name)) if not inspect.getdoc(value)]
            assert not missing


def test_public_functions_are_annotated(case):
    for name in [n for n in distil.__all__ if callable(getattr(distil, n))]:
        with case(name):
            value = getattr(distil, name)
            if inspect.isfunction(value):
                signature = inspect.signature(value)
                assert signature.return_annotation is not inspect.Signature.empty
                assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())


def test_the_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", distil.__version__)
    # the build reads the version from the source text
    assert re.findall(r'^__version__ = "(.+)"$', Path(distil.__file__).read_text(), re.MULTILINE) == [
        distil.__version__
    ]


def test_hints_can_be_resolved(case):
    for name in [n for n in distil.__all__ if callable(getattr(distil, n))]:
        with case(name):
            value = getattr(distil, name)
            hints = typing.get_type_hints(value)
            if inspect.isfunction(value):
                assert hints.keys() == {*inspect.signature(value).parameters, "return"}


def test_help_shows_all_public_names():
    assert {*distil.__all__, *distil._MODULES, "__version__"} <= {*dir(distil)}
    text = pydoc.plain(pydoc.render_doc(distil))
    for name in distil.__all__:
        assert re.search(rf"^    (class )?{name}\b", text, re.MULTILINE), name


def test_public_objects_can_be_pickled():
    for value in (distil.pick, distil.Rng, distil.Rng(3).child("x"), distil.FitConfig(), distil.signals.Probs()):
        again = pickle.loads(pickle.dumps(value))
        assert again is value or repr(again) == repr(value)


def test_the_package_is_typed():
    assert (SOURCE / "distil" / "py.typed").exists()


def test_git_ignores_no_file_of_the_package():
    """The wheel holds every file below src/distil that git does not ignore, including styles and scripts of pages."""
    files = [path for path in (SOURCE / "distil").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert {".py", ".html", ".css", ".js", ".typed"} <= {path.suffix or path.name for path in files}
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin"],
        input="\n".join(map(str, files)),
        capture_output=True,
        text=True,
        check=False,
        cwd=SOURCE,
    )
    if done.returncode == 128:
        pytest.skip("the sources are not in a git repository")
    assert (done.returncode, done.stdout) == (1, "")


def test_every_module_can_be_imported_and_has_a_docstring():
    for module in pkgutil.walk_packages(distil.__path__, "distil."):
        if module.name == "distil.__main__":
            continue
        try:
            found = import_module(module.name)
        except distil.MissingPackage:
            continue  # an optional package
        assert found.__doc__, module.name


ERRORS = {
    "InvalidInput": ValueError,
    "MissingSignal": LookupError,
    "UnknownName": LookupError,
    "UnsupportedModel": TypeError,
    "ConfigError": ValueError,
    "DataNotFound": FileNotFoundError,
    "MissingPackage": ImportError,
    "RunError": RuntimeError,
}


def test_the_error_tree(case):
    for name in ERRORS:
        with case(name):
            error = getattr(distil, name)
            assert issubclass(error, distil.DistilError)
            assert issubclass(error, ERRORS[name])
            assert str(error("what to do")) == "what to do"


def test_the_warning_is_no_error_of_the_tree():
    assert issubclass(distil.DistilWarning, UserWarning)
    assert not issubclass(distil.DistilWarning, distil.DistilError)


# -------------------------------------------------------------------------------------------- importing

HEAVY = (
    "torchvision",
    "matplotlib",
    "sklearn",
    "transformers",
    "ray",
    "timm",
    "pandas",
    "scipy",
    "skorch",
    "pyarrow",
    "openpyxl",
    "mlflow",
    "jinja2",
    "filelock",
    "platformdirs",
)


def test_importing_loads_next_to_nothing_in_no_time():
    code = (
        "import sys, time\nbegin = time.process_time()\nimport distil\nseconds = time.process_time() - begin\n"
        f"print(seconds, [m for m in ('torch', 'numpy', *{HEAVY}) if m in sys.modules])"
    )
    tries = [python(code)[0].split(" ", 1) for _ in range(3)]
    assert {loaded for _, loaded in tries} == {"[]\n"}
    assert min(float(seconds) for seconds, _ in tries) < 0.1


def test_help_loads_neither_torch_nor_the_packages_of_one_command():
    code = (
        "import sys\nfrom distil.cli import main\n"
        f"print(main(['--help']), [m for m in ('torch', *{HEAVY}) if m in sys.modules])"
    )
    assert python(code)[0].splitlines()[-1] == "0 []"


def test_errors_need_no_torch():
    code = (
        "import sys, distil\n"
        "from distil.errors import InvalidInput\n"
        "print(distil.InvalidInput is distil.errors.InvalidInput is InvalidInput, 'torch' in sys.modules)"
    )
    assert python(code) == ("True False\n", "")


def test_one_import_is_enough():
    code = "import distil; print(distil.functional.centers.k_center_greedy.__name__, distil.errors.RunError.__name__)"
    assert python(f"{code}; print(distil.deepal.Data.__name__)") == ("k_center_greedy RunError\nData\n", "")


def test_star_import_loads_no_optional_package_and_changes_no_global_state():
    code = (
        "import random, sys, warnings, torch\n"
        "def state(): return (torch.get_rng_state().tolist(), random.getstate(), torch.get_num_threads(),\n"
        "                     torch.get_default_dtype(), list(warnings.filters), warnings.showwarning)\n"
        "before = state()\n"
        "from distil import *\n"
        f"print(state() == before, select is not None, [m for m in {HEAVY} if m in sys.modules])"
    )
    assert python(code, PYTHONWARNINGS="error::UserWarning") == ("True True []\n", "")


# -------------------------------------------------------------------------------------------- the namesake


def namesake(folder, version="0.2"):
    info = folder / f"decile_distil-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: decile-distil\nVersion: {version}\n")
    return folder


def test_a_warning_about_the_namesake(tmp_path):
    """One warning where the package is first used, not where it is imported; the package works."""
    code = "import distil\nprint(distil.__version__)\nprint(distil.select)\nprint(distil.signals, distil.Learner)"
    out, err = python(code, namesake(tmp_path), PYTHONWARNINGS="always")
    assert err.count("decile-distil") == 1
    assert "DistilWarning: decile-distil 0.2 and distil are both installed" in err
    assert "Uninstall both" in err
    assert err.startswith("<string>:3:")  # it names the line of the use
    assert "function select" in out


def test_a_warning_about_the_namesake_for_every_import(case, tmp_path):
    for use in ["from distil import InvalidInput", "import distil; distil.errors"]:
        with case(use):
            _, err = python(f"{use}\n{use}", namesake(tmp_path), PYTHONWARNINGS="always")
            assert err.count("decile-distil") == 1
            assert err.startswith("<string>:1:")


def test_importing_alone_looks_for_no_namesake(tmp_path):
    assert python("import distil, distil.errors", namesake(tmp_path), PYTHONWARNINGS="always") == ("", "")


# -------------------------------------------------------------------------------------------- types

SCRIPT = """\
import distil
import torch
from distil import Learner, Rng, functional

pool = torch.randn(50, 4)
ids: distil.Selection = distil.select("badge", torch.nn.Linear(4, 3), pool, 5, rng=Rng(0))
chosen: distil.Selection = distil.select_from("core_set", 5, embeddings=pool)
learner: Learner = distil.Learner(pool, torch.nn.Linear(4, 3), "margin_sampling", num_classes=3)
signal = distil.signals.Probs()
strategy: distil.Strategy = distil.strategies.BADGE()
rows = functional.centers.k_center_greedy(distil.functional.features.Dense(pool), 3)
picks = distil.pick("core_set", 5, embeddings="emb.npy", out="picks.csv")["picks"]
made = distil.embed("images", model="timm:resnet18", out="emb.npy")["rows"]
findings = distil.audit("emb.npy", near=0.05)["findings"]
accuracy, labels = distil.evaluate(probs="p.npy", labels="a.csv"), distil.finish(probs="p.npy", labels=["a.csv"], out="b.csv")
tables = [distil.run("a.json", seeds=2), distil.compare("a.json", strategies=["badge"]), distil.report("runs/a")]
try:
    distil.run("none.json")
except distil.ConfigError as error:
    print(error, distil.errors.RunError, distil.__version__)

distil.slect  # type: ignore[attr-defined]
distil.functional.center  # type: ignore[attr-defined]
distil.pick("core_set", "5")  # type: ignore[arg-type]
distil.run("a.json", seed=2)  # type: ignore[call-arg]
"""


@pytest.mark.slow
def test_a_script_passes_mypy(tmp_path):
    """Each ignored line is an error: --strict reports an ignore without one."""
    pytest.importorskip("mypy")
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir=cache", "script.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(SOURCE)},
    )
    assert (done.returncode, done.stdout) == (0, "Success: no issues found in 1 source file\n"), done.stdout
