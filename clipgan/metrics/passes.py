"""Passes of a network over many images, such as all real ones.

Shapes: M real images, R resolution, D width of the network's features.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from clipgan.base.arrays import save_array
from clipgan.base.cache import cache_entry
from clipgan.base.console import track
from clipgan.metrics.extractors import Extractor, JudgeExtractor
from clipgan.metrics.kept_rows import KeptRows

VERSION = 1  # part of the cache key: raise it when the same images would give other features
CPU = torch.device("cpu")


def in_batches(extractor: Extractor, images: Tensor, batch: int) -> dict[str, Tensor]:
    """Apply an extractor to many images, `batch` at a time."""
    parts = [extractor(some) for some in images.split(batch)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def real_features(
    extractor: Extractor,
    images: np.ndarray,
    chosen: np.ndarray,
    source: str,
    batch: int,
    cache_dir: Path,
    device: torch.device,
) -> Tensor:
    """Load or compute a network's features of the real images: [M, D], on the CPU.

    Args:
        extractor: the network.
        images: a split's, uint8, [.., 3, R, R].
        chosen: the indices of the M images.
        source: names the split and its content.
        batch: images of a forward pass.
        cache_dir: the cache; after a kill, it has the features of the batches so far.
        device: the network's.
    """

    def write(directory: Path) -> None:
        kept = KeptRows(directory)
        pieces = [range(start, min(start + batch, len(chosen))) for start in range(0, len(chosen), batch)]
        missing = [piece for piece in pieces if not kept.has(piece)]
        done = len(pieces) - len(missing)
        for piece in track(missing, "features of the real images", len(pieces), done=done):
            some = torch.from_numpy(images[chosen[piece.start : piece.stop]]).to(device)
            kept.save(piece, {"features": extractor(some)["features"]})
        rows = [rows["features"] for piece in pieces if (rows := kept.load(piece, CPU)) is not None]
        save_array(directory / "features.npy", torch.cat(rows).numpy())
        kept.remove()

    description = {
        "images": source, "count": len(chosen), "extractor": extractor.key, "version": VERSION,
        "batch": batch, "device": device.type,  # batch and device change the last bits
    }  # fmt: skip
    if isinstance(extractor, JudgeExtractor) and extractor.side is not None:
        description["resize"] = "pillow"
    entry = cache_entry(cache_dir, "fidelity", description, write, resumable=True)
    return torch.from_numpy(np.load(entry / "features.npy"))
