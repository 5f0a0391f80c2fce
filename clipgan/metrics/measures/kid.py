"""KID, the kernel distance (arXiv:1801.01401), and its standard deviation over subsets."""

from collections.abc import Mapping

from torch import Tensor

from clipgan.metrics.measure import FEATURES, Measure, Setting
from clipgan.metrics.scores import compare


class Kid(Measure):
    """Compares subsets of the generated and the real features."""

    def metrics(self, rows: Mapping[str, Tensor], setting: Setting) -> dict[str, float]:
        """`kid` and `kid_sd`."""
        found = compare(rows[FEATURES], setting.real, kid=True)
        return {setting.name(measure, of_inception=True): value for measure, value in found.items()}


MEASURE = Kid()
