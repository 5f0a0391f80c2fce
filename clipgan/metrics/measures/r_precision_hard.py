"""R-precision among hard candidates: all captions that differ from the image's own in one attribute."""

from collections.abc import Mapping

import torch
from torch import Tensor

from clipgan.inputs.data.shapes_captions import swapped_captions
from clipgan.metrics.measure import JUDGED, Measure, Setting
from clipgan.metrics.prompts import evenly

IMAGES = 250  # images that are asked: their 6,000 captions take seconds, and the standard error of 0.9 is 0.02


class HardRPrecision(Measure):
    """Retrieves captions by images, as R-precision does; colour and place alone never settle a case."""

    rows = (JUDGED,)

    def metrics(self, rows: Mapping[str, Tensor], setting: Setting) -> dict[str, float]:
        """Compute `r_precision_hard`; chance is 1 / 31 for two objects and 1 / 17 for one."""
        assert setting.captions is not None
        assert setting.judge is not None
        chosen = evenly(len(setting.captions), IMAGES)
        captions = [setting.captions[index] for index in chosen]
        swaps = [swapped_captions(caption) for caption in captions]
        own = setting.judge.encode_text(captions).cpu()
        others = setting.judge.encode_text([swap for some in swaps for swap in some]).cpu()
        images = rows[JUDGED][torch.from_numpy(chosen)]
        hits = [
            bool((image @ mine > theirs @ image).all())
            for image, mine, theirs in zip(images, own, others.split([len(some) for some in swaps]), strict=True)
        ]
        return {self.name(setting): sum(hits) / len(hits)}

    def name(self, setting: Setting) -> str:
        """The metric's name."""
        return setting.caption_name("r_precision_hard")


MEASURE = HardRPrecision()
