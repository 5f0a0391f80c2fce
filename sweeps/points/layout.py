"""Lay out the axes of a sweep: which axes a point has together, and with which values.

Without unions and conditions, a point has a value on each axis, and the points are the product of the axes' values.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sweeps.points.search_space import AnyAxis, Point, Value, Values, name_of, point_at, point_id

Exists = Callable[[Values], bool]
MAX_TRIED = 10_000  # points that are tried for one at which a conditional axis exists


@dataclass(frozen=True)
class Union:
    """Axes that depend on each other: a point has the axes and the values of one of these grids."""

    name: str  # the key under `hydra.sweeper.params`
    grids: tuple[Mapping[str, Sequence[Value] | None], ...]  # axis -> its values there; None: any value of an interval

    @functools.cached_property
    def axes(self) -> tuple[str, ...]:
        """All axes of the grids, in order of appearance."""
        return tuple(dict.fromkeys(axis for grid in self.grids for axis in grid))

    def __str__(self) -> str:
        grids = (" ".join(f"{axis}={_listed(values)}" for axis, values in grid.items()) for grid in self.grids)
        return f"{self.name}: {' | '.join(grid or '(no axis)' for grid in grids)}"


@dataclass(frozen=True)
class Layout:
    """All axes of a sweep, and how they depend on each other."""

    axes: Sequence[AnyAxis]
    unions: Sequence[Union] = ()
    conditions: Mapping[str, str] = field(default_factory=dict)  # axis -> where it exists, as the user wrote it
    holds: Mapping[str, Exists] = field(default_factory=dict)  # the same, to be asked at a point of the other axes

    @functools.cached_property
    def always(self) -> list[str]:
        """The axes that every point has."""
        partial = {axis for union in self.unions for grid in union.grids for axis in set(union.axes) - set(grid)}
        return [axis.name for axis in self.axes if axis.name not in partial and axis.name not in self.conditions]

    @property
    def is_product(self) -> bool:
        """Whether no axis depends on another one."""
        return not self.unions and not self.conditions

    @functools.cached_property
    def to_draw(self) -> list[AnyAxis]:
        """The axes on which a sampler must draw a value after it has chosen a grid of each union."""
        grids = [item for union in self.unions for grid in union.grids for item in grid.items()]
        several = {axis for axis, values in grids if values is None or len(values) > 1}
        return [axis for axis in self.axes if axis.name not in self._united or axis.name in several]

    def __str__(self) -> str:
        return "; ".join(self.lines())

    def lines(self) -> list[str]:
        """How axes depend on each other, for a person."""
        return [*map(str, self.unions), *(f"{axis} only where {text}" for axis, text in self.conditions.items())]

    def points(self) -> list[Point]:
        """List all points; the last axis varies fastest, and a conditional axis faster than all others."""
        every = [values for base in self._bases() for values in self._completed(base)]
        if self.unions:  # grids may overlap
            every = list({point_id(values): values for values in every}.values())
        return [point_at(self.axes, values) for values in every]

    def most_points(self) -> float:
        """An upper bound of the number of points; infinite with an interval of real numbers."""
        conditional = (axis.listed for axis in self.axes if axis.name in self.conditions)
        sizes = [math.inf if values is None else len(values) for values in conditional]
        for part in self._parts():
            lists = [[self._listed(axis, values) for axis, values in grid.items()] for grid in part]
            sizes.append(sum(math.inf if None in grid else math.prod(map(len, filter(None, grid))) for grid in lists))
        return math.prod(sizes)

    def fits(self, values: Values) -> bool:
        """Whether a point has the axes that belong together, and an allowed value on each."""
        if any(name not in self._by_name or self._by_name[name].find(value) is None for name, value in values.items()):
            return False
        if not all(axis.name in values for axis in self._free) or None in self.grids_of(values).values():
            return False
        base = {name: value for name, value in values.items() if name not in self.conditions}
        return all((axis in values) == holds(base) for axis, holds in self.holds.items())

    def grids_of(self, values: Values) -> dict[str, int | None]:
        """Find the number of each union's grid that a point is in; None if it is in none of them."""
        return {union.name: self._grid_of(union, values) for union in self.unions}

    def settled(self, drawn: Values, grids: Mapping[str, int]) -> dict[str, Value]:
        """Make a point from a value on each axis of `to_draw` and the number of a grid of each union."""
        values = {axis.name: drawn[axis.name] for axis in self._free}
        for union in self.unions:
            for name, allowed in union.grids[grids[union.name]].items():
                values[name] = drawn[name] if allowed is None else self._among(name, drawn.get(name), allowed)
        further = {name: drawn[name] for name, holds in self.holds.items() if holds(values)}
        return {**values, **further}

    def examples(self) -> list[tuple[str, dict[str, Value]]]:
        """For each axis and each of its values (of an interval: its bounds) a point that has it, with the axis's name.

        Other axes have their first value.
        """
        first = {axis.name: axis.examples[0] for axis in self.axes}
        grids = {union.name: 0 for union in self.unions}
        found = [
            (axis.name, self.settled({**first, axis.name: value}, grids))
            for axis in self._free
            for value in axis.examples
        ]
        for union in self.unions:
            for number, grid in enumerate(union.grids):
                for name, allowed in grid.items():
                    for value in self._by_name[name].examples if allowed is None else allowed:
                        values = self.settled({**first, name: value}, {**grids, union.name: number})
                        found.append((name, values))
        for name, holds in self.holds.items():
            bases = itertools.chain((values for _, values in found), itertools.islice(self._bases(), MAX_TRIED))
            own = ({axis: v for axis, v in values.items() if axis not in self.conditions} for values in bases)
            if (base := next(filter(holds, own), None)) is not None:
                found += [(name, {**base, name: value}) for value in self._by_name[name].examples]
        return found

    @functools.cached_property
    def _by_name(self) -> dict[str, AnyAxis]:
        return {axis.name: axis for axis in self.axes}

    @functools.cached_property
    def _united(self) -> frozenset[str]:
        return frozenset(axis for union in self.unions for axis in union.axes)

    @functools.cached_property
    def _free(self) -> list[AnyAxis]:
        """The axes that depend on no other."""
        return [axis for axis in self.axes if axis.name not in self._united and axis.name not in self.conditions]

    def _parts(self) -> list[tuple[Mapping[str, Sequence[Value] | None], ...]]:
        """The factors of the product without conditional axes: an axis by itself, or the grids of a union."""
        parts: dict[str, tuple[Mapping[str, Sequence[Value] | None], ...]] = {}
        of = {axis: union for union in self.unions for axis in union.axes}
        for axis in self.axes:
            if axis.name in of:
                parts[f"union {of[axis.name].name}"] = of[axis.name].grids
            elif axis.name not in self.conditions:
                parts[axis.name] = ({axis.name: axis.listed},)
        return list(parts.values())

    def _bases(self) -> Iterator[dict[str, Value]]:
        """All points without their conditional axes; none if an axis has too many values to be listed."""
        lists = []
        for part in self._parts():
            rows: list[dict[str, Value]] = []
            for grid in part:
                columns = [self._listed(axis, values) or () for axis, values in grid.items()]
                rows += [dict(zip(grid, row, strict=True)) for row in itertools.product(*columns)]
            lists.append(rows)
        for choice in itertools.product(*lists):
            yield {name: value for row in choice for name, value in row.items()}

    def _completed(self, base: dict[str, Value]) -> list[dict[str, Value]]:
        every = [base]
        for name, holds in self.holds.items():
            if holds(base):
                every = [{**values, name: value} for values in every for value in self._by_name[name].listed or ()]
        return every

    def _listed(self, axis: str, values: Sequence[Value] | None) -> Sequence[Value] | None:
        return self._by_name[axis].listed if values is None else values

    def _grid_of(self, union: Union, values: Values) -> int | None:
        own = {name: self._by_name[name].find(values[name]) for name in union.axes if name in values}
        for number, grid in enumerate(union.grids):
            if grid.keys() == own.keys() and all(v is None or own[axis] in v for axis, v in grid.items()):
                return number
        return None

    def _among(self, name: str, value: Value | None, allowed: Sequence[Value]) -> Value:
        """The drawn value if the grid has it, else one of the grid's values, evenly."""
        if value is None or len(allowed) == 1:
            return allowed[0]
        return value if value in allowed else allowed[(self._by_name[name].listed or []).index(value) % len(allowed)]


def _listed(values: Sequence[Value] | None) -> str:
    return "(any)" if values is None else ",".join(map(name_of, values))
