"""FID of a generator's images against a split of the data set, through torch-fidelity (no formula of our own).

The metric's key states its extractor: `fid` is torch-fidelity's Inception and nothing else.
Shapes: N images, R resolution, C width of CLIP's embedding.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torch_fidelity import calculate_metrics, register_feature_extractor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from clipgan.cache import file_digest
from clipgan.config import MetricsConfig
from clipgan.data.pack import PackedData, Split
from clipgan.encoders.clip import FrozenClip
from clipgan.metrics.inception import find_inception_weights
from clipgan.networks.generator import TextToImage
from clipgan.pixels import to_uint8
from clipgan.randomness import normals, stream

INCEPTION = "inception-v3-compat"


def register_clip_extractor(judge: FrozenClip) -> str:
    """Make torch-fidelity know the image tower of `judge`, and return the name that it goes by there."""
    name = f"clip-{judge.key}"
    if name in FEATURE_EXTRACTORS_REGISTRY:
        return name

    class ClipExtractor(FeatureExtractorBase):
        """The embedding at unit length, from uint8 images [N, 3, R, R]: no scale of the judge's enters the distance."""

        def __init__(self, name: str, features_list: Sequence[str], **_unused: object) -> None:
            super().__init__(name, features_list)
            self.judge = judge

        def forward(self, images: Tensor) -> tuple[Tensor]:
            return (self.judge.encode_image(images.float() / 127.5 - 1),)

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return ("embedding",)

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return "embedding"

        @staticmethod
        def can_be_compiled() -> bool:
            return False

        @staticmethod
        def get_dummy_input_for_compile() -> Tensor:
            return torch.zeros(1, 3, 32, 32, dtype=torch.uint8)

    register_feature_extractor(name, ClipExtractor)
    return name


class RealImages(Dataset):
    """Images of a split, evenly chosen, as torch-fidelity wants them: uint8 [3, R, R]."""

    def __init__(self, split: Split, count: int) -> None:
        self.images, self.chosen = split.images, evenly(len(split), count)

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: int) -> Tensor:
        return torch.from_numpy(self.images[self.chosen[index]].copy())


def evenly(available: int, count: int) -> np.ndarray:
    """Indices of at most `count` of `available` items: all of them, or evenly spaced ones (a folder may be sorted)."""
    count = min(available, count)
    return np.arange(count) * available // count


class GeneratedImages(Dataset):
    """A generator's images for the prompts of a split, made in chunks when they are asked for.

    Image i has the prompt of the i-th real image (cyclically, see `RealImages`). Its latent and noise depend on
    the seed and on i alone: chunks are the same whatever the batch size, and earlier evaluations change nothing.
    """

    CHUNK = 50

    def __init__(self, generator: TextToImage, prompts: Tensor, count: int, seed: int, device: torch.device) -> None:
        """
        Args:
            prompts: the conditions of the split's images, [N, C], unit length.
            count: how many images.
        """
        self.generator, self.prompts, self.count, self.seed, self.device = generator, prompts, count, seed, device
        self._number, self._chunk = -1, torch.empty(0)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Tensor:
        """uint8 [3, R, R]."""
        number, place = divmod(index, self.CHUNK)
        if number != self._number:
            self._number, self._chunk = number, self._generate(number)
        return self._chunk[place]

    @torch.no_grad()
    def _generate(self, number: int) -> Tensor:
        """uint8 [CHUNK, 3, R, R]."""
        first = number * self.CHUNK
        real = evenly(len(self.prompts), self.count)
        condition = self.prompts[real.take(range(first, first + self.CHUNK), mode="wrap")].to(self.device)
        random = stream(self.seed, "evaluation", number, self.device)
        z = torch.randn(self.CHUNK, self.generator.z_dim, generator=random, device=self.device)
        return to_uint8(self.generator(z, condition, self.generator.draw_noise(self.CHUNK, normals(random)))).cpu()


class Fid:
    """FID of a generator against one split of one data set."""

    def __init__(
        self,
        config: MetricsConfig,
        data: PackedData,
        split: str,
        prompts: Tensor,
        judge: FrozenClip | None,
        cache_dir: Path,
        device: torch.device,
    ) -> None:
        """
        Args:
            split: whose images are the real ones.
            prompts: the conditions of that split's images, [N, C], unit length.
            judge: the CLIP that judges where the extractor is `clip_tiny`.
            cache_dir: keeps the real images' statistics.
        """
        self.config, self.device, self.prompts = config, device, prompts
        self.split: Split = getattr(data, split)
        self.cache_root = cache_dir / "fidelity"
        if judge is not None:
            self.key, self.extractor, self.weights, weights_id = "fid_clip_tiny", register_clip_extractor(judge), "", ""
        else:
            path = find_inception_weights(config.inception_weights)
            self.key, self.extractor, self.weights, weights_id = "fid", INCEPTION, str(path), file_digest(path)
        self.n_real = min(config.n_images, len(self.split))
        self.real_name = f"{data.fingerprint}-{split}-{self.n_real}-{weights_id}"

    def __call__(self, generator: TextToImage, seed: int) -> float:
        """The FID of `generator` (in evaluation mode); `seed` chooses the latents."""
        generated = GeneratedImages(generator, self.prompts, self.config.n_images, seed, self.device)
        return self.between(generated, RealImages(self.split, self.n_real), self.real_name)

    def between(self, first: Dataset, second: Dataset, second_name: str | None = None) -> float:
        """FID between two data sets of uint8 [3, R, R]; the statistics of a named second one are cached."""
        metrics = calculate_metrics(
            input1=first,
            input2=second,
            fid=True,
            cuda=self.device.type == "cuda",
            batch_size=self.config.batch,
            feature_extractor=self.extractor,
            feature_extractor_weights_path=self.weights or None,
            input2_cache_name=second_name,
            cache=second_name is not None,
            cache_root=str(self.cache_root),
            save_cpu_ram=True,  # no worker processes: the data sets are in memory
            verbose=self.extractor == INCEPTION,  # minutes on a CPU: torch-fidelity's own bars
        )
        return float(metrics["frechet_inception_distance"])
