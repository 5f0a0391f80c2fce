"""What the axes do to the objective: heat maps of a grid, the effect of one axis, replicas with their intervals."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

from plotly.graph_objects import Figure, Heatmap, Scatter

from sweeps.points.numbers import digits
from sweeps.points.ranking import PointResult
from sweeps.points.search_space import Value, is_numeric, name_of
from sweeps.report.reading import Sweep
from sweeps.report.style import COLOURS, GREY, LOG_TICKS, MAX_LABEL, SCALE, SHORT_LABEL, label, styled

MAX_GRID = 12  # values of an axis; one with more is drawn by values, not as a grid
MAX_MAPS = 6
MAX_WRITTEN = 80  # cells; more are too small to write into
MAX_ROWS = 30
ENDS = {"FAIL": "failed"}


def axis_values(sweep: Sweep, axis: str) -> list[Value]:
    """The values that points have on an axis, also if no trial is complete: numbers in order, names as they come."""
    points = [*(result.point for result in sweep.points), *(trial.point for trial in sweep.trials)]
    values = list(dict.fromkeys(point[axis] for point in points if axis in point))
    return sorted(values) if is_numeric(values) else values


def grid_pairs(sweep: Sweep) -> list[tuple[str, str]]:
    """The pairs of axes that are drawn as heat maps."""
    few = [axis for axis in sweep.axes if 2 <= len(axis_values(sweep, axis)) <= MAX_GRID]
    return list(itertools.combinations(few, 2))[:MAX_MAPS]


def heat_map(sweep: Sweep, across: str, up: str) -> Figure:
    """Two axes: in each cell the mean of the replicas of its best point, over all other axes."""
    xs, ys = axis_values(sweep, across), axis_values(sweep, up)
    best = [[_best_at(sweep, {across: x, up: y}) for x in xs] for y in ys]
    # a lucky seed must not be the darkest: points of which a replica has no value are written in, without a colour
    cells = [[None if result is None or result.is_partial else result.first.mean for result in row] for row in best]
    written, n = len(xs) * len(ys) <= MAX_WRITTEN, digits(itertools.chain(*cells))
    figure = Figure(
        Heatmap(
            z=cells,  # at 0, 1, 2, ...: two long names may have the same label
            customdata=[
                [f"{label(across)} {label(name_of(x))}<br>{label(up)} {label(name_of(y))}" for x in xs] for y in ys
            ],
            text=[["" if value is None else f"{value:.{n}g}" for value in row] for row in cells],
            texttemplate="%{text}" if written else None,
            colorscale=SCALE,
            reversescale=sweep.goal.minimizes,  # the darker the better
            hoverongaps=False,
            xgap=2,
            ygap=2,
            colorbar={"title": label(sweep.objective), "thickness": 14, "outlinewidth": 0},
            hovertemplate="%{customdata}<br>%{text}<extra></extra>",
        )
    )
    for (i, x), (j, y) in itertools.product(enumerate(xs), enumerate(ys)) if written else ():
        if cells[j][i] is None and (said := _instead(sweep, best[j][i], {across: x, up: y})):
            figure.add_annotation(x=i, y=j, text=label(said), showarrow=False, font={"size": 11})
    styled(figure, 150 + 45 * max(3, len(ys)))
    figure.update_xaxes(
        title=label(across), showgrid=False, zeroline=False, **_ticks([name_of(x) for x in xs], SHORT_LABEL)
    )
    ticks = _ticks([name_of(y) for y in ys], SHORT_LABEL)
    figure.update_yaxes(title=label(up, SHORT_LABEL), showgrid=False, zeroline=False, automargin=True, **ticks)
    return figure


def one_axis(sweep: Sweep, axis: str) -> Figure:
    """The objective against the only axis: each trial, the means, their intervals."""
    values = axis_values(sweep, axis)
    order = sorted((p for p in sweep.points if axis in p.point), key=lambda result: values.index(result.point[axis]))
    numeric = is_numeric(values)
    xs = [result.point[axis] if numeric else values.index(result.point[axis]) for result in order]
    several = sweep.ranking.has_replicas
    look = {"mode": "lines+markers" if numeric else "markers", "line": {"color": COLOURS[0]}, "marker": {"size": 8}}
    figure = styled(Figure(_spread(order, "x", xs, **look)[not several :]), 360)
    figure.update_layout(showlegend=several)
    log = numeric and axis in sweep.log_axes and min(map(float, values)) > 0
    scale = ({"type": "log", **LOG_TICKS} if log else {}) if numeric else _ticks([name_of(value) for value in values])
    figure.update_xaxes(title=label(axis), **scale)
    complete = {result.point[axis] for result in order}
    for index, value in enumerate(values):
        if value not in complete:
            at = float(value) if numeric else index
            figure.add_vline(x=at, line={"dash": "dot", "color": GREY})
            place = {"x": math.log10(at) if log else at, "y": 1, "yref": "paper", "yanchor": "bottom"}
            figure.add_annotation(**place, text=label(_ends(sweep, {axis: value})), showarrow=False)
    figure.update_yaxes(title=label(sweep.objective))
    return figure


def replicas(sweep: Sweep) -> Figure:
    """Each point's replicas, their mean and interval, the best on top."""
    shown = sweep.points[:MAX_ROWS]
    n = digits(result.first.mean for result in shown)
    texts = [f"{label(str(result))}<br>{result.first.text(n)}" for result in shown]
    look = {"mode": "markers", "marker": {"size": 9, "color": COLOURS[0]}, "hovertemplate": "%{text}<extra></extra>"}
    figure = styled(Figure(_spread(shown, "y", list(range(len(shown))), text=texts, **look)), 130 + 26 * len(shown))
    figure.update_xaxes(title=label(sweep.objective))
    ticks = _ticks([str(result) for result in shown])
    figure.update_yaxes(range=[len(shown) - 0.5, -0.5], automargin=True, zeroline=False, **ticks)
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    return figure


