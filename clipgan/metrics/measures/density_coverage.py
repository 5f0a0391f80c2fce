"""Density and coverage (arXiv:2002.09797)."""

from collections.abc import Mapping

from torch import Tensor

from clipgan.base.errors import UserError
from clipgan.config import Config
from clipgan.metrics.measure import FEATURES, Measure, Setting, skipped
from clipgan.metrics.scores import DENSITY_NEIGHBOURS, density_coverage


class DensityCoverage(Measure):
    """Density: real neighbourhoods around a generated image. Coverage: real neighbourhoods with a generated image."""

    def check(self, config: Config, n_real: int) -> None:
        """Raise UserError if there are too few real images for the neighbours of each."""
        if n_real <= DENSITY_NEIGHBOURS:
            raise UserError(
                f"density_coverage needs at least {DENSITY_NEIGHBOURS + 1} real images, and there are {n_real}; "
                f"{skipped('density_coverage')}"
            )

    def metrics(self, rows: Mapping[str, Tensor], setting: Setting) -> dict[str, float]:
        """Compute `density` and `coverage`."""
        found = density_coverage(rows[FEATURES], setting.real)
        return {setting.name(measure): value for measure, value in found.items()}


MEASURE = DensityCoverage()
