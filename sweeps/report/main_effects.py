"""What each value of an axis does by itself: an additive model of all points, at a step that all of them have reached.

Pruning ends most trials early, and the best points alone say little about a value. At an early step nothing is chosen
yet: there all points count.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweeps.points.numbers import digits, padded
from sweeps.points.search_space import Value, name_of, point_id
from sweeps.points.statistics import ERROR, ROUNDING, critical
from sweeps.report.effects import MAX_GRID, axis_values
from sweeps.report.reading import Sweep
from sweeps.report.tables import Column, Row, Table

MIN_FREEDOM = 5  # points beyond the number of coefficients


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
    is_end: bool  # whether no trial goes on after that step
    n: int  # points
    explained: float  # the part of the variance that the model explains, 0 to 1
    shares: Mapping[str, float]  # axis -> the part that the model loses without it; they need not add up to `explained`
    effects: tuple[Effect, ...]  # axis by axis, the best value first
    without: tuple[tuple[str, Value], ...]  # axes and values of which no point has reached that step


def main_effects(sweep: Sweep) -> MainEffects | str:
    """Fit the objective as a sum of one effect for each axis's value, by least squares over the points.

    A point's value is the mean of its replicas at the latest step that all points with a complete or a pruned trial
    have reached. If the complete trials end at different steps, it is the mean of their objectives. The effects of an
    axis add up to 0. A point without an axis has none of its effects, so a value on which another axis depends is
    compared at the mean of that axis. Results choose the best value, with which the others are compared: so intervals
    are Tukey-Kramer's for all pairs of an axis. They assume that the points scatter about the model by one standard
    deviation.

    Returns:
        why it cannot be fitted with fewer than two axes of which points have several values, with an axis of more than
        12 values, with too few points, or where the points cannot tell the effects of two axes apart.
    """
    step, measured = _measured(sweep)
    seen = {(axis, value) for point, _ in measured for axis, value in point.items()}
    every = {axis: axis_values(sweep, axis) for axis in sweep.axes}
    known = {axis: [value for value in values if (axis, value) in seen] for axis, values in every.items()}
    values = {axis: found for axis, found in known.items() if len(found) > 1}
    design = np.array([[1.0, *_coded(point, values)] for point, _ in measured])
    objective = np.array([value for _, value in measured])
    if why := _why_not(values, design, objective):
        return why
    freedom = len(measured) - design.shape[1]
    coefficients, *_ = np.linalg.lstsq(design, objective)
    residuals, spread = objective - design @ coefficients, objective - objective.mean()
    covariance = np.linalg.inv(design.T @ design) * (residuals @ residuals) / freedom
    rounding = ROUNDING * float(np.abs(objective).max())
    effects = []
    for axis, found in values.items():
        reach = critical(len(found), freedom, ERROR)
        counts = Counter(point[axis] for point, _ in measured if axis in point)
        rows = {value: np.array([0.0, *_coded({axis: value}, values)]) for value in found}
        order = sorted(found, key=lambda value: float(rows[value] @ coefficients) * sweep.goal.sign)
        for value in order:
            contrast = rows[value] - rows[order[0]]
            difference = float(contrast @ coefficients)
            error = reach * float(max(contrast @ covariance @ contrast, 0)) ** 0.5 + rounding
            mean = float(coefficients[0] + rows[value] @ coefficients)
            ends = difference - error, difference + error
            effects.append(Effect(axis, value, counts[value], mean, difference, ends))
    total, left = float(spread @ spread), float(residuals @ residuals)
    shares = {axis: (_left(design, objective, values, axis) - left) / total for axis in values}
    last = max((max(trial.steps) for trial in sweep.in_state("COMPLETE") if trial.steps), default=None)
    without = [(axis, value) for axis in values for value in every[axis] if (axis, value) not in seen]
    return MainEffects(
        step=step,
        is_end=step is None or step == last,
        n=len(measured),
        explained=1 - left / total,
        shares=shares,
        effects=tuple(effects),
        without=tuple(without),
    )


def _why_not(values: Mapping[str, list[Value]], design: Any, objective: Any) -> str | None:
    """Why there is nothing to fit; None if there is."""
    wide = [axis for axis, found in values.items() if len(found) > MAX_GRID]
    if not len(objective):
        return "The points have reported no finite value at a common step."
    if len(values) < 2:
        return f"Needs two axes of which points have several values; there are {len(values)}."
    if wide:
        return f"Needs axes of at most {MAX_GRID} values; {wide[0]} has {len(values[wide[0]])}."
    if len(objective) < (needed := design.shape[1] + MIN_FREEDOM):
        return f"Needs {needed} points for so many values; there are {len(objective)}."
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return "The points cannot tell the axes apart: some values come only with certain values of another axis."
    return None if np.ptp(objective) else "All objectives are equal: there is nothing to explain."


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
    rows = []
    n = digits(effect.mean for effect in found.effects)
    for axis, (best, *others) in itertools.groupby(found.effects, key=lambda effect: effect.axis):
        rows.append(Row((axis, name_of(best.value), str(best.n), padded(best.mean, n), "", "", "best"), best=True))
        for effect in others:
            low, high = effect.interval
            cells = ("", name_of(effect.value), str(effect.n), padded(effect.mean, n))
            differs = "within noise" if low <= 0 <= high else "differs"
            rows.append(Row((*cells, f"{effect.difference:+.4g}", f"{low:+.4g} to {high:+.4g}", differs)))
        left_out = [value for name, value in found.without if name == axis]
        rows += [Row(("", name_of(value), "0", "-", "", "", "no point has a value")) for value in left_out]
    return Table(columns, tuple(rows))


def effects_lead(sweep: Sweep, found: MainEffects) -> str:
    """What the table shows, in words."""
    if found.step is None:
        which = f"The {found.n} complete points at the end of their trials, whose lengths differ"
    else:
        step = f"{sweep.goal.step_name} {found.step}"
        which = f"The {found.n} complete and pruned points at {step}, the latest that all of them have reached"
    later = "" if found.is_end else " Later the order may be another one."
    left = {axis: max(found.explained - max(share, 0), 0) for axis, share in found.shares.items()}
    each = ", ".join(f"without {axis} {part:.0%}" for axis, part in left.items())
    return (
        f"{which}: what each value does if the effects of the axes add up (least squares). The sum explains"
        f" {found.explained:.0%} of the variance; {each}. All intervals of an axis hold at once with probability"
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
        points[point_id(trial.point)].append(trial)
    reached = [set.union(*(set(trial.steps) for trial in own)) for own in points.values()]
    shared = set.intersection(*reached) if reached else set()
    step = max(shared, default=0)
    means = [
        (own[0].point, float(np.mean([trial.steps[step] for trial in own if step in trial.steps])))
        for own in points.values()
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
