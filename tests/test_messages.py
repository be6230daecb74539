"""The options, arguments, names and files that messages and docstrings mention exist."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from functools import cache
from pathlib import Path

import distil
import distil.functional
from distil import cli, strategies

ROOT = Path(distil.__file__).parent
# Files with options of other programs: of a script, of git, and the beginnings of options.
OTHERS = ("deepal/demo.py", "experiment/trackers.py", "experiment/provenance.py", "cli/commands.py")


@cache
def texts():
    """Every text in the package, with the file it is in; the values in it are X."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        inside = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                inside.update(map(id, node.values))
                parts = [part.value if isinstance(part, ast.Constant) else "X" for part in node.values]
                found.append((path.relative_to(ROOT).as_posix(), "".join(map(str, parts))))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
                found.append((path.relative_to(ROOT).as_posix(), node.value))
    return found


COMMANDS = {**cli._COMMANDS, **cli._GROUPS["project"][1]}


def options_of(name):
    function = COMMANDS[name][0]
    flags = {f"--{p.replace('_', '-')}" for p in inspect.signature(function).parameters} - {"--parameters"}
    negated = {f"--no-{flag[2:]}" for flag in flags}
    return {*flags, *negated, "--set", "--json", "--verbose", "--help"}


def test_every_option_in_a_message_or_a_docstring_exists():
    every = set().union(*map(options_of, COMMANDS)) | {"--version"}
    for path, text in texts():
        if path in OTHERS:
            continue
        command = Path(path).stem if path.startswith("cli/") and Path(path).stem in cli._COMMANDS else None
        known = every if command is None else options_of(command) | options_of("embed")
        for other in re.findall(r"distil (?:project )?([a-z-]+)", text):  # commands that the text advises
            known |= options_of(other) if other in COMMANDS else set()
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text):
            assert option in known, f"{path}: {option}"
        for line in re.findall(
            r"distil (?:run|compare|report|resume|strategies|select|embed|audit)\b[^`;:,.)\n]*", text
        ):
            for option in re.findall(r"--[a-z][a-z-]+", line):
                assert option in options_of(line.split()[1]), f"{path}: {line}"


def test_paths_in_advised_commands_are_quoted():
    """A folder may be called ``my runs``."""
    commands = "|".join([*cli._COMMANDS, *(f"project {name}" for name in cli._GROUPS["project"][1])])
    advised = []
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else f"{{{ast.unparse(p.value)}}}" for p in node.values)
                for values in re.findall(
                    rf"distil (?:{commands})(?: DIR)?((?: {{[^}}]+}})+)", "".join(map(str, parts))
                ):
                    advised += values.split("} {")
    assert len(advised) > 10
    assert all(value.lstrip(" {").startswith("argument(") for value in advised), advised


def test_every_name_of_distil_in_a_text_exists():
    for _, text in texts():
        for name in set(re.findall(r"(?<![\w./-])distil\.([A-Za-z_][\w.]*\w)", text)):
            place, parts = distil, name.split(".")
            for depth, part in enumerate(parts, 1):
                if getattr(place, part, None) is None:
                    place = importlib.import_module(".".join(["distil", *parts[:depth]]))
                else:
                    place = getattr(place, part)


def test_every_page_and_file_in_a_text_exists():
    for path, text in texts():
        for name in re.findall(r"\b(?:docs|examples|benchmarks|scripts)/[\w/-]+\.\w+", text):
            assert (ROOT.parents[1] / name).exists(), f"{path}: {name}"


def test_every_argument_that_a_message_advises_exists():
    public = [getattr(distil, name) for name in distil.__all__]
    kernels = [getattr(distil.functional, name) for name in distil.functional.__all__]
    public += [getattr(module, name) for module in kernels for name in dir(module) if name[0] != "_"]
    public += [getattr(item, name) for item in public if inspect.isclass(item) for name in dir(item) if name[0] != "_"]
    callables = [item for item in [*public, *strategies.STRATEGIES.values()] if callable(item)]
    arguments = {name for item in callables for name in _parameters(item)}
    theirs = {"batch_first", "voting", "decision_function_shape", "padding", "return_tensors", "dynamic_shapes"}
    for path, text in texts():
        for name in re.findall(r"pass(?: | [\w.]+\()([a-z_]+)=", text):
            assert name in arguments | theirs, f"{path}: {name}= in {text!r}"


def _parameters(item):
    try:
        return list(inspect.signature(item).parameters)
    except (TypeError, ValueError):
        return []
