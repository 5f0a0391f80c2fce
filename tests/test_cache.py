"""The content-addressed cache: built once, whole or not there."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clipgan.cache import cache_entry, digest
from clipgan.errors import UserError


def test_built_once_for_one_description(tmp_path):
    built = []

    def build(directory):
        built.append(directory)
        (directory / "content").write_text("here")

    def make(_):
        return cache_entry(tmp_path, "kind", {"a": 1, "b": [2]}, build)

    with ThreadPoolExecutor(8) as pool:
        entries = set(pool.map(make, range(8)))
    assert len(built) == 1
    [entry] = entries
    assert (entry / "content").read_text() == "here"
    assert cache_entry(tmp_path, "kind", {"b": [2], "a": 1}, build) == entry  # the order of keys is no difference
    assert cache_entry(tmp_path, "kind", {"a": 1, "b": [3]}, build) != entry


def test_a_failed_build_leaves_nothing(tmp_path):
    def fail(directory):
        (directory / "half").write_text("")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        cache_entry(tmp_path, "kind", {}, fail)
    assert [path.name for path in (tmp_path / "kind").iterdir() if path.is_dir()] == []
    entry = cache_entry(tmp_path, "kind", {}, lambda directory: (directory / "whole").write_text(""))
    assert (entry / "whole").exists()
    assert not (entry / "half").exists()


def test_unwritable_root_is_one_message():
    with pytest.raises(UserError, match=r"cache_dir=/proc/nowhere cannot be written .*cache_dir=DIR"):
        cache_entry(Path("/proc/nowhere"), "kind", {}, lambda directory: None)


def test_digest_is_stable():
    assert digest({"a": 1}) == "015abd7f5cc57a2d"
