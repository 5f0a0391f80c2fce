"""FJD, the Frechet joint distance (arXiv:1907.08175): FID of images together with their captions.

A row is the image's features beside the caption's embedding. The joint covariance says how captions and images go
together. So a picture that does not show its caption counts, and so does a caption that has only one picture.

Shapes: N generated images, M real ones, D width of the extractor's features, C of the judge's embedding.
"""

from collections.abc import Mapping

from torch import Tensor

from clipgan.metrics.measure import FEATURES, Measure, Setting
from clipgan.metrics.scores import fid, moments


class JointDistance(Measure):
    """Compares the pairs of generated images and prompts with the pairs of real images and captions."""

    def metrics(self, rows: Mapping[str, Tensor], setting: Setting) -> dict[str, float]:
        """`fjd`."""
        texts, row = setting.texts
        return {self.name(setting): fid(moments(setting.joint(rows[FEATURES], texts[row])), setting.joint_moments)}

    def name(self, setting: Setting) -> str:
        """Name the metric: it contains the judge, whose embeddings of captions count with any extractor."""
        judge = "" if setting.config.metrics.extractor == "judge" else setting.caption_name("")
        return f"{setting.name('fjd')}{judge}"


MEASURE = JointDistance()
