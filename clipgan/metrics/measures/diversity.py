"""Diversity: how far apart the pictures of one caption are, beside real pictures of one caption."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from clipgan.inputs.data.shapes import render
from clipgan.inputs.data.shapes_captions import parse_caption, scene_of
from clipgan.metrics.measure import FEATURES, REDRAWN, Measure, Setting
from clipgan.metrics.prompts import evenly

CAPTIONS = 500  # captions that get two real pictures; the relative standard error of their mean distance is about 2 %
SEED = 0  # seed of the real pictures; the same for every run


class Diversity(Measure):
    """Averages over captions the distance between two pictures of different latents, in the extractor's space."""

    rows = (FEATURES, REDRAWN)
    reals = ()

    def metrics(self, rows: Mapping[str, Tensor], setting: Setting) -> dict[str, float]:
        """Compute `diversity`, the ratio to real pictures; or `spread`, the distance, if the data cannot draw those."""
        distance = spread(rows[FEATURES], rows[REDRAWN])
        if setting.config.data.name != "shapes" or setting.captions is None:
            return {setting.name("spread", against_real=False): distance}
        return {setting.name("diversity", against_real=False): distance / real_spread(setting)}


def spread(one: Tensor, other: Tensor) -> float:
    """Average the distance of two sets of features of the same captions, [N, D] each."""
    return float((one - other).norm(dim=1).mean())


def real_spread(setting: Setting) -> float:
    """Draw two pictures of each of some captions, which share all attributes, and average their distance."""
    assert setting.captions is not None
    rng = np.random.default_rng(SEED)
    said = [parse_caption(setting.captions[index]) for index in evenly(len(setting.captions), CAPTIONS)]
    drawn = [np.stack([render(scene_of(each, rng), setting.config.resolution) for each in said]) for _ in range(2)]
    one, other = (setting.extract(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())) for images in drawn)
    return spread(one, other)


MEASURE = Diversity()
