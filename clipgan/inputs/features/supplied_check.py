"""The check that CLIP features supplied with a data set come from the backbone in use."""

import numpy as np

from clipgan.base.console import console
from clipgan.base.errors import UserError
from clipgan.inputs.data.captions import caption_starts
from clipgan.inputs.data.pack import Split
from clipgan.inputs.data.supplied_features import StoredFeatures
from clipgan.inputs.encoders.clip import FrozenClip

COMPARED = 32  # number of images, and of captions, that are encoded for the comparison
# LAFITE encodes a random crop of 99 % and resizes without antialiasing, which moves a feature a little. Features of two
# different images by the same CLIP have a cosine of 0.5 to 0.7, features of one image by two CLIPs a cosine near 0.
MIN_COSINE = 0.9


def matching_features(split: Split, name: str, clip: FrozenClip, image_rows: np.ndarray) -> StoredFeatures | None:
    """Return the stored features of `split` that match the features of `clip`, and print the comparison.

    Args:
        split: N images and their captions.
        name: the split's name.
        clip: the backbone.
        image_rows: the backbone's features of the images `compared_rows(N)`, float32 [K, C].

    Returns:
        The stored features with None in place of a kind that does not match; None if nothing is stored.

    Raises:
        UserError: the captions are stored only as features, and another CLIP made these.
    """
    stored = split.stored
    if stored is None:
        return None
    cosine = {"image": _mean_cosine(stored.image, image_rows)}
    if stored.has_words:
        starts = caption_starts(split.captions)
        rows = compared_rows(int(starts[-1]))
        owners = np.searchsorted(starts, rows, side="right") - 1  # the image of each caption
        chosen = [split.captions[int(image)][int(row - starts[image])] for image, row in zip(owners, rows, strict=True)]
        cosine["text"] = _mean_cosine(stored.text, clip.encode_text(chosen).cpu().numpy())
    else:  # captions without words cannot be encoded; the images tell, since one CLIP made both
        cosine["text"] = cosine["image"] if stored.text is not None else None
    kept = {kind: value is not None and value >= MIN_COSINE for kind, value in cosine.items()}
    found = ", ".join(f"{kind}: {_found(value, clip.dim)}" for kind, value in cosine.items())
    if not (kept["text"] or stored.has_words) and any(split.captions):
        raise UserError(
            f"the captions of the {name} split are stored as CLIP features without their words, and this CLIP did not "
            f"make them ({found}): choose the CLIP that did, or put NAME.txt beside each image"
        )
    console.print(f"stored CLIP features of the {name} split: {found}")
    return StoredFeatures(
        stored.image if kept["image"] else None, stored.text if kept["text"] else None, stored.has_words
    )


def compared_rows(count: int) -> np.ndarray:
    """Choose the rows to compare among `count` rows, evenly spaced: int64 [min(count, 32)]."""
    return np.unique(np.arange(COMPARED) * count // COMPARED)


def _mean_cosine(stored: np.ndarray | None, rows: np.ndarray) -> float | None:
    """Return the mean cosine of stored and computed unit rows; None if there are none or the widths differ."""
    if stored is None or stored.shape[1] != rows.shape[1]:
        return None
    return float((stored[compared_rows(len(stored))] * rows).sum(axis=1).mean())


def _found(cosine: float | None, width: int) -> str:
    if cosine is None:
        return f"none of width {width}, computed anew"
    return f"mean cosine {cosine:.3f}, {'used' if cosine >= MIN_COSINE else 'computed anew'}"
