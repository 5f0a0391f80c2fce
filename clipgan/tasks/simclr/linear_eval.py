"""Evaluate features linearly: train a linear classifier on frozen, precomputed features, by SGD on cross-entropy.

Shapes: N training images, M held-out ones, Q width of the features, K classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from clipgan.base.device import tensorfloat
from clipgan.base.randomness import stream
from clipgan.config.simclr import LinearConfig


@tensorfloat(False)  # also in a training that allows it: accuracies are compared between trainings
def linear_accuracy(
    config: LinearConfig,
    train: Tensor,
    labels: Tensor,
    heldout: Tensor,
    answers: Tensor,
    classes: int,
    seed: int,
    labelled: Tensor | None = None,
) -> float:
    """Train the classifier, and compute the share of held-out images that it classifies correctly.

    First, each feature is scaled to mean 0 and deviation 1 over the training images, so that one rate suits any
    network; a linear classifier can still express the same functions. It starts at 0, and its rate falls linearly.

    Args:
        config: the training of the classifier.
        train: float32 [N, Q].
        labels: int64 [N].
        heldout: float32 [M, Q].
        answers: int64 [M].
        classes: K.
        seed: determines the order of the images.
        labelled: int64, the training images to train on; None: all. Features are scaled by all of them in any case, and
            the classifier takes as many steps as on all: a few steps on few labels would leave it unfinished.
    """
    mean, deviation = train.mean(dim=0), train.std(dim=0).clamp(min=1e-6)
    train, heldout = (train - mean) / deviation, (heldout - mean) / deviation
    total = config.epochs * max(1, len(train) // config.batch)
    if labelled is not None:
        train, labels = train[labelled], labels[labelled]
    weight = torch.zeros(classes, train.shape[1], device=train.device, requires_grad=True)
    bias = torch.zeros(classes, device=train.device, requires_grad=True)
    optimizer = torch.optim.SGD([weight, bias], lr=config.lr, momentum=config.momentum)
    batch = min(config.batch, len(train))
    for step in range(total):
        epoch, place = divmod(step, len(train) // batch)
        if place == 0:
            order = torch.randperm(len(train), generator=stream(seed, "linear evaluation", epoch)).to(train.device)
        rows = order[place * batch : (place + 1) * batch]
        optimizer.param_groups[0]["lr"] = config.lr * (1 - step / total)
        loss = F.cross_entropy(F.linear(train[rows], weight, bias), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return (F.linear(heldout, weight, bias).argmax(dim=1) == answers).double().mean().item()
