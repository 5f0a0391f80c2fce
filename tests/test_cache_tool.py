"""Looking into the cache, checking it, emptying it."""

import os
import sys

import pytest
from filelock import FileLock

from clipgan.base.cache import cache_entry
from tests import warm
from tests.helpers import ROOT


@pytest.fixture
def cache(tmp_path):
    root = tmp_path / "cache"
    for kind, words in (("data", "a" * 3000), ("features", "b" * 1000)):
        cache_entry(root, kind, {"source": {"name": "shapes"}, "of": kind}, lambda to, words=words: put(to, words))
    (root / "data" / "1234.partial").mkdir()
    return root


def put(directory, words):
    (directory / "content").write_text(words)


def run(cache, *arguments):
    command = [sys.executable, "-m", "clipgan.cache_tool", *arguments, "--cache-dir", str(cache)]
    result = warm.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def rows(output):
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if line.startswith("│")]


def test_info_lists_entries_and_unfinished_ones(cache):
    listed = rows(run(cache, "info"))
    assert sorted((row[0], row[5]) for row in listed[:-1]) == [
        ("data", "unfinished"), ("data", "whole"), ("features", "whole"),
    ]  # fmt: skip
    assert {row[2] for row in listed[:-1]} == {"shapes", ""}
    assert [row[0] for row in rows(run(cache, "info", "--kind", "features"))[:-1]] == ["features"]


def test_verify_finds_what_keeps_size_and_time(cache):
    [content] = cache.glob("data/*/content")
    stat = content.stat()
    content.write_text("x" * 3000)
    os.utime(content, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert "other" not in run(cache, "info")
    assert "other" in run(cache, "verify")


def test_clean_leaves_what_is_being_made(cache):
    with FileLock(cache / "data" / "1234.lock"):
        out = run(cache, "clean")
    assert "2 entries removed" in out
    assert "1234.partial is being made" in out
    assert [path.name for path in cache.glob("*/*") if path.is_dir()] == ["1234.partial"]
    run(cache, "clean")
    assert not [path for path in cache.glob("*/*") if path.is_dir()]
