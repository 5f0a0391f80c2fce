"""A packed shapes set small enough for tests."""

from pathlib import Path

import numpy as np
import pytest

from clipgan.inputs.data.pack import PackedData, Split
from clipgan.inputs.data.shapes import records


def packed(name, count, resolution, x_flip=False):
    splits = {}
    for seed, split in enumerate(("train", "heldout")):
        drawn = list(records(count, seed, resolution))
        images = np.stack([record.image for record in drawn]).transpose(0, 3, 1, 2)
        splits[split] = Split(np.ascontiguousarray(images), [record.captions for record in drawn])
    return PackedData(
        name=name, fingerprint=f"{name}-{count}-{resolution}", x_flip=x_flip, skipped=[], skipped_file=Path(), **splits
    )


@pytest.fixture(scope="session")
def shapes_data():
    return packed("shapes", 80, 32)


@pytest.fixture(scope="session")
def folder_data():
    """Captioned images without known attributes, at a resolution that is not the small encoders' own."""
    return packed("folder", 80, 64, x_flip=True)