def _ticks(names: Sequence[str], most: int = MAX_LABEL) -> dict[str, object]:
    """Names at 0, 1, 2, ..., of at most so many characters."""
    texts = [label(name, most) for name in names]
    return {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": texts}


def _spread(points: Sequence[PointResult], across: str, places: Sequence[object], **look: Any) -> list[Scatter]:
    """The single trials in grey, and over them each point's mean with its interval.

    Args:
        points: complete ones.
        across: `x` or `y`, the axis of the figure that has the places.
        places: one for each point.
        look: of the means.
    """
    up = "y" if across == "x" else "x"
    dots = [(place, trial.value) for place, result in zip(places, points, strict=True) for trial in result.complete]
    grey = {"size": 7, "color": GREY, "line": {"width": 1, "color": "#8c959f"}}
    single = {across: [place for place, _ in dots], up: [value for _, value in dots]}
    means = [result.first.mean for result in points]
    ends = [result.first.interval or (result.first.mean,) * 2 for result in points]  # none for a single trial
    bars = {
        "type": "data",
        "symmetric": False,
        "array": [high - mean for (_, high), mean in zip(ends, means, strict=True)],
        "arrayminus": [mean - low for (low, _), mean in zip(ends, means, strict=True)],
        "color": COLOURS[0],
        "thickness": 1.5,
    }
    return [
        Scatter(**single, name="single trials", mode="markers", marker=grey, hoverinfo="skip"),
        Scatter(**{across: places, up: means, f"error_{up}": bars}, name="mean, 95 % interval", **look),
    ]


def _ends(sweep: Sweep, where: dict[str, Value]) -> str:
    """The states of the trials at a place of the figure where none is complete."""
    found = [t for t in sweep.trials if all(t.point.get(axis) == value for axis, value in where.items())]
    return ", ".join(dict.fromkeys(ENDS.get(trial.state, trial.state.lower()) for trial in found))


def _instead(sweep: Sweep, result: PointResult | None, where: dict[str, Value]) -> str:
    """What a cell without a colour says: the mean of few replicas, or how its trials ended."""
    return _ends(sweep, where) if result is None else f"{result.first.mean:.4g}, {sweep.ranking.count(result)}"


def _best_at(sweep: Sweep, where: dict[str, Value]) -> PointResult | None:
    """The best point at a place of the figure; one with all its replicas comes before others."""
    found = (p for p in sweep.points if all(p.point.get(axis) == value for axis, value in where.items()))
    return next(found, None)
