"""Temperatures that a training learns, as CLIP learns its logit scale (arXiv:2103.00020).

Shapes: N batch, d width of a space.
"""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from clipgan.config.loss import LEARNED_FROM, LEARNED_TO
from clipgan.models.losses.structure import Term


class LearnedTemperatures(nn.Module):
    """One temperature tau for each network and space with a learned term, as the parameter log(1 / tau).

    A network's optimiser trains those of its own loss. Nothing averages them: only the loss reads them. Without a
    learned term there is no parameter, and every method does nothing.
    """

    def __init__(self, terms: Iterable[Term]) -> None:
        super().__init__()
        initial = {f"{term.phase}/{term.space}": term.temperature for term in terms if term.learned}
        self.log_scale = nn.ParameterDict(
            {name: nn.Parameter(torch.tensor(-math.log(tau))) for name, tau in initial.items()}
        )

    def of(self, network: str) -> list[nn.Parameter]:
        """List the parameters in the loss of `network`, G or D."""
        return [parameter for name, parameter in self.log_scale.items() if name.startswith(f"{network}/")]

    def scaled(self, network: str, embeddings: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Multiply the embeddings by 1 / tau of their space: space -> [N, d], differentiable.

        The cosine over tau is the product of the scaled embedding and its target. So micro-batches and processes, which
        pass on the gradients of their own rows, pass on the temperature's too.
        """
        return {
            space: rows * self.log_scale[f"{network}/{space}"].exp() if f"{network}/{space}" in self.log_scale else rows
            for space, rows in embeddings.items()
        }

    @torch.no_grad()
    def clamp(self, network: str) -> None:
        """Keep tau in its range after a step of the network's optimiser."""
        for parameter in self.of(network):
            parameter.clamp_(-math.log(LEARNED_TO), -math.log(LEARNED_FROM))

    @torch.no_grad()
    def values(self, network: str) -> dict[str, Tensor]:
        """Return every tau of a network by its name in the logs, `temperature/G/CLIP`."""
        return {
            f"temperature/{name}": (-parameter).exp()
            for name, parameter in self.log_scale.items()
            if name.startswith(f"{network}/")
        }
