"""CLIP's ViT-L/14@336 as the extractor of CMMD (arXiv:2401.09603)."""

import functools
from pathlib import Path

import torch

from clipgan.base.checksums import file_digest
from clipgan.base.errors import UserError
from clipgan.config import ClipConfig
from clipgan.inputs.encoders.clip import FrozenClip, load_clip
from clipgan.inputs.encoders.published import PUBLISHED_CLIP_L14_336, mark_of
from clipgan.metrics.extractors import JudgeExtractor

MODEL = "ViT-L-14-336-quickgelu"


class CmmdExtractor(JudgeExtractor):
    """Image embeddings of unit length; Pillow resizes the images to 336 pixels (bicubic), and nothing is cropped."""

    def __init__(self, clip: FrozenClip, mark: str) -> None:
        """Take the CLIP, and see `Extractor` for `mark`."""
        super().__init__(clip)
        self.mark = mark


@functools.cache  # see load_dinov2
def load_cmmd_clip(given: str | None, device: torch.device) -> CmmdExtractor:
    """Load the network: OpenAI's weights by open_clip, or a file of them.

    Args:
        given: `metrics.cmmd_weights`; None: from the hub or its cache.
        device: the device of the network.

    Raises:
        UserError: the weights are missing, or are another network's.
    """
    try:
        config = ClipConfig(name="cmmd", model=MODEL, pretrained="openai", checkpoint=given, precision="float32")
        clip = load_clip(config, None, Path(), device)
    except UserError as error:
        raise UserError(f"metrics.cmmd: {error} (here: metrics.cmmd_weights=FILE)") from error
    clip.move_text_tower(torch.device("cpu"))
    assert clip.file is not None
    return CmmdExtractor(clip, mark_of(file_digest(clip.file), PUBLISHED_CLIP_L14_336) if given else "")
