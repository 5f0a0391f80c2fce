"""The figures that Optuna draws, from a copy of the study's complete trials in memory."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from optuna import Study, create_trial
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.visualization import plot_parallel_coordinate, plot_pareto_front, plot_slice
from plotly.colors import sample_colorscale
from plotly.graph_objects import Bar, Figure

from sweeps.points.search_space import Value, is_numeric
from sweeps.points.trial_record import TrialRecord
from sweeps.report.reading import Sweep
from sweeps.report.style import COLOURS, LINE_SCALE, label, styled, verbatim
from sweeps.search.in_memory_study import in_memory_study

MIN_POINTS = 10  # complete points for which importances say something
TREES, DEPTH = 64, 8  # depth 10 gave the same shares of 2,000 trials (to 0.001), and unlimited depth of 200 (to 0.004)
MAX_LINES = 400  # trials in parallel coordinates, the best ones: a browser draws each as a trace of its own


def parallel_coordinates(sweep: Sweep) -> Figure | str:
    """The best complete trials as lines across the axes; or why there is nothing to draw."""
    study = _copy(sweep, MAX_LINES)
    if len(study.trials) < 2:
        return "Needs two complete trials."
    # with a target Optuna takes the smallest value for the best
    target = _first if len(sweep.goal.names) > 1 else None
    name = label(sweep.objective)
    figure = styled(plot_parallel_coordinate(study, target=target, target_name=name), 420)
    figure.update_layout(margin={"l": 90, "r": 110, "t": 70, "b": 40})
    # the best last, over the others; each line starts at its objective, followed by the colour bar
    *lines, bar = figure.data
    lines.sort(key=lambda line: line.y[0], reverse=sweep.goal.minimizes)
    worst, best = lines[0].y[0], lines[-1].y[0]
    for line in lines:  # in Optuna's scale the worst is white
        [line.line.color] = sample_colorscale(LINE_SCALE, (line.y[0] - worst) / (best - worst or 1))
    bar.marker.colorscale = LINE_SCALE
    figure.data = [*lines, bar]
    figure.update_traces(opacity=0.9)
    figure.update_annotations(bgcolor="rgba(255, 255, 255, 0.85)")  # the values along an axis, over the lines
    return figure


def importances(sweep: Sweep) -> Figure | str:
    """The share of the variance of the points' means that each axis explains by itself (fANOVA); or why it is unknown.

    The rest is the axes' interplay and noise. Optuna's own figure divides the shares by their sum, so that of two axes
    that do nothing each seems to explain one half. The shares are those of a random forest, which also fits noise.
    """
    study = _of_means(sweep)
    n_points = len(study.trials)
    if n_points < MIN_POINTS:
        return f"Needs at least {MIN_POINTS} complete points to say anything; there are {n_points}."
    if len({trial.values[0] for trial in study.trials}) == 1:
        return "All objectives are equal: there is nothing to explain."
    # PED-ANOVA, Optuna's default, gave an axis without any effect 0.27 on a grid of 45 points x 3; fANOVA gave it 0.00
    evaluator = FanovaImportanceEvaluator(n_trees=TREES, max_depth=DEPTH, seed=0)
    with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):  # `normalize` may still change
        found = get_param_importances(study, evaluator=evaluator, target=_first, normalize=False)
    if not found:
        return "No axis is one of all points."
    names, shares = zip(*reversed(found.items()), strict=True)
    bars = Bar(x=shares, y=names, orientation="h", text=[f"{share:.2f}" for share in shares], textposition="outside")
    figure = styled(Figure(bars), 130 + 45 * len(sweep.axes))
    figure.update_traces(marker_color=COLOURS[0], cliponaxis=False)
    figure.update_xaxes(title="share of the variance, as a random forest sees it (it also fits noise)", range=[0, 1.08])
    figure.update_yaxes(automargin=True)
    return figure


def slices(sweep: Sweep, axes: Sequence[str]) -> Figure:
    """The objective against each of these axes by itself: for axes with too many values for a grid."""
    study = _copy(sweep)
    shown = [verbatim(axis) for axis in axes]
    figure = styled(plot_slice(study, shown, target=_first, target_name=label(sweep.objective)), 380)
    # by default coloured by the trial's number, which is another one in the copy
    figure.update_traces(marker={"color": COLOURS[0], "showscale": False, "line": {"width": 0}})
    return figure


def pareto_front(sweep: Sweep) -> Figure | str:
    """Two or three objectives against each other: the points' values, those that no other beats in all in colour."""
    n = len(sweep.goal.names)
    if n > 3:
        return f"A front of {n} objectives cannot be drawn; the table marks it."
    study = _of_means(sweep)
    return styled(plot_pareto_front(study, target_names=[label(name) for name in sweep.goal.names]), 440)


def _first(trial: Any) -> float:
    return float(trial.values[0])


def _of_means(sweep: Sweep) -> Study:
    """A trial for each point, with the point's values, of the points whose replicas all have one."""
    full = [result for result in sweep.points if not result.is_partial]
    return _study(sweep, [replace(result.complete[0], values=result.values) for result in full])


def _copy(sweep: Sweep, at_most: int | None = None) -> Study:
    """The complete trials of the points, or of the best of them."""
    return _study(sweep, [trial for result in sweep.points for trial in result.complete][:at_most])


def _study(sweep: Sweep, complete: Sequence[TrialRecord]) -> Study:
    """A study in memory of these trials; names are escaped, since Plotly reads HTML in them."""
    distributions = {verbatim(axis): _distribution(axis, complete, axis in sweep.log_axes) for axis in sweep.axes}
    copies = []
    for trial in complete:
        params = {verbatim(axis): _shown(value) for axis, value in trial.point.items()}
        own = {axis: distributions[axis] for axis in params}
        copies.append(create_trial(values=list(trial.values), params=params, distributions=own))
    return in_memory_study("report", sweep.goal.directions, copies)


def _distribution(axis: str, trials: Sequence[TrialRecord], log: bool) -> BaseDistribution:
    """The trials' own where it is one of numbers (it may be logarithmic), else one of the values that they have."""
    values = [trial.point[axis] for trial in trials if axis in trial.point]
    if not values or not is_numeric(values):
        return CategoricalDistribution(list(dict.fromkeys(_shown(value) for value in values)) or [""])
    low, high = min(map(float, values)), max(map(float, values))
    if log and low > 0:
        return FloatDistribution(low, high, log=True)
    for trial in trials:
        own = trial.distributions.get(axis)
        if isinstance(own, FloatDistribution | IntDistribution) and own.low <= low and high <= own.high:
            return own
    return FloatDistribution(low, high)


def _shown(value: Value) -> Value:
    return verbatim(value) if isinstance(value, str) else value
