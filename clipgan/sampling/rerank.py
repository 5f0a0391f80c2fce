"""Reranking: CLIP chooses the pictures that fit a prompt best.

Shapes: N pictures of one prompt, R resolution.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from clipgan.base.errors import UserError
from clipgan.config.command_line import compose_config
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.sampling.sampler import Sampler, recorded_clip
from clipgan.sampling.source import Source

BATCH = 32


@torch.no_grad()
def clip_scores(clip: FrozenClip, images: Tensor, prompt: str, device: torch.device) -> Tensor:
    """Return the cosine of each picture and the prompt: uint8 [N, 3, R, R] -> float32 [N], on the CPU."""
    text = clip.encode_text([prompt])[0]
    parts = [clip.encode_image(part.to(device).float() / 127.5 - 1) @ text for part in images.split(BATCH)]
    return torch.cat(parts).cpu()


def best(scores: Tensor, count: int) -> list[int]:
    """Return the indices of the `count` highest scores, the best first; among equal scores the earlier first."""
    return scores.argsort(descending=True, stable=True)[:count].tolist()


def scoring_clip(
    sampler: Sampler,
    source: Source,
    name: str | None,
    checkpoint: str | None,
    device: torch.device,
    places: Sequence[str] = (),
) -> FrozenClip:
    """Load the CLIP that judges the pictures.

    Args:
        sampler: has the guiding CLIP, the default judge. The guide may overrate pictures that it guided.
        source: has the run's judge.
        name: `judge` (the run's), an option of clip, or None.
        checkpoint: the judging CLIP's weights.
        places: the override that says where own options of clip are.

    Raises:
        UserError: the run had no judge, or the CLIP's weights are missing.
    """
    if name is None and checkpoint is None:
        return sampler.clip
    key = "rerank_clip"
    if name == "judge":
        judge = source.config.metrics.judge
        if judge is None or (source.judge is None and checkpoint is None):
            raise UserError(f"{key}=judge: {source.name} has no judge; give a CLIP of conf/clip, such as ViT-B32")
        return recorded_clip(replace(judge, name="judge"), source.judge, checkpoint, device, key)
    config = source.config.clip if name is None else compose_config([*places, f"clip={name}"]).clip
    if checkpoint is None and config.train is not None:
        raise UserError(f"{key}={name} is trained on a data set: give its weights with {key}.checkpoint=FILE")
    try:
        return recorded_clip(config, None, checkpoint, device, key)
    except UserError as error:
        raise UserError(f"{key}={name}: {error} (in this command: {key}.checkpoint=FILE)") from error
