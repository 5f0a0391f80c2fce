"""Choose the networks' training precision. Weights, losses, optimisers and the moving average are always float32."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch

from clipgan.base.device import tensorfloat
from clipgan.base.errors import UserError
from clipgan.config import GUIDE, Config

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
AMPERE, VOLTA = (8, 0), (7, 0)  # the first compute capabilities with bfloat16 and TensorFloat-32, and with float16


@dataclass(frozen=True)
class Precision:
    """A precision on a device.

    fp32: float32, also inside convolutions and matrix products. tf32: float32 whose products have 10 bits of mantissa,
    on NVIDIA GPUs from Ampere on. bf16, fp16: autocast to half the width; fp16 scales the loss against underflow.
    """

    name: str  # fp32 | tf32 | bf16 | fp16
    device: torch.device

    def autocast(self) -> torch.autocast:
        """Return the context for a network's forward pass."""
        dtype = AUTOCAST.get(self.name)
        return torch.autocast(self.device.type, dtype or torch.bfloat16, enabled=dtype is not None)

    def scaler(self) -> torch.amp.GradScaler:
        """Make the gradient scaler: with fp16, it skips steps whose gradient overflows; else it does nothing."""
        return torch.amp.GradScaler(self.device.type, init_scale=2.0**10, enabled=self.name == "fp16")

    def products(self) -> AbstractContextManager[None]:
        """Return the context for a training: it allows TensorFloat-32, or forbids it."""
        return tensorfloat(self.name == "tf32")


def with_precisions(config: Config, device: torch.device) -> Config:
    """Replace every precision `auto` by the choice for this device, since the metrics depend on it.

    Raises:
        UserError: the device does not support `config.precision`.
    """
    judge = config.metrics.judge
    if judge is not None and judge.precision == "auto":
        judge = replace(judge, precision="float32")  # metrics are compared between machines
    discriminator = config.discriminator
    if discriminator.network not in (None, GUIDE):
        precision = choose_encoder_precision(discriminator.precision, device)
        discriminator = replace(discriminator, precision=precision)
    return replace(
        config,
        discriminator=discriminator,
        precision=choose_precision(config.precision, device).name,
        clip=replace(config.clip, precision=choose_encoder_precision(config.clip.precision, device)),
        resnet=replace(config.resnet, precision=choose_encoder_precision(config.resnet.precision, device)),
        metrics=replace(config.metrics, judge=judge),
    )


def choose_encoder_precision(asked: str, device: torch.device) -> str:
    """Choose the precision of a guiding encoder: `auto` is mixed on a GPU with bfloat16 in hardware, else float32.

    On CPUs it is float32 even with bfloat16 in hardware, where vision transformers gain nothing.
    """
    if asked != "auto":
        return asked
    return "mixed" if device.type == "cuda" and _fastest(device) == "bf16" else "float32"


def choose_precision(asked: str, device: torch.device) -> Precision:
    """Choose the precision of a training.

    Args:
        asked: fp32, tf32, bf16, fp16, or auto: the fastest one in this device's hardware. On a CPU with AVX-512's
            bfloat16 but without AMX, float32 is faster (measured, docs/performance.md), so `auto` is fp32 there.
        device: device of the networks.

    Raises:
        UserError: the device does not support the precision.
    """
    if asked == "tf32" and not (device.type == "cuda" and torch.cuda.get_device_capability(device) >= AMPERE):
        raise UserError(
            f"precision=tf32 is not allowed on device={device}: it needs an NVIDIA GPU from Ampere on; take auto"
        )
    return Precision(_fastest(device) if asked == "auto" else asked, device)


def _fastest(device: torch.device) -> str:
    if device.type == "cuda":
        return fastest_of_gpu(torch.cuda.get_device_capability(device))
    if device.type == "cpu" and torch.cpu._is_amx_tile_supported():  # there is no public function for this
        return "bf16"
    return "fp32"


def fastest_of_gpu(capability: tuple[int, int]) -> str:
    """Return the fastest precision in the hardware of an NVIDIA GPU: bf16, fp16 (tensor cores) or fp32."""
    return "bf16" if capability >= AMPERE else "fp16" if capability >= VOLTA else "fp32"
