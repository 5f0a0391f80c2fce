"""What each value of an axis does by itself: an additive model of all points, at a step that all of them have reached.

Pruning ends most trials early, and the best points alone say little about a value. At an early step nothing is chosen
yet: there all points count.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweeps.points.search_space import Value, name_of
from sweeps.points.statistics import ERROR, ROUNDING, critical
from sweeps.report.effects import MAX_GRID, axis_values
from sweeps.report.reading import Sweep
from sweeps.report.tables import Column, Row, Table

MIN_FREEDOM = 5  # points beyond the number of coefficients
FEW_POINTS = (
    f"Not computed: this needs {MIN_FREEDOM} points more than effects to estimate, no axis of more than {MAX_GRID}"
    " values, points that tell the axes apart, and objectives that differ at a step that all points have reported."
)


@dataclass(frozen=True)
class Effect:
    """One value of an axis."""

    axis: str
    value: Value
    n: int  # points with it
    mean: float  # of the objective, where the other axes are at the mean of their values
    difference: float  # from the best value of the axis
    interval: tuple[float, float]  # of the difference; all of an axis hold at once with 95 %; (0, 0) for the best


@dataclass(frozen=True)
class MainEffects:
    """The effects of all axes at one step."""

    step: int | None  # None: the end of each training
    explained: float  # the part of the variance that the model explains, 0 to 1
    shares: Mapping[str, float]  # axis -> the part that the model loses without it
    effects: tuple[Effect, ...]  # axis by axis, the best value first


def main_effects(sweep: Sweep) -> MainEffects | None:
    """Fit the objective as a sum of one effect for each axis's value, by least squares over the points.

    A point's value is the mean of its replicas at the latest step that all points with a complete or a pruned trial
    have reached. If the complete trials end at different steps, it is the mean of their objectives. The effects of an
    axis add up to 0. A point without an axis has none of its effects, so a value on which another axis depends is
    compared at the mean of that axis. Results choose the best value, with which the others are compared: so intervals
    are Tukey-Kramer's for all pairs of an axis. They assume that the points scatter about the model by one standard
    deviation.

    Returns:
        None with fewer than two axes that have several values, with an axis of more than 12 values, with too few
        points, or where the points cannot tell the effects of two axes apart.
    """
    values = {axis: found for axis in sweep.axes if len(found := axis_values(sweep, axis)) > 1}
    if len(values) < 2 or any(len(found) > MAX_GRID for found in values.values()):
        return None
    step, measured = _measured(sweep)
    design = np.array([[1.0, *_coded(point, values)] for point, _ in measured])
    freedom = len(measured) - 1 - sum(len(found) - 1 for found in values.values())
    if freedom < MIN_FREEDOM or np.linalg.matrix_rank(design) < design.shape[1]:
        return None
    objective = np.array([value for _, value in measured])
    coefficients, *_ = np.linalg.lstsq(design, objective)
    residuals, spread = objective - design @ coefficients, objective - objective.mean()
    if not spread.any():
        return None
    covariance = np.linalg.inv(design.T @ design) * (residuals @ residuals) / freedom
    rounding = ROUNDING * float(np.abs(objective).max())
    effects = []
    for axis, found in values.items():
        reach = critical(len(found), freedom, ERROR)
        counts = Counter(point[axis] for point, _ in measured if axis in point)
        rows = {value: np.array([0.0, *_coded({axis: value}, values)]) for value in found}
        order = sorted(found, key=lambda value: float(rows[value] @ coefficients) * (1 if sweep.minimizes else -1))
        for value in order:
            contrast = rows[value] - rows[order[0]]
            difference = float(contrast @ coefficients)
            error = reach * float(max(contrast @ covariance @ contrast, 0)) ** 0.5 + rounding
            mean = float(coefficients[0] + rows[value] @ coefficients)
            ends = difference - error, difference + error
            effects.append(Effect(axis, value, counts[value], mean, difference, ends))
    total, left = float(spread @ spread), float(residuals @ residuals)
    shares = {axis: (_left(design, objective, values, axis) - left) / total for axis in values}
    return MainEffects(step, 1 - left / total, shares, tuple(effects))


def _left(design: Any, objective: Any, values: Mapping[str, list[Value]], without: str) -> float:
    """The sum of squares that the model leaves without the columns of one axis."""
    columns, start = [0], 1
    for axis, found in values.items():
        own = range(start, start + len(found) - 1)
        start = own.stop
        columns += [] if axis == without else own
    coefficients, *_ = np.linalg.lstsq(design[:, columns], objective)
    residuals = objective - design[:, columns] @ coefficients
    return float(residuals @ residuals)


def effects_table(sweep: Sweep, found: MainEffects) -> Table:
    """One row for each value of each axis."""
    columns = (
        Column("axis"),
        Column("value"),
        Column("points", number=True),
        Column(f"{sweep.objective}, mean", number=True),
        Column("from the best value", number=True),
        Column("interval", number=True),
        Column("against the best value"),
    )
    rows, seen = [], set()
    for effect in found.effects:
        best = effect.axis not in seen
        seen.add(effect.axis)
        cells = [effect.axis if best else "", name_of(effect.value), str(effect.n), f"{effect.mean:.4g}"]
        if best:
            cells += ["", "", "best"]
        else:
            low, high = effect.interval
            cells += [f"{effect.difference:+.4g}", f"{low:+.4g} to {high:+.4g}"]
            cells.append("within noise" if low <= 0 <= high else "differs")
        rows.append(Row(tuple(cells), best=best))
    return Table(columns, tuple(rows))


def effects_lead(sweep: Sweep, found: MainEffects) -> str:
    """What the table shows, in words."""
    if found.step is None:
        which, later = "All complete points at the end of their trials, whose lengths differ", ""
    else:
        which = f"All points at {sweep.goal.step_name} {found.step}, the latest that all of them have reached"
        later = " Later the order may be another one."
    each = ", ".join(f"{axis} {max(share, 0):.0%}" for axis, share in found.shares.items())
    return (
        f"{which}: what each value does if the effects of the axes add up (least squares; the sum explains"
        f" {found.explained:.0%} of the variance: {each}). All intervals of an axis hold at once with probability"
        f" {1 - ERROR:g} (Tukey-Kramer).{later}"
    )


def _measured(sweep: Sweep) -> tuple[int | None, list[tuple[Mapping[str, Value], float]]]:
    """The shared step, and each point with its mean there; a point that diverged there is left out."""
    complete = [trial for trial in sweep.in_state("COMPLETE") if trial.steps]
    if len({max(trial.steps) for trial in complete}) > 1:
        return None, [(result.point, result.first.mean) for result in sweep.points]
    trials = [trial for trial in sweep.in_state("COMPLETE", "PRUNED") if trial.steps]
    points = defaultdict(list)
    for trial in trials:
        points[tuple(trial.point.items())].append(trial)
    reached = [set.union(*(set(trial.steps) for trial in own)) for own in points.values()]
    shared = set.intersection(*reached) if reached else set()
    step = max(shared, default=0)
    means = [
        (dict(point), float(np.mean([trial.steps[step] for trial in own if step in trial.steps])))
        for point, own in points.items()
        if shared
    ]
    return step, [(point, mean) for point, mean in means if np.isfinite(mean)]


def _coded(point: Mapping[str, Value], values: Mapping[str, list[Value]]) -> list[float]:
    """A point's row of the design, in deviation coding: the last value of an axis has -1 in all of its columns."""
    row: list[float] = []
    for axis, found in values.items():
        if axis not in point:
            row += [0.0] * (len(found) - 1)
        elif point[axis] == found[-1]:
            row += [-1.0] * (len(found) - 1)
        else:
            row += [float(point[axis] == value) for value in found[:-1]]
    return row
