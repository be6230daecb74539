"""Commands made from functions: the options are the arguments, and the help is the docstring."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Mapping, Sequence

import pytest
import typer

import distil
from distil.cli import _COMMANDS, main
from distil.cli.commands import add_command, documented

FUNCTIONS = {name: function for name, (function, _) in _COMMANDS.items()}


def test_the_functions_of_the_commands_are_the_public_ones():
    public = {name: FUNCTIONS[name] for name in ("run", "compare", "report", "embed", "audit")}
    assert public == {name: getattr(distil, name) for name in public}
    assert FUNCTIONS["select"] is distil.pick


def test_every_argument_has_its_help_and_the_same_everywhere():
    """The same argument is described in the same words wherever its meaning is the same."""
    told = defaultdict(set)
    for function in FUNCTIONS.values():
        description, helps = documented(function)
        assert description
        assert [*helps] == [*inspect.signature(function).parameters]
        for name, text in helps.items():
            assert text.endswith("."), name
            assert ":func:" not in text
            told[name].add(text)
    for name in (
        "model",
        "weights",
        "column",
        "on_error",
        "device",
        "batch_size",
        "near",
        "progress",
        "workers",
        "config",
    ):
        assert len(told[name]) == 1, name


def work(
    path: str,
    *,
    many: Sequence[str] | str | None = None,
    size: int = 3,
    dry_run: bool = False,
    full_data: bool = True,
    parameters: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """Do work on [bold]a path[/bold].

    A paragraph of
    two lines::

        an    example

    Args:
        path: The path,
            of course.
        many: ``a`` or *b*.
        size: A number.
        dry_run: Do nothing.
        full_data: Do all.

    Returns:
        many: is not an argument here.
    """
    return {"path": path, "size": size}


def test_documented():
    description, helps = documented(work)
    assert description == ("Do work on [bold]a path[/bold].\n\nA paragraph of two lines:\n\n\b\n    an    example")
    assert helps == {
        "path": "The path, of course.",
        "many": "`a` or *b*.",
        "size": "A number.",
        "dry_run": "Do nothing.",
        "full_data": "Do all.",
    }


@pytest.fixture
def called():
    """``called(argv)``: the options that a command gets."""
    seen = []
    app = typer.Typer(rich_markup_mode=None)
    app.callback()(lambda: None)
    add_command(app, "work", {"work": (work, lambda given: seen.append(given) or 0)})

    def call(*argv):
        typer.main.get_command(app).main(["work", *argv], standalone_mode=False)
        return seen.pop()

    return call


def test_options(called):
    defaults = {"path": "a/", "many": None, "size": 3, "dry_run": False, "full_data": True, "parameters": None}
    assert called("a/") == defaults
    assert called("a/", "--many", "x", "--many", "y")["many"] == ["x", "y"]
    assert called("a/", "--size", "4", "--no-full-data", "--dry-run", "--dry-run") == {
        **defaults,
        "size": 4,
        "full_data": False,
        "dry_run": True,
    }
    assert called("a/", "--set", "x=[1]", "--set", "y=b")["parameters"] == {"x": [1], "y": "b"}
    with pytest.raises(distil.InvalidInput, match="--set x is given twice"):
        called("a/", "--set", "x=1", "--set", "x=2")
    with pytest.raises(typer.BadParameter, match="given 3 times; give it once"):
        called("a/", "--size", "1", "--size", "2", "--size", "3")


def test_json_prints_what_the_function_returns(capsys):
    assert main(["strategies", "--json"]) == 0
    assert capsys.readouterr().out.startswith('[\n  {\n    "name": "adversarial_bim",')
