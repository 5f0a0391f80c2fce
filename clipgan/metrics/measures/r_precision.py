"""R-precision (arXiv:1711.10485): the share of images whose own caption the judge finds among others."""

from collections.abc import Mapping

from torch import Tensor

from clipgan.metrics.measure import JUDGED, Measure, Setting
from clipgan.metrics.retrieval import candidates_of, r_precision


class RPrecision(Measure):
    """Retrieves captions by images; the metric's name contains the number of candidate captions."""

    rows = (JUDGED,)
    reals = ()

    def metrics(self, rows: Mapping[str, Tensor], setting: Setting) -> dict[str, float]:
        """Compute `r_precision100`, or with a smaller number if there are fewer different captions."""
        texts, row = setting.texts
        return {self.name(setting): r_precision(rows[JUDGED], texts, row, candidates_of(len(texts)))}

    def name(self, setting: Setting) -> str:
        """The metric's name."""
        return setting.caption_name(f"r_precision{candidates_of(len(setting.texts[0]))}")


MEASURE = RPrecision()
