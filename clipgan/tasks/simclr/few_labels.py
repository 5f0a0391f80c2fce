"""Choose the images whose labels count where an evaluation trains on few labels.

Shapes: N training images, K classes.
"""

import numpy as np
import torch

from clipgan.base.errors import UserError
from clipgan.base.randomness import stream
from clipgan.config import Config
from clipgan.config.simclr import percent
from clipgan.inputs.data.labels import Labels


def labelled_images(config: Config, labels: Labels) -> dict[str, torch.Tensor]:
    """Choose as many images of each class, as SimCLR does (section 6 of arXiv:2002.05709), by the run's seed.

    A class has round(share N / K) of them; K counts the classes that training images have. A smaller share takes a part
    of the images that a larger one takes.

    Returns:
        For each of `simclr.few_labels` its name in the metrics, such as `1pct`, and the images, int64, in order.

    Raises:
        UserError: a share is less than one image of each class, a class has too few images, or there are fewer images
            than processes.
    """
    assert config.simclr is not None
    present, counts = np.unique(labels.train, return_counts=True)
    rarest, total = int(counts.argmin()), len(labels.train)
    whole = total / len(counts)
    found = {}
    for share in config.simclr.few_labels:
        each = int(share * whole + 0.5)
        key = f"simclr.few_labels={share:g}"
        if each < 1:
            raise UserError(
                f"{key} is too few labels: it is less than one of {total} training images for each of "
                f"{len(counts)} classes; take at least {1 / whole:.3g}"
            )
        if counts[rarest] < each:
            raise UserError(
                f"{key} is too many labels: it takes {each} training images of each class, and class "
                f"{labels.classes[present[rarest]]} has {counts[rarest]}; take at most {counts[rarest] / whole:.6g}"
            )
        if each * len(counts) < config.processes:
            raise UserError(f"{key} is too few labels: {each * len(counts)} images for {config.processes} processes")
        found[percent(share)] = _first_of_each(labels.train, each, config.seed)
    return found


def _first_of_each(labels: np.ndarray, each: int, seed: int) -> torch.Tensor:
    """Return the first `each` images of each class, in an order that the seed determines."""
    order = torch.randperm(len(labels), generator=stream(seed, "few labels")).numpy()
    chosen = [order[labels[order] == label][:each] for label in np.unique(labels)]
    return torch.from_numpy(np.sort(np.concatenate(chosen)))
