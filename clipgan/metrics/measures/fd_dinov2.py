"""FD-DINOv2 (arXiv:2306.04675): the Frechet distance of DINOv2's features, in which judgements follow people's."""

from collections.abc import Mapping

import torch
from torch import Tensor

from clipgan.config import MetricsConfig
from clipgan.metrics.dinov2 import load_dinov2
from clipgan.metrics.extractors import Extractor
from clipgan.metrics.measure import Measure, Setting
from clipgan.metrics.scores import fid, moments

DINOV2 = "dinov2"  # name of the rows: features of ViT-L/14, [N, 1024]


class FrechetDinov2(Measure):
    """FID's formula with another network."""

    rows = (DINOV2,)
    reals = (DINOV2,)

    def extractors(self, config: MetricsConfig, device: torch.device) -> dict[str, Extractor]:
        """DINOv2."""
        return {DINOV2: load_dinov2(config.dinov2_weights, device)}

    def metrics(self, rows: Mapping[str, Tensor], setting: Setting) -> dict[str, float]:
        """`fd_dinov2`, as `fd5k_dinov2`."""
        name = setting.network_name("fd", f"_dinov2{setting.marks[DINOV2]}")
        return {name: fid(moments(rows[DINOV2]), moments(setting.reals[DINOV2]))}


MEASURE = FrechetDinov2()
