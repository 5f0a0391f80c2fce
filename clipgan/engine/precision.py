"""Choose the networks' training precision. Weights, losses, optimisers and the moving average are always float32."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from clipgan.base.errors import UserError

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


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

    @contextmanager
    def products(self) -> Iterator[None]:
        """Turn TensorFloat-32 on or off while the block runs; PyTorch has one switch for the whole process."""
        matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.name == "tf32"
        try:
            yield
        finally:
            torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, cudnn


def choose_precision(asked: str, device: torch.device) -> Precision:
    """Choose the precision of a training.

    Args:
        asked: fp32, tf32, bf16, fp16, or auto: the fastest one in this device's hardware. On a CPU with AVX-512's
            bfloat16 but without AMX, float32 is faster (measured, docs/performance.md), so `auto` is fp32 there.
        device: device of the networks.

    Raises:
        UserError: the device does not support the precision.
    """
    if asked == "tf32" and not (device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)):
        raise UserError(
            f"precision=tf32 is not allowed on device={device}: it needs an NVIDIA GPU from Ampere on; take auto"
        )
    return Precision(_fastest(device) if asked == "auto" else asked, device)


def _fastest(device: torch.device) -> str:
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16"
        return "fp16" if torch.cuda.get_device_capability(device) >= (7, 0) else "fp32"  # tensor cores since Volta
    if device.type == "cpu" and torch.cpu._is_amx_tile_supported():  # there is no public function for this
        return "bf16"
    return "fp32"
