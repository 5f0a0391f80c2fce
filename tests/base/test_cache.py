"""The content-addressed cache: built once, whole or not there."""

import errno
import io
import os
import pwd
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from clipgan.base import cache as cache_module
from clipgan.base.arrays import save_array
from clipgan.base.cache import cache_entry, default_cache_dir, digest
from clipgan.base.checksums import CHECKSUMS, damage
from clipgan.base.console import PlainConsole
from clipgan.base.durable_files import flush_file
from clipgan.base.errors import UserError
from clipgan.inputs.data.supplied_features import stored_rows
from clipgan.inputs.encoders.weights import read_state_dict, write_weights
from clipgan.inputs.features.feature_writer import write_features
from tests.disks import small_disk
from tests.users import as_nobody, public_folder


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


def writer(built):
    def build(directory):
        built.append(directory)
        (directory / "part").mkdir()
        (directory / "part" / "content").write_text("right")

    return build


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda path: path.write_text("wrong"), "part/content has other content than was written"),
        (lambda path: path.write_text("rig"), "part/content has 3 bytes, not 5"),
        (lambda path: path.unlink(), "part/content is missing"),
        (lambda path: (path.parents[1] / "checksums.json").write_text("{"), "checksums.json cannot be read"),
    ],
)
def test_a_damaged_entry_is_made_anew_with_a_message(tmp_path, harm, reason, capsys):
    built = []
    entry = cache_entry(tmp_path, "kind", {}, writer(built))
    harm(entry / "part" / "content")
    assert cache_entry(tmp_path, "kind", {}, writer(built)) == entry
    assert (entry / "part" / "content").read_text() == "right"
    assert len(built) == 2
    assert f"{entry} is damaged ({reason}): rebuilding it" in capsys.readouterr().out
    cache_entry(tmp_path, "kind", {}, writer(built))
    assert len(built) == 2


def test_a_copied_cache_is_whole(tmp_path):
    built = []
    entry = cache_entry(tmp_path / "a", "kind", {}, writer(built))
    shutil.copytree(tmp_path / "a", tmp_path / "b", copy_function=shutil.copyfile)  # without the files' times
    assert cache_entry(tmp_path / "b", "kind", {}, writer(built)).name == entry.name
    assert len(built) == 1


def test_a_resumable_build_goes_on(tmp_path):
    def build(directory):
        steps = directory / "steps"
        before = steps.read_text() if steps.exists() else ""
        steps.write_text(before + "x")
        if len(before) < 2:
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            cache_entry(tmp_path, "kind", {}, build, resumable=True)
    entry = cache_entry(tmp_path, "kind", {}, build, resumable=True)
    assert (entry / "steps").read_text() == "xxx"


