"""Part `snapshot`: the seconds that a snapshot's metrics take."""

import statistics
from pathlib import Path

import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from bench.gpu.findings import Findings, Setting
from bench.gpu.trainings import noise_training, real_training
from bench.measuring import seconds
from clipgan.base.memory import give_back_memory

IMAGES, TRIED, REAL = 30_000, 1_000, 2_500  # generated images, those of a first try, and real ones


def snapshot(setting: Setting, found: Findings) -> None:
    """Time the snapshot of the default training, and 30,000 images at 256 pixels with Inception."""
    with found.attempt("2,000 images, 32 pixels"):
        small_snapshot(setting, found)
    give_back_memory()
    with found.attempt("30,000 images, 256 pixels"):
        large_snapshot(setting, found)


def small_snapshot(setting: Setting, found: Findings) -> None:
    """Time the snapshot of the default training, with its sample grid: during the training, and at its end."""
    training = real_training(setting)
    device = training.device
    with training.state.precision.products():
        training.measure(0, False)
        times = [seconds(lambda: training.measure(0, False), device) for _ in range(setting.count(5))]
        last = [seconds(lambda: training.measure(0, True), device) for _ in range(setting.count(2))]
    found.put(
        "2,000 images, 32 pixels",
        {"images": training.config.metrics.n_images, "seconds": statistics.median(times), "rounds": times,
         "last snapshot, seconds": min(last)},
    )  # fmt: skip


def large_snapshot(setting: Setting, found: Findings) -> None:
    """Time FID with Inception at 256 pixels: of a few images first, then of as many as the limit allows."""
    weights = random_inception(setting.folder / "inception.pth")

    def measuring(count: int) -> float:
        training = noise_training(
            setting, "model=base", "resolution=256", "clip=ViT-B32", "metrics=fid30k_coco",
            f"metrics.inception_weights={weights}", f"metrics.n_images={count}", "metrics.kid=never",
            "metrics.precision_recall=never", "metrics.inception_score=never", heldout=setting.count(REAL, 48),
        )  # fmt: skip
        with training.state.precision.products():
            return seconds(lambda: training.evaluation(training.state.generator_ema, False), training.device)

    few, many = setting.count(TRIED, 48), setting.count(IMAGES, 96)
    measuring(few)
    tried = measuring(few)
    found.put("1,000 images, 256 pixels", {"images": few, "seconds": tried})
    fitting = min(many, int(0.8 * setting.left() / (tried / few)))
    spent = measuring(fitting)
    found.put(
        "30,000 images, 256 pixels",
        {"images": fitting, "seconds": spent, "scaled to": many, "scaled seconds": spent * many / fitting},
    )


def random_inception(file: Path) -> Path:
    """Write random weights of torch-fidelity's Inception in the format that it loads."""

    class Untrained(FeatureExtractorInceptionV3):
        def load_state_dict(self, *_: object) -> None:
            """Load nothing."""

    torch.save({}, file)
    network = Untrained("untrained", ["2048"], feature_extractor_weights_path=str(file))
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    torch.save(network.state_dict(), file)
    return file
