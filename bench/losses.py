"""The contrastive part of a generator step (twelve terms, forward and backward) against a plain loop over the terms.

The loop does for each term and direction what one would write first: choose the pairs, multiply, take the softmax.
Both take turns, round by round, in one process; printed are medians, and ratios taken round by round. At last the
share that it has of a training step of `model=base` at batch 16, with the small encoders.

    python -m bench.losses
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.table import Table
from torch import Tensor

from clipgan.base.console import console, track
from clipgan.config import Config, PairsConfig
from clipgan.config.command_line import compose_config
from clipgan.models.losses.contrastive import ALL_PLAIN
from clipgan.models.losses.pairs import STRATEGIES, Selection, Selections, select
from clipgan.models.losses.structure import Term, active_terms, structure_loss

SIZES, WIDTH = (16, 64, 256, 1024), 512
SECONDS = 1.0  # of measurement for each cell, at least three rounds
BASE_STEPS = 3


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
        """By CLIP's similarities of the images, and how well they fit their captions."""
        if pairs.name == "plain":
            return ALL_PLAIN
        similarity = self.clip_image @ self.clip_image.T
        return select(pairs, similarity, (self.clip_text * self.clip_image).sum(dim=1))


def shared(terms: list[Term], pairs: PairsConfig, inputs: Inputs) -> None:
    """This project's: one selection for all terms, one matrix for both directions."""
    selections = inputs.selections(pairs)
    loss, _ = structure_loss(terms, inputs.images, lambda space, pair: inputs.targets[space, pair], selections)
    _backward(loss, inputs)


def loop(terms: list[Term], pairs: PairsConfig, inputs: Inputs) -> None:
    """The straightforward one."""
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


def milliseconds(run: Callable[[], None]) -> float:
    """One call's wall time."""
    start = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - start)


def compare(first: Callable[[], None], second: Callable[[], None]) -> tuple[float, float, float]:
    """Median times of two functions that take turns, and the median ratio of the first to the second."""
    for run in (first, second):
        run()
    times: list[tuple[float, float]] = []
    end = time.perf_counter() + SECONDS
    while len(times) < 3 or time.perf_counter() < end:
        times.append((milliseconds(first), milliseconds(second)))
    ours, theirs = zip(*times, strict=True)
    return statistics.median(ours), statistics.median(theirs), statistics.median(a / b for a, b in times)


def terms_of(config: Config) -> list[Term]:
    return [term for term in active_terms(config) if term.phase == "G"]


def share_of_a_step(overrides: list[str]) -> None:
    """Print how much of a step of `model=base` the contrastive part of both networks' losses takes."""
    from clipgan.base.device import choose_device
    from clipgan.tasks.gan.preparation import prepare
    from clipgan.tasks.gan.training import Training

    config = compose_config(["model=base", "batch=16", "threads=1", *overrides])
    device = choose_device(config.device)
    training = Training(config, Path("runs/bench"), prepare(config, device), device, None)
    training.step(1)
    step = statistics.median(milliseconds(lambda: training.step(1)) for _ in range(BASE_STEPS))
    inputs = Inputs(16)
    both = [[term for term in active_terms(config) if term.phase == phase] for phase in ("G", "D")]

    def contrast() -> None:
        for terms in both:
            shared(terms, config.pairs, inputs)

    contrast()
    whole = statistics.median(milliseconds(contrast) for _ in range(50))
    console.print(
        f"model=base at {config.resolution} pixels, batch 16, pairs={config.pairs.name}: "
        f"{step:.0f} ms a step, of which the contrast takes "
        f"{whole:.2f} ms ({100 * whole / step:.2f} %)"
    )


def main() -> None:
    """Measure and print the tables. Overrides as for train.py go to the training step."""
    torch.set_num_threads(1)
    terms = terms_of(compose_config(["loss=symmetric"]))
    table = Table("pairs", "N", "shared, ms", "loop, ms", "ratio")
    cells = [(name, count) for name in STRATEGIES for count in SIZES]
    for name, count in track(cells, "cells", len(cells)):
        pairs, inputs = compose_config([f"pairs={name}"]).pairs, Inputs(count)
        ours, theirs, ratio = compare(lambda: shared(terms, pairs, inputs), lambda: loop(terms, pairs, inputs))  # noqa: B023
        table.add_row(name, str(count), f"{ours:.2f}", f"{theirs:.2f}", f"{ratio:.2f}")
    console.print(table)
    share_of_a_step(sys.argv[1:])


if __name__ == "__main__":
    main()
