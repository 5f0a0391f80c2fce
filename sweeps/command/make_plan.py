"""Make the plan of a command from its settings: the sampler, which points exist, which come first, the seeds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from typing import Any

from hydra.core.override_parser.types import Transformer
from omegaconf import OmegaConf

from sweeps.base.errors import SweepError
from sweeps.base.samplers_and_pruners import CmaEsSampler, GridSampler, TPESampler, instance, pruner_of
from sweeps.base.settings import MIN_SEEDS, Settings
from sweeps.command.composition import Composition
from sweeps.points.ranking import Goal, aggregate_named
from sweeps.points.search_space import (
    AnyAxis,
    Interval,
    Value,
    Values,
    is_numeric,
    job_overrides,
    name_of,
    point_at,
    point_id,
    points,
)
from sweeps.points.where import Condition
from sweeps.search.plan import Grid, Plan, Source, shuffled
from sweeps.search.sampling import SampledPoints

Exists = Callable[[Values], bool]
Violations = Callable[[Values], Sequence[float]]


def plan_of(settings: Settings, axes: Sequence[AnyAxis], fixed: Sequence[str], composition: Composition) -> Plan:
    """Make the plan of a command.

    Raises:
        SweepError: a setting is not allowed with these axes or with another setting.
    """
    pruner_of(settings.pruner, settings.max_step, len(settings.names))
    aggregate_named(settings.aggregate)
    seed = _seed(settings, axes, fixed, composition) if settings.max_replicas > 1 else None
    goal = Goal(
        tuple(settings.names),
        tuple(settings.directions),
        settings.aggregate,
        settings.max_replicas,
        settings.replicas_error if settings.replicas == "auto" else None,
        settings.replicas_top,
        settings.seed_key,
        settings.step_name,
    )
    source = _source(settings, axes, *_where(settings, axes, fixed, composition))
    limit = settings.replicas_trials if settings.replicas == "auto" else None
    if limit is not None and limit < MIN_SEEDS * len(source):
        raise SweepError(
            f"hydra.sweeper.replicas_trials={limit} is not allowed: it must be at least {MIN_SEEDS * len(source)}, as"
            f" each of the {len(source)} points gets {MIN_SEEDS} seeds"
        )
    return Plan(source, goal, seed, limit)


def _source(settings: Settings, axes: Sequence[AnyAxis], exists: Exists, violations: Violations | None) -> Source:
    first = [_given(entry, axes, exists, settings.where) for entry in settings.enqueue]
    sampler = _sampler(settings.sampler, axes)
    if sampler["_target_"] == GridSampler._target_:
        grid = _grid(axes, first, exists, settings)
        if settings.n_trials is not None and settings.n_trials < len(grid):
            raise SweepError(
                f"hydra.sweeper.n_trials={settings.n_trials} is less than the {len(grid)} points of the grid, and"
                " a grid runs all of them; leave it out, or choose a sampler, as in hydra/sweeper/study/sampler=random"
            )
        return grid
    _check_sampler(sampler, settings, axes)
    assert settings.n_trials is not None
    return SampledPoints(axes, sampler, settings.n_trials, settings.directions, exists, first, violations)


def _sampler(chosen: Mapping[str, Any] | None, axes: Sequence[AnyAxis]) -> Mapping[str, Any]:
    if chosen is not None and chosen.get("_target_") is not None:
        return chosen
    return asdict(TPESampler()) if any(isinstance(axis, Interval) for axis in axes) else asdict(GridSampler())


def _check_sampler(sampler: Mapping[str, Any], settings: Settings, axes: Sequence[AnyAxis]) -> None:
    if not axes:
        raise SweepError(
            f"hydra.sweeper.sampler={sampler['_target_']} has no axis to draw from; give one, as in h=0.1,0.5"
        )
    if settings.n_trials is None:
        raise SweepError(
            "hydra.sweeper.n_trials is missing: a sampler must know how many points the study is to have,"
            " as in hydra.sweeper.n_trials=20"
        )
    if sampler["_target_"] == CmaEsSampler._target_:
        if len(settings.names) > 1:
            raise SweepError("the sampler cmaes is not allowed with several objectives; take nsgaii or tpe")
        if sum(is_numeric(axis.examples) for axis in axes) < 2:
            raise SweepError("the sampler cmaes is not allowed with less than two axes of numbers; take tpe")
    instance(sampler, "sampler")


def _grid(
    axes: Sequence[AnyAxis], first: Sequence[Values], exists: Callable[[Values], bool], settings: Settings
) -> Grid:
    for axis in axes:
        if isinstance(axis, Interval):
            raise SweepError(
                f"{axis} is not allowed in a grid: an interval has no points of its own; choose a sampler, as in"
                " hydra/sweeper/study/sampler=tpe, or give the values, as in"
                f" {axis.name}=0.1,0.5,2 or {axis.name}=range(1,4)"
            )
    every = [point for point in points(axes) if exists(point.values)]
    if not every:
        raise SweepError(f"hydra.sweeper.where={settings.where} holds for no point of the grid")
    for given in first:
        if len(given) < len(axes):
            raise SweepError(
                f"hydra.sweeper.enqueue has {_text(given)}, which is no point of the grid: it needs a value on each of"
                f" {', '.join(axis.name for axis in axes)}"
            )
    ahead = {point_id(given): point_at(axes, given) for given in first}
    rest = [point for point in every if point_id(point.values) not in ahead]
    return Grid([*ahead.values(), *(shuffled(rest) if settings.has_pruner else rest)])


def _given(entry: Any, axes: Sequence[AnyAxis], exists: Callable[[Values], bool], where: str | None) -> Values:
    """Check a point of `enqueue`, or a part of one, against the axes."""
    if not isinstance(entry, Mapping) or not entry:
        raise SweepError(
            f"hydra.sweeper.enqueue has {entry!r}; it must be a list of points, as in [{{h: 0.5, C_it: 1}}]"
        )
    by_name = {axis.name: axis for axis in axes}
    values: dict[str, Value] = {}
    for name, raw in entry.items():
        axis = by_name.get(str(name))
        if axis is None:
            raise SweepError(f"hydra.sweeper.enqueue has {_text(entry)}: no axis {name}{_hint(str(name), by_name)}")
        number = isinstance(raw, int | float) and not isinstance(raw, bool)
        found = axis.find(float(raw) if number else str(Transformer.str(raw)))
        if found is None:
            raise SweepError(f"hydra.sweeper.enqueue has {_text(entry)}: {name}={raw} is not on the axis {axis}")
        values[axis.name] = found
    if len(values) == len(axes) and not exists(values):
        raise SweepError(
            f"hydra.sweeper.enqueue has {_text(entry)}, for which hydra.sweeper.where={where} does not hold"
        )
    return values


def _where(
    settings: Settings, axes: Sequence[AnyAxis], fixed: Sequence[str], composition: Composition
) -> tuple[Exists, Violations | None]:
    """Whether `where` holds at a point, and how far the point is from it.

    If it names other keys than axes, the config of the point's job is composed.
    """
    if settings.where is None:
        return lambda values: True, None
    condition = Condition(settings.where)
    if condition.names <= {axis.name for axis in axes}:
        return condition.holds, condition.violations

    composed: dict[str, dict[str, Any]] = {}

    def every(values: Values) -> dict[str, Any]:
        point = point_id(values)
        if point not in composed:
            overrides = job_overrides(axes, fixed, point_at(axes, values).overrides)
            composed[point], known = composition.values_at(overrides, condition.names - values.keys())
            for name in condition.names - composed[point].keys() - values.keys():
                raise condition.no_such(name, [*known, *values])
        return {**composed[point], **values}

    return lambda values: condition.holds(every(values)), lambda values: condition.violations(every(values))


def _seed(settings: Settings, axes: Sequence[AnyAxis], fixed: Sequence[str], composition: Composition) -> int:
    key = settings.seed_key
    if any(axis.name == key for axis in axes):
        raise SweepError(
            f"hydra.sweeper.replicas={settings.replicas} is not allowed together with a {key} axis: replicas already"
            " vary the seed"
        )
    base = OmegaConf.select(composition.without_axes(fixed)[0], key)
    if not isinstance(base, int) or isinstance(base, bool):
        raise SweepError(
            f"hydra.sweeper.seed_key={key} is not allowed: replicas need a key with a whole number, and this is {base}"
        )
    return base


def _text(values: Mapping[str, Any]) -> str:
    inside = ", ".join(
        f"{name}: {name_of(float(v)) if isinstance(v, int | float) else v}" for name, v in values.items()
    )
    return f"{{{inside}}}"


def _hint(name: str, known: Mapping[str, Any]) -> str:
    close = get_close_matches(name, known)
    return f"; did you mean {close[0]}?" if close else f" among {', '.join(known) or 'none'}"
