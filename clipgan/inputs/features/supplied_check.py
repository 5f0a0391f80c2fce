"""The check that CLIP features supplied with a data set come from the backbone in use."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from clipgan.base.console import console
from clipgan.base.errors import UserError
from clipgan.inputs.data.pack import Split
from clipgan.inputs.data.packed_captions import caption_starts
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
        UserError: the captions are stored only as features, and another CLIP made these, or they are not complete.
    """
    stored = split.stored
    if stored is None:
        return None
    fits = {
        "image": _compare(stored.image, image_rows, clip.dim, stored.missing.get("image")),
        "text": _compare(stored.text, None, clip.dim, stored.missing.get("text")),
    }
    if stored.has_words and fits["text"].may_be_used:
        starts = caption_starts(split.captions)
        rows = compared_rows(int(starts[-1]))
        owners = np.searchsorted(starts, rows, side="right") - 1  # the image of each caption
        chosen = [split.captions[int(image)][int(row - starts[image])] for image, row in zip(owners, rows, strict=True)]
        fits["text"] = _compare(stored.text, clip.encode_text(chosen).cpu().numpy(), clip.dim, None)
    elif not stored.has_words and any(split.captions):
        _refuse_unknown(fits, name)
    shown = ", ".join(
        f"{kind}: {fit.found}, {'used' if fit.may_be_used else 'computed anew'}" for kind, fit in fits.items()
    )
    console.print(f"stored CLIP features of the {name} split: {shown}")
    return StoredFeatures(
        stored.image if fits["image"].may_be_used else None,
        stored.text if fits["text"].may_be_used else None,
        stored.has_words,
    )


@dataclass(frozen=True)
class Fit:
    """Whether stored features are this CLIP's, as far as that is known."""

    found: str  # in words
    may_be_used: bool
    foreign: bool = False  # whether another CLIP made them


def _compare(stored: np.ndarray | None, rows: np.ndarray | None, width: int, missing: str | None) -> Fit:
    """Compare stored unit rows with computed ones, float32 [K, C]; None in their place: only the widths."""
    if stored is None:
        return Fit(missing or "none", False)
    if stored.shape[1] != width:
        return Fit(f"{stored.shape[1]} numbers wide, and this CLIP's have {width}", False, foreign=True)
    if rows is None:
        return Fit(f"{width} numbers wide", True)
    cosine = float((stored[compared_rows(len(stored))] * rows).sum(axis=1).mean())
    return Fit(f"mean cosine {cosine:.3f}", cosine >= MIN_COSINE, foreign=cosine < MIN_COSINE)


def _refuse_unknown(fits: Mapping[str, Fit], name: str) -> None:
    """Refuse features in place of words that another CLIP made; the images tell, since one CLIP made both.

    Raises:
        UserError: another CLIP made them, or they are not complete, or no image's features are there to tell.
    """
    if all(fit.may_be_used for fit in fits.values()):
        return
    found = ", ".join(f"{kind}: {fit.found}" for kind, fit in fits.items())
    why, mend = "they, or the image features that tell which CLIP made them, are not complete", "complete them"
    if any(fit.foreign for fit in fits.values()):
        why, mend = "this CLIP did not make them", "choose the CLIP that did"
    raise UserError(
        f"the captions of the {name} split are stored as CLIP features without their words, and {why} ({found}): "
        f"{mend}, or put NAME.txt beside each image"
    )


def compared_rows(count: int) -> np.ndarray:
    """Choose the rows to compare among `count` rows, evenly spaced: int64 [min(count, 32)]."""
    return np.unique(np.arange(COMPARED) * count // COMPARED)
