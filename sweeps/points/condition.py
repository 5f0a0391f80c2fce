"""Evaluate `hydra.sweeper.where`: points exist where this condition holds, such as `C_it >= C_ii`.

Python's parser reads it, and this module evaluates the syntax tree: comparisons, `and`, `or`, `not`, `in`, arithmetic,
names, dotted names, numbers, strings and lists. Python executes nothing of it.
"""

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from sweeps.base.errors import SweepError

EXAMPLES = "as in C_it >= C_ii or loss != 'lafite' or h == 1"
OPERATORS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda one, many: one in many,
    ast.NotIn: lambda one, many: one not in many,
}
SPELLED = {"true": True, "false": False, "null": None}  # as in YAML; on an axis they are names
LEAVES = (ast.Constant, ast.Name, ast.Attribute)
BRANCHES = (ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.List, ast.Tuple, ast.And, ast.Or, ast.Not, ast.USub)


class Condition:
    """A condition on a point.

    Args:
        text: as the user wrote it.

    Raises:
        SweepError: it is no condition, or has something that is not allowed in one.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except SyntaxError as error:
            raise self._refused(error.msg) from error
        self._check(self._tree)
        self.names = frozenset(_names(self._tree))

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether the condition is true at a point.

        Args:
            values: a value for each of `names`.

        Raises:
            SweepError: it compares what cannot be compared, or its value is neither true nor false.
        """
        try:
            result = self._evaluate(self._tree, {name: _meaning(value) for name, value in values.items()})
        except (TypeError, ZeroDivisionError) as error:
            given = ", ".join(f"{name}={values[name]}" for name in sorted(self.names))
            raise self._refused(f"at {given}: {error}") from error
        if not isinstance(result, bool):
            raise self._refused(f"it gives {result!r}, neither true nor false")
        return result

    def no_such(self, name: str, known: Sequence[str]) -> SweepError:
        """The error for a name that is neither an axis nor a key."""
        close = get_close_matches(name, known)
        hint = f"; did you mean {close[0]}?" if close else ""
        return self._refused(f"there is no axis and no key {name}{hint}")

    def _check(self, node: ast.AST) -> None:
        allowed = isinstance(node, (*LEAVES, *BRANCHES, *OPERATORS))
        if isinstance(node, ast.Attribute):
            allowed = _dotted(node) is not None
        if isinstance(node, ast.Constant):
            allowed = isinstance(node.value, bool | int | float | str | None)
        if not allowed:
            what = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
            raise self._refused(f"{what} is not allowed in it")
        if not isinstance(node, LEAVES):
            for child in ast.iter_child_nodes(node):
                if not isinstance(child, ast.expr_context):
                    self._check(child)

    def _evaluate(self, node: ast.expr, values: Mapping[str, Any]) -> Any:  # noqa: PLR0911  # one for each kind of node
        match node:
            case ast.Constant():
                return node.value
            case ast.Name() | ast.Attribute():
                name = str(_dotted(node))
                return SPELLED[name] if name in SPELLED else values[name]
            case ast.List() | ast.Tuple():
                return [self._evaluate(element, values) for element in node.elts]
            case ast.UnaryOp():
                if isinstance(node.op, ast.Not):
                    return not self._truth(node.operand, values)
                return -self._evaluate(node.operand, values)
            case ast.BoolOp():
                test = all if isinstance(node.op, ast.And) else any
                return test(self._truth(value, values) for value in node.values)
            case ast.BinOp():
                return OPERATORS[type(node.op)](self._evaluate(node.left, values), self._evaluate(node.right, values))
            case ast.Compare():
                return self._compare(node, values)
        raise AssertionError(node)  # `_check` has refused it

    def _truth(self, node: ast.expr, values: Mapping[str, Any]) -> bool:
        found = self._evaluate(node, values)
        if not isinstance(found, bool):
            raise TypeError(f"{ast.unparse(node)} is {found!r}, neither true nor false")
        return found

    def _compare(self, node: ast.Compare, values: Mapping[str, Any]) -> bool:
        left = self._evaluate(node.left, values)
        for comparison, expression in zip(node.ops, node.comparators, strict=True):
            right = self._evaluate(expression, values)
            if not OPERATORS[type(comparison)](left, right):
                return False
            left = right
        return True

    def _refused(self, why: str) -> SweepError:
        return SweepError(f"hydra.sweeper.where={self.text} is not allowed: {why}; it is a condition, {EXAMPLES}")


def _meaning(value: Any) -> Any:
    return SPELLED.get(value.lower(), value) if isinstance(value, str) else value


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Name | ast.Attribute):
        name = str(_dotted(node))
        return [] if name in SPELLED else [name]
    return [name for child in ast.iter_child_nodes(node) for name in _names(child)]


def _dotted(node: ast.AST) -> str | None:
    """`a.b.c` of names alone, else None."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := _dotted(node.value)) is not None:
        return f"{before}.{node.attr}"
    return None
