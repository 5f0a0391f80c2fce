"""Measure how often an image's nearest neighbour, by CLIP, has the image's class."""

import numpy as np

from clipgan.inputs.data.labels import Labels
from clipgan.tasks.simclr.batches import ImageBatches

BATCHES = 8  # number of batches of the first epoch that count


def share_of_right_neighbours(batches: ImageBatches, labels: Labels) -> dict[str, float]:
    """Compute how often an image's nearest other image has its class, and how often a random image has it.

    Returns:
        `neighbours_right` and `neighbours_chance`; nothing if the batches have no features.
    """
    if batches.features is None:
        return {}
    right, chance = [], []
    for step in range(min(BATCHES, batches.per_epoch)):
        index = batches.indices(step)
        features = np.asarray(batches.features[index], dtype=np.float32)
        similarity = features @ features.T
        np.fill_diagonal(similarity, -np.inf)
        of = labels.train[index]
        same = of[:, None] == of
        right.append(same[np.arange(len(index)), similarity.argmax(axis=1)].mean())
        chance.append((same.sum() - len(index)) / (len(index) * (len(index) - 1)))
    return {"neighbours_right": float(np.mean(right)), "neighbours_chance": float(np.mean(chance))}
