"""Data that were moved, copied or touched are the same data; a changed pixel or caption makes other data."""

import os
import shutil
from dataclasses import replace

from PIL import Image

from clipgan.inputs.data.loading import load_data
from tests.helpers import make_config
from tests.inputs.data.samples import noise_folder

COUNT = 48


def changed(folder, name):
    """A copy of a data set with one changed file."""
    copy = folder.with_name(f"changed {name}")
    shutil.copytree(folder, copy)
    if name.endswith(".txt"):
        (copy / name).write_text("another noise\n")
    else:
        Image.new("RGB", (16, 16), "red").save(copy / name)
    return copy


def test_the_fingerprint_is_that_of_the_content(tmp_path):
    folder, cache = noise_folder(tmp_path / "data", COUNT), tmp_path / "cache"
    config = make_config("data=folder", f"data.path={folder}").data
    first = load_data(config, 16, cache)
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    touched = load_data(config, 16, cache)
    copy = shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)
    copied = load_data(replace(config, path=f"{copy}/"), 16, cache)
    elsewhere = load_data(config, 16, tmp_path / "another cache")
    assert len({first.entry, touched.entry, copied.entry}) == 3
    assert first.fingerprint == touched.fingerprint == copied.fingerprint == first.entry
    assert first.content == touched.content == copied.content == elsewhere.content
    for name in ("7.png", "7.txt"):
        other = load_data(replace(config, path=str(changed(folder, name))), 16, cache)
        assert other.fingerprint == other.entry != first.entry
        assert other.content != first.content
    assert load_data(replace(config, seed=1), 16, cache).content != first.content  # another split
