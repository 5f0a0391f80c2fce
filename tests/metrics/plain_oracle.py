"""A plain version of the oracle's reading, one picture and one object at a time, to compare with the fast one."""

import numpy as np
from scipy.ndimage import label, sum_labels

from clipgan.inputs.data.shapes import BACKGROUNDS, COLOURS, SIZES
from clipgan.inputs.data.shapes_captions import Reading, Seen
from clipgan.metrics.shapes_oracle import CUT, FAR, NEAR, OBJECT_COST, PHASES, SETS, reach_of, templates_at

OBJECT_COLOURS = np.array(list(COLOURS.values()), dtype=np.float32)


def read(image):
    """Read one uint8 image [3, R, R]."""
    pixels = image.reshape(3, -1).T.astype(np.float32)  # [P, 3]
    best = None
    for name, colour in BACKGROUNDS.items():
        share, residual = mixtures(pixels, np.array(colour, dtype=np.float32))
        unexplained = np.clip((np.sqrt(residual) - NEAR) / (FAR - NEAR), 0, 1)
        for chosen in SETS:
            cost = unexplained[:, list(chosen)].min(axis=1).sum() + OBJECT_COST * (len(chosen) - 1)
            if best is None or cost < best[0]:
                best = cost, name, chosen, share, residual
    _, background, chosen, share, residual = best
    owner = residual[:, list(chosen)].argmin(axis=1)
    things = []
    for place, colour in enumerate(chosen):
        own = np.where(owner == place, share[:, colour], 0).reshape(image.shape[1:])
        thing = fit(own, list(COLOURS)[colour])
        things += [] if thing is None else [thing]
    return Reading(background, tuple(things))


def mixtures(pixels, background):
    """Explain pixels [P, 3] as mixtures of the background [3] and each colour: shares and squared distances [P, K]."""
    towards = OBJECT_COLOURS - background
    offset = pixels - background
    share = np.clip(offset @ towards.T / np.square(towards).sum(axis=1), 0, 1)
    return share, np.square(offset[:, None] - share[..., None] * towards).sum(axis=-1)


def fit(coverage, colour):
    """Find the template most similar to the coverage [R, R]; None if it is almost empty."""
    resolution = len(coverage)
    coverage = largest_piece(np.where(coverage < CUT, 0, coverage))
    mass = coverage.sum()
    if mass < 0.5 * (SIZES["small"] * resolution) ** 2:
        return None
    x, y = (float((coverage.sum(axis=axis) * (np.arange(resolution) + 0.5)).sum() / mass) for axis in (0, 1))
    templates, names = templates_at(resolution, *(int((centre % 1) * PHASES) for centre in (x, y)))
    reach = reach_of(resolution)
    window = np.pad(coverage, reach)[int(y) : int(y) + 2 * reach + 1, int(x) : int(x) + 2 * reach + 1]
    shape, size = names[int(np.square(templates - window.ravel()).sum(axis=1).argmin())]
    return Seen(colour, size, shape, x / resolution, y / resolution)


def largest_piece(coverage):
    """Keep the largest connected piece."""
    pieces, count = label(coverage, structure=np.ones((3, 3)))
    masses = sum_labels(coverage, pieces, range(1, count + 1))
    return np.where(pieces == 1 + int(np.argmax(masses)), coverage, 0) if count else coverage
