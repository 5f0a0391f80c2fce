"""Points that a sampler of Optuna's draws, from the results of the study's points.

For each draw a study in memory is made for the sampler. It has the axes of this command, and one trial for each point,
whose value is the aggregate of its replicas. So axes may change between two commands, and any worker can draw.
CMA-ES and NSGA-II keep notes with their trials: these are stored with the point's first replica.
"""

import functools
import math
import random
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import RandomSampler
from optuna.trial import BaseTrial, FrozenTrial, TrialState, create_trial

from sweeps.base.errors import SweepError
from sweeps.base.samplers_and_pruners import instance
from sweeps.base.signals import heed_now
from sweeps.points.layout import Layout
from sweeps.points.ranking import PointResult
from sweeps.points.search_space import (
    MAX_LISTED,
    AnyAxis,
    Axis,
    Point,
    Value,
    Values,
    name_of,
    point_at,
    point_id,
)
from sweeps.search.coding import between, coding_of, place
from sweeps.search.custom_space import CustomSpace
from sweeps.search.in_memory_study import in_memory_study

MAX_DRAWS = 100  # by the sampler for one point; after that it is drawn at random
MAX_RANDOM_DRAWS = 1000
TRIES = {  # samplers that learn constraints, and how many proposals for one point they learn from
    "optuna.samplers.TPESampler": 100,
    "optuna.samplers.GPSampler": 6,  # a third of a second each
}
GRID = "grid of "  # before the name of a union: what a sampler draws for it
STARTUP = 10  # Optuna's default for the complete trials before a model proposes
HALVINGS = 20  # of the way between a point that exists and one that does not


