"""A power cut at any moment while data are packed or features are encoded: the next start gives the true bytes."""

import math
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from clipgan.base.arrays import save_array
from clipgan.base.cache import cache_entry
from clipgan.inputs.data.pack import Contents, Record, Source
from clipgan.inputs.data.pack_writer import write_pack
from clipgan.inputs.features import feature_writer
from clipgan.inputs.features.feature_writer import write_features
from tests.power_cuts import Disk

ROWS = (np.arange(1, 2 * 40 * 8 + 1, dtype=np.float32) / 640).reshape(2, 40, 8)  # no row of zeros


@pytest.fixture
def disk(monkeypatch):
    """Files in memory, whose flush takes no time."""
    monkeypatch.setattr(feature_writer, "NOTE_SHARE", math.inf)
    monkeypatch.setattr("clipgan.base.cache.LARGE", 0)  # no start reads an array
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        (Path(folder) / "disk").mkdir()
        yield Disk(Path(folder) / "disk", Path(folder) / "images")


def encode(chunks):
    for chunk in chunks:
        yield ROWS[:, chunk.start : chunk.stop]


def features(root):
    def build(to):
        write_features(to, "a", ROWS.shape, 10, encode, "rows")
        save_array(to / "b.npy", ROWS[0])

    entry = cache_entry(root, "features", {"a": 1}, build, resumable=True, mapped=True)
    return np.concatenate([np.load(entry / "a.npy"), np.load(entry / "b.npy")[None]])


def packed(root):
    def read(split, resolution, start):
        return (Record(np.full((8, 8, 3), k + 1, np.uint8), [f"caption {k}"], f"{k}.png") for k in range(start, 5))

    source = Source({"name": "test"}, lambda: Contents({"train": 5, "heldout": 5}, read))
    entry = cache_entry(root, "data", {"a": 1}, lambda to: write_pack(to, source, 8), resumable=True, mapped=True)
    return np.load(entry / "train" / "images.npy")


@pytest.mark.parametrize("build", [features, packed])
def test_a_power_cut_leaves_nothing_that_is_believed(disk, build, capsys):
    with disk.recording():
        whole = build(disk.root)
    assert disk.count > 8
    assert np.all(whole != 0)
    for image in sorted(disk.images.iterdir()):
        np.testing.assert_array_equal(build(image), whole, err_msg=image.name)
    assert "Traceback" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["a.npy", "a.json"])
def test_an_empty_file_of_an_interrupted_encoding_is_begun_anew_with_a_line(tmp_path, name, capsys, monkeypatch):
    def stop(chunks):
        yield ROWS[:, chunks[0].start : chunks[0].stop]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_features(tmp_path, "a", ROWS.shape, 10, stop, "rows")
    (tmp_path / name).write_bytes(b"")
    write_features(tmp_path, "a", ROWS.shape, 10, encode, "rows")
    assert "a.npy is damaged" in capsys.readouterr().out
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), ROWS.astype(np.float16))
