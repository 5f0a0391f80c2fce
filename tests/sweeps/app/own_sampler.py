"""A sampler of a user's own."""

from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial


class Quarters(BaseSampler):
    """Draws a quarter of the interval, then two quarters, then three."""

    def __init__(self, first: int) -> None:
        """`first`: the number of quarters of the first draw."""
        self.first = first

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """See `BaseSampler`."""
        return {}

    def sample_relative(self, study: Study, trial: FrozenTrial, space: dict[str, BaseDistribution]) -> dict[str, Any]:
        """See `BaseSampler`."""
        return {}

    def sample_independent(self, study: Study, trial: FrozenTrial, name: str, axis: BaseDistribution) -> float:
        """See `BaseSampler`."""
        assert isinstance(axis, FloatDistribution)
        drawn = len([each for each in study.get_trials(deepcopy=False) if each.number < trial.number])
        return axis.low + (axis.high - axis.low) * (self.first + drawn) / 4
