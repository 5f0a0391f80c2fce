"""Whether CLIP features that came with a data set are those of the backbone in use."""

import numpy as np

from clipgan.base.console import console
from clipgan.base.errors import UserError
from clipgan.inputs.data.captions import caption_starts
from clipgan.inputs.data.pack import Split
from clipgan.inputs.data.supplied_features import StoredFeatures
from clipgan.inputs.encoders.clip import FrozenClip

CHECKED = 32  # images and captions that are encoded to compare
# LAFITE encodes a random crop of 99 % and resizes without antialiasing, which moves a feature a little. The feature of
# another image has a cosine of 0.5 to 0.7 in the same CLIP, that of the same image in another CLIP about 0.
MIN_COSINE = 0.9


def matching_features(split: Split, name: str, clip: FrozenClip, image_rows: np.ndarray) -> StoredFeatures | None:
    """The stored features of `split` that `clip` would give as well; it prints which.

    Args:
        split: N images and their captions.
        name: the split's name.
        clip: the backbone.
        image_rows: its features of the images `checked(N)`, float32 [K, C].

    Returns:
        What is stored, None in place of what does not match; None if nothing is stored.

    Raises:
        UserError: captions are stored as features of another CLIP, and not as words.
    """
    stored = split.stored
    if stored is None:
        return None
    cosine = {"image": _mean_cosine(stored.image, image_rows)}
    if stored.has_words:
        starts = caption_starts(split.captions)
        rows = checked(int(starts[-1]))
        of = np.searchsorted(starts, rows, side="right") - 1
        chosen = [split.captions[int(image)][int(row - starts[image])] for image, row in zip(of, rows, strict=True)]
        cosine["text"] = _mean_cosine(stored.text, clip.encode_text(chosen).cpu().numpy())
    else:  # without words, captions go with the images: one CLIP made both
        cosine["text"] = cosine["image"] if stored.text is not None else None
    kept = {kind: value is not None and value >= MIN_COSINE for kind, value in cosine.items()}
    found = ", ".join(f"{kind}: {_found(value, clip.dim)}" for kind, value in cosine.items())
    if not (kept["text"] or stored.has_words) and any(split.captions):
        raise UserError(
            f"the captions of the {name} split are stored as CLIP features without their words, and this CLIP did not "
            f"make them ({found}): choose the one that did, or put NAME.txt beside each image"
        )
    console.print(f"stored CLIP features of the {name} split: {found}")
    return StoredFeatures(
        stored.image if kept["image"] else None, stored.text if kept["text"] else None, stored.has_words
    )


def checked(count: int) -> np.ndarray:
    """Which of `count` rows are compared."""
    return np.unique(np.arange(CHECKED) * count // CHECKED)


def _mean_cosine(stored: np.ndarray | None, rows: np.ndarray) -> float | None:
    """Between unit rows; None where they cannot be compared."""
    if stored is None or stored.shape[1] != rows.shape[1]:
        return None
    return float((stored[checked(len(stored))] * rows).sum(axis=1).mean())


def _found(cosine: float | None, width: int) -> str:
    if cosine is None:
        return f"none of width {width}, computed anew"
    return f"mean cosine {cosine:.3f}, {'used' if cosine >= MIN_COSINE else 'computed anew'}"
