"""Compare a generator step's contrast (twelve terms, forward and backward) with a plain loop over the terms.

For each term and direction, the loop chooses the pairs, multiplies, and takes the softmax. Both take turns in one
process, for about half a second per cell of the table. As they take turns, the ratio needs fewer rounds than the
milliseconds do. The bench prints medians, and the median of the rounds' ratios. At the end it prints the contrast's
share of a training step of `model=base` at batch 16, with the small encoders. Overrides as for train.py change this
step; it writes runs/bench/losses.json:

    python -m bench.losses
"""

import statistics
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.measuring import arguments, in_turns, new_training, ratio, seconds, show, write
from clipgan.base.console import console
from clipgan.config import Config, PairsConfig
from clipgan.config.command_line import compose_config, messages_not_tracebacks
from clipgan.models.losses.contrastive import ALL_PLAIN
from clipgan.models.losses.pairs import STRATEGIES, Selection, Selections, select
from clipgan.models.losses.structure import Term, active_terms, structure_loss

SIZES, WIDTH = (16, 64, 256, 1024), 512
SECONDS = 0.5  # seconds of measurement per cell, with at least three rounds
BASE_STEPS = 2


class Inputs:
    """Random embeddings of one batch: images and targets of three spaces, and CLIP features that choose the pairs."""

    def __init__(self, count: int) -> None:
        torch.manual_seed(0)

        def rows() -> Tensor:
            return F.normalize(torch.randn(count, WIDTH), dim=1)

        self.images = {space: rows().requires_grad_() for space in ("D", "CLIP", "ResNet")}
        self.targets = {(space, pair): rows() for space in self.images for pair in ("it", "ii")}
        self.clip_text, self.clip_image = rows(), rows()

    def selections(self, pairs: PairsConfig) -> Selections:
        """Choose pairs by CLIP's similarities of the images, and of images with their captions."""
        if pairs.name == "plain":
            return ALL_PLAIN
        similarity = self.clip_image @ self.clip_image.T
        return select(pairs, similarity, (self.clip_text * self.clip_image).sum(dim=1))


def shared(terms: list[Term], pairs: PairsConfig, inputs: Inputs) -> None:
    """Compute the terms as this project does: one selection for all terms, one matrix for both directions."""
    selections = inputs.selections(pairs)
    loss, _ = structure_loss(terms, inputs.images, lambda space, pair: inputs.targets[space, pair], selections)
    _backward(loss, inputs)


def loop(terms: list[Term], pairs: PairsConfig, inputs: Inputs) -> None:
    """Compute the terms in a plain loop."""
    loss: Tensor | float = 0.0
    for term in terms:
        a, b = inputs.images[term.space], inputs.targets[term.space, term.pair]
        for weight, anchors, candidates in ((term.homologous, a, b), (term.heterologous, b, a)):
            selection = inputs.selections(pairs).homologous
            loss = loss + weight * _softmax_loss(anchors @ candidates.T / term.temperature, selection)
    _backward(loss, inputs)


def _softmax_loss(logits: Tensor, selection: Selection) -> Tensor:
    kept = logits if selection.excluded is None else logits.masked_fill(selection.excluded, float("-inf"))
    log_probabilities = F.log_softmax(kept, dim=1)
    if selection.positives is None:
        losses = -log_probabilities.diagonal()
    else:
        losses = -(selection.positives * log_probabilities).sum(dim=1)
    return losses.mean() if selection.weights is None else losses @ selection.weights


def _backward(loss: Tensor | float, inputs: Inputs) -> None:
    assert isinstance(loss, Tensor)
    loss.backward()
    for images in inputs.images.values():
        images.grad = None


def measure(terms: list[Term], name: str, count: int) -> dict[str, Any]:
    """Measure one cell: milliseconds of both ways, and the ratio."""
    pairs, inputs = compose_config([f"pairs={name}"]).pairs, Inputs(count)
    ways = {"shared": lambda: shared(terms, pairs, inputs), "loop": lambda: loop(terms, pairs, inputs)}
    once = [sum(seconds(way) for way in ways.values()) for _ in range(2)][-1]  # the first one warms up
    times = in_turns(ways, max(3, int(SECONDS / once)), title=f"{name}, {count} images")
    each = {way: 1000 * statistics.median(record) for way, record in times.items()}
    return {"pairs": name, "N": count, **each, "ratio": ratio(times["shared"], times["loop"])}


def share_of_a_step(config: Config) -> float:
    """Measure the share of both networks' contrast in a step."""
    training, inputs = new_training(config), Inputs(16)
    training.step(1)
    step = statistics.median(seconds(lambda: training.step(1), training.device) for _ in range(BASE_STEPS))
    both = [[term for term in active_terms(config) if term.phase == phase] for phase in ("G", "D")]

    def contrast() -> None:
        for terms in both:
            shared(terms, config.pairs, inputs)

    contrast()
    own = statistics.median(seconds(contrast) for _ in range(50))
    console.print(
        f"{config.model.name} at {config.resolution} pixels, batch 16, pairs={config.pairs.name}: "
        f"{1000 * step:.0f} ms a step, of which the contrast takes {1000 * own:.2f} ms ({own / step:.2%})"
    )
    return own / step


@messages_not_tracebacks()
def main() -> None:
    """Measure, print, write."""
    _, overrides = arguments(__doc__)
    config = compose_config(["model=base", "batch=16", "threads=1", *overrides])
    torch.set_num_threads(1)
    terms = [term for term in active_terms(compose_config(["loss=symmetric"])) if term.phase == "G"]
    cells = [measure(terms, name, count) for name in STRATEGIES for count in SIZES]
    show(
        ("pairs", "N", "shared, ms", "loop, ms", "ratio"),
        ((c["pairs"], c["N"], f"{c['shared']:.2f}", f"{c['loop']:.2f}", f"{c['ratio']:.2f}") for c in cells),
    )
    write("losses", cells=cells, share_of_a_step=share_of_a_step(config))


if __name__ == "__main__":
    main()
