"""Values written as Python into the cells of a notebook, where others stand now."""

import ast
import json
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

WIDTH = 100
SUFFIX = {torch.float32: "", torch.int64: "", torch.bool: "", torch.float64: ".double()"}


def assigned(source: str, values: dict[str, object], where: str) -> str:
    """Return a cell's code in which each `NAME = …` at the top of it assigns another value.

    where: the name of the cell, for the sentence of a ValueError, which is raised if the cell does
    not assign one of the names, or if a value cannot be written as Python.
    """
    places = {name: node for name, node in assignments(source).items() if name in values}
    missing = sorted(set(values) - set(places))
    if missing:
        raise ValueError(
            f"{where}: nothing is assigned to {missing[0]} at its top, so variant(rng) cannot"
            " change that."
        )
    try:
        return rewritten(source, [(node, values[name]) for name, node in places.items()])
    except TypeError as error:
        raise ValueError(f"{where}: {error}.") from None


def tabulated(source: str, tables: list[tuple[object, object]]) -> str:
    """Return a cell's code in which the calls of `known` have these results and mistakes, in turn.

    A results or mistakes that is a name is changed where it is assigned. Raises ValueError if there
    are not as many calls, each with four arguments.
    """
    names = assignments(source)
    calls = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "known"
    ]
    changes = []
    for call, (results, mistakes) in zip(calls, tables, strict=True):
        for node, value in zip(call.args[2:4], (results, mistakes), strict=True):
            changes.append((names[node.id] if isinstance(node, ast.Name) else node, value))
    return rewritten(source, changes)


@lru_cache(maxsize=64)
def assignments(source: str) -> dict[str, ast.expr]:
    """Return the expressions that are assigned to names at the top of a cell; the last of each."""
    found = {}
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(targets[0], ast.Name):
            found[targets[0].id] = node.value
    return found


def rewritten(source: str, changes: list[tuple[ast.expr, object]]) -> str:
    """Return code with values in place of some of its expressions."""
    text = source.encode()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for node, value in sorted(changes, key=lambda change: -change[0].lineno):
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        line = text[starts[node.lineno - 1] :].decode()
        indent = len(line) - len(line.lstrip(" "))
        first = len(text[starts[node.lineno - 1] : start].decode())
        text = text[:start] + literal(value, indent, first).encode() + text[end:]
    return text.decode()


def literal(value: object, indent: int = 0, first: int = 0) -> str:
    """Return a value as Python, laid out as ruff does.

    indent: columns before its line; first: columns before the value itself. Raises TypeError for
    what is not made of numbers, texts, lists, tuples, dictionaries and tensors.
    """
    flat = in_one_line(value)
    if first + len(flat) < WIDTH or isinstance(value, str | int | float | None):
        return flat
    inner, pad = indent + 4, " " * (indent + 4)
    if isinstance(value, Tensor):
        text = literal(numbers(value), inner, inner)
        return f"torch.tensor(\n{pad}{text}\n{' ' * indent}){SUFFIX[value.dtype]}"
    if isinstance(value, dict):
        keys = [f"{in_one_line(key)}: " for key in value]
        items = [
            key + literal(item, inner, inner + len(key))
            for key, item in zip(keys, value.values(), strict=True)
        ]
    else:
        items = [literal(item, inner, inner) for item in value]
    opening, closing = in_one_line(type(value)())
    lines = f",\n{pad}".join(items)
    comma = "," if len(items) > 1 or isinstance(value, tuple) else ""
    return f"{opening}\n{pad}{lines}{comma}\n{' ' * indent}{closing}"


def in_one_line(value: object) -> str:
    """Return a value as Python on one line. Raises TypeError for what it does not know."""
    match value:
        case np.generic():
            return in_one_line(value.item())
        case float():
            return repr(value + 0.0)  # -0.0 reads like a mistake
        case bool() | int() | None:
            return repr(value)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case Tensor() if value.dtype in SUFFIX:
            return f"torch.tensor({in_one_line(numbers(value))}){SUFFIX[value.dtype]}"
        case list():
            return f"[{', '.join(map(in_one_line, value))}]"
        case tuple():
            return f"({', '.join(map(in_one_line, value))}{',' if len(value) == 1 else ''})"
        case dict():
            items = (f"{in_one_line(key)}: {in_one_line(item)}" for key, item in value.items())
            return f"{{{', '.join(items)}}}"
    kind = (
        f"a tensor of {value.dtype}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
    )
    raise TypeError(f"{kind} cannot be written into a cell: numbers, texts, lists and tensors can")


def numbers(value: Tensor) -> object:
    """Return a tensor as nested lists; of float32 the shortest decimals that give it again."""
    if value.dtype == torch.float32:
        return value.numpy().astype("U").astype(float).tolist()
    return value.tolist()


def rounded(value: object) -> object:
    """Return nested lists with seven digits in each number, as results are shown to students."""
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.7g}") if isinstance(value, float) else value
