"""Make the plan of a command from its settings: the sampler, which points exist, which come first, the seeds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from difflib import get_close_matches
from typing import Any

from hydra.core.override_parser.types import Transformer
from omegaconf import DictConfig, OmegaConf

from sweeps.base.errors import SweepError
from sweeps.base.samplers_and_pruners import CmaEsSampler, GridSampler, RandomSampler, TPESampler, instance, pruner_of
from sweeps.base.settings import MIN_SEEDS, Settings
from sweeps.command.composition import Composition
from sweeps.command.user_function import custom_space_of
from sweeps.points.layout import Exists, Layout
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
)
from sweeps.points.where import Condition
from sweeps.search.custom_space import CustomSpace
from sweeps.search.plan import Grid, Plan, Source, shuffled
from sweeps.search.sampling import SampledPoints

FOR_PARTIAL_AXES = (TPESampler._target_, RandomSampler._target_)  # the others learn the axes that all points have
Violations = Callable[[Values], Sequence[float]]


def with_conditions(layout: Layout, fixed: Sequence[str], composition: Composition) -> Layout:
    """Read the conditions of single axes.

    Raises:
        SweepError: one is no condition, or depends on an axis that has a condition itself.
    """
    holds = {}
    for axis, text in layout.conditions.items():
        condition = _condition(text, f"hydra.sweeper.params.{axis}.where", layout)
        if others := sorted(condition.names & layout.conditions.keys()):
            raise SweepError(
                f"hydra.sweeper.params.{axis}.where={text} is not allowed: it depends on {others[0]}, which has a"
                " condition itself; a condition may name all other axes, and keys"
            )
        holds[axis] = _asked(condition, layout, fixed, composition)[0]
    return replace(layout, holds=holds)


def plan_of(settings: Settings, layout: Layout, fixed: Sequence[str], composition: Composition) -> Plan:
    """Make the plan of a command.

    Args:
        settings: of the command.
        layout: from `with_conditions`.
        fixed: the overrides that all points share.
        composition: of the sweep.

    Raises:
        SweepError: a setting is not allowed with these axes or with another setting.
    """
    pruner_of(settings.pruner, settings.max_step, len(settings.names))
    aggregate_named(settings.aggregate)
    seed = _seed(settings, layout.axes, fixed, composition) if settings.max_replicas > 1 else None
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
    named = _condition(settings.where, "hydra.sweeper.where", layout).names if settings.where is not None else ()
    custom = custom_space_of(settings, layout, fixed, composition, named)
    source = _source(settings, layout, *_where(settings, layout, fixed, composition), custom)
    limit = settings.replicas_trials if settings.replicas == "auto" else None
    if limit is not None and limit < MIN_SEEDS * len(source):
        raise SweepError(
            f"hydra.sweeper.replicas_trials={limit} is not allowed: it must be at least {MIN_SEEDS * len(source)}, as"
            f" each of the {len(source)} points gets {MIN_SEEDS} seeds"
        )
    return Plan(source, goal, seed, limit)


def _source(
    settings: Settings, layout: Layout, exists: Exists, violations: Violations | None, custom: CustomSpace | None
) -> Source:
    first = [_given(entry, layout, exists, settings.where) for entry in settings.enqueue]
    sampler = _sampler(settings.sampler, layout.axes, custom)
    if sampler["_target_"] == GridSampler._target_:
        if custom is not None:
            raise SweepError(
                f"hydra.sweeper.custom_search_space={custom.path} is not allowed with a grid, which draws nothing;"
                " choose a sampler, as in hydra/sweeper/study/sampler=tpe"
            )
        grid = _grid(layout, first, exists, settings)
        if settings.n_trials is not None and settings.n_trials < len(grid):
            raise SweepError(
                f"hydra.sweeper.n_trials={settings.n_trials} is less than the {len(grid)} points of the grid, and"
                " a grid runs all of them; leave it out, or choose a sampler, as in hydra/sweeper/study/sampler=random"
            )
        return grid
    _check_sampler(sampler, settings, layout)
    assert settings.n_trials is not None
    return SampledPoints(layout, sampler, settings.n_trials, settings.directions, exists, first, violations, custom)


def _sampler(
    chosen: Mapping[str, Any] | None, axes: Sequence[AnyAxis], custom: CustomSpace | None
) -> Mapping[str, Any]:
    if chosen is not None and chosen.get("_target_") is not None:
        return chosen
    draws = custom is not None or any(isinstance(axis, Interval) for axis in axes)
    return asdict(TPESampler()) if draws else asdict(GridSampler())


def _check_sampler(sampler: Mapping[str, Any], settings: Settings, layout: Layout) -> None:
    name = sampler["_target_"].rpartition(".")[2]
    if not layout.axes and settings.custom_search_space is None:
        raise SweepError(
            f"hydra.sweeper.sampler={sampler['_target_']} has no axis to draw from; give one, as in h=0.1,0.5"
        )
    if settings.n_trials is None:
        raise SweepError(
            "hydra.sweeper.n_trials is missing: a sampler must know how many points the study is to have,"
            " as in hydra.sweeper.n_trials=20"
        )
    if sampler["_target_"] not in FOR_PARTIAL_AXES and len(layout.always) < len(layout.axes):
        partial = next(axis.name for axis in layout.axes if axis.name not in layout.always)
        raise SweepError(
            f"{name} cannot learn the axis {partial}, which some points lack; take the sampler tpe or random"
        )
    if sampler["_target_"] == CmaEsSampler._target_:
        if len(settings.names) > 1:
            raise SweepError("the sampler cmaes is not allowed with several objectives; take nsgaii or tpe")
        if sum(is_numeric(axis.examples) for axis in layout.to_draw) < 2:
            raise SweepError("the sampler cmaes is not allowed with less than two axes of numbers; take tpe")
    instance(sampler, "sampler")


def _grid(layout: Layout, first: Sequence[Values], exists: Exists, settings: Settings) -> Grid:
    for axis in layout.axes:
        if isinstance(axis, Interval):
            raise SweepError(
                f"{axis} is not allowed in a grid: an interval has no points of its own; choose a sampler, as in"
                " hydra/sweeper/study/sampler=tpe, or give the values, as in"
                f" {axis.name}=0.1,0.5,2 or {axis.name}=range(1,4)"
            )
    every = [point for point in layout.points() if exists(point.values)]
    if not every:
        raise SweepError(f"hydra.sweeper.where={settings.where} holds for no point of the grid")
    for name, text in layout.conditions.items():
        if not any(name in point.values for point in every):
            raise SweepError(f"hydra.sweeper.params.{name}.where={text} holds for no point of the grid")
    for given in first:
        if not layout.fits(given):
            raise SweepError(
                f"hydra.sweeper.enqueue has {_text(given)}, which is no point of the grid: it needs a value on each of"
                f" {', '.join(axis.name for axis in layout.axes)}{f', where {layout}' if not layout.is_product else ''}"
            )
    ahead = {point_id(given): point_at(layout.axes, given) for given in first}
    rest = [point for point in every if point_id(point.values) not in ahead]
    return Grid([*ahead.values(), *(shuffled(rest) if settings.has_pruner else rest)])


def _given(entry: Any, layout: Layout, exists: Exists, where: str | None) -> Values:
    """Check a point of `enqueue`, or a part of one, against the axes."""
    if not isinstance(entry, Mapping) or not entry:
        raise SweepError(
            f"hydra.sweeper.enqueue has {entry!r}; it must be a list of points, as in [{{h: 0.5, C_it: 1}}]"
        )
    by_name = {axis.name: axis for axis in layout.axes}
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
    if layout.fits(values) and not exists(values):
        raise SweepError(
            f"hydra.sweeper.enqueue has {_text(entry)}, for which hydra.sweeper.where={where} does not hold"
        )
    return values


def _where(
    settings: Settings, layout: Layout, fixed: Sequence[str], composition: Composition
) -> tuple[Exists, Violations | None]:
    """Whether `where` holds at a point, and how far the point is from it."""
    if settings.where is None:
        return lambda values: True, None
    return _asked(_condition(settings.where, "hydra.sweeper.where", layout), layout, fixed, composition)


def _condition(text: str, setting: str, layout: Layout) -> Condition:
    names = {axis.name for axis in layout.axes}
    words = {name_of(v) for axis in layout.axes for v in axis.examples if isinstance(v, str)} - names
    return Condition(text, words, setting)


def _asked(
    condition: Condition, layout: Layout, fixed: Sequence[str], composition: Composition
) -> tuple[Exists, Violations]:
    """Whether a condition holds at a point, and how far the point is from it.

    If it names other keys than axes, or axes that the point lacks, the config of the point's job is composed.
    """
    if condition.names <= set(layout.always):
        return condition.holds, condition.violations

    composed: dict[str, dict[str, Any]] = {}

    def every(values: Values) -> dict[str, Any]:
        point = point_id(values)
        if point not in composed:
            overrides = job_overrides(layout.axes, fixed, point_at(layout.axes, values).overrides)
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
    config = composition.without_axes(fixed)[0]
    base = OmegaConf.select(config, key)
    if not has_seed(settings, config):
        raise SweepError(
            f"hydra.sweeper.seed_key={key} is not allowed: replicas need a key with a whole number, and this is {base}"
        )
    return int(base)


def has_seed(settings: Settings, config: DictConfig) -> bool:
    """Whether an app has a seed that replicas may vary."""
    base = OmegaConf.select(config, settings.seed_key)
    return isinstance(base, int) and not isinstance(base, bool)


def _text(values: Mapping[str, Any]) -> str:
    inside = ", ".join(
        f"{name}: {name_of(float(v)) if isinstance(v, int | float) else v}" for name, v in values.items()
    )
    return f"{{{inside}}}"


def _hint(name: str, known: Mapping[str, Any]) -> str:
    close = get_close_matches(name, known)
    return f"; did you mean {close[0]}?" if close else f" among {', '.join(known) or 'none'}"
