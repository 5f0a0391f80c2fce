"""Compute the contrastive terms of a network over the rows of all processes, or of each process."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from clipgan.base.distributed import gather, total, world_size
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
    """Compute the terms over the rows of `parts`, against their targets and the further targets.

    The rows are those of all W processes, or with `model.lafite.contrast=process` this process's. The gradients of the
    processes are added, so each process's own contrast has the weight 1 / W.

    Args:
        terms: those of one network, G or D.
        embedded: space -> the embeddings of this process's rows in `parts`, [N, d], differentiable.
        parts: the rows; with their targets.
        target: (rows, space, pair) -> their targets, [N, d]; None for further targets that a term cannot have.
        config: of the run.
        watch: sees embeddings and targets.

    Returns:
        The loss (0.0 without terms), and the unweighted value of each direction by its name, as `structure_loss` does.
    """
    if not terms:
        return 0.0, {}
    further, network = parts[0].further, terms[0].phase
    lafite = config.model.lafite
    alone = lafite is not None and lafite.contrast == "process" and world_size() > 1
    together = _as_they_are if alone else gather
    for space, embeddings in embedded.items():
        watch.see(f"{network}/{space}/embedding", embeddings)

    @torch.no_grad()
    def targets(space: str, pair: str) -> Tensor:
        rows = together(torch.cat([_present(target(part, space, pair)) for part in parts]))
        watch.see(f"{network}/{space}/{pair}/target", rows)
        more = None if further is None else target(further, space, pair)
        return rows if more is None else torch.cat([rows, more])

    images = {space: together(rows) for space, rows in embedded.items()}
    loss, values = structure_loss(terms, images, targets, _select(config.pairs, parts, together))
    if not alone:
        return loss, values
    return loss / world_size(), {name: total(value) / world_size() for name, value in values.items()}


@torch.no_grad()
def _select(pairs: PairsConfig, parts: Sequence[Batch], together: Callable[[Tensor], Tensor]) -> Selections:
    """Select pairs by the cached features of the rows and of the further targets; `together` gathers rows."""
    if pairs.name == "plain":
        return ALL_PLAIN
    further = parts[0].further
    text, image = (together(torch.cat([getattr(part, name) for part in parts])) for name in ("text", "clip_image"))
    anchors, more = (text, "text") if pairs.similarity == "text" else (image, "clip_image")
    candidates = anchors if further is None else torch.cat([anchors, getattr(further, more)])
    return select(pairs, anchors @ candidates.T, (text * image).sum(dim=1))


def _as_they_are(rows: Tensor) -> Tensor:
    return rows


def _present(target: Tensor | None) -> Tensor:
    assert target is not None  # every row of a batch has its targets
    return target
