"""Measure a snapshot: linear and k-NN accuracy of the frozen encoder's features, and accuracy after fine-tuning.

Shapes: N images, R resolution, Q width of the features, K classes.
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
from clipgan.tasks.simclr.few_labels import labelled_images
from clipgan.tasks.simclr.fine_tuning import FineTuning
from clipgan.tasks.simclr.knn import knn_accuracy
from clipgan.tasks.simclr.linear_eval import linear_accuracy

OBJECTIVE = "linear_acc"
AT_ONCE = 256  # images of a forward pass


class Evaluation:
    """Measures encoders on one data set."""

    def __init__(self, config: Config, data: PackedData, labels: Labels, precision: Precision) -> None:
        """
        Raises:
            UserError: `simclr.few_labels` does not fit the classes.
        """
        assert config.simclr is not None
        self.config, self.simclr, self.data, self.precision = config, config.simclr, data, precision
        self.classes = len(labels.classes)
        self.labels, self.answers = (
            torch.from_numpy(each).to(precision.device) for each in (labels.train, labels.heldout)
        )
        self.few = labelled_images(config, labels)
        self.fine_tuning = FineTuning(config, data.train, labels, data.x_flip, precision)

    @property
    def further(self) -> list[str]:
        """The metrics besides `linear_acc` and its deviation, some of them due at the end only."""
        tuned = [f"finetune_acc_{name}" for name in self.few if self.simclr.finetune.when != "never"]
        return ["knn_acc", *(f"{OBJECTIVE}_{name}" for name in self.few), *tuned]

    def __call__(self, encoder: nn.Module, last: bool) -> dict[str, float]:
        """Compute accuracies on the held-out images, shares in [0, 1]; the same in all processes.

        `linear_acc_sd` is the standard deviation over other draws of M held-out images: sqrt(p (1 - p) / M).

        Args:
            encoder: from images to features.
            last: whether the training ends here.

        Raises:
            DivergenceError: fine-tuning has diverged.
        """
        splits = self.data.train, self.data.heldout
        train, heldout = (computed_of_all(encoder, split, self.precision) for split in splits)
        figures = from_first(self._of_features(train, heldout) if rank() == 0 else {})
        if self.simclr.finetune.when == "snapshot" or (last and self.simclr.finetune.when == "end"):
            for name, labelled in self.few.items():
                logits = computed_of_all(self.fine_tuning(encoder, labelled), self.data.heldout, self.precision)
                figures[f"finetune_acc_{name}"] = (logits.argmax(dim=1) == self.answers).double().mean().item()
        return figures

    def _of_features(self, train: Tensor, heldout: Tensor) -> dict[str, float]:
        """Compute the accuracies of the frozen features, [N, Q] each."""
        known = (train, self.labels, heldout, self.answers, self.classes)
        linear, seed = self.simclr.linear, self.config.seed
        accuracy = linear_accuracy(linear, *known, seed=seed)
        deviation = math.sqrt(accuracy * (1 - accuracy) / len(heldout))
        few = {
            f"{OBJECTIVE}_{name}": linear_accuracy(linear, *known, seed=seed, labelled=labelled.to(train.device))
            for name, labelled in self.few.items()
        }
        knn = knn_accuracy(self.simclr.knn, *known)
        return {OBJECTIVE: accuracy, f"{OBJECTIVE}_sd": deviation, "knn_acc": knn, **few}


@torch.no_grad()
def computed_of_all(network: nn.Module, split: Split, precision: Precision) -> Tensor:
    """Compute a network's outputs for all images of a split, without augmentation: float32 [N, Q], or [N, K].

    The processes share the work. The network is in evaluation mode meanwhile.
    """
    training = network.training
    network.eval()
    each = math.ceil(len(split) / world_size())
    rows = [min(row, len(split) - 1) for row in range(rank() * each, (rank() + 1) * each)]
    found = []
    for start in range(0, each, AT_ONCE):
        images = to_images(split.images[rows[start : start + AT_ONCE]], precision.device)
        with precision.autocast():
            found.append(network(images).float())
    network.train(training)
    return gather(torch.cat(found))[: len(split)]
