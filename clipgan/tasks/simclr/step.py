"""Do one step of pretraining: views of each image, CLIP's choice of the pairs, NT-Xent, LARS.

Shapes: N batch, n rows of this process, V views of an image, R resolution, P width of the projection, C width of CLIP's
embedding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clipgan.base.distributed import gather
from clipgan.base.randomness import stream
from clipgan.config import Config, PairsConfig
from clipgan.config.simclr import SimclrConfig
from clipgan.engine.accumulate import Embeddings, Values, backward
from clipgan.engine.optimizer_step import update
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.models.losses.contrastive import nt_xent
from clipgan.models.losses.pairs import Selection, select_images, select_views
from clipgan.tasks.simclr.augment import augment, draw
from clipgan.tasks.simclr.batches import ImageBatch
from clipgan.tasks.simclr.optimizer import rate
from clipgan.tasks.simclr.state import SimclrState

Views = tuple[Tensor, ...]  # the V views of n images, [n, 3, R, R] in [0, 1] each


@dataclass(frozen=True)
class Method:
    """Settings that all steps of a run share."""

    config: Config
    simclr: SimclrConfig
    x_flip: bool  # whether views are mirrored
    total: int  # steps
    clip: FrozenClip | None  # the CLIP that embeds the views; None: the cache has its features


def train_step(state: SimclrState, batch: ImageBatch, method: Method, step: int) -> dict[str, Tensor]:
    """Train on one batch; with `accumulate` > 1 in parts, which are contrasted as one batch (gradient caching).

    Args:
        state: changed in place.
        batch: this process's rows.
        method: settings that all steps share.
        step: its number, from 0.

    Returns:
        The loss and the rate.
    """
    config, simclr = method.config, method.simclr
    views = views_of(batch, method, step)
    selection = choose_pairs(config.pairs, batch, views, method.clip)
    for group in state.optimizer.param_groups:
        group["lr"] = rate(simclr, config.batch, step, method.total)
    zero = torch.zeros((), device=state.precision.device)

    def forward(part: Views) -> tuple[Tensor, Embeddings]:
        return zero, embed(part)

    def embed(part: Views) -> Embeddings:
        z = state.project(torch.cat(part)).chunk(len(part))
        return {f"view {number}": rows for number, rows in enumerate(z)}

    def embed_ahead(part: Views) -> Embeddings:
        with state.same_statistics():
            return embed(part)

    def contrast(embedded: Embeddings, parts: Sequence[Views]) -> tuple[Tensor, Values]:
        z = torch.cat([gather(rows) for rows in embedded.values()])
        loss = nt_xent(z, simclr.temperature, selection, simclr.views)
        return loss, {"loss/nt_xent": loss.detach()}

    state.optimizer.zero_grad(set_to_none=True)
    parts = list(zip(*(each.chunk(config.accumulate) for each in views), strict=True))
    _, values = backward(parts, forward, contrast, embed_ahead, state.scaler)
    state.watch.see_all(values)
    update(state.optimizer, state.scaler, state.watch, "gradient")
    state.watch.end_step(step)
    state.step = step + 1
    return values | {"rate": zero + state.optimizer.param_groups[0]["lr"]}


def views_of(batch: ImageBatch, method: Method, step: int) -> Views:
    """Make the views of this process's images; an image's views do not depend on how processes share a batch."""
    config, size = method.config, batch.images.shape[-1]

    def view(number: int) -> Tensor:
        random = stream(config.seed, f"view {number}", step)
        draws = draw(method.simclr.augment, config.batch, size, method.x_flip, random)
        return augment(batch.images, draws.rows(batch.rows))

    return tuple(view(number) for number in range(1, method.simclr.views + 1))


@torch.no_grad()
def choose_pairs(config: PairsConfig, batch: ImageBatch, views: Views, clip: FrozenClip | None) -> Selection | None:
    """Choose the pairs of the whole batch, [V N, V N]; None: the plain pairs.

    Args:
        config: the strategy.
        batch: has features of its images, unless CLIP embeds the views.
        views: the views of this process's images.
        clip: the CLIP that embeds the views, or None.
    """
    if config.name == "plain":
        return None
    if clip is not None:
        embedded = [gather(clip.encode_image(2 * view - 1)) for view in views]
        return select_views(config, torch.cat(embedded), len(views))
    assert batch.features is not None
    return select_images(config, batch.features @ batch.features.T, len(views))
