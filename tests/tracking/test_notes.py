"""The notes of MLflow's run in a run directory, whole or damaged."""

import pytest

from clipgan.tracking.mlflow_run import noted


@pytest.mark.parametrize(("content", "read"), [(b"", None), (b" \n", None), (b"\xff\xfe\x00", None), (b"\x00a", None),
                                               (b"0123456789abcdef\n", "0123456789abcdef")])  # fmt: skip
def test_a_damaged_note_counts_as_missing(tmp_path, content, read):
    assert noted(tmp_path / "missing") is None
    (tmp_path / "note.txt").write_bytes(content)
    assert noted(tmp_path / "note.txt") == read
