"""Feature extractors for the metrics: torch-fidelity's Inception, or the image tower of the judge CLIP.

Shapes: N images, R resolution, D width of the features.
"""

from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from clipgan.base.checksums import file_digest
from clipgan.base.device import tensorfloat
from clipgan.config import MetricsConfig
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.inputs.encoders.published import PUBLISHED_INCEPTION, mark_of
from clipgan.metrics.inception import find_inception_weights
from clipgan.metrics.pillow_resize import pillow_resize

INCEPTION = "inception-v3-compat"  # torch-fidelity's name for the network
INCEPTION_SIDE = 299


class Extractor(Protocol):
    """Turns images into rows of features."""

    key: str  # names everything that the rows depend on, except the images
    mark: str  # "" for the published weights, else a digest of other weights, for the metrics' names

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Extract float32 rows from uint8 [N, 3, R, R]: `features` [N, D]; with Inception also `logits` [N, 1008]."""
        ...


class JudgeExtractor:
    """The judge's embeddings at unit length, so that the distance does not depend on their scale."""

    mark = ""

    def __init__(self, judge: FrozenClip) -> None:
        self.judge = judge
        # A published CLIP was trained on images that Pillow had resized; clipgan's small CLIP resizes tensors.
        self.side = judge.preprocess.size if judge.is_published else None
        self.key = judge.key

    @torch.no_grad()
    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """See `Extractor`."""
        if self.side is not None:
            images = pillow_resize(images, self.side, self.judge.preprocess.interpolation)
        with tensorfloat(False):  # also in a training that allows it: metrics are compared between trainings
            return {"features": self.judge.encode_image(images.float() / 127.5 - 1)}


class InceptionExtractor:
    """Inception's pool features and unbiased logits: torch-fidelity's input for FID, KID and inception score."""

    def __init__(self, weights: Path, resize: str, device: torch.device) -> None:
        """
        Args:
            weights: a file that `find_inception_weights` has checked.
            resize: how images are resized to 299 pixels: `extractor` (as TensorFlow 1 did) or `bicubic` (antialiased).
        """
        network = FeatureExtractorInceptionV3(
            INCEPTION, ["2048", "logits_unbiased"], feature_extractor_weights_path=str(weights)
        )
        self.network, self.resize = network.to(device), resize
        digest = file_digest(weights)
        self.key, self.mark = f"{INCEPTION} {digest} {resize}", mark_of(digest, PUBLISHED_INCEPTION)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """See `Extractor`."""
        if self.resize == "bicubic":
            side = (INCEPTION_SIDE, INCEPTION_SIDE)
            images = F.interpolate(images.float(), side, mode="bicubic", antialias=True)
            images = images.round().clamp(0, 255).to(torch.uint8)  # Inception's own resizing does not change this size
        with tensorfloat(False):
            features, logits = self.network(images)
        return {"features": features, "logits": logits}


def load_extractor(config: MetricsConfig, judge: FrozenClip | None, device: torch.device) -> Extractor:
    """Load the network that a protocol names.

    Raises:
        UserError: Inception's weights are missing.
    """
    if config.extractor == "judge":
        assert judge is not None
        return JudgeExtractor(judge)
    return InceptionExtractor(find_inception_weights(config.inception_weights), config.resize, device)
