"""Pickles of a few bytes that make Python's unpickler take gigabytes: refused by each reader."""

import io
import pickle
import resource
import zipfile

import pytest

from clipgan.base.errors import UserError
from clipgan.base.pickles import refuse_huge_numbers
from clipgan.import_lafite.unpickle import read_pickle
from clipgan.inputs.data.official_split import read_names
from clipgan.inputs.encoders.weights import read_state_dict

BOMB = b"\x80\x02]r\x00\x00\x00\x07."  # an empty list with the number 2^27 - 2^24: 1.9 GB in Python's unpickler


def archive(path):
    """A TorchScript archive."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("model/constants.pkl", b"")
        file.writestr("model/data.pkl", BOMB)


@pytest.mark.parametrize("read", [read_names, read_pickle, lambda path: read_state_dict(path, "clip.checkpoint")])
def test_a_pickle_that_takes_gigabytes_is_refused(tmp_path, read):
    path = tmp_path / "bomb.pt"
    path.write_bytes(BOMB)
    if read not in (read_names, read_pickle):
        archive(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match="it numbers an object 117440512, and the file has"):
        read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 10**6  # KiB


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_usual_pickle_passes(protocol):
    names = [f"{k}.png" for k in range(300)]
    file = io.BytesIO(pickle.dumps([names, names], protocol))
    refuse_huge_numbers(file)
    assert pickle.load(file) == [names, names]
