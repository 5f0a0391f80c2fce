"""Reading back what is packed."""

from clipgan.config import DataConfig
from clipgan.inputs.data.loading import load_data
from tests.inputs.data.samples import number


def load(name, path, tmp_path, **changes):
    return load_data(DataConfig(name=name, path=str(path), **changes), 16, tmp_path / "cache")


def of(split):
    """The k of each packed image, and its captions."""
    return {number(image): captions for image, captions in zip(split.images, split.captions, strict=True)}


def everything(data):
    """The same of both splits."""
    return of(data.train) | of(data.heldout)
