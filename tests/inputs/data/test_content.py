"""Data that were moved, copied or touched are the same data; a changed pixel or caption makes other data."""

import os
import shutil
from dataclasses import replace

import pytest
from PIL import Image

from clipgan.base.errors import UserError
from clipgan.inputs.data.loading import load_data
from clipgan.tasks.train import train
from tests.helpers import make_config
from tests.inputs.data.samples import noise_folder
from tests.tiny import TINY

COUNT = 48
SMALL = [line for line in TINY if not line.startswith(("data.", "batch=", "metrics.n_images"))]


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


@pytest.mark.slow
def test_a_run_goes_on_with_data_that_were_moved(tmp_path, cache_dir):
    folder, run_dir = noise_folder(tmp_path / "data", COUNT), tmp_path / "run"
    settings = ["data=folder", *SMALL, "batch=40", "metrics.n_images=4", "mlflow.tracking_uri=null"]

    def run(path):
        return train(make_config(*settings, f"data.path={path}", f"cache_dir={cache_dir}", "kimg=1"), run_dir)

    first = run(folder)
    copy = shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)
    shutil.rmtree(folder)
    assert run(f"{copy}/") == first  # it resumes, and is over
    with pytest.raises(UserError, match=r"is of another run: data\.content=\w+ there, \w+ here"):
        run(changed(copy, "7.png"))
