"""The reported objective against the step, for all trials."""

import math
from collections.abc import Sequence
from typing import Any

from plotly.graph_objects import Figure, Scatter

from sweeps.points.search_space import point_id
from sweeps.points.trial_record import TrialRecord
from sweeps.report.reading import Sweep
from sweeps.report.style import COLOURS, GREY, LOG_TICKS, label, styled

HEIGHT = 440  # pixels
MAX_MARKED = 40  # steps; longer curves are drawn without markers
ENDS = {"PRUNED": ("x-thin-open", "pruned"), "FAIL": ("x", "failed"), "RUNNING": ("circle-open", "runs")}


def curves(sweep: Sweep) -> Figure | None:
    """The best points in colours, one for each with all its replicas; the others in grey behind them.

    None where no trial has reported a finite value.
    """
    trials = [trial for trial in sweep.trials if _finite(trial)]
    if not trials:
        return None
    figure = Figure()
    best = {point_id(result.point): colour for result, colour in zip(sweep.points, COLOURS, strict=False)}
    rest = [trial for trial in trials if point_id(trial.point) not in best]
    if rest:  # as one trace: a browser draws thousands of these
        figure.add_trace(_curve(rest, name="other points", mode="lines", line={"color": GREY, "width": 1}))
    for point, colour in best.items():
        for index, trial in enumerate(trial for trial in trials if point_id(trial.point) == point):
            figure.add_trace(
                _curve(
                    [trial],
                    name=label(str(trial)),
                    legendgroup=point,
                    showlegend=index == 0,
                    mode="lines+markers" if len(_finite(trial)) <= MAX_MARKED else "lines",
                    line={"color": colour, "width": 2},
                    marker={"size": 5},
                )
            )
    for state, (symbol, name) in ENDS.items():
        ended = [trial for trial in trials if trial.state == state]
        colour = "#b3261e" if state == "FAIL" else "#6e7781"
        marker = {"symbol": symbol, "size": 6, "color": colour, "line": {"width": 1}}
        if ended:
            figure.add_trace(_curve(ended, last=True, name=name, mode="markers", marker=marker))
    _axes(figure, sweep, positive=all(value > 0 for trial in trials for _, value in _finite(trial)))
    return figure


def _finite(trial: TrialRecord) -> list[tuple[int, float]]:
    return [(step, value) for step, value in trial.steps.items() if math.isfinite(value)]


def _curve(trials: Sequence[TrialRecord], last: bool = False, **look: Any) -> Scatter:
    """The reports of trials as one trace, with gaps between them; or the last report of each."""
    xs: list[int | None] = []
    ys: list[float | None] = []
    texts: list[str] = []
    for trial in trials:
        found = _finite(trial)[-1:] if last else _finite(trial)
        gap = [] if last or len(trials) == 1 else [None]
        xs += [*(step for step, _ in found), *gap]
        ys += [*(value for _, value in found), *gap]
        texts += [label(f"trial {trial.label}  {trial}")] * (len(found) + len(gap))
    return Scatter(x=xs, y=ys, text=texts, hovertemplate="%{text}<br>%{x}: %{y:.6g}<extra></extra>", **look)


def _axes(figure: Figure, sweep: Sweep, positive: bool) -> None:
    styled(figure, HEIGHT)
    figure.update_xaxes(title=label(sweep.goal.step_name), rangemode="tozero")
    log = positive and sweep.goal.minimizes  # distances fall by factors; shares such as accuracies do not rise by them
    figure.update_yaxes(title=label(sweep.objective), type="log" if log else "linear", **LOG_TICKS)
    below = 22 * sum(trace.showlegend is not False for trace in figure.data) + 40  # beside the curves, it squeezes them
    legend = {"title": "best first", "font": {"size": 11.5}, "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"}
    figure.update_layout(height=HEIGHT + below, margin={"b": 55 + below}, showlegend=True, legend=legend)
    if not positive:  # a logarithm would hide values
        return
    buttons = [
        {"label": name, "method": "relayout", "args": [{"yaxis.type": kind, "yaxis.autorange": True}]}
        for name, kind in (("log", "log"), ("linear", "linear"))
    ]
    menu = {"type": "buttons", "direction": "right", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}
    look = {"pad": {"b": 4}, "bgcolor": "white", "active": 1 - log}
    figure.update_layout(updatemenus=[{**menu, **look, "buttons": buttons}])