@dataclass(frozen=True)
class SampledPoints:
    """`n_trials` points that a sampler draws, none of them twice.

    Points that earlier commands of the study have run count too, if they fit the axes.
    """

    layout: Layout
    sampler: Mapping[str, Any]  # `hydra.sweeper.sampler`
    n_trials: int
    directions: Sequence[str]
    exists: Callable[[Values], bool]  # what `where` says
    first: Sequence[Values] = field(default_factory=list)  # run before any is drawn; the sampler adds missing axes
    violations: Callable[[Values], Sequence[float]] | None = None  # `Condition.violations`; None: there is no `where`
    custom: CustomSpace | None = None  # the user's function, which suggests further values

    def accepts(self, values: Values) -> bool:
        """Whether a point has axes that belong together, with values that are allowed."""
        if self.custom is None:
            return self.layout.fits(values) and self.exists(values)
        own = self.custom.on_axes(values)
        return self.layout.fits(own) and self.exists(own) and self.custom.known(values) is not None

    @property
    def axes(self) -> Sequence[AnyAxis]:
        """All axes."""
        return self.layout.axes

    @property
    def way(self) -> str | None:
        """How the points come to meet `where`; None without `where`."""
        if self.violations is None:
            return None
        name = str(self.sampler["_target_"]).rpartition(".")[2]
        if self._is_constrained:
            return f"{name} learns hydra.sweeper.where as a constraint"
        if not self.layout.is_product or self.custom is not None:
            return "hydra.sweeper.where is not learned: a point that does not meet it is drawn again"
        return f"{name} knows no constraints: a point that does not meet hydra.sweeper.where is drawn again"

    def points(self, known: Sequence[PointResult]) -> list[Point]:
        """The points that are due: the known ones, then those to begin with, or else one that is drawn.

        Args:
            known: the study's points that this source accepts.
        """
        due = [self._known(result.point) for result in known]
        n_own = sum(result.origin is None for result in known)
        for given in self.first:
            if n_own < self.n_trials and not any(_matches(point.values, given) for point in due):
                is_whole = self.custom is None and self.layout.fits(given)
                point = point_at(self.axes, given) if is_whole else self._draw(known, given)
                due += [] if point is None else [point]
                n_own += 1
        if len(due) == len(known) and n_own < self.n_trials and not self._is_exhausted(known):
            point = self._draw(known, {})
            due += [] if point is None else [point]
        return due

    def examples(self) -> list[Point]:
        """List points to try before a study is touched: each choice and each bound, with first values of other axes."""
        every = [values for _, values in self.layout.examples()] or [{}]
        if self.custom is None:
            return [point_at(self.axes, values) for values in every]
        at_random = in_memory_study("examples", self.directions, [], RandomSampler(seed=0))
        return [self._extended(values, at_random.ask()) for values in every if self.exists(values)]

    def __len__(self) -> int:
        return self.n_trials if self._all is None else min(self.n_trials, len(self._all))

    @functools.cached_property
    def _all(self) -> list[Point] | None:
        """All points, if they can be listed."""
        if self.custom is not None or self.layout.most_points() > MAX_LISTED:
            return None
        return [point for point in self.layout.points() if self.exists(point.values)]

    @functools.cached_property
    def _distributions(self) -> dict[str, BaseDistribution]:
        """What the sampler draws: for each union one of its grids, and values on the axes."""
        grids = {f"{GRID}{union.name}": len(union.grids) for union in self.layout.unions}
        axes = {axis.name: coding_of(axis).distribution for axis in self.layout.to_draw}
        return {**{name: CategoricalDistribution(range(n)) for name, n in grids.items()}, **axes}

    def _extended(self, values: Values, trial: BaseTrial) -> Point:
        """The point with these values, and further ones which the sampler of a trial draws."""
        return point_at(self.axes, values) if self.custom is None else self.custom.drawn(values, trial).point

    def _known(self, values: Values) -> Point:
        """The point of the study that has these values, which are accepted."""
        extended = None if self.custom is None else self.custom.known(values)
        return point_at(self.axes, values) if extended is None else extended.point

    def _encoded(self, values: Values) -> dict[str, Any]:
        grids = {f"{GRID}{name}": number for name, number in self.layout.grids_of(values).items() if number is not None}
        own = [axis for axis in self.layout.to_draw if axis.name in values]
        return {**grids, **{axis.name: coding_of(axis).encode(axis.find(values[axis.name])) for axis in own}}

    def _decoded(self, params: Mapping[str, Any]) -> dict[str, Value]:
        drawn = {axis.name: coding_of(axis).decode(params[axis.name]) for axis in self.layout.to_draw}
        return self.layout.settled(drawn, {union.name: params[f"{GRID}{union.name}"] for union in self.layout.unions})

    def _is_exhausted(self, known: Sequence[PointResult]) -> bool:
        taken = {point_id(result.point) for result in known}
        return self._all is not None and all(point_id(point.values) in taken for point in self._all)

    def _draw(self, known: Sequence[PointResult], given: Values) -> Point | None:
        """Draw a new point; None if only known ones are found.

        Raises:
            SweepError: there are no known points, and none is found.
        """
        taken = {point_id(result.point) for result in known}
        seed = self.sampler.get("seed")
        lot = None if seed is None else zlib.crc32(f"{seed}/{len(known)}".encode())  # a new seed for each draw
        drawn = self._by_sampler(known, given, taken, lot)
        if drawn is None and (drawn := self._at_random(given, taken, lot)) is not None:
            drawn = replace(drawn, note="drawn at random: the sampler proposed no new point that exists")
        if drawn is None and not known:
            raise SweepError(
                f"no point was found in {MAX_RANDOM_DRAWS} draws from {'  '.join(map(str, self.axes))} for which"
                " hydra.sweeper.where holds: is there any?"
            )
        return drawn

    @property
    def _is_constrained(self) -> bool:
        is_product = self.layout.is_product and self.custom is None
        return self.violations is not None and self.sampler["_target_"] in TRIES and is_product

    def _by_sampler(
        self, known: Sequence[PointResult], given: Values, taken: set[str], lot: int | None
    ) -> Point | None:
        """Ask the sampler until it proposes a new point that exists.

        A sampler with constraints learns from each proposal that does not exist. If it comes no nearer than a model's
        error, the last proposal is moved to a known point until it exists.
        """
        seed = {"seed": lot} if "seed" in self.sampler else {}
        past = [self._past(result) for result in known]
        view = in_memory_study("points", self.directions, past, instance({**self.sampler, **seed}, "sampler"))
        fixed = {name: value for name, value in self._encoded(given).items() if not name.startswith(GRID)}
        models = self._is_constrained and len(_complete(known)) >= self.sampler.get("n_startup_trials", STARTUP)
        outside: Values | None = None
        for _ in range(TRIES[self.sampler["_target_"]] if models else MAX_DRAWS):
            heed_now()  # a model may need seconds
            if fixed:
                view.enqueue_trial(fixed)
            trial = view.ask(self._distributions)
            values = self._decoded(trial.params)
            if self.exists(values) and _matches(values, given):
                point = self._extended(values, trial)
                if point_id(point.values) not in taken:
                    noted = view.get_trials(deepcopy=False)[trial.number].system_attrs
                    return replace(point, system={key: note for key, note in noted.items() if key != "fixed_params"})
            if models and not self.exists(values):
                outside = values
                for name, value in self._constraints(values).items():
                    trial.set_constraint(name, value)
                view.tell(trial, self._nearest(values, known).values)  # a model of the objective needs some value
            else:
                view.tell(trial, state=TrialState.FAIL)
        return None if outside is None else self._moved_inside(outside, known, given, taken)

    def _moved_inside(
        self, outside: Values, known: Sequence[PointResult], given: Values, taken: set[str]
    ) -> Point | None:
        """Move a point that does not exist toward the nearest known one, until it exists and is new."""
        start = self._nearest(outside, known).point
        low, high = 0.0, 1.0
        found: Values | None = None
        for _ in range(HALVINGS):
            share = (low + high) / 2
            values = between(self.axes, start, outside, share)
            if self.exists(values):
                low = share
                found = values if point_id(values) not in taken and _matches(values, given) else found
            else:
                high = share
        return None if found is None else point_at(self.axes, found)

    def _nearest(self, values: Values, known: Sequence[PointResult]) -> PointResult:
        at = place(self.axes, values)
        return min(_complete(known), key=lambda result: math.dist(at, place(self.axes, result.point)))

    def _constraints(self, values: Values) -> dict[str, float]:
        if self.violations is None or not self._is_constrained:
            return {}
        return {f"where {part}": value for part, value in enumerate(self.violations(values))}

    def _at_random(self, given: Values, taken: set[str], lot: int | None) -> Point | None:
        chance = random.Random(lot)
        if self._all is not None:
            left = [p for p in self._all if point_id(p.values) not in taken and _matches(p.values, given)]
            return chance.choice(left) if left else None
        further = in_memory_study("random", self.directions, [], RandomSampler(seed=lot))
        for _ in range(MAX_RANDOM_DRAWS):
            drawn = {axis.name: given.get(axis.name, _random(axis, chance)) for axis in self.layout.to_draw}
            grids = {union.name: chance.randrange(len(union.grids)) for union in self.layout.unions}
            values = self.layout.settled(drawn, grids)
            if self.exists(values) and _matches(values, given):
                point = self._extended(values, further.ask())
                if point_id(point.values) not in taken:
                    return point
        return None

    def _past(self, result: PointResult) -> FrozenTrial:
        if result.state == "FAIL":
            return create_trial(state=TrialState.FAIL)
        first, params = result.replicas[0], self._encoded(result.point)
        distributions = {name: self._distributions[name] for name in params}
        if self.custom is not None and (extended := self.custom.known(result.point)) is not None:
            params, distributions = {**params, **extended.params}, {**distributions, **extended.distributions}
        return create_trial(
            state=TrialState[result.state],
            values=list(result.values) if result.state == "COMPLETE" else None,
            params=params,
            distributions=distributions,
            intermediate_values=dict(first.steps) if len(self.directions) == 1 else {},
            system_attrs=dict(first.system),
            constraints=self._constraints(result.point),
        )


def _complete(known: Sequence[PointResult]) -> list[PointResult]:
    return [result for result in known if result.state == "COMPLETE"]


def _matches(values: Values, given: Values) -> bool:
    return all(axis in values and name_of(values[axis]) == name_of(value) for axis, value in given.items())


def _random(axis: AnyAxis, chance: random.Random) -> Value:
    if isinstance(axis, Axis):
        return chance.choice(axis.listed)
    low, high = (math.log(axis.low), math.log(axis.high)) if axis.log else (axis.low, axis.high)
    drawn = chance.uniform(low, high)
    drawn = math.exp(drawn) if axis.log else drawn
    return coding_of(axis).decode(round(drawn) if axis.integer else drawn)
