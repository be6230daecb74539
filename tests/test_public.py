"""The public names, what importing the package costs, and the warning of its namesake."""

from __future__ import annotations

import inspect
import os
import pkgutil
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import distil

SOURCE = Path(distil.__file__).parents[1]


def python(code, *path, **environment):
    """Run code in a new interpreter; gives what it printed, and its standard error."""
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


def test_all_is_complete():
    public = {
        name
        for name, value in vars(distil).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and str(getattr(value, "__module__", "distil")).partition(".")[0] == "distil"
        and name != "annotations"
    }
    assert public == set(distil.__all__) | ({"STRATEGIES"} & public)


@pytest.mark.parametrize("name", distil.__all__)
def test_every_name_can_be_imported_and_is_described(name):
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


@pytest.mark.parametrize("name", [n for n in distil.__all__ if inspect.isclass(getattr(distil, n))])
def test_every_method_of_a_public_class_is_described(name):
    missing = [member for member, value in public_members(getattr(distil, name)) if not inspect.getdoc(value)]
    assert not missing


@pytest.mark.parametrize("name", [n for n in distil.__all__ if callable(getattr(distil, n))])
def test_public_functions_are_annotated(name):
    value = getattr(distil, name)
    if inspect.isfunction(value):
        signature = inspect.signature(value)
        assert signature.return_annotation is not inspect.Signature.empty
        assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())


def test_the_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", distil.__version__)


def test_the_package_is_typed():
    assert (SOURCE / "distil" / "py.typed").exists()


def test_every_module_can_be_imported_and_says_what_it_is_for():
    for module in pkgutil.walk_packages(distil.__path__, "distil."):
        if module.name == "distil.__main__":
            continue
        try:
            found = import_module(module.name)
        except distil.MissingPackage:
            continue  # an optional one
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


@pytest.mark.parametrize("name", ERRORS)
def test_the_error_tree(name):
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
    "mlflow",
)


def test_importing_loads_no_optional_package_changes_nothing_and_says_nothing():
    code = (
        "import random, sys, warnings, torch\n"
        "def state(): return (torch.get_rng_state().tolist(), random.getstate(), torch.get_num_threads(),\n"
        "                     torch.get_default_dtype(), list(warnings.filters), warnings.showwarning)\n"
        "before = state()\n"
        "import distil\n"
        f"print(state() == before, [m for m in {HEAVY} if m in sys.modules])"
    )
    assert python(code, PYTHONWARNINGS="error::UserWarning") == ("True []\n", "")


# -------------------------------------------------------------------------------------------- the namesake


def namesake(folder, version="0.2"):
    info = folder / f"decile_distil-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: decile-distil\nVersion: {version}\n")
    return folder


def test_the_namesake_is_warned_of(tmp_path):
    """And only once, where it was imported; the package works all the same."""
    out, err = python("import distil; print(distil.select)", namesake(tmp_path), PYTHONWARNINGS="default")
    assert err.count("decile-distil") == 1
    assert "DistilWarning: decile-distil 0.2 is installed beside distil" in err
    assert "Uninstall both" in err
    assert err.startswith("<string>:1:")  # it points at the import
    assert "function select" in out
