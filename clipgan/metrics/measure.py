"""The interface of a measure: it takes rows, one per generated image, and returns metrics of all rows.

To add one, write `clipgan/metrics/measures/NAME.py` with a subclass of `Measure` and `MEASURE`, an instance of it, and
give it a line in `clipgan/config/measure_registry.py`. `make comments` then writes its key into conf/metrics/.

Shapes: N generated images, M real ones, n images of a chunk, R resolution, D width of the extractor's features, C of
the judge's embedding, T different captions.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from clipgan.config import Config
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.metrics.metric_names import caption_name, figure_name
from clipgan.metrics.retrieval import different_texts
from clipgan.metrics.scores import Moments, moments

# The rows that an evaluation computes once for all measures.
FEATURES = "features"  # the extractor's features, [N, D]
LOGITS = "logits"  # Inception's logits, [N, 1008]
JUDGED = "judged"  # the judge's embeddings at unit length, [N, C]
REDRAWN = "redrawn"  # the extractor's features of other images for the same prompts, [N, D]


@dataclass(frozen=True)
class Setting:
    """Data that all evaluations of a run share."""

    config: Config
    real: Tensor  # the extractor's features of the real images, [M, D], on the CPU
    captions: list[str] | None  # captions of the N images; None in a data set without captions
    judge: FrozenClip | None  # None if no CLIP judges
    self_judged: bool  # whether the judge CLIP is also the guide CLIP
    real_captions: list[str] | None  # the first caption of each of the M real images; None likewise
    extract: Callable[[Tensor], Tensor]  # uint8 images [n, 3, R, R] -> the extractor's features [n, D], on the CPU

    @cached_property
    def real_moments(self) -> Moments:
        """Mean and covariance of the real images' features."""
        return moments(self.real)

    @cached_property
    def texts(self) -> tuple[Tensor, Tensor]:
        """The judge's embeddings of the different captions, [T, C], and each image's row in them, int64 [N]."""
        assert self.captions is not None
        assert self.judge is not None
        return different_texts(self.captions, self.judge.encode_text)

    @cached_property
    def joint_moments(self) -> Moments:
        """Mean and covariance of the real images' features beside their captions; see `joint`."""
        assert self.real_captions is not None
        assert self.judge is not None
        texts, row = self.texts
        if self.real_captions != self.captions:
            texts, row = different_texts(self.real_captions, self.judge.encode_text)
        return moments(self.joint(self.real, texts[row]))

    def joint(self, features: Tensor, texts: Tensor) -> Tensor:
        """Put captions [N, C] beside images [N, D], at the real features' mean norm (FJD's alpha): [N, D + C]."""
        return torch.cat([features, self.real.norm(dim=1).mean() * texts], dim=1)

    def name(self, measure: str, of_inception: bool = False, against_real: bool = True) -> str:
        """Name a metric of the extractor's rows; see `figure_name`."""
        return figure_name(measure, self.config, self.self_judged, len(self.real), of_inception, against_real)

    def caption_name(self, measure: str) -> str:
        """Name a metric of the judge's comparison of images with captions; see `protocol.caption_name`."""
        return caption_name(measure, self.config, self.self_judged)


class Measure(ABC):
    """One measure."""

    rows: tuple[str, ...] = (FEATURES,)  # the shared rows that the measure needs

    def check(self, config: Config, n_real: int) -> None:  # noqa: B027  most measures refuse nothing
        """Refuse a run whose settings or data do not fit the measure.

        Raises:
            UserError: for example, there are too few images.
        """

    def read(self, images: Tensor, captions: Sequence[str] | None) -> dict[str, Tensor]:
        """Compute rows that only this measure needs, [n, ...] by name.

        Args:
            images: a chunk, uint8 [n, 3, R, R].
            captions: the n captions of these images; None in a data set without captions.
        """
        return {}

    def name(self, setting: Setting) -> str:
        """Name the metric; only of a measure that may be the objective."""
        raise NotImplementedError

    @abstractmethod
    def metrics(self, rows: Mapping[str, Tensor], setting: Setting) -> dict[str, float]:
        """Compute metrics by name.

        Args:
            rows: rows of all N images, on the CPU.
            setting: data that all evaluations share.
        """
