"""The interface of a measure: it takes rows, one per generated image, and returns metrics of all rows.

To add one, write `clipgan/metrics/measures/NAME.py` with a subclass of `Measure` and `MEASURE`, an instance of it, and
give it a line in `clipgan/config/measure_registry.py`. `make comments` then writes its key into conf/metrics/. `kid.py`
is an example that reads the shared features, `fd_dinov2.py` one with a network of its own.

Shapes: N generated images, M real ones, n images of a chunk, R resolution, D width of the extractor's features, C of
the judge's embedding, T different captions.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module

import torch
from torch import Tensor

from clipgan.base.errors import UserError
from clipgan.config import Config, MetricsConfig
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.metrics.extractors import Extractor
from clipgan.metrics.metric_names import caption_name, extractor_name, network_name, real_split
from clipgan.metrics.retrieval import different_texts
from clipgan.metrics.scores import Moments, moments

# The rows that an evaluation computes once for all measures.
FEATURES = "features"  # the extractor's features, [N, D]
LOGITS = "logits"  # Inception's logits, [N, 1008]
JUDGED = "judged"  # the judge's embeddings at unit length, [N, C]
REDRAWN = "redrawn"  # the extractor's features of other images for the same prompts, [N, D]
OF_EXTRACTOR = {FEATURES, LOGITS, REDRAWN}


@dataclass(frozen=True)
class Setting:
    """Data that all evaluations of a run share."""

    config: Config
    reals: Mapping[str, Tensor]  # row -> features of the real images by the row's network, [M, D], on the CPU
    n_real: int  # M
    captions: list[str] | None  # captions of the N images; None in a data set without captions
    judge: FrozenClip | None  # None if no CLIP judges
    self_judged: bool  # whether the judge CLIP is also the guide CLIP
    real_captions: list[str] | None  # the first caption of each of the M real images; None likewise
    extract: Callable[[Tensor], Tensor]  # uint8 images [n, 3, R, R] -> the extractor's features [n, D], on the CPU
    marks: Mapping[str, str] = field(default_factory=dict)  # row -> `Extractor.mark` of the row's network

    @property
    def real(self) -> Tensor:
        """The extractor's features of the real images, [M, D], on the CPU."""
        return self.reals[FEATURES]

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
        """Name a metric of the extractor's rows; see `extractor_name`."""
        mark = self.marks.get(FEATURES, "")
        return extractor_name(measure, self.config, self.self_judged, self.n_real, of_inception, against_real, mark)

    def network_name(self, measure: str, network: str) -> str:
        """Name a metric of a network of the measure's own: `fd` and `_dinov2` make `fd5k_dinov2`."""
        return network_name(measure, self.config, self.n_real, network)

    def caption_name(self, measure: str) -> str:
        """Name a metric of the judge's comparison of images with captions; see `metric_names.caption_name`."""
        return caption_name(measure, self.config, self.self_judged)


class Measure(ABC):
    """One measure."""

    rows: tuple[str, ...] = (FEATURES,)  # the rows that the measure needs: shared ones, or those of `extractors`
    reals: tuple[str, ...] = (FEATURES,)  # those of them that it needs of the real images, too

    def extractors(self, config: MetricsConfig, device: torch.device) -> dict[str, Extractor]:
        """Load the measure's own networks, which make rows of these names: row -> network.

        A second call with the same arguments returns the same networks.

        Raises:
            UserError: weights are missing; the message names the file to bring.
        """
        return {}

    def check(self, config: Config, n_real: int) -> None:
        """Refuse a run whose settings or data do not fit the measure.

        Raises:
            UserError: there are too few images; a single real one has no covariance, and no pairs.
        """
        if self.reals and n_real < 2:
            raise UserError(
                f"FID and other comparisons need at least 2 real images, and the {real_split(config)} split has "
                f"{n_real}: give more, or choose the other split with metrics.split"
            )

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
            rows: by name, of all N images, on the CPU.
            setting: data that all evaluations share.
        """


def load_measure(name: str) -> Measure:
    """Import the measure that `clipgan/config/measure_registry.py` registers under a name."""
    measure: Measure = import_module(f"clipgan.metrics.measures.{name}").MEASURE
    return measure


def skipped(name: str) -> str:
    """End a refusal of a measure that a training, or a list of measures, can do without."""
    return f"metrics.{name}=never skips it, or a list metrics=[...] without it"
