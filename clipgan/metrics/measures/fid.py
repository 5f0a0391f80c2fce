"""FID (arXiv:1706.08500): the Frechet distance of generated and real features; every evaluation computes it."""

from collections.abc import Mapping

from torch import Tensor

from clipgan.metrics.measure import FEATURES, Measure, Setting
from clipgan.metrics.scores import fid, moments


class Fid(Measure):
    """The objective of a GAN's training."""

    def metrics(self, rows: Mapping[str, Tensor], setting: Setting) -> dict[str, float]:
        """`fid`."""
        return {self.name(setting): fid(moments(rows[FEATURES]), setting.real_moments)}

    def name(self, setting: Setting) -> str:
        """The metric's name."""
        return setting.name("fid", of_inception=True)


MEASURE = Fid()
