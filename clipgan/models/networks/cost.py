"""The cost of a forward pass of G and of D: operations of matrix products and convolutions, counted while they run."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from clipgan.models.networks.build import AnyDiscriminator
from clipgan.models.networks.generator import TextToImage


class Counter(TorchDispatchMode):
    """Counts the floating-point operations of matrix products and convolutions, forward and backward.

    The formulas are PyTorch's. PyTorch's FlopCounterMode also tracks modules, which fails with lazy regularisers.
    """

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        self.total += formula(*args, **(kwargs or {}), out_val=out) if formula else 0
        return out


@torch.no_grad()
def multiply_adds(
    generator: TextToImage,
    discriminator: AnyDiscriminator,
    clip_dim: int,
    frozen: Callable[[Tensor], Sequence[Tensor]] | None = None,
) -> dict[str, int]:
    """Count the multiply-adds (MACs) of one image's forward pass through `G` (from z to the image) and `D`.

    Args:
        generator, discriminator: on one device, not compiled; both run once, on zeros.
        clip_dim: C, the width of CLIP's embedding.
        frozen: the frozen layers that a projected D reads; their cost counts for `D`.
    """
    zeros = partial(torch.zeros, device=next(generator.parameters()).device)
    condition = zeros((1, clip_dim))
    with Counter() as g:
        ws = generator.broadcast(generator.mapping(zeros((1, generator.z_dim))))
        images = generator.scales(ws, condition, generator.draw_noise(1, zeros))
    with Counter() as d:
        discriminator(images if frozen is None else frozen(images.image), condition)
    return {"G": g.total // 2, "D": d.total // 2}


def parameter_count(network: torch.nn.Module) -> int:
    """Count the trainable scalars of a network."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
