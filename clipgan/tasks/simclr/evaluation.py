"""Measure a snapshot: linear and k-NN accuracy of the frozen encoder's features.

Shapes: N images, R resolution, Q width of the features.
"""

import math

import torch
from torch import Tensor, nn

from clipgan.base.distributed import from_first, gather, rank, world_size
from clipgan.config import Config
from clipgan.engine.precision import Precision
from clipgan.inputs.data.labels import Labels
from clipgan.inputs.data.pack import PackedData, Split
from clipgan.inputs.features.encoding import to_images
from clipgan.tasks.simclr.knn import knn_accuracy
from clipgan.tasks.simclr.linear_eval import linear_accuracy

OBJECTIVE = "linear_acc"
AT_ONCE = 256  # images of a forward pass


class LinearEvaluation:
    """Measures encoders on one data set."""

    def __init__(self, config: Config, data: PackedData, labels: Labels, precision: Precision) -> None:
        assert config.simclr is not None
        self.config, self.simclr, self.data, self.precision = config, config.simclr, data, precision
        self.classes = len(labels.classes)
        self.labels, self.answers = (
            torch.from_numpy(each).to(precision.device) for each in (labels.train, labels.heldout)
        )

    def __call__(self, encoder: nn.Module) -> dict[str, float]:
        """Compute accuracies on the held-out images, shares in [0, 1]; the same in all processes.

        `linear_acc_sd` is the standard deviation over other draws of M held-out images: sqrt(p (1 - p) / M).
        """
        splits = self.data.train, self.data.heldout
        train, heldout = (frozen_features(encoder, split, self.precision) for split in splits)
        figures: dict[str, float] = {}
        if rank() == 0:
            known = (train, self.labels, heldout, self.answers, self.classes)
            linear = linear_accuracy(self.simclr.linear, *known, seed=self.config.seed)
            knn = knn_accuracy(self.simclr.knn, *known)
            deviation = math.sqrt(linear * (1 - linear) / len(heldout))
            figures = {OBJECTIVE: linear, f"{OBJECTIVE}_sd": deviation, "knn_acc": knn}
        return from_first(figures)


@torch.no_grad()
def frozen_features(encoder: nn.Module, split: Split, precision: Precision) -> Tensor:
    """Compute the encoder's features of all images of a split, without augmentation: float32 [N, Q].

    The processes share the work. The encoder is in evaluation mode meanwhile.
    """
    training = encoder.training
    encoder.eval()
    each = math.ceil(len(split) / world_size())
    rows = [min(row, len(split) - 1) for row in range(rank() * each, (rank() + 1) * each)]
    found = []
    for start in range(0, each, AT_ONCE):
        images = to_images(split.images[rows[start : start + AT_ONCE]], precision.device)
        with precision.autocast():
            found.append(encoder(images).float())
    encoder.train(training)
    return gather(torch.cat(found))[: len(split)]