def test_a_process_that_waits_says_so(tmp_path, monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(cache_module, "WAIT", 0.01)
    monkeypatch.setattr(cache_module, "console", PlainConsole(file=out))
    release = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        entered = threading.Event()

        def slow(directory):
            entered.set()
            release.wait(60)

        first = pool.submit(cache_entry, tmp_path, "kind", {}, slow)
        entered.wait(60)
        second = pool.submit(cache_entry, tmp_path, "kind", {}, slow)
        deadline = time.monotonic() + 60
        while "waiting for another process that makes" not in out.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        release.set()
        assert first.result() == second.result()
    assert "waiting for another process that makes" in out.getvalue()


def test_a_full_disk_is_one_message_and_what_there_was_is_kept(tmp_path):
    def fill(folder):
        (folder / "big").write_bytes(bytes(10**6))

    with small_disk(tmp_path / "disk", kib=200) as disk:
        entry = cache_entry(disk, "data", {"size": 1}, lambda folder: (folder / "small").write_bytes(b"1"))
        with pytest.raises(UserError, match=rf"cache_dir={disk} is full \(No space left on device\)"):
            cache_entry(disk, "data", {"size": 2}, fill)
        assert (entry / "small").read_bytes() == b"1"
        assert {path.name for path in (disk / "data").iterdir() if path.is_dir()} == {entry.name}


@pytest.mark.parametrize("content", ["", "[]", "3", '{"a": 1}', '{"a": [1, 2]}', '{"a": ["x", "y", "z"]}', "\x00"])
def test_checksums_of_another_shape_are_damage(tmp_path, content):
    (tmp_path / CHECKSUMS).write_text(content)
    assert damage(tmp_path) == f"{CHECKSUMS} cannot be read"


def test_without_a_home_folder_the_cache_must_be_named(monkeypatch):
    def no_entry(_):
        raise KeyError

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    with pytest.raises(UserError, match="no home folder for the cache: give cache_dir=DIR, or set HOME"):
        default_cache_dir()


def test_a_full_disk_while_weights_are_written_is_one_message(tmp_path):
    """safetensors and numpy hide the system's error, which says that the disk is full."""
    weights, rows = {"a": torch.zeros(10**6)}, np.zeros(10**6, np.float32)
    builds = {
        "weights": lambda folder: write_weights(folder / "a.safetensors", weights),
        "array": lambda folder: save_array(folder / "a.npy", rows),
        "stored features": lambda folder: stored_rows(folder, "image", 1000, 1000).fill(1),  # by a memory map: SIGBUS
        "features": lambda folder: write_features(folder, "a", (1000, 1000), 10, lambda _: iter(()), "rows"),
    }
    with small_disk(tmp_path / "disk", kib=300) as disk:
        for name, build in builds.items():
            with pytest.raises(UserError, match=rf"cache_dir={disk} is full \(No space left on device\)"):
                cache_entry(disk, "data", {"name": name}, build)
        assert not [path for path in (disk / "data").iterdir() if path.is_dir()]


@pytest.fixture
def shared():
    """A cache that other users may enter."""
    with public_folder() as folder:
        yield folder / "cache"


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_another_user_may_read_what_the_umask_allows_or_is_told_why_not(shared, umask, mode):
    def build(folder):
        write_weights(folder / "a.safetensors", {"a": torch.zeros(3)})

    before = os.umask(umask)
    try:
        entry = cache_entry(shared, "clip", {}, build)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in entry.iterdir()} == {mode}
    with as_nobody():
        if mode & 0o004:
            assert cache_entry(shared, "clip", {}, build) == entry
        if mode & 0o020:  # this process keeps its group
            cache_entry(shared, "clip", {"other": 1}, build)
        elif mode & 0o004:
            with pytest.raises(UserError, match=rf"cache_dir={shared} cannot be written \(Permission denied\)"):
                cache_entry(shared, "clip", {"other": 1}, build)
        else:
            with pytest.raises(UserError, match=rf"cache_dir={shared}: this user may not read .*chmod -R a\+rX"):
                cache_entry(shared, "clip", {}, build)


@pytest.mark.parametrize("failing", [".json", ".npy"])
def test_a_disk_that_reports_an_error_is_one_message_and_leaves_no_entry(tmp_path, monkeypatch, failing):
    def build(folder):
        with (folder / "rows.npy").open("wb") as file:
            file.write(b"rows")
            flush_file(file)

    real = os.fsync

    def fsync(descriptor):
        if failing in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(UserError, match=rf"cache_dir={tmp_path} cannot be written \(Input/output error\)"):
        cache_entry(tmp_path, "features", {}, build)
    monkeypatch.setattr(os, "fsync", real)
    assert (cache_entry(tmp_path, "features", {}, build) / "rows.npy").read_bytes() == b"rows"


def test_a_weights_file_that_may_not_be_read_is_not_said_to_be_missing(shared):
    shared.mkdir()
    write_weights(shared / "a.safetensors", {"a": torch.zeros(3)})
    (shared / "a.safetensors").chmod(0o600)
    with as_nobody(), pytest.raises(UserError, match=r"cannot be read as a weights file: .*Permission denied"):
        read_state_dict(shared / "a.safetensors", "clip.checkpoint")
