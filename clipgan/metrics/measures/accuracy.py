"""Accuracy: the share of drawn shapes with the colour, size, shape and position of their caption."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from clipgan.inputs.data.shapes_captions import parse_caption
from clipgan.metrics import shapes_oracle
from clipgan.metrics.measure import Measure, Setting
from clipgan.metrics.metric_names import accuracy_name

HITS = "hits"  # name of the rows from `shapes_oracle.hits`


class Accuracy(Measure):
    """Reads the attributes from the pixels by image processing, without a network."""

    rows = ()
    reals = ()

    def read(self, images: Tensor, captions: Sequence[str] | None) -> dict[str, Tensor]:
        """Compute one share per attribute: float32 [n, attributes]; NaN if the caption does not mention it."""
        assert captions is not None
        wanted = map(parse_caption, captions)
        found = shapes_oracle.read(images)
        hits = [list(shapes_oracle.hits(*pair).values()) for pair in zip(found, wanted, strict=True)]
        return {HITS: torch.tensor(hits, device=images.device)}

    def metrics(self, rows: Mapping[str, Tensor], setting: Setting) -> dict[str, float]:
        """Compute `accuracy_colour` and so on, for the attributes that captions mention, and their mean, `accuracy`."""
        values = {}
        for attribute, shares in zip(shapes_oracle.ATTRIBUTES, rows[HITS].T, strict=True):
            said = shares[~shares.isnan()]
            if len(said):
                values[accuracy_name(attribute, setting.config)] = float(said.mean())
        return {self.name(setting): sum(values.values()) / len(values)} | values

    def name(self, setting: Setting) -> str:
        """The name of the mean over attributes."""
        return accuracy_name("", setting.config)


MEASURE = Accuracy()
