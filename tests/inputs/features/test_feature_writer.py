"""Features on disk: the rows that were encoded, to half precision, also after an interruption."""

import json

import numpy as np
import pytest

from clipgan.base.errors import DivergenceError
from clipgan.inputs.features.feature_writer import ROW_ERROR, write_features

pytestmark = pytest.mark.numeric

CHUNK = 50
N = 2 * CHUNK + 17


@pytest.fixture
def rows():
    """Of unit length; one with a single large number, one with many small ones."""
    values = np.random.default_rng(0).normal(size=(2, N, 512)).astype(np.float32)
    values[0, 0], values[1, 3] = np.eye(512)[7] * 0.99999, 1 + 1e-3 * values[1, 3]
    values[0, 1, 1:] *= 1e-6
    return values / np.linalg.norm(values, axis=2, keepdims=True)


def write(directory, rows, asked, stop_at=None):
    def encode(chunks):
        for chunk in chunks:
            asked.append(chunk.start)
            if chunk.start == stop_at:
                raise KeyboardInterrupt
            yield rows[..., chunk.start : chunk.stop, :]

    write_features(directory, "a", rows.shape, CHUNK, encode, "rows")
    return np.load(directory / "a.npy", mmap_mode="r")


def note(directory):
    return json.loads((directory / "a.json").read_text())


@pytest.mark.parametrize("planes", [1, 2])
def test_rows_are_within_the_stated_bound_which_is_measured(tmp_path, rows, planes):
    rows = rows if planes == 2 else rows[0]
    written = write(tmp_path, rows, [])
    assert written.dtype == np.float16
    assert written.shape == rows.shape
    moved = np.linalg.norm(written.astype(np.float64) - rows, axis=-1)
    assert 1e-5 < moved.max() <= ROW_ERROR
    assert note(tmp_path) == {"rows": N, "largest_error": pytest.approx(moved.max(), rel=1e-3)}
    flat, exact = written.reshape(-1, 512).astype(np.float64), rows.reshape(-1, 512).astype(np.float64)
    assert np.abs(flat @ exact.T - exact @ exact.T).max() <= ROW_ERROR  # cosines with what was not rounded


@pytest.mark.exact
def test_an_interruption_costs_one_chunk(tmp_path, rows):
    asked = []
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, rows, asked, stop_at=CHUNK)
    assert note(tmp_path)["rows"] == CHUNK
    written = write(tmp_path, rows, asked)
    assert asked == [0, CHUNK, CHUNK, 2 * CHUNK]
    np.testing.assert_array_equal(written, rows.astype(np.float16))
    write(tmp_path, rows, asked)
    assert len(asked) == 4


@pytest.mark.exact
@pytest.mark.parametrize("harm", [
    lambda folder: (folder / "a.npy").unlink(),
    lambda folder: (folder / "a.npy").write_bytes((folder / "a.npy").read_bytes()[:-9]),
    lambda folder: (folder / "a.json").write_text("{"),
])  # fmt: skip
def test_what_cannot_be_gone_on_with_is_begun_anew(tmp_path, rows, harm):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, rows, [], stop_at=CHUNK)
    harm(tmp_path)
    asked = []
    np.testing.assert_array_equal(write(tmp_path, rows, asked), rows.astype(np.float16))
    assert asked[0] == 0


@pytest.mark.exact
def test_numbers_that_are_none_are_refused(tmp_path, rows):
    rows[1, CHUNK + 1, 5] = np.nan
    with pytest.raises(DivergenceError, match=f"rows: a number in the rows from {CHUNK} on is not finite"):
        write(tmp_path, rows, [])
    assert note(tmp_path)["rows"] == CHUNK


@pytest.mark.exact
def test_no_rows(tmp_path):
    assert write(tmp_path, np.empty((0, 8), dtype=np.float32), []).shape == (0, 8)
