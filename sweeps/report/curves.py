"""The reported objective against the step, for all trials."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sweeps.points.search_space import point_id
from sweeps.points.trial_record import TrialRecord
from sweeps.report.reading import Sweep
from sweeps.report.style import COLOURS, GREY, label, styled

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MAX_MARKED = 40  # steps; longer curves are drawn without markers
ENDS = {"PRUNED": ("x-thin-open", "pruned"), "FAIL": ("x", "failed"), "RUNNING": ("circle-open", "runs")}


def curves(sweep: Sweep) -> "Figure | None":
    """The best points in colours, one for each with all its replicas; the others in grey behind them.

    None where no trial has reported a finite value.
    """
    from plotly.graph_objects import Figure

    trials = [trial for trial in sweep.trials if _finite(trial)]
    if not trials:
        return None
    colours = {point_id(result.point): colour for result, colour in zip(sweep.points, COLOURS, strict=False)}
    figure = Figure()
    rest = [trial for trial in trials if point_id(trial.point) not in colours]
    if rest:
        figure.add_trace(_grey(rest))
    named: set[str] = set()
    for result in sweep.points[: len(COLOURS)]:
        key = point_id(result.point)
        for trial in trials:
            if point_id(trial.point) == key:
                figure.add_trace(_coloured(trial, colours[key], first=key not in named))
                named.add(key)
    for state in ENDS:
        ended = [trial for trial in trials if trial.state == state]
        if ended:
            figure.add_trace(_ends(ended, state))
    _axes(figure, sweep, positive=all(value > 0 for trial in trials for _, value in _finite(trial)))
    return figure


def _finite(trial: TrialRecord) -> list[tuple[int, float]]:
    return [(step, value) for step, value in trial.steps.items() if math.isfinite(value)]


def _grey(trials: Sequence[TrialRecord]) -> object:
    """All of them as one trace: a browser draws thousands of these."""
    from plotly.graph_objects import Scatter

    xs: list[int | None] = []
    ys: list[float | None] = []
    texts: list[str] = []
    for trial in trials:
        found = _finite(trial)
        xs += [*(step for step, _ in found), None]
        ys += [*(value for _, value in found), None]
        texts += [label(f"trial {trial.number}  {trial}")] * (len(found) + 1)
    line = {"color": GREY, "width": 1}
    return Scatter(x=xs, y=ys, text=texts, name="other points", mode="lines", line=line, hovertemplate=_HOVER)


def _coloured(trial: TrialRecord, colour: str, first: bool) -> object:
    from plotly.graph_objects import Scatter

    found = _finite(trial)
    return Scatter(
        x=[step for step, _ in found],
        y=[value for _, value in found],
        text=[label(f"trial {trial.number}  {trial}")] * len(found),
        name=label(str(trial)),
        legendgroup=str(trial),
        showlegend=first,
        mode="lines+markers" if len(found) <= MAX_MARKED else "lines",
        line={"color": colour, "width": 2},
        marker={"size": 5},
        hovertemplate=_HOVER,
    )


def _ends(trials: Sequence[TrialRecord], state: str) -> object:
    from plotly.graph_objects import Scatter

    symbol, name = ENDS[state]
    last = [_finite(trial)[-1] for trial in trials]
    return Scatter(
        x=[step for step, _ in last],
        y=[value for _, value in last],
        text=[label(f"trial {trial.number}  {trial}") for trial in trials],
        name=name,
        mode="markers",
        marker={
            "symbol": symbol,
            "size": 6,
            "color": "#b3261e" if state == "FAIL" else "#6e7781",
            "line": {"width": 1},
        },
        hovertemplate=_HOVER,
    )


def _axes(figure: "Figure", sweep: Sweep, positive: bool) -> None:
    styled(figure, 440)
    figure.update_xaxes(title=label(sweep.step_name), rangemode="tozero")
    figure.update_yaxes(title=label(sweep.objective), type="log" if positive else "linear")
    figure.update_layout(showlegend=True, legend={"title": "best first", "x": 1.01, "y": 1, "font": {"size": 11.5}})
    if not positive:  # a logarithm would hide values
        return
    buttons = [
        {"label": name, "method": "relayout", "args": [{"yaxis.type": kind, "yaxis.autorange": True}]}
        for name, kind in (("log", "log"), ("linear", "linear"))
    ]
    menu = {"type": "buttons", "direction": "right", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}
    figure.update_layout(updatemenus=[{**menu, "buttons": buttons, "pad": {"b": 4}, "bgcolor": "white"}])


_HOVER = "%{text}<br>%{x}: %{y:.4g}<extra></extra>"
