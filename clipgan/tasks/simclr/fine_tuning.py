"""Fine-tune: train a copy of the encoder, with a classifier on top, on few labels (SimCLR, appendix B.5).

Shapes: n rows of this process, R resolution, Q width of the features, K classes.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clipgan.base.distributed import rank, world_size
from clipgan.base.errors import DivergenceError
from clipgan.base.randomness import stream
from clipgan.config import Config
from clipgan.engine.divergence import Watch
from clipgan.engine.optimizer_step import update
from clipgan.engine.precision import Precision
from clipgan.inputs.data.labels import Labels
from clipgan.inputs.data.pack import Split
from clipgan.inputs.features.encoding import to_device
from clipgan.tasks.simclr.augment import augment, draw
from clipgan.tasks.simclr.network import build_encoder, over_processes


@dataclass(frozen=True)
class FineTuning:
    """Trains copies of encoders on the labels of a data set."""

    config: Config
    split: Split  # the training images
    labels: Labels
    x_flip: bool  # whether views are mirrored
    precision: Precision

    def __call__(self, encoder: nn.Module, labelled: Tensor) -> nn.Module:
        """Train the copy and its classifier, and return both as one network: images [n, 3, R, R] -> logits [n, K].

        Views are random crops, mirrored at random, without changes of colour. The classifier starts at 0. SGD has no
        weight decay, and the rate falls along half a cosine. All processes share each batch.

        Args:
            encoder: the pretrained encoder; it stays as it is.
            labelled: int64, the training images to train on, the same in all processes.

        Raises:
            DivergenceError: a loss or a gradient is not finite.
        """
        assert self.config.simclr is not None
        how, network = self.config.simclr.finetune, self._network(encoder)
        optimizer = torch.optim.SGD(network.parameters(), lr=how.lr, momentum=how.momentum, nesterov=True)
        scaler, watch = self.precision.scaler(), Watch()
        each = min(how.batch, len(labelled)) // world_size()
        batch = each * world_size()
        per_epoch = len(labelled) // batch
        total = how.epochs * per_epoch
        for step in range(total):
            epoch, place = divmod(step, per_epoch)
            order = torch.randperm(len(labelled), generator=stream(self.config.seed, "fine-tuning", epoch))
            first = place * batch + rank() * each
            images = labelled[order[first : first + each]].numpy()
            rate = how.lr * batch / 256 * 0.5 * (1 + math.cos(math.pi * step / total))
            optimizer.param_groups[0]["lr"] = rate
            with self.precision.autocast():
                logits = network(self._views(images, range(rank() * each, (rank() + 1) * each), batch, step))
            wanted = to_device(self.labels.train[images], self.precision.device)
            loss = F.cross_entropy(logits.float(), wanted, reduction="sum") / batch
            optimizer.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
            watch.see("loss", loss)
            update(optimizer, scaler, watch, "gradient")
            watch.end_step(step)
        fault = watch.fault(of_all=True)
        if fault is not None:
            raise DivergenceError(
                f"fine-tuning on {len(labelled)} labels: the {fault.name} is not finite in step {fault.step + 1} with "
                f"simclr.finetune.lr={how.lr:g}; take a smaller one"
            )
        return network

    def _network(self, encoder: nn.Module) -> nn.Module:
        """Copy the encoder, and put a classifier of zeros on top."""
        config, device = self.config, self.precision.device
        assert config.simclr is not None
        with torch.random.fork_rng(devices=[]):
            copy, dim = build_encoder(config.simclr.network, config.simclr.stem, config.resolution)
        copy.load_state_dict(encoder.state_dict())
        classifier = nn.Linear(dim, len(self.labels.classes))
        nn.init.zeros_(classifier.weight)
        nn.init.zeros_(classifier.bias)
        network = nn.Sequential(copy, classifier)
        over_processes(network, device)
        return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _views(self, images: np.ndarray, rows: range, batch: int, step: int) -> Tensor:
        """Make the views of this process's images, [n, 3, R, R] in [-1, 1]; `rows` are their numbers in the batch."""
        config = self.config
        assert config.simclr is not None
        crops = replace(config.simclr.augment, jitter=0.0, grayscale=0.0, blur=0.0)
        random = stream(config.seed, "fine-tuning view", step)
        draws = draw(crops, batch, config.resolution, self.x_flip, random)
        packed = to_device(self.split.images[images], self.precision.device)
        views = augment(packed.float() / 255, draws.rows(rows))
        return (2 * views - 1).contiguous(memory_format=torch.channels_last)
