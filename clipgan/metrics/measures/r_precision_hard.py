"""R-precision among hard candidates: all captions that differ from the image's own in one attribute."""

from collections.abc import Mapping

from torch import Tensor

from clipgan.inputs.data.shapes_captions import swapped_captions
from clipgan.metrics.measure import JUDGED, Measure, Setting
from clipgan.metrics.prompts import evenly

IMAGES = 250  # images that are asked: their 6,000 captions take seconds, and the standard error of 0.9 is 0.02


class HardRPrecision(Measure):
    """Retrieves captions by images, as R-precision does; colour and place alone never settle a case."""

    rows = (JUDGED,)
    reals = ()

    def metrics(self, rows: Mapping[str, Tensor], setting: Setting) -> dict[str, float]:
        """Compute `r_precision_hard`; chance is 1 / 31 for two objects and 1 / 17 for one."""
        assert setting.captions is not None
        assert setting.judge is not None
        chosen = evenly(len(setting.captions), IMAGES)
        candidates = {text: [text, *swapped_captions(text)] for text in {setting.captions[row]: None for row in chosen}}
        encoded = setting.judge.encode_text([text for texts in candidates.values() for text in texts]).cpu()
        parts = encoded.split([len(texts) for texts in candidates.values()])
        of_caption = dict(zip(candidates, parts, strict=True))
        hits = []
        for row in chosen:
            own, *others = of_caption[setting.captions[row]] @ rows[JUDGED][row]
            hits.append(all(own > other for other in others))
        return {self.name(setting): sum(hits) / len(hits)}

    def name(self, setting: Setting) -> str:
        """The metric's name."""
        return setting.caption_name("r_precision_hard")


MEASURE = HardRPrecision()
