"""The small CLIPs, trained on the data set itself: open_clip models with the sizes in `clipgan-tiny*.json`.

`clipgan-tiny` guides. `clipgan-tiny64` judges: its image tower enlarges 32 pixels to 64 and is deeper, so that it tells
small shapes apart, and pictures that please the guide need not please the judge.
"""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from torch import nn

from clipgan.base.cache import cache_entry
from clipgan.base.console import console, track
from clipgan.base.errors import DivergenceError, UserError
from clipgan.config import TinyClipTraining
from clipgan.inputs.data.pack import PackedData
from clipgan.inputs.encoders.preprocess import Preprocess
from clipgan.inputs.encoders.tiny.clip_batches import training_batches
from clipgan.inputs.encoders.tiny.clip_report import CANDIDATES, attribute_accuracy, retrieval_top1
from clipgan.inputs.encoders.tiny.tiny_training import seeded_on_one_thread, warmup_cosine
from clipgan.inputs.encoders.weights import write_weights

VERSION = 1  # part of the cache key: raise it when the same settings would train different weights
TINY_MODEL = "clipgan-tiny"
MODEL_CONFIGS = {path.stem: path for path in sorted(Path(__file__).parent.glob("clipgan-tiny*.json"))}
WEIGHTS = "open_clip_model.safetensors"
MEAN = STD = (0.5, 0.5, 0.5)  # the tower sees values in [-1, 1], unchanged
MAX_LOGIT_SCALE = float(np.log(100))  # CLIP's own clamp
WEIGHT_DECAY = 0.05
BETAS = (0.9, 0.98)


def register_tiny_model() -> None:
    """Make the small CLIPs known to open_clip in this process."""
    for name, path in MODEL_CONFIGS.items():
        if name not in open_clip.list_models():
            open_clip.add_model_config(path)


def build_clip(name: str) -> open_clip.CLIP | open_clip.CustomTextCLIP:
    """Build open_clip's architecture `name` with random weights; its own factory would log a warning about these."""
    config = open_clip.get_model_config(name)
    custom_text = config.pop("custom_text", False)
    return open_clip.CustomTextCLIP(**config) if custom_text else open_clip.CLIP(**config)


def tiny_preprocess(model: str) -> Preprocess:
    """Return the preprocessing of a small CLIP's image tower."""
    size = open_clip.get_model_config(model)["vision_cfg"]["image_size"]
    return Preprocess(size, MEAN, STD)


def train_tiny_clip(
    config: TinyClipTraining, data: PackedData, cache_dir: Path, device: torch.device | None = None,
    model: str = TINY_MODEL,
) -> Path:  # fmt: skip
    """Return the cache entry of a small CLIP for these settings and this data set; train it first if missing.

    Args:
        config: the settings of the training; `min_attribute_accuracy` applies to the shapes set only.
        data: the images and captions; a training on the shapes set depends only on its name and resolution.
        cache_dir: the root of the cache.
        device: where to train; None: the CPU.
        model: one of `MODEL_CONFIGS`.

    Returns:
        A directory with `open_clip_model.safetensors` and `open_clip_config.json`, which open_clip loads as
        `local-dir:DIRECTORY`, and `report.json` (accuracies, seconds).

    Raises:
        UserError: the attribute-swap accuracy is below `min_attribute_accuracy`.
        DivergenceError: the loss is not finite.
    """
    register_tiny_model()

    def build(directory: Path) -> None:
        with seeded_on_one_thread(config.seed):
            _train(directory, config, data, device or torch.device("cpu"), model)

    entry = cache_entry(cache_dir, "clip", clip_description(config, data, model), build)
    report = json.loads((entry / "report.json").read_text())
    reached = report.get("attribute_accuracy", {}).get("mean")
    if reached is not None and reached < config.min_attribute_accuracy:
        raise UserError(
            f"the small CLIP (seed {config.seed}) tells the captioned attribute from a swapped one in {reached:.3f} of "
            f"the cases after {config.steps} steps, less than min_attribute_accuracy={config.min_attribute_accuracy}: "
            "train it for more steps"
        )
    return entry


def clip_description(config: TinyClipTraining, data: PackedData, model: str = TINY_MODEL) -> dict[str, Any]:
    """Return the values that the weights depend on; `min_attribute_accuracy` is not among them."""
    training = asdict(config)
    del training["min_attribute_accuracy"]
    if config.hard_negatives == 0:  # as in entries of earlier versions, which had no such setting
        del training["hard_negatives"]
    return {
        "data": data.fingerprint,
        "x_flip": data.x_flip,
        "training": training,
        "architecture": json.loads(MODEL_CONFIGS[model].read_text()),
        "version": VERSION,
    }


