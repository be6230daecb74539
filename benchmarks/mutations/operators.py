"""The changes that a fault can be: each operator lists the nodes of a module that it can change, with what takes their place."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
}  # fmt: skip
OPPOSITES = {"argmax": "argmin", "amax": "amin", "max": "min", "maximum": "minimum", "cummax": "cummin"}
OPPOSITES |= {b: a for a, b in OPPOSITES.items()}
# Methods and functions whose last positional argument may be an axis.
REDUCTIONS = {
    "sum",
    "mean",
    "amax",
    "amin",
    "argmax",
    "argmin",
    "max",
    "min",
    "any",
    "all",
    "cumsum",
    "logsumexp",
    "softmax",
    "norm",
}


@dataclass(frozen=True)
class Change:
    """``node`` of function ``owner`` (a dotted name inside its module) replaced by ``text``."""

    kind: str
    owner: str
    node: ast.expr
    text: str


def changes(tree: ast.Module) -> Iterator[Change]:
    """Every change that an operator offers inside the functions of a module; messages, annotations and docstrings are left out."""
    for owner, function in _functions(tree):
        for kind, node, new in _inside(function):
            yield Change(kind, owner, node, f"({ast.unparse(new)})" if kind == "condition" else ast.unparse(new))


def _functions(scope: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions and methods with their dotted names, without those that only write text."""
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef) and not _writes_text(node):
            yield f"{prefix}{node.name}", node


def _writes_text(function: ast.FunctionDef) -> bool:
    words = ("__repr__", "__str__", "reason", "note", "message", "sentence")
    return any(word in function.name for word in words) or ast.unparse(function.returns or ast.Constant(0)) == "str"


def _inside(function: ast.FunctionDef) -> Iterator[tuple[str, ast.expr, ast.expr]]:
    """(kind, node, what takes its place) for every node of a body that runs and is no message."""
    parameters = [a.arg for a in (*function.args.posonlyargs, *function.args.args) if a.arg not in ("self", "cls")]
    for statement in function.body:
        for node in _running(statement):
            if isinstance(node, ast.Return) and node.value is not None and parameters:
                if ast.unparse(node.value) != parameters[0]:
                    yield "return", node.value, ast.Name(parameters[0])
            elif isinstance(node, (ast.If, ast.While, ast.IfExp)):
                yield "condition", node.test, ast.UnaryOp(ast.Not(), node.test)
            for operator in OPERATORS:
                for new in operator(node):
                    yield operator.__name__.strip("_"), node, new


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below one that are code: not raised errors, warnings, annotations, texts."""
    if isinstance(node, (ast.Raise, ast.JoinedStr)) or (
        isinstance(node, ast.Call) and "warn" in ast.unparse(node.func)
    ):
        return
    yield node
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns", "decorator_list"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _running(child)


def _comparison(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for op in COMPARISONS[type(node.ops[0])]:
            yield ast.Compare(node.left, [op()], node.comparators)


def _arithmetic(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        yield ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)


def _constant(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield ast.Constant(node.value + 1)


def _argument(node: ast.AST) -> Iterator[ast.expr]:
    if not isinstance(node, ast.Call):
        return
    typed = isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "issubclass")  # swapped, it never runs
    if not typed and len(node.args) > 1 and not any(isinstance(a, ast.Starred) for a in node.args[:2]):
        yield ast.Call(node.func, [node.args[1], node.args[0], *node.args[2:]], node.keywords)
    for i in range(len(node.keywords)):
        yield ast.Call(node.func, node.args, node.keywords[:i] + node.keywords[i + 1 :])


def _opposite(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Attribute) and node.attr in OPPOSITES:
        yield ast.Attribute(node.value, OPPOSITES[node.attr])
    elif isinstance(node, ast.Name) and node.id in OPPOSITES:
        yield ast.Name(OPPOSITES[node.id])


def _axis(node: ast.AST) -> Iterator[ast.expr]:
    if not isinstance(node, ast.Call):
        return
    for i, keyword in enumerate(node.keywords):
        if keyword.arg in ("dim", "axis") and (other := _other_axis(keyword.value)):
            keywords = [*node.keywords[:i], ast.keyword(keyword.arg, other), *node.keywords[i + 1 :]]
            yield ast.Call(node.func, node.args, keywords)
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if name in REDUCTIONS and node.args and (other := _other_axis(node.args[-1])):
        yield ast.Call(node.func, [*node.args[:-1], other], node.keywords)


def _other_axis(node: ast.expr) -> ast.expr | None:
    """The first axis in place of a later one, and the last in place of the first."""
    try:
        axis = ast.literal_eval(node)
    except ValueError:
        return None
    return ast.Constant(-1 if axis == 0 else 0) if type(axis) is int else None


OPERATORS: tuple[Callable[[ast.AST], Iterator[ast.expr]], ...] = (
    _comparison, _arithmetic, _constant, _argument, _opposite, _axis,
)  # fmt: skip
