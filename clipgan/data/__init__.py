"""Captioned images: drawn, brought by a package, or from a folder; each packed once at the target resolution."""

from collections.abc import Iterator
from pathlib import Path

from clipgan.cache import cache_entry
from clipgan.config import DataConfig
from clipgan.data import emoji, files, folder, shapes
from clipgan.data.pack import SPLITS, PackedData, Record, Source, open_pack, write_pack


def load_data(config: DataConfig, resolution: int, cache_dir: Path) -> PackedData:
    """The packed data set that `config` names, packed first if the cache does not have it.

    Args:
        config: which data set, where it lies, how it is split.
        resolution: width and height of the packed images, pixels.
        cache_dir: the root of the cache.

    Raises:
        UserError: the source is missing or has no captioned image.
    """
    source = open_source(config, cache_dir)
    description = {"source": source.description, "resolution": resolution}
    entry = cache_entry(cache_dir, "data", description, lambda to: write_pack(to, source, resolution))
    return open_pack(config.name, entry, config.x_flip)


def open_source(config: DataConfig, cache_dir: Path) -> Source:
    """The data set that `config.name` names, before it is packed."""
    if config.name == "shapes":
        return drawn_shapes(config)
    if config.name == "emoji":
        return files.source(config, emoji.captioned_files(config.path, cache_dir))
    assert config.path is not None
    return files.source(config, folder.captioned_files(Path(config.path)))


def drawn_shapes(config: DataConfig) -> Source:
    """The drawn set; each split has a seed of its own."""
    sizes = {"train": config.n_train, "heldout": config.n_heldout}

    def read(split: str, resolution: int) -> Iterator[Record]:
        return shapes.records(sizes[split], 2 * config.seed + SPLITS.index(split), resolution)

    description = {"name": "shapes", "version": shapes.SHAPES_VERSION, "sizes": sizes, "seed": config.seed}
    return Source(description, sizes, read)
