"""What the axes do to the objective: heat maps of a grid, the effect of one axis, replicas with their intervals."""

import itertools
from collections.abc import Sequence

from plotly.graph_objects import Figure, Heatmap, Scatter

from sweeps.points.ranking import PointResult
from sweeps.points.search_space import Value, is_numeric, name_of
from sweeps.report.reading import Sweep
from sweeps.report.style import COLOURS, GREY, SCALE, label, styled

MAX_GRID = 12  # values of an axis; one with more is drawn by values, not as a grid
MAX_MAPS = 6
MAX_WRITTEN = 80  # cells; more are too small to write into
MAX_ROWS = 30
MEAN = "mean, 95 % interval"  # in a legend


def axis_values(sweep: Sweep, axis: str) -> list[Value]:
    """The values that complete points have on an axis: numbers in order, names as they come."""
    values = list(dict.fromkeys(result.point[axis] for result in sweep.points if axis in result.point))
    return sorted(values) if is_numeric(values) else values


def grid_pairs(sweep: Sweep) -> list[tuple[str, str]]:
    """The pairs of axes that are drawn as heat maps."""
    few = [axis for axis in sweep.axes if 2 <= len(axis_values(sweep, axis)) <= MAX_GRID]
    return list(itertools.combinations(few, 2))[:MAX_MAPS]


def heat_map(sweep: Sweep, across: str, up: str) -> Figure:
    """Two axes: in each cell the mean of the replicas of its best point, over all other axes."""
    xs, ys = axis_values(sweep, across), axis_values(sweep, up)
    cells = [[_cell(sweep.points, {across: x, up: y}) for x in xs] for y in ys]
    written = len(xs) * len(ys) <= MAX_WRITTEN
    figure = Figure(
        Heatmap(
            z=cells,  # at 0, 1, 2, ...: two long names may have the same label
            customdata=[
                [f"{label(across)} {label(name_of(x))}<br>{label(up)} {label(name_of(y))}" for x in xs] for y in ys
            ],
            text=[["" if value is None else f"{value:.4g}" for value in row] for row in cells],
            texttemplate="%{text}" if written else None,
            colorscale=SCALE,
            reversescale=sweep.minimizes,  # the darker the better
            hoverongaps=False,
            xgap=2,
            ygap=2,
            colorbar={"title": label(sweep.objective), "thickness": 14, "outlinewidth": 0},
            hovertemplate="%{customdata}<br>%{text}<extra></extra>",
        )
    )
    styled(figure, 150 + 45 * max(3, len(ys)))
    figure.update_xaxes(title=label(across), showgrid=False, zeroline=False, **_ticks([name_of(x) for x in xs]))
    ticks = _ticks([name_of(y) for y in ys])
    figure.update_yaxes(title=label(up), showgrid=False, zeroline=False, automargin=True, **ticks)
    return figure


def one_axis(sweep: Sweep, axis: str) -> Figure:
    """The objective against the only axis: each trial, the means, their intervals."""
    values = axis_values(sweep, axis)
    order = sorted((p for p in sweep.points if axis in p.point), key=lambda result: values.index(result.point[axis]))
    numeric = is_numeric(values)
    xs = [result.point[axis] if numeric else index for index, result in enumerate(order)]
    figure = Figure()
    if sweep.ranking.has_replicas:
        dots = [(x, trial.value) for x, result in zip(xs, order, strict=True) for trial in result.complete]
        figure.add_trace(_dots([x for x, _ in dots], [y for _, y in dots]))
    mode, line = "lines+markers" if numeric else "markers", {"color": COLOURS[0]}
    means = [result.first.mean for result in order]
    bars = _error_bars(order)
    figure.add_trace(Scatter(x=xs, y=means, error_y=bars, name=MEAN, mode=mode, line=line, marker={"size": 8}))
    styled(figure, 360)
    figure.update_layout(showlegend=sweep.ranking.has_replicas)
    figure.update_xaxes(title=label(axis), **({} if numeric else _ticks([name_of(value) for value in values])))
    figure.update_yaxes(title=label(sweep.objective))
    return figure


def replicas(sweep: Sweep) -> Figure:
    """Each point's replicas, their mean and interval, the best on top."""
    shown = sweep.points[:MAX_ROWS]
    dots = [(trial.value, row) for row, result in enumerate(shown) for trial in result.complete]
    figure = Figure(_dots([x for x, _ in dots], [y for _, y in dots]))
    figure.add_trace(
        Scatter(
            x=[result.first.mean for result in shown],
            y=list(range(len(shown))),
            error_x=_error_bars(shown),
            name=MEAN,
            mode="markers",
            marker={"size": 9, "color": COLOURS[0]},
            text=[f"{label(str(result))}<br>{result.first}" for result in shown],
            hovertemplate="%{text}<extra></extra>",
        )
    )
    styled(figure, 130 + 26 * len(shown))
    figure.update_xaxes(title=label(sweep.objective))
    ticks = _ticks([str(result) for result in shown])
    figure.update_yaxes(range=[len(shown) - 0.5, -0.5], automargin=True, zeroline=False, **ticks)
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    return figure


def _ticks(names: Sequence[str]) -> dict[str, object]:
    """Names at 0, 1, 2, ..."""
    return {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": [label(name) for name in names]}


def _dots(xs: Sequence[object], ys: Sequence[object]) -> object:
    marker = {"size": 7, "color": GREY, "line": {"width": 1, "color": "#8c959f"}}
    return Scatter(x=xs, y=ys, name="single trials", mode="markers", marker=marker, hoverinfo="skip")


def _error_bars(points: Sequence[PointResult]) -> dict[str, object]:
    """From the mean to the ends of the interval; none for a single trial."""
    ends = [result.first.interval or (result.first.mean, result.first.mean) for result in points]
    means = [result.first.mean for result in points]
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - mean for (_, high), mean in zip(ends, means, strict=True)],
        "arrayminus": [mean - low for (low, _), mean in zip(ends, means, strict=True)],
        "color": COLOURS[0],
        "thickness": 1.5,
    }


def _cell(points: Sequence[PointResult], where: dict[str, Value]) -> float | None:
    found = (p for p in points if all(p.point.get(axis) == value for axis, value in where.items()))
    return next((result.first.mean for result in found), None)
