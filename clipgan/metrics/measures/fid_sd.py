"""FID's standard deviation over latents: the change of FID if the same prompts get other images."""

from collections.abc import Mapping

from torch import Tensor

from clipgan.metrics.measure import FEATURES, REDRAWN, Measure, Setting
from clipgan.metrics.measures import fid, fjd
from clipgan.metrics.scores import fid_deviation


class FidDeviation(Measure):
    """Estimates the deviation from two sets of images of the same prompts; also of FJD if this is the objective."""

    rows = (FEATURES, REDRAWN)

    def metrics(self, rows: Mapping[str, Tensor], setting: Setting) -> dict[str, float]:
        """`fid_sd`, and `fjd_sd` if FJD is the objective."""
        one, other, seed = rows[FEATURES], rows[REDRAWN], setting.config.seed
        found = {f"{fid.MEASURE.name(setting)}_sd": fid_deviation(one, other, setting.real_moments, seed)}
        if setting.config.metrics.objective == "fjd":
            texts, row = setting.texts
            one, other = (setting.joint(features, texts[row]) for features in (one, other))
            found[f"{fjd.MEASURE.name(setting)}_sd"] = fid_deviation(one, other, setting.joint_moments, seed)
        return found


MEASURE = FidDeviation()
