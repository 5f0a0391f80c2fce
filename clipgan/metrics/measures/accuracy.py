"""The share of drawn shapes that have the colour, size, shape and position that their caption says."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from clipgan.inputs.data.shapes_captions import parse_caption
from clipgan.metrics import shapes_oracle
from clipgan.metrics.measure import Measure, Setting
from clipgan.metrics.metric_names import accuracy_name

HITS = "hits"  # rows of `shapes_oracle.hits`


class Accuracy(Measure):
    """Reads the attributes off the images by image processing, without a network."""

    rows = ()

    def read(self, images: Tensor, captions: Sequence[str] | None) -> dict[str, Tensor]:
        """One share an attribute: float32 [n, attributes]; NaN where the caption does not say it."""
        assert captions is not None
        wanted = map(parse_caption, captions)
        found = shapes_oracle.read(images.cpu().numpy())
        hits = [list(shapes_oracle.hits(*pair).values()) for pair in zip(found, wanted, strict=True)]
        return {HITS: torch.tensor(hits, device=images.device)}

    def metrics(self, rows: Mapping[str, Tensor], setting: Setting) -> dict[str, float]:
        """`accuracy_colour` and so on, of the attributes that a caption says."""
        values = {}
        for attribute, shares in zip(shapes_oracle.ATTRIBUTES, rows[HITS].T, strict=True):
            said = shares[~shares.isnan()]
            if len(said):
                values[accuracy_name(attribute, setting.config)] = float(said.mean())
        return values


MEASURE = Accuracy()
