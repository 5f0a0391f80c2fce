"""The page: sections of figures, tables and pictures, in one file that needs no network."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from html import escape
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined
from plotly.graph_objects import Figure
from plotly.offline import get_plotlyjs

from clipgan.base.secrets import without_passwords
from sweeps.command.next_steps import next_steps
from sweeps.points.numbers import digits
from sweeps.points.ranking import PointResult
from sweeps.points.statistics import caution
from sweeps.points.trial_record import TrialRecord
from sweeps.points.verdict import verdict
from sweeps.report import curves, effects, optuna_figures, tables
from sweeps.report.images import Picture, newest_picture
from sweeps.report.main_effects import effects_lead, effects_table, main_effects
from sweeps.report.reading import Sweep
from sweeps.report.settling import settling, settling_figure
from sweeps.report.strips import Strip, named, strip_of
from sweeps.report.tables import ORDER, Table

TOP = 4  # points whose pictures are shown

Drawing = tuple[str | None, str]  # a title, and the HTML of a figure or of a note in its place


@dataclass(frozen=True)
class Section:
    """A part of the page under a title."""

    title: str
    lead: str | None = None
    drawings: tuple[Drawing, ...] = ()
    table: Table | None = None
    pictures: tuple[tuple[str, Picture], ...] = ()
    strip: Strip | None = None


def render(sweep: Sweep, pictures: str, page: Path | None = None) -> str:
    """The whole page.

    Args:
        sweep: what is shown.
        pictures: glob pattern of the pictures in a run directory.
        page: the page's file, beside which the CSV file lies; None: there is neither.
    """
    strip, grids = partial(_strip, pattern=pictures), partial(_pictures, pattern=pictures)
    parts = (_curves, _replicas, _main_effects, _effects, _across, _front, strip, grids, _settling)
    failed, pruned = tables.failure_table(sweep), tables.pruned_table(sweep)
    sections = [
        *(part(sweep) for part in parts),
        Section("Failures", table=failed) if failed.rows else None,
        Section("Pruned trials", table=pruned) if pruned.rows else None,
        _trials(sweep),
    ]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals["zip"] = zip
    folder = Path() if page is None else page.parent
    environment.filters["from_page"] = lambda file: quote(os.path.relpath(file, folder))
    template = environment.from_string(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    return template.render(
        sweep=sweep,
        plotly=get_plotlyjs(),
        counts=_counts(sweep),
        goal=_goal(sweep),
        n_open=len(sweep.in_state("WAITING", "RUNNING")),
        leaders=_leaders(sweep),
        further=next_steps(sweep.ranking, sweep.note),
        fixed=without_passwords(" ".join((sweep.note or {}).get("fixed", []))),
        command=(sweep.note or {}).get("sweep"),
        csv=None if page is None else page.with_suffix(".csv").name,
        when=datetime.now().strftime("%Y-%m-%d %H:%M"),
        sections=list(filter(None, sections)),
    )


def _curves(sweep: Sweep) -> Section | None:
    if not sweep.trials:
        return None
    drawn = _drawing("curves", curves.curves(sweep) or "No trial has reported anything on its way.")
    return Section(f"{sweep.objective} against {sweep.goal.step_name}", drawings=(drawn,))


def _replicas(sweep: Sweep) -> Section | None:
    if not sweep.points:
        return None
    table, ranking = tables.point_table(sweep), sweep.ranking
    if ranking.incomparable:
        return Section("Points", "Their values do not compare; see above.", table=table)
    if not ranking.has_replicas:
        lead = "One trial a point: what the seed does to these metrics is not known. Replicas would tell."
        if any(map(ranking.noise, ranking.points)):
            lead += (
                " A point is within noise of the best where measuring both anew makes such a difference in one case of"
                " twenty, by the deviation that the jobs have told."
            )
        return Section("Points", lead, table=table)
    number, method = "", "Games-Howell"
    if ranking.goal.error is not None:
        number = ", whose number the results have decided (replicas=auto)"
        method = "also after these stops: Tukey-Kramer, paired by seed"
    lead = (
        f"The mean of each point's replicas{number}, with its 95 % interval (seeded bootstrap, widened for small"
        " samples). A point differs from the best where the interval of their mean difference leaves out 0. All of"
        f" these intervals hold at once with probability {1 - ranking.error:.4g} ({method})."
    )
    if ranking.goal.error is not None:
        lead += " The interval of a single mean takes no account of the stops."
    if ranking.goal.error is None and any(len(result.complete) < ranking.asked for result in ranking.points):
        lead += f" Points with fewer than the {ranking.asked} replicas that were asked for come after the others."
    if sweep.aggregates:
        lead += f" {ORDER.format(sweep.goal.aggregate)}"
    if said := caution(result.first.n for result in ranking.points):
        lead += f" {said}"
    return Section("Points and their replicas", lead, (_drawing("replicas", effects.replicas(sweep)),), table)


def _main_effects(sweep: Sweep) -> Section | None:
    title, found = "What each value does by itself", main_effects(sweep)
    if isinstance(found, str):
        return Section(title, found) if len(sweep.axes) > 1 and sweep.points else None
    return Section(title, effects_lead(sweep, found), table=effects_table(sweep, found))


def _effects(sweep: Sweep) -> Section | None:
    many = [axis for axis in sweep.axes if len(effects.axis_values(sweep, axis)) > effects.MAX_GRID]
    if len(sweep.axes) == 1 and len(sweep.points) > 1 and not many:
        [axis] = sweep.axes
        return Section(f"Effect of {axis}", drawings=(_drawing("axis", effects.one_axis(sweep, axis)),))
    pairs = effects.grid_pairs(sweep)
    drawn = [
        _drawing(f"map{index}", effects.heat_map(sweep, *pair), f"{pair[1]} and {pair[0]}")
        for index, pair in enumerate(pairs)
    ]
    mapped = {axis for pair in pairs for axis in pair}
    alone = [axis for axis in sweep.axes if axis not in mapped and len(effects.axis_values(sweep, axis)) > 1]
    drawn += [_drawing("slices", optuna_figures.slices(sweep, alone))] if many else []
    if not drawn:
        return None
    others = len(sweep.axes) > 2 and not many
    return Section(
        "Effects of the axes", "Means over replicas; over the other axes the best." if others else None, tuple(drawn)
    )


def _across(sweep: Sweep) -> Section | None:
    if not sweep.points or len(sweep.axes) < 2:
        return None
    title = "Importance of the axes (fANOVA)"
    # a random forest fits noise: where the shares can be computed, the table of main effects has them
    known = not isinstance(main_effects(sweep), str)
    importance = () if known else (_drawing("importances", optuna_figures.importances(sweep), title),)
    return Section(
        "All axes at once",
        drawings=(
            _drawing("parallel", optuna_figures.parallel_coordinates(sweep), _parallel_title(sweep)),
            *importance,
        ),
    )


def _parallel_title(sweep: Sweep) -> str:
    n, shown = sum(len(result.complete) for result in sweep.points), optuna_figures.MAX_LINES
    return f"Parallel coordinates{f': the best {shown} of {n:,} complete trials' if n > shown else ''}"


def _front(sweep: Sweep) -> Section | None:
    if len(sweep.goal.names) < 2 or not sweep.points:
        return None
    return Section("Pareto front", drawings=(_drawing("front", optuna_figures.pareto_front(sweep)),))


def _pictures(sweep: Sweep, pattern: str) -> Section | None:
    if not sweep.points:
        return None
    title = "Pictures" if sweep.ranking.incomparable else "Pictures of the best points"
    trials = _of_one_seed(sweep.points[:TOP])
    found = [newest_picture(trial.run_dir, pattern) for trial in trials]
    if not any(picture.uri for picture in found):
        return Section(title, f"There are none: {found[0].note}.")
    texts = [f"trial {trial.label}  {named(trial)}" for trial in trials]
    return Section(title, pictures=tuple(zip(texts, found, strict=True)))


def _of_one_seed(points: Sequence[PointResult]) -> list[TrialRecord]:
    """A trial of each point, all of one replica if they share one: else a seed's effect would look like a point's."""
    replicas = [{trial.replica for trial in result.complete} for result in points]
    seed = min(set.intersection(*replicas), default=None) if replicas else None
    return [next((trial for trial in p.complete if trial.replica == seed), p.complete[0]) for p in points]


def _strip(sweep: Sweep, pattern: str) -> Section | None:
    """One row of the sample grids over the steps, for the points in the order of their axes."""
    values = {axis: effects.axis_values(sweep, axis) for axis in sweep.axes}

    def place(trial: TrialRecord) -> list[int]:
        return [values[axis].index(trial.point[axis]) if axis in trial.point else -1 for axis in sweep.axes]

    trials = sorted(_of_one_seed(sweep.points), key=place)
    strip = strip_of(trials, pattern)
    if strip is None:
        return None
    return Section(f"One prompt over {sweep.goal.step_name} and over the points", strip.title, strip=strip)


def _settling(sweep: Sweep) -> Section | None:
    found = settling(sweep)
    if not found:
        return None
    lead = (
        "Spearman's rank correlation of the points' order at each snapshot with that of their objectives, with a"
        " 95 % interval (bootstrap over the points). Where it stays near 1, shorter trials would have given the same"
        " order."
    )
    return Section("When the order settled", lead, (_drawing("settling", settling_figure(sweep, found)),))


def _trials(sweep: Sweep) -> Section:
    if not sweep.trials:
        return Section("Trials", "The study has no trial yet.")
    return Section("Trials", "Each with the command that runs it alone.", table=tables.trial_table(sweep))


def _drawing(name: str, figure: Figure | str, title: str | None = None) -> Drawing:
    if isinstance(figure, str):
        return title, f'<p class="quiet">{escape(figure)}</p>'
    config = {"displaylogo": False, "responsive": True}
    return title, figure.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=config)


def _counts(sweep: Sweep) -> str:
    counts = Counter("not started" if trial.skipped else trial.state.lower() for trial in sweep.trials)
    told = ", ".join(f"{n} {state}" for state, n in counts.items()) or "no trials"
    earlier = len(sweep.superseded)
    return f"{told}, {earlier} earlier attempt{'s' if earlier > 1 else ''}" if earlier else told


def _goal(sweep: Sweep) -> str:
    goals = zip(sweep.goal.names, sweep.goal.directions, strict=True)
    return ", ".join(f"{name} to be {direction}d" for name, direction in goals)


def _leaders(sweep: Sweep) -> list[str]:
    if not sweep.points:
        return []
    ranking = sweep.ranking
    if ranking.incomparable:
        return [f"{line[0].upper()}{line[1:]}." for line in ranking.incomparable]
    said = [f"{line[0].upper()}{line[1:]}" for line in (*verdict(ranking), *ranking.cautions)]
    if len(sweep.goal.names) > 1:
        return said
    best, n = sweep.points[0], digits(result.first.mean for result in sweep.points)
    value = best.first.text(n)
    if sweep.aggregates:
        value = f"{best.values[0]:.{n}g} ({sweep.goal.aggregate}; mean {value})"
    return [f"{ranking.best_of.capitalize()}: {best} with {sweep.objective} {value}", *said]