def _train(directory: Path, config: TinyClipTraining, data: PackedData, device: torch.device, name: str) -> None:
    start, cpu_start = time.monotonic(), time.process_time()
    model = open_clip.CLIP(**open_clip.get_model_config(name)).to(device)
    _channels_last(model)
    tokenizer = open_clip.get_tokenizer(name)
    preprocess = tiny_preprocess(name).to(device)
    optimizers = _optimizers(model, config.lr)
    schedules = [torch.optim.lr_scheduler.LambdaLR(each, warmup_cosine(config.steps)) for each in optimizers]
    batches = training_batches(
        data, config.batch, config.steps, config.seed, model.text_projection.shape[1], config.hard_negatives
    )
    model.train()
    title = f"training the small CLIP (seed {config.seed})"
    for step, batch in enumerate(track(batches, title, config.steps)):
        pixels = torch.from_numpy(np.ascontiguousarray(batch.images)).to(device).float() / 127.5 - 1
        image = model.encode_image(preprocess(pixels).contiguous(memory_format=torch.channels_last))
        text = model.encode_text(tokenizer(batch.captions).to(device))
        scale = model.logit_scale.clamp(max=MAX_LOGIT_SCALE).exp()
        loss = clip_loss(image, text, scale)
        if batch.codes is not None:
            codes = torch.from_numpy(batch.codes).to(device)
            hard = None if batch.hard is None else torch.from_numpy(batch.hard).to(device)
            loss = loss + clip_loss(image, codes, scale, hard) + clip_loss(text, codes, scale, hard)
        if not torch.isfinite(loss):
            raise DivergenceError(f"the small CLIP's loss is {loss.item()} at step {step}")
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
    seconds, cpu_seconds = time.monotonic() - start, time.process_time() - cpu_start
    model.eval()
    accuracy = {"held-out retrieval": retrieval_top1(model, tokenizer, preprocess, data.heldout)}
    report: dict[str, Any] = {"heldout_retrieval_top1": accuracy["held-out retrieval"]}
    if data.name == "shapes":
        report["attribute_accuracy"] = accuracy = attribute_accuracy(model, tokenizer, preprocess)
    report |= {"last_loss": round(loss.item(), 4), "seconds": round(seconds, 1), "cpu_seconds": round(cpu_seconds, 1)}
    write_weights(directory / WEIGHTS, model.state_dict())
    settings = {"model_cfg": open_clip.get_model_config(name), "preprocess_cfg": {"mean": MEAN, "std": STD}}
    (directory / "open_clip_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    (directory / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    figures = ", ".join(f"{name} {value:.3f}" for name, value in accuracy.items())
    if data.name != "shapes":
        figures += f" (chance {1 / min(CANDIDATES, len(data.heldout)):.3f})"
    console.print(f"small CLIP (seed {config.seed}): {figures} ({seconds:.0f} s)")


def clip_loss(
    image: torch.Tensor, text: torch.Tensor, scale: torch.Tensor, hard: torch.Tensor | None = None
) -> torch.Tensor:
    """Return CLIP's symmetric InfoNCE of features, which need no unit length.

    Args:
        image: [N, D].
        text: [N, D].
        scale: multiplies the logits.
        hard: further negatives of each image's own, [N, K, D]; only the image's direction has them.
    """
    anchors = F.normalize(image, dim=1)
    logits = scale * anchors @ F.normalize(text, dim=1).T
    matching = torch.arange(len(logits), device=logits.device)
    by_text = F.cross_entropy(logits.T, matching)
    if hard is not None:
        own = scale * torch.einsum("nd,nkd->nk", anchors, F.normalize(hard, dim=2))
        logits = torch.cat([logits, own], dim=1)
    return (F.cross_entropy(logits, matching) + by_text) / 2


def _optimizers(model: open_clip.CLIP, lr: float) -> list[torch.optim.Optimizer]:
    """Make AdamW, and SparseAdam for the token embedding: a batch uses few of its 49,408 rows (sparse gradient)."""
    vocabulary: nn.Embedding = model.token_embedding
    vocabulary.sparse = True
    others = [parameter for parameter in model.parameters() if parameter is not vocabulary.weight]
    groups = [
        {"params": [parameter for parameter in others if parameter.ndim >= 2], "weight_decay": WEIGHT_DECAY},
        {"params": [parameter for parameter in others if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    return [
        torch.optim.AdamW(groups, lr=lr, betas=BETAS, fused=True),
        torch.optim.SparseAdam([vocabulary.weight], lr=lr, betas=BETAS),
    ]


def _channels_last(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)
