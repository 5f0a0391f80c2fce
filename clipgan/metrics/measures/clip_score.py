"""CLIP score (arXiv:2104.08718): how well images fit their captions."""

from collections.abc import Mapping

from torch import Tensor

from clipgan.metrics.measure import JUDGED, Measure, Setting
from clipgan.metrics.retrieval import clip_score


class ClipScore(Measure):
    """Averages the judge's cosine of image and caption."""

    rows = (JUDGED,)
    reals = ()

    def metrics(self, rows: Mapping[str, Tensor], setting: Setting) -> dict[str, float]:
        """`clip_score`."""
        texts, row = setting.texts
        return {setting.caption_name("clip_score"): clip_score(rows[JUDGED], texts[row])}


MEASURE = ClipScore()
