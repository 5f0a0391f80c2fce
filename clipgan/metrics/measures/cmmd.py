"""CMMD (arXiv:2401.09603): the maximum mean discrepancy of CLIP's image embeddings; see `scores.mmd`."""

from collections.abc import Mapping

import torch
from torch import Tensor

from clipgan.config import MetricsConfig
from clipgan.metrics.cmmd_clip import load_cmmd_clip
from clipgan.metrics.extractors import Extractor
from clipgan.metrics.measure import Measure, Setting
from clipgan.metrics.scores import mmd

CLIP = "cmmd_clip"  # name of the rows: embeddings of ViT-L/14@336 at unit length, [N, 768]
SIGMA = 10.0  # width of the Gaussian kernel
SCALE = 1000.0


class Cmmd(Measure):
    """Compares all generated images with all real ones, without an assumption about the distribution."""

    rows = (CLIP,)
    reals = (CLIP,)

    def extractors(self, config: MetricsConfig, device: torch.device) -> dict[str, Extractor]:
        """CLIP's ViT-L/14@336."""
        return {CLIP: load_cmmd_clip(config.cmmd_weights, device)}

    def metrics(self, rows: Mapping[str, Tensor], setting: Setting) -> dict[str, float]:
        """`cmmd`; the metric's name contains the network only if its weights are not the published ones."""
        mark = setting.marks[CLIP]
        name = setting.network_name("cmmd", f"_clip{mark}" if mark else "")
        return {name: SCALE * mmd(rows[CLIP], setting.reals[CLIP], SIGMA)}


MEASURE = Cmmd()
