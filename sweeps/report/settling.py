"""When the order of the points settled: each snapshot's order against that of the objectives, for shorter trials."""

import warnings
from collections.abc import Sequence

import numpy as np
from plotly.graph_objects import Figure, Scatter
from scipy.stats import bootstrap, spearmanr

from sweeps.report.reading import Sweep
from sweeps.report.style import COLOURS, label, styled

MIN_POINTS = 4  # with fewer, a resample of the points has hardly any order
RESAMPLES = 999
SEED = 0  # the same study gives the same interval

Settling = list[tuple[int, float, tuple[float, float]]]  # step, rank correlation, its 95 % interval


def settling(sweep: Sweep) -> Settling:
    """Spearman's rank correlation of the points' order at each step with the order of their objectives.

    A point's value at a step is the mean of its complete replicas there. The last step of all may be an early one of
    some, if trials have different lengths: so their objectives are what counts. The interval is a seeded bootstrap
    percentile interval over the points. Steps that a point lacks are left out.

    Returns:
        Nothing with fewer than `MIN_POINTS` points, or with fewer than two steps that all of them share and at
        which they differ.
    """
    replicas = [result.complete for result in sweep.points]
    shared = [set(trial.steps) for point in replicas for trial in point]
    steps = sorted(set.intersection(*shared)) if shared else []
    if len(replicas) < MIN_POINTS or len(steps) < 2:
        return []
    rows = {step: [float(np.mean([trial.steps[step] for trial in point])) for point in replicas] for step in steps}
    last = [result.first.mean for result in sweep.points]
    usable = [step for step in steps if np.isfinite(rows[step]).all() and np.ptp(rows[step]) > 0]
    if np.ptp(last) == 0 or len(usable) < 2:
        return []
    return [(step, *_correlation(rows[step], last)) for step in usable]


def settling_figure(sweep: Sweep, found: Settling) -> Figure:
    """The correlations with their intervals against the step."""
    steps, values = [step for step, _, _ in found], [value for _, value, _ in found]
    bars = {
        "type": "data",
        "symmetric": False,
        "array": [high - value for _, value, (_, high) in found],
        "arrayminus": [value - low for _, value, (low, _) in found],
        "thickness": 1.5,
    }
    look = {"mode": "lines+markers", "line": {"color": COLOURS[0]}, "hovertemplate": "%{x}: %{y:.2f}<extra></extra>"}
    figure = styled(Figure(Scatter(x=steps, y=values, error_y=bars, **look)), 320)
    figure.update_xaxes(title=label(sweep.goal.step_name), rangemode="tozero")
    figure.update_yaxes(title="rank correlation", range=[-1.05, 1.05])
    return figure


def _correlation(values: Sequence[float], last: Sequence[float]) -> tuple[float, tuple[float, float]]:
    with warnings.catch_warnings(action="ignore"):  # resamples in which all points are the same have no order
        value = float(spearmanr(values, last).statistic)
        if value > 1 - 1e-12:  # no resample has another order
            return 1.0, (1.0, 1.0)
        drawn = bootstrap(
            (np.asarray(values), np.asarray(last)),
            lambda one, other: spearmanr(one, other).statistic,
            paired=True,
            vectorized=False,
            n_resamples=RESAMPLES,
            method="percentile",
            rng=np.random.default_rng(SEED),
        ).bootstrap_distribution
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return value, (min(float(low), value), max(float(high), value))
