"""The small ResNet, trained by plain SimCLR on the data set's own images.

SimCLR: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020.
Shapes: N images, R resolution.
"""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from clipgan.base.cache import cache_entry
from clipgan.base.console import console, track
from clipgan.base.errors import DivergenceError
from clipgan.config import TinyResNetTraining
from clipgan.inputs.data.pack import PackedData, Split
from clipgan.inputs.encoders.preprocess import Preprocess
from clipgan.inputs.encoders.tiny.tiny_training import seeded_on_one_thread, warmup_cosine
from clipgan.inputs.encoders.weights import write_weights

VERSION = 1  # part of the cache key: raise it when the same settings would train different weights
SIZE = 32  # pixels
WIDTHS = (16, 32, 64, 128)
PROJECTION = 64  # width of SimCLR's projection head, which is dropped after training
CROP_AREA = (0.4, 1.0)  # fraction of the image, SimCLR's random resized crop
COLOUR_JITTER = 0.4  # brightness, contrast and saturation are scaled by 1 ± this
GRAYSCALE = 0.1  # probability
RETRIEVAL = 256  # candidates in the retrieval of an image's other view
WEIGHTS = "resnet.safetensors"


class Block(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (He et al. 2016)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride > 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        residual = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(residual + self.shortcut(x))


class TinyResNet(nn.Module):
    """A residual network from normalised images [N, 3, 32, 32] to pooled features [N, 128]."""

    dim = WIDTHS[-1]

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, WIDTHS[0], 3, 2, 1, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU())
        widths = (WIDTHS[0], *WIDTHS)
        self.blocks = nn.Sequential(*(Block(widths[k], widths[k + 1], 1 if k == 0 else 2) for k in range(len(WIDTHS))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(self.stem(x)).mean(dim=(2, 3))


def tiny_resnet_preprocess() -> Preprocess:
    """Return the preprocessing: resize to 32 pixels, keep values in [-1, 1]."""
    return Preprocess(SIZE, mean=(0.5,) * 3, std=(0.5,) * 3)


def train_tiny_resnet(
    config: TinyResNetTraining, data: PackedData, cache_dir: Path, device: torch.device | None = None
) -> Path:
    """Return the cache entry of the small ResNet for these settings and this data set; train it first if missing.

    Returns:
        A directory with `resnet.safetensors` and `report.json` (seconds; `view_retrieval_top1`: the fraction of 256
        held-out images of which a view's nearest neighbour is the other view).

    Raises:
        DivergenceError: the loss is not finite.
    """

    def build(directory: Path) -> None:
        with seeded_on_one_thread(config.seed):
            _train(directory, config, data, device or torch.device("cpu"))

    return cache_entry(cache_dir, "resnet", resnet_description(config, data), build)


def resnet_description(config: TinyResNetTraining, data: PackedData) -> dict[str, Any]:
    """Return the values that the weights depend on."""
    return {"data": data.fingerprint, "x_flip": data.x_flip, "training": asdict(config), "version": VERSION}


def _train(directory: Path, config: TinyResNetTraining, data: PackedData, device: torch.device) -> None:
    start, cpu_start = time.monotonic(), time.process_time()
    network = TinyResNet()
    head = nn.Sequential(nn.Linear(network.dim, network.dim), nn.ReLU(), nn.Linear(network.dim, PROJECTION))
    model = nn.Sequential(network, head).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, warmup_cosine(config.steps))
    rng = np.random.default_rng(config.seed)
    random = torch.Generator().manual_seed(config.seed)
    preprocess = tiny_resnet_preprocess().to(device)
    for step in track(range(config.steps), "training the small ResNet (SimCLR)", config.steps):
        images = preprocess(_sample(data.train, config.batch, rng, device))
        views = torch.cat([augment(images, random, data.x_flip) for _ in range(2)])
        loss = nt_xent(model(views.contiguous(memory_format=torch.channels_last)), config.temperature)
        if not torch.isfinite(loss):
            raise DivergenceError(f"SimCLR loss is {loss.item()} at step {step}")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    network.eval()
    with torch.no_grad():
        images = preprocess(_sample(data.heldout, min(RETRIEVAL, len(data.heldout)), rng, device))
        one, other = (F.normalize(network(augment(images, random, data.x_flip)), dim=1) for _ in range(2))
        top1 = ((one @ other.T).argmax(1).cpu() == torch.arange(len(one))).float().mean().item()
    write_weights(directory / WEIGHTS, network.state_dict())
    report = {
        "view_retrieval_top1": round(top1, 4),
        "candidates": len(images),
        "last_loss": round(loss.item(), 4),
        "seconds": round(time.monotonic() - start, 1),
        "cpu_seconds": round(time.process_time() - cpu_start, 1),
    }
    (directory / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    console.print(
        f"small ResNet: {top1:.1%} of held-out views find their other view among {len(images)} "
        f"(chance {1 / len(images):.1%}) ({report['seconds']} s)"
    )


def _sample(split: Split, count: int, rng: np.random.Generator, device: torch.device) -> torch.Tensor:
    """Draw `count` random images: float32 [count, 3, R, R] in [-1, 1]."""
    chosen = np.sort(rng.choice(len(split), size=count, replace=len(split) < count))
    return torch.from_numpy(split.images[chosen]).to(device).float() / 127.5 - 1


def augment(images: torch.Tensor, random: torch.Generator, x_flip: bool) -> torch.Tensor:
    """Make a random view of each image [N, 3, R, R] in [-1, 1]: crop and resize, flip, colour jitter, grayscale.

    One bilinear resampling and a few elementwise operations serve the whole batch; each image has its own draws.
    """
    count, device = len(images), images.device

    def uniform(low: float, high: float) -> torch.Tensor:
        return (low + (high - low) * torch.rand(count, generator=random)).to(device)

    scale_y, scale_x = (uniform(*CROP_AREA).sqrt() for _ in range(2))
    affine = torch.zeros(count, 2, 3, device=device)
    affine[:, 0, 0] = torch.where(uniform(0, 1) < 0.5, -scale_x, scale_x) if x_flip else scale_x
    affine[:, 1, 1] = scale_y
    affine[:, 0, 2] = uniform(-1, 1) * (1 - scale_x)
    affine[:, 1, 2] = uniform(-1, 1) * (1 - scale_y)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    views = F.grid_sample(images, grid, align_corners=False, padding_mode="reflection")

    low, high = 1 - COLOUR_JITTER, 1 + COLOUR_JITTER
    views = (views + 1) * uniform(low, high).view(-1, 1, 1, 1) - 1  # brightness, about black
    level = views.mean(dim=(1, 2, 3), keepdim=True)
    views = level + (views - level) * uniform(low, high).view(-1, 1, 1, 1)  # contrast, about the mean
    gray = views.mean(dim=1, keepdim=True)
    saturation = torch.where(uniform(0, 1) < GRAYSCALE, torch.zeros(count, device=device), uniform(low, high))
    return (gray + (views - gray) * saturation.view(-1, 1, 1, 1)).clamp(-1, 1)


def nt_xent(projections: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return NT-Xent over projections [2N, D], where rows i and i + N are views of one image: the mean over i of
    -log( exp(z_i.z_j / tau) / sum_{k != i} exp(z_i.z_k / tau) ), where j is the other view of image i.
    """
    z = F.normalize(projections.float(), dim=1)
    similarity = z @ z.T / temperature
    similarity.fill_diagonal_(float("-inf"))
    count = len(z) // 2
    other = torch.arange(2 * count, device=z.device).roll(count)
    return F.cross_entropy(similarity, other)
