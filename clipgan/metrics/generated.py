"""Generate images and measure them chunk by chunk; each process does its share.

A chunk's latents and noise depend only on the seed and the chunk's number. So the number of processes, the extractor's
batch and earlier evaluations do not change the images.

Shapes: N images, R resolution, n rows of a chunk, W processes.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from clipgan.base.console import track
from clipgan.base.distributed import gather, rank, world_size
from clipgan.base.pictures import to_uint8
from clipgan.base.randomness import normals, stream
from clipgan.models.networks.generator import TextToImage

CHUNK = 50
Measure = Callable[[Tensor, range], Mapping[str, Tensor]]  # (uint8 [n, 3, R, R], image numbers) -> [n, ...] by name


@torch.no_grad()
def generate_chunk(
    generator: TextToImage, conditions: Tensor, number: int, seed: int, device: torch.device, draw: int = 0
) -> Tensor:
    """Generate chunk `number` with a generator in evaluation mode: uint8 [CHUNK, 3, R, R].

    Args:
        conditions: conditions of all N images, [N, C]; after the last one, the first one follows.
        seed: determines latents and noise.
        draw: another number gives other latents and other noise for the same prompts.
    """
    rows = torch.arange(number * CHUNK, (number + 1) * CHUNK) % len(conditions)
    random = stream(seed, f"evaluation {draw}" if draw else "evaluation", number, device)
    z = torch.randn(CHUNK, generator.z_dim, generator=random, device=device)
    noise = generator.draw_noise(CHUNK, normals(random))
    return to_uint8(generator(z, conditions[rows].to(device), noise))


def measured(
    generator: TextToImage, conditions: Tensor, seed: int, device: torch.device, measure: Measure, draw: int = 0
) -> dict[str, Tensor]:
    """Generate N images and apply `measure` to them: [N, ...] by name, on the CPU, the same in every process.

    Every process must call this. All processes make the same number of chunks; images beyond the N-th are dropped.

    Args:
        conditions: [N, C].
        measure: its rows must depend only on the images of a chunk.
        draw: see `generate_chunk`.
    """
    chunks = -(-len(conditions) // CHUNK)
    rounds = -(-chunks // world_size())
    found: dict[str, list[Tensor]] = {}
    turns = track(range(rounds), "generating and measuring", rounds) if rank() == 0 else range(rounds)
    with _evaluating(generator):
        for turn in turns:
            number = turn * world_size() + rank()
            images = generate_chunk(generator, conditions, number, seed, device, draw)
            for name, rows in measure(images, range(number * CHUNK, (number + 1) * CHUNK)).items():
                found.setdefault(name, []).append(rows)
    return {name: _in_order(torch.cat(rows), rounds)[: len(conditions)] for name, rows in found.items()}


@contextmanager
def _evaluating(network: torch.nn.Module) -> Iterator[None]:
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


def _in_order(mine: Tensor, rounds: int) -> Tensor:
    """Gather the chunks of all processes, in the order of their numbers, on the CPU."""
    everyone = gather(mine)
    by_turn = everyone.reshape(world_size(), rounds, CHUNK, *mine.shape[1:]).transpose(0, 1)
    return by_turn.reshape(-1, *mine.shape[1:]).cpu()
