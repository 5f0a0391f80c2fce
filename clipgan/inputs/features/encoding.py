"""Encoding a packed data set once with the frozen encoders, into rows of features on disk.

Shapes: N images, M captions (of all images, in order), F flips (1, or 2 with the mirrored image), C width.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from clipgan.base.arrays import save_array
from clipgan.base.console import console
from clipgan.base.text import printable
from clipgan.inputs.data.memory_maps import release_pages
from clipgan.inputs.data.pack import SPLITS, PackedData, Split
from clipgan.inputs.data.packed_captions import caption_starts
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.inputs.encoders.resnet import FrozenResNet
from clipgan.inputs.features.feature_writer import Encode, write_features
from clipgan.inputs.features.supplied_check import compared_rows, matching_features

# On a CPU, batches with activations below 32 MB are fastest: glibc returns larger blocks to the system after each use,
# and allocating them again costs more than a larger batch saves. A GPU needs large batches to be busy.
ROWS_AT_ONCE = {"cpu": 16, "cuda": 256}


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array to `device`; the host does not wait for the copy to a GPU."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def to_images(packed: np.ndarray, device: torch.device) -> Tensor:
    """Convert uint8 [N, 3, R, R] to float32 [N, 3, R, R] in [-1, 1], channels last."""
    images = to_device(np.array(packed), device)  # a copy: the packed array is read-only
    return (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def write_clip_features(directory: Path, data: PackedData, clip: FrozenClip, device: torch.device) -> None:
    """Write `SPLIT_image.npy` [F, N, C], `SPLIT_text.npy` [M, C] and `SPLIT_caption_start.npy` [N + 1] of both splits.

    Features that came with the data set are used instead of encoding if this CLIP gives the same.

    Raises:
        UserError: the data set has features of another CLIP in place of its captions' words.
    """
    stored = {}
    for name in SPLITS:
        split: Split = getattr(data, name)
        if split.stored is not None:
            with torch.no_grad():
                encoded = clip.encode_image(to_images(split.images[compared_rows(len(split))], device)).cpu().numpy()
            stored[name] = matching_features(split, name, clip, encoded)
    given = {name: features.image for name, features in stored.items() if features is not None}
    write_image_features(directory, data, clip, "CLIP", device, given)
    before, total = clip.truncated, 0
    for name in SPLITS:
        captions, features = getattr(data, name).captions, stored.get(name)
        starts = caption_starts(captions)
        save_array(directory / f"{name}_caption_start.npy", starts)
        encode = _text_rows(captions, starts, clip, None if features is None else features.text)
        title = f"CLIP features of {name} captions"
        write_features(directory, f"{name}_text", (int(starts[-1]), clip.dim), ROWS_AT_ONCE[device.type], encode, title)
        total += int(starts[-1])
    if truncated := clip.truncated - before:
        example = printable(textwrap.shorten(clip.first_truncated, 40, placeholder="..."))
        console.print(
            f'captions: {truncated} of {total} {"is" if truncated == 1 else "are"} too long, such as "{example}": the '
            f"text encoder reads the first {clip.context} tokens; the stored caption is whole"
        )


def write_image_features(
    directory: Path,
    data: PackedData,
    encoder: FrozenClip | FrozenResNet,
    encoder_name: str,
    device: torch.device,
    given: Mapping[str, np.ndarray | None],
) -> None:
    """Write `SPLIT_image.npy` [F, N, C]; `given` (split -> [N, C] or None) replaces encoding the unmirrored images."""
    for name in SPLITS:
        split: Split = getattr(data, name)
        encode = _image_rows(split.images, encoder, device, data.x_flip, given.get(name))
        shape = (1 + data.x_flip, len(split), encoder.dim)
        title = f"{encoder_name} features of {name} images"
        write_features(directory, f"{name}_image", shape, ROWS_AT_ONCE[device.type], encode, title)


def _image_rows(
    images: np.ndarray, encoder: FrozenClip | FrozenResNet, device: torch.device, x_flip: bool, given: np.ndarray | None
) -> Encode:
    @torch.no_grad()
    def encode_flips(packed: np.ndarray, unmirrored: np.ndarray | None) -> np.ndarray:
        batch = to_images(packed, device)
        flips = [encoder.encode_image(batch).cpu().numpy() if unmirrored is None else unmirrored]
        if x_flip:
            flips.append(encoder.encode_image(batch.flip(3)).cpu().numpy())
        return np.stack(flips)

    def encode(chunks: Sequence[range]) -> Iterator[np.ndarray]:
        """Yield the features of each chunk: float32 [F, n, C]."""
        places = [slice(chunk.start, chunk.stop) for chunk in chunks]
        with ThreadPoolExecutor(1) as pool:
            reads = (pool.submit(np.array, images[place]) for place in places)
            ahead = next(reads, None)
            for place in places:
                assert ahead is not None
                packed, ahead = ahead, next(reads, None)  # the next chunk is read while this one is encoded
                yield encode_flips(packed.result(), None if given is None else given[place])
                release_pages(images)

    return encode


def _text_rows(captions: Sequence[list[str]], starts: np.ndarray, clip: FrozenClip, given: np.ndarray | None) -> Encode:
    def encode(chunks: Sequence[range]) -> Iterator[np.ndarray]:
        """Yield the features of each chunk: float32 [n, C]."""
        for chunk in chunks:
            if given is not None:
                yield given[chunk.start : chunk.stop]
                continue
            first = int(np.searchsorted(starts, chunk.start, side="right")) - 1
            last = int(np.searchsorted(starts, chunk.stop))
            texts = [text for index in range(first, last) for text in captions[index]]
            skipped = chunk.start - int(starts[first])
            yield clip.encode_text(texts[skipped : skipped + len(chunk)]).cpu().numpy()

    return encode
