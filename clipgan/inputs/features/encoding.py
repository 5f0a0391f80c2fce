"""Running the frozen encoders over a packed data set, once: rows of features on disk.

Shapes: N images, M captions (of all images, in order), F flips (1, or 2 with the mirrored image), C width.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from clipgan.inputs.data.captions import caption_starts
from clipgan.inputs.data.memory_maps import forget
from clipgan.inputs.data.pack import SPLITS, PackedData, Split
from clipgan.inputs.encoders.clip import FrozenClip
from clipgan.inputs.encoders.resnet import FrozenResNet
from clipgan.inputs.features.feature_writer import Encode, write_features
from clipgan.inputs.features.supplied_check import checked, matching_features

# On a CPU a batch whose activations stay below 32 MB is fastest: glibc returns larger blocks to the system after each
# use, and taking them anew costs more than what a larger batch saves. A GPU wants to be filled.
ROWS_AT_ONCE = {"cpu": 16, "cuda": 256}


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """A tensor of the same values; the host does not wait for its copy to a GPU."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def to_images(packed: np.ndarray, device: torch.device) -> Tensor:
    """uint8 [N, 3, R, R] -> float32 [N, 3, R, R] in [-1, 1], channels last."""
    images = to_device(np.array(packed), device)  # a copy: the packed array is read-only
    return (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def write_clip_features(directory: Path, data: PackedData, clip: FrozenClip, device: torch.device) -> None:
    """`SPLIT_image.npy` [F, N, C], `SPLIT_text.npy` [M, C] and `SPLIT_caption_start.npy` [N + 1] of both splits.

    Features that came with the data set are taken where this CLIP would give the same.

    Raises:
        UserError: captions came as features of another CLIP, and not as words.
    """
    stored = {}
    for name in SPLITS:
        split: Split = getattr(data, name)
        if split.stored is not None:
            with torch.no_grad():
                encoded = clip.encode_image(to_images(split.images[checked(len(split))], device)).cpu().numpy()
            stored[name] = matching_features(split, name, clip, encoded)
    given = {name: features.image for name, features in stored.items() if features is not None}
    write_image_features(directory, data, clip, "CLIP", device, given)
    for name in SPLITS:
        captions, features = getattr(data, name).captions, stored.get(name)
        starts = caption_starts(captions)
        np.save(directory / f"{name}_caption_start.npy", starts)
        encode = _text_rows(captions, starts, clip, None if features is None else features.text)
        what = f"CLIP features of {name} captions"
        write_features(directory, f"{name}_text", (int(starts[-1]), clip.dim), ROWS_AT_ONCE[device.type], encode, what)


def write_image_features(
    directory: Path,
    data: PackedData,
    encoder: FrozenClip | FrozenResNet,
    called: str,
    device: torch.device,
    given: Mapping[str, np.ndarray | None],
) -> None:
    """`SPLIT_image.npy` [F, N, C]; unmirrored rows that are `given` (split -> [N, C]) are taken as they are."""
    for name in SPLITS:
        split: Split = getattr(data, name)
        encode = _image_rows(split.images, encoder, device, data.x_flip, given.get(name))
        shape = (1 + data.x_flip, len(split), encoder.dim)
        what = f"{called} features of {name} images"
        write_features(directory, f"{name}_image", shape, ROWS_AT_ONCE[device.type], encode, what)


def _image_rows(
    images: np.ndarray, encoder: FrozenClip | FrozenResNet, device: torch.device, x_flip: bool, given: np.ndarray | None
) -> Encode:
    @torch.no_grad()
    def flips_of(packed: np.ndarray, first: np.ndarray | None) -> np.ndarray:
        batch = to_images(packed, device)
        flips = [encoder.encode_image(batch).cpu().numpy() if first is None else first]
        if x_flip:
            flips.append(encoder.encode_image(batch.flip(3)).cpu().numpy())
        return np.stack(flips)

    def encode(chunks: Sequence[range]) -> Iterator[np.ndarray]:
        """[F, n, C]"""
        places = [slice(chunk.start, chunk.stop) for chunk in chunks]
        with ThreadPoolExecutor(1) as pool:
            reading = (pool.submit(np.array, images[place]) for place in places)
            ahead = next(reading, None)
            for place in places:
                assert ahead is not None
                packed, ahead = ahead, next(reading, None)  # the next one is read while this one is encoded
                yield flips_of(packed.result(), None if given is None else given[place])
                forget(images)

    return encode


def _text_rows(captions: Sequence[list[str]], starts: np.ndarray, clip: FrozenClip, given: np.ndarray | None) -> Encode:
    def encode(chunks: Sequence[range]) -> Iterator[np.ndarray]:
        """[n, C]"""
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
