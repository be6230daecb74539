"""What a release needs: equal builds, known licenses, and an example that type checkers accept."""

from __future__ import annotations

import email
import os
import re
import runpy
import subprocess
import sys
import tomllib
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.version import Version

import distil
from distil.strategies import registry

ROOT = Path(__file__).parents[1]


def test_every_installed_dependency_declares_a_license():
    licenses = runpy.run_path(str(ROOT / "scripts" / "licenses.py"))
    packages = licenses["needed"]([])
    assert {"torch", "numpy", "scipy", "pydantic-core"} <= packages.keys()  # the last is a dependency of a dependency
    assert "pytest" not in packages
    assert packages["numpy"].version == version("numpy")
    assert [name for name, package in packages.items() if not licenses["license_of"](package)] == []


def test_where_a_license_is_read(case):
    license_of = runpy.run_path(str(ROOT / "scripts" / "licenses.py"))["license_of"]
    for text, expected in {
        "License-Expression: MIT\nLicense: other": "MIT",
        "Classifier: License :: OSI Approved :: BSD License\nLicense: a long text": "BSD License",
        "License: Apache 2.0\n        and more": "Apache 2.0",
        "Name: none": "",
    }.items():
        with case(expected):
            assert license_of(SimpleNamespace(metadata=email.message_from_string(text))) == expected


@pytest.mark.slow
@pytest.mark.skipif(find_spec("hatchling") is None, reason="needs hatchling")
def test_two_builds_are_equal():
    done = subprocess.run(
        [sys.executable, "scripts/reproducible.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    names = [line.split()[1] for line in done.stdout.splitlines()]
    assert [name.rpartition(".")[2] for name in names] == ["whl", "gz"]


def test_the_typed_example_runs(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    assert runpy.run_path(str(ROOT / "examples" / "typed_loop.py"))["main"](rounds=2) == [15, 20]


@pytest.mark.skipif(find_spec("hatchling") is None, reason="needs hatchling")
def test_links_of_the_readme_work_outside_of_the_repository():
    linked = runpy.run_path(str(ROOT / "hatch_build.py"))["linked"]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert linked(text, {}) == text
    environ = {"GITHUB_SERVER_URL": "https://host", "GITHUB_REPOSITORY": "a/b", "GITHUB_SHA": "c0"}
    home = "https://host/a/b/"
    hosted = linked(f"{text}[here](#x) [there](https://other/y)", environ)
    before, after = (re.findall(r"\]\(([^)]+)\)", each) for each in (text, hosted))
    assert after[-2:] == ["#x", "https://other/y"]
    for path, address in zip(before, after[:-2], strict=True):
        assert (ROOT / path.partition("#")[0]).exists()
        assert address == f"{home}{'raw' if path.endswith('.png') else 'blob'}/c0/{path}"


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mypy") is None, reason="needs mypy")
def test_the_typed_example_passes_mypy(tmp_path):
    command = [
        "mypy",
        "--strict",
        "--follow-imports=silent",
        "--cache-dir",
        tmp_path,
        ROOT / "examples" / "typed_loop.py",
    ]
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MYPYPATH": str(ROOT / "src")},
    )
    assert (done.returncode, done.stdout) == (0, "Success: no issues found in 1 source file\n"), done.stdout


def test_the_documents_speak_of_the_newest_release():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest, date = re.findall(r"^## (\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)$", changelog, re.MULTILINE)[0]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert dict(re.findall(r"^(version|date-released): (.+)$", citation, re.MULTILINE)) == {
        "version": newest,
        "date-released": date,
    }
    assert Version(newest) <= Version(distil.__version__)  # equal, or a version that is being made


def test_the_oldest_versions_are_those_of_the_dependencies():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = {name: Version(oldest) for name, oldest in (line.split(">=") for line in project["dependencies"])}
    lines = (ROOT / "constraints-oldest.txt").read_text(encoding="utf-8").splitlines()[1:]
    assert {name: Version(oldest) for name, oldest in (line.split("==") for line in lines)} == bounds


def test_what_is_tried_of_the_wheel():
    """Each extra for users has a use."""
    tried = runpy.run_path(str(ROOT / "scripts" / "try_wheel.py"))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert {*tried["USES"]} == {*extras} - {"docs", "dev"}
    for code in tried["USES"].values():
        compile(tried["PREPARE"] + code, "use", "exec")
