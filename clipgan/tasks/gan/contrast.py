"""Compute the contrastive terms of a network over the rows of all processes."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from clipgan.base.distributed import gather
from clipgan.config import Config, PairsConfig
from clipgan.engine.accumulate import Embeddings, Values
from clipgan.engine.divergence import Watch
from clipgan.inputs.batches.batches import Batch, Targets
from clipgan.models.losses.contrastive import ALL_PLAIN
from clipgan.models.losses.pairs import Selections, select
from clipgan.models.losses.structure import Term, structure_loss


def contrast(
    terms: Sequence[Term],
    embedded: Embeddings,
    parts: Sequence[Batch],
    target: Callable[[Targets, str, str], Tensor | None],
    config: Config,
    watch: Watch,
) -> tuple[Tensor | float, Values]:
    """Compute the terms over the rows of `parts` in all processes, against their targets and the further targets."""
    if not terms:
        return 0.0, {}
    further, network = parts[0].further, terms[0].phase
    for space, embeddings in embedded.items():
        watch.see(f"{network}/{space}/embedding", embeddings)

    @torch.no_grad()
    def targets(space: str, pair: str) -> Tensor:
        rows = gather(torch.cat([_present(target(part, space, pair)) for part in parts]))
        watch.see(f"{network}/{space}/{pair}/target", rows)
        more = None if further is None else target(further, space, pair)
        return rows if more is None else torch.cat([rows, more])

    images = {space: gather(rows) for space, rows in embedded.items()}
    return structure_loss(terms, images, targets, _select(config.pairs, parts))


@torch.no_grad()
def _select(pairs: PairsConfig, parts: Sequence[Batch]) -> Selections:
    """Select pairs by the cached features of all processes' rows and of the further targets."""
    if pairs.name == "plain":
        return ALL_PLAIN
    further = parts[0].further
    text, image = (gather(torch.cat([getattr(part, name) for part in parts])) for name in ("text", "clip_image"))
    anchors, more = (text, "text") if pairs.similarity == "text" else (image, "clip_image")
    candidates = anchors if further is None else torch.cat([anchors, getattr(further, more)])
    return select(pairs, anchors @ candidates.T, (text * image).sum(dim=1))


def _present(target: Tensor | None) -> Tensor:
    assert target is not None  # every row of a batch has its targets
    return target
