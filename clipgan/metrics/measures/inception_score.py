"""The inception score (arXiv:1606.03498), and its standard deviation over ten parts of the images."""

from collections.abc import Mapping

from torch import Tensor

from clipgan.metrics.measure import LOGITS, Measure, Setting
from clipgan.metrics.scores import inception_score


class InceptionScore(Measure):
    """Measures how sure Inception is of each image's class, and how many classes occur; it needs no real images."""

    rows = (LOGITS,)
    reals = ()

    def metrics(self, rows: Mapping[str, Tensor], setting: Setting) -> dict[str, float]:
        """Compute `inception_score` and `inception_score_sd`."""
        found = inception_score(rows[LOGITS])
        return {setting.name(name, of_inception=True, against_real=False): value for name, value in found.items()}


MEASURE = InceptionScore()
