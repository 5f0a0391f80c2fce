"""Evaluate a condition on points such as `C_it >= C_ii`: `hydra.sweeper.where`, and the conditions of single axes.

Python's parser reads it, and this module makes a function of the syntax tree: comparisons, `and`, `or`, `not`, `in`,
arithmetic, names, dotted names, numbers, strings and lists. Python executes nothing of it.
"""

import ast
import itertools
import math
import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from sweeps.base.errors import SweepError

EXAMPLES = "as in C_it >= C_ii or h == 1"
OPERATORS: Mapping[type, Callable[..., Any]] = {
    ast.USub: operator.neg,
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
BOUNDS: Mapping[type, int] = {ast.Lt: 1, ast.LtE: 1, ast.Gt: -1, ast.GtE: -1}  # sign of the difference left - right
BEYOND = 1e-9  # for a point that is on a bound which it must not reach
SPELLED = {"true": True, "false": False, "null": None}  # as in YAML; on an axis they are names

Part = Callable[[Mapping[str, Any]], Any]  # what a part of a condition comes to at a point


class Condition:
    """A condition on a point.

    Args:
        text: as the user wrote it.
        words: names that mean themselves, as the choices of axes do: they need no quotes.
        setting: the key that the user has set, for messages.

    Raises:
        SweepError: it is no condition, or has something that is not allowed in one.
    """

    def __init__(self, text: str, words: Collection[str] = (), setting: str = "hydra.sweeper.where") -> None:
        self.text = text
        self._words = words
        self._setting = setting
        self.names: set[str] = set()
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except SyntaxError as error:
            raise self._refused(error.msg) from error
        self._value = self._read(tree)
        parts = tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]
        self._distances = [self._distance(part) for part in parts]

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether the condition is true at a point.

        Args:
            values: a value for each of `names`.

        Raises:
            SweepError: it compares what cannot be compared, or its value is neither true nor false.
        """
        try:
            result = self._value({name: _meaning(value) for name, value in values.items()})
        except (TypeError, ZeroDivisionError) as error:
            given = ", ".join(f"{name}={values[name]}" for name in sorted(self.names))
            raise self._refused(f"at {given}: {error}") from error
        if not isinstance(result, bool):
            raise self._refused(f"it gives {result!r}, neither true nor false")
        return result

    def violations(self, values: Mapping[str, Any]) -> list[float]:
        """How far a point is from meeting each part of the condition that `and` joins, for a sampler's constraints.

        Args:
            values: as for `holds`.

        Returns:
            Finite numbers. All are 0 or less where the condition holds; one at least is greater where it does not. A
            comparison of numbers gives their difference, so a model can learn where the condition begins to hold.

        Raises:
            SweepError: as `holds`.
        """
        holds, meant = self.holds(values), {name: _meaning(value) for name, value in values.items()}
        found = [distance(meant) for distance in self._distances]
        if holds:
            return [min(distance, 0.0) for distance in found]
        return found if max(found) > 0 else [max(distance, BEYOND) for distance in found]

    def no_such(self, name: str, known: Sequence[str]) -> SweepError:
        """The error for a name that is neither an axis nor a key."""
        close = get_close_matches(name, known)
        hint = f"did you mean {close[0]}? A" if close else "a"
        said = f"there is no axis and no key {name}; {hint} value that is on no axis needs quotes: '{name}'"
        return self._refused(said)

    def _read(self, node: ast.expr) -> Part:  # noqa: PLR0911  # one for each kind of node
        match node:
            case ast.Constant(value=bool() | int() | float() | str() | None as constant):
                return lambda values: constant
            case ast.Name() | ast.Attribute() if all(map(str.isidentifier, (name := ast.unparse(node)).split("."))):
                if name in SPELLED:
                    return lambda values: SPELLED[name]
                if name in self._words:
                    return lambda values: name
                self.names.add(name)
                return operator.itemgetter(name)
            case ast.List(elts) | ast.Tuple(elts):
                parts = [self._read(element) for element in elts]
                return lambda values: [part(values) for part in parts]
            case ast.UnaryOp(ast.Not(), operand):
                negated = self._truth(operand)
                return lambda values: not negated(values)
            case ast.UnaryOp(sign, operand):
                operation, part = self._operator(sign), self._read(operand)
                return lambda values: operation(part(values))
            case ast.BoolOp(junction, operands):
                test, truths = (all if isinstance(junction, ast.And) else any), list(map(self._truth, operands))
                return lambda values: test(truth(values) for truth in truths)
            case ast.BinOp(left, sign, right):
                one, operation, other = self._read(left), self._operator(sign), self._read(right)
                return lambda values: operation(one(values), other(values))
            case ast.Compare(left, signs, others):
                sides = list(itertools.pairwise(map(self._read, (left, *others))))
                compared = list(zip(map(self._operator, signs), sides, strict=True))
                return lambda values: all(holds(one(values), other(values)) for holds, (one, other) in compared)
        raise self._refused(f"{ast.unparse(node)} is not allowed in it")

    def _distance(self, node: ast.expr) -> Callable[[Mapping[str, Any]], float]:
        match node:
            case ast.BoolOp(junction, operands):
                pick, parts = (max if isinstance(junction, ast.And) else min), list(map(self._distance, operands))
                return lambda values: pick(part(values) for part in parts)
            case ast.UnaryOp(ast.Not(), operand):
                negated = self._distance(operand)
                return lambda values: -negated(values)
            case ast.Compare(left, signs, others):
                sides = itertools.pairwise(map(self._read, (left, *others)))
                compared = [(type(sign), one, other) for sign, (one, other) in zip(signs, sides, strict=True)]
                return lambda values: max(_apart(sign, one, other, values) for sign, one, other in compared)
        truth = self._read(node)
        return lambda values: -1.0 if truth(values) is True else 1.0

    def _truth(self, node: ast.expr) -> Part:
        part = self._read(node)

        def truth(values: Mapping[str, Any]) -> bool:
            found = part(values)
            if not isinstance(found, bool):
                raise TypeError(f"{ast.unparse(node)} is {found!r}, neither true nor false")
            return found

        return truth

    def _operator(self, sign: ast.AST) -> Callable[..., Any]:
        if type(sign) not in OPERATORS:
            raise self._refused(f"{type(sign).__name__} is not allowed in it")
        return OPERATORS[type(sign)]

    def _refused(self, why: str) -> SweepError:
        return SweepError(f"{self._setting}={self.text} is not allowed: {why}; it is a condition, {EXAMPLES}")


def _apart(sign: type, one: Part, other: Part, values: Mapping[str, Any]) -> float:
    """How far a comparison is from holding: 0 or less where it holds."""
    try:
        left, right = one(values), other(values)
        if sign in BOUNDS and isinstance(left, int | float) and isinstance(right, int | float):
            apart = BOUNDS[sign] * (float(left) - float(right))
            return apart if math.isfinite(apart) else math.copysign(1.0, apart)
        return -1.0 if OPERATORS[sign](left, right) else 1.0
    except (TypeError, ZeroDivisionError, OverflowError):  # at this point, another part of the condition decides
        return 1.0


def _meaning(value: Any) -> Any:
    return SPELLED.get(value.lower(), value) if isinstance(value, str) else value
