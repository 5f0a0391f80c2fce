"""Improved precision and recall (arXiv:1904.06991)."""

from collections.abc import Mapping

from torch import Tensor

from clipgan.base.errors import UserError
from clipgan.config import Config
from clipgan.metrics.measure import FEATURES, Measure, Setting, skipped
from clipgan.metrics.scores import NEIGHBOURS, compare


class PrecisionRecall(Measure):
    """Precision: generated images in real neighbourhoods. Recall: real images in generated neighbourhoods."""

    def check(self, config: Config, n_real: int) -> None:
        """Raise UserError if a set, generated or real, has too few images for the neighbours of each image."""
        generated = config.metrics.n_images
        if min(generated, n_real) <= NEIGHBOURS:
            raise UserError(
                f"precision_recall needs at least {NEIGHBOURS + 1} images of both kinds, and there are {generated} "
                f"generated ones (metrics.n_images) and {n_real} real ones; {skipped('precision_recall')}"
            )

    def metrics(self, rows: Mapping[str, Tensor], setting: Setting) -> dict[str, float]:
        """Compute `precision` and `recall`."""
        found = compare(rows[FEATURES], setting.real, precision_recall=True)
        return {setting.name(measure): value for measure, value in found.items()}


MEASURE = PrecisionRecall()
