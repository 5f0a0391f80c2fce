"""Loading the data set that the configuration names; each is packed once for each resolution."""

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from clipgan.base import lookup
from clipgan.base.cache import cache_entry
from clipgan.base.console import console
from clipgan.base.errors import UserError
from clipgan.config import DataConfig
from clipgan.inputs.data import files, shapes
from clipgan.inputs.data.formats import (
    celeba_hq,
    cifar,
    coco,
    cub,
    emoji,
    folder,
    imagefolder,
    lafite_zip,
    metadata,
    webdataset,
)
from clipgan.inputs.data.images import without_warnings
from clipgan.inputs.data.pack import FORMAT, SPLITS, Contents, PackedData, Record, Source, open_pack
from clipgan.inputs.data.pack_writer import write_pack

FORMATS: dict[str, Callable[[Path, DataConfig], files.Found]] = {
    "folder": folder.find,
    "metadata": metadata.find,
    "coco": coco.find,
    "cub": cub.find,
    "celeba_hq": celeba_hq.find,
    "webdataset": webdataset.find,
    "lafite_zip": lafite_zip.find,
    "imagefolder": imagefolder.find,
    "cifar10": cifar.find,
    "cifar100": cifar.find,
}


def load_data(config: DataConfig, resolution: int, cache_dir: Path) -> PackedData:
    """Load the packed data set that `config` names; pack it first if the cache does not have it.

    Args:
        config: names the data set, its path and its split.
        resolution: width and height of the packed images, pixels.
        cache_dir: the root of the cache.

    Raises:
        UserError: the source is missing or has no captioned image.
    """
    with without_warnings():
        source = open_source(config, cache_dir)
    description = {"source": source.description, "resolution": resolution, "format": FORMAT}

    def build(directory: Path) -> None:
        if _has_older_pack(cache_dir, source.description):
            console.print(
                f"data={config.name}: earlier versions of clipgan packed some images and captions otherwise "
                "(docs/data.md); their packs stay in the cache, and this data is packed anew"
            )
        with without_warnings():
            write_pack(directory, source, resolution)

    entry = cache_entry(cache_dir, "data", description, build, resumable=True, mapped=True)
    return open_pack(config.name, entry, config.x_flip)


def _has_older_pack(cache_dir: Path, description: Mapping[str, Any]) -> bool:
    """Whether the cache has a pack of this format by an earlier version of its reader."""
    for path in (cache_dir / "data").glob("*/entry.json"):
        source = json.loads(path.read_text()).get("source", {})
        if source.get("name") == description["name"] and source.get("version", 0) < description["version"]:
            return True
    return False


def open_source(config: DataConfig, cache_dir: Path) -> Source:
    """Open the data set that `config.name` names, before packing."""
    if config.name == "shapes":
        return drawn_shapes(config)
    if config.name == "emoji":
        return files.source(config, emoji.find(config.path, cache_dir))
    train, heldout = (_find(config, key, path) for key, path in
                      (("data.path", config.path), ("data.heldout_path", config.heldout_path)))  # fmt: skip
    assert train is not None
    return files.source(config, train, heldout)


def _find(config: DataConfig, key: str, path: str | None) -> files.Found | None:
    if path is None:
        return None
    if not lookup.exists(path):
        pattern = " (patterns are not expanded: a folder gives all its files)" if set(path) & set("{*?") else ""
        raise UserError(f"{key}={path} does not exist; give the path of the data for data={config.name}{pattern}")
    lookup.check_readable(path)
    with _naming(key):
        listed = FORMATS[config.name](Path(path), replace(config, path=path))

    def listing() -> files.Listing:
        with _naming(key):
            return listed.list()

    return files.Found(listed.fingerprint, listing)


@contextlib.contextmanager
def _naming(key: str) -> Iterator[None]:
    """Let a message about a path name the setting that gave it: those of the formats begin with `data.path`."""
    try:
        yield
    except UserError as error:
        raise UserError(re.sub(r"^data\.path\b", key, str(error))) from error


def drawn_shapes(config: DataConfig) -> Source:
    """Describe the drawn data set; each split has a seed of its own."""
    sizes = {"train": config.n_train, "heldout": config.n_heldout}

    def read(split: str, resolution: int, start: int) -> Iterator[Record]:
        return islice(shapes.records(sizes[split], 2 * config.seed + SPLITS.index(split), resolution), start, None)

    description = {"name": "shapes", "version": shapes.SHAPES_VERSION, "sizes": sizes, "seed": config.seed}
    return Source(description, lambda: Contents(sizes, read))
