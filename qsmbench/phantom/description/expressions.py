"""Arithmetic in a description: `$name` is a parameter, `$(155 + 4*girth)` an expression of parameters."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from qsmbench.errors import shown

LONGEST = 300
"""Characters of an expression."""

_BINARY: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "min": min, "max": max, "abs": abs, "floor": math.floor, "sqrt": math.sqrt, "exp": math.exp, "log": math.log,
    "cos": math.cos, "sin": math.sin,
}  # fmt: skip


def is_expression(node: Any) -> bool:
    """Whether a value of a description stands for a number computed from parameters."""
    return isinstance(node, str) and node.lstrip("-").startswith("$")


def evaluate(text: str, names: Mapping[str, float]) -> float:
    """Return the value of `$name`, `-$name` or `$(expression)`, given the parameters by name.

    An expression has numbers, names, + − * / **, parentheses, and min, max, abs, floor, sqrt, exp, log, cos, sin.

    Raises:
        ValueError: it is none of these, or its value is not a finite number; one line.
    """
    sign, body = (-1, text[1:]) if text.startswith("-") else (1, text)
    inner = body.removeprefix("$")
    if len(inner) > LONGEST:
        raise ValueError(f"{shown(text)} is longer than {LONGEST} characters")
    try:
        value = _value(ast.parse(inner, mode="eval").body, names)
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError(f"{shown(text)} is not arithmetic") from None
    except (ArithmeticError, TypeError) as e:
        raise ValueError(f"{shown(text)} cannot be computed ({e})") from None
    if isinstance(value, complex) or not math.isfinite(value):
        raise ValueError(f"{shown(text)} is {value}; it must be a finite number")
    return sign * value


def _value(node: ast.AST, names: Mapping[str, float]) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return float(node.value)
    if isinstance(node, ast.Name):
        if node.id not in names:
            raise ValueError(f"${node.id} is not a parameter; choose from {', '.join(names) or 'none'}")
        return float(names[node.id])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        return _value(node.operand, names) * (-1 if isinstance(node.op, ast.USub) else 1)
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        left, right = float(_value(node.left, names)), float(_value(node.right, names))
        return _BINARY[type(node.op)](left, right)
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in _FUNCTIONS
        and not node.keywords
    ):
        return _FUNCTIONS[node.func.id](*(float(_value(a, names)) for a in node.args))
    raise SyntaxError


def resolve(parameters: Mapping[str, Any], known: Mapping[str, float]) -> dict[str, Any]:
    """Return the parameters with expressions replaced by their values; each may refer to `known` and earlier ones.

    Raises:
        ValueError: as for `evaluate`.
    """
    found: dict[str, Any] = {}
    for name, value in parameters.items():
        found[name] = evaluate(value, {**known, **_numbers(found)}) if is_expression(value) else value
    return found


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: v for name, v in values.items() if isinstance(v, int | float)}


def substitute(node: Any, parameters: Mapping[str, float]) -> Any:
    """Return a description's content with all expressions replaced by their values.

    Raises:
        ValueError: as for `evaluate`.
    """
    if isinstance(node, dict):
        return {key: substitute(value, parameters) for key, value in node.items()}
    if isinstance(node, list):
        return [substitute(value, parameters) for value in node]
    return evaluate(node, parameters) if is_expression(node) else node
