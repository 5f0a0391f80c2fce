"""FID's standard deviation over latents: the change of FID if the same prompts get other images."""

from collections.abc import Mapping

from torch import Tensor

from clipgan.metrics.measure import FEATURES, REDRAWN, Measure, Setting
from clipgan.metrics.scores import fid_deviation


class FidDeviation(Measure):
    """Estimates the deviation from two sets of images of the same prompts."""

    rows = (FEATURES, REDRAWN)

    def metrics(self, rows: Mapping[str, Tensor], setting: Setting) -> dict[str, float]:
        """`fid_sd`."""
        deviation = fid_deviation(rows[FEATURES], rows[REDRAWN], setting.real_moments, setting.config.seed)
        return {setting.name("fid_sd", of_inception=True): deviation}


MEASURE = FidDeviation()
