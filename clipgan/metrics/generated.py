"""Generate images and measure them, several chunks at a time; each process does its share.

A chunk's latents and noise depend only on the seed and the chunk's number. So the number of processes, the number of
chunks in a forward pass, the extractor's batch and earlier evaluations do not change the images, except for rounding.

Shapes: N images, R resolution, C width of a condition, n rows of a forward pass, W processes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from clipgan.base.console import track
from clipgan.base.distributed import gather, rank, world_size
from clipgan.base.pictures import to_uint8
from clipgan.base.randomness import Draw, stream
from clipgan.metrics.kept_rows import KeptRows
from clipgan.models.networks.generator import TextToImage

CHUNK = 50
TOGETHER = 4  # chunks that are measured together, at least
# Pixels of the images in a forward pass, by device; at least one chunk. 500 images of 32 pixels keep a GPU busy while
# the next kernels are launched, as 50 images of 256 pixels do. The activations of 50 images fit a CPU's cache.
PIXELS = {"cpu": 0, "cuda": 2**19}
Pictures = Callable[[range], Tensor]  # numbers of chunks -> uint8 [len(chunks) * CHUNK, 3, R, R]
ReadImages = Callable[[Tensor, range], Mapping[str, Tensor]]  # (uint8 [n, 3, R, R], image numbers) -> [n, ...] by name
Context = Callable[[], AbstractContextManager[Any]]


def generate(
    generator: TextToImage, conditions: Tensor, chunks: range, seed: int, draw: int = 0, context: Context = nullcontext
) -> Tensor:
    """Generate chunks with a generator in evaluation mode: uint8 [len(chunks) * CHUNK, 3, R, R].

    Args:
        conditions: conditions of all N images on the generator's device, [N, C]; after the last one, the first follows.
        chunks: the numbers of the chunks.
        seed: determines latents and noise.
        draw: another number gives other latents and other noise for the same prompts.
        context: makes the context of a forward pass, such as autocast to the training's precision.
    """
    step = chunks_of_a_pass(generator, conditions.device)
    passes = [chunks[first : first + step] for first in range(0, len(chunks), step)]
    return torch.cat([_forward(generator, conditions, some, seed, draw, context) for some in passes])


@torch.no_grad()
def _forward(
    generator: TextToImage, conditions: Tensor, chunks: range, seed: int, draw: int, context: Context
) -> Tensor:
    """Generate chunks in one forward pass; see `generate`."""
    rows = torch.arange(chunks.start * CHUNK, chunks.stop * CHUNK, device=conditions.device) % len(conditions)
    name = f"evaluation {draw}" if draw else "evaluation"
    normals = _chunk_by_chunk([stream(seed, name, number, conditions.device) for number in chunks])
    z = normals((len(rows), generator.z_dim))
    noise = generator.draw_noise(len(rows), normals)
    with context():
        images = generator(z, conditions[rows], noise)
    return to_uint8(images.float())


def measured(
    pictures: Pictures, count: int, measure: ReadImages, device: torch.device, pass_chunks: int = 1,
    kept: KeptRows | None = None,
) -> dict[str, Tensor]:  # fmt: skip
    """Apply `measure` to N images, several chunks at a time: [N, ...] by name, on the CPU, the same in every process.

    Every process must call this. All turns have the same number of images; those beyond the N-th are dropped.

    Args:
        pictures: makes the images of some chunks; after the last image, the first follows.
        count: N.
        measure: its rows must depend only on the image.
        device: the device of the images.
        pass_chunks: the chunks that `pictures` makes at once.
        kept: rows of an interrupted evaluation, and where to keep more; None: nowhere.
    """
    chunks = -(-count // CHUNK)
    most = max(TOGETHER, pass_chunks)
    rounds = -(-chunks // (most * world_size()))
    each = -(-chunks // (rounds * world_size()))
    found: dict[str, list[Tensor]] = {}
    for turn in _turns(rounds, each, kept):
        first = (turn * world_size() + rank()) * each
        numbers = range(first * CHUNK, (first + each) * CHUNK)
        rows = kept.load(numbers, device) if kept is not None else None
        if rows is None:
            rows = measure(pictures(range(first, first + each)), numbers)
            if kept is not None:
                kept.save(numbers, rows)
        for name, some in rows.items():
            found.setdefault(name, []).append(some)
    return {name: _in_order(torch.cat(rows), rounds)[:count] for name, rows in found.items()}


def _turns(rounds: int, each: int, kept: KeptRows | None) -> Iterator[int]:
    """Yield the numbers of all turns; the first process shows the progress of those that are not kept."""
    yours = [range(first * CHUNK, (first + each) * CHUNK)
             for first in ((turn * world_size() + rank()) * each for turn in range(rounds))]  # fmt: skip
    done = 0
    while kept is not None and done < rounds and kept.has(yours[done]):
        done += 1
    yield from range(done)
    rest = range(done, rounds)
    yield from track(rest, "generating and measuring", rounds, done=done) if rank() == 0 else rest


def chunks_of_a_pass(generator: TextToImage, device: torch.device) -> int:
    """Return the number of chunks of one forward pass on a device."""
    return max(1, PIXELS[device.type] // (CHUNK * generator.noise_sizes[-1] ** 2))


def _chunk_by_chunk(generators: Sequence[torch.Generator]) -> Draw:
    """Make a function that draws standard normals [len(generators) * CHUNK, ...], each chunk by its generator."""

    def draw(shape: Sequence[int]) -> Tensor:
        parts = [torch.randn(CHUNK, *shape[1:], generator=each, device=each.device) for each in generators]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    return draw


@contextmanager
def evaluating(network: torch.nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode while the block runs."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


def _in_order(mine: Tensor, rounds: int) -> Tensor:
    """Gather the rows of all processes, in the order of the images' numbers, on the CPU."""
    everyone = gather(mine)
    by_turn = everyone.reshape(world_size(), rounds, -1, *mine.shape[1:]).transpose(0, 1)
    return by_turn.reshape(-1, *mine.shape[1:]).cpu()
