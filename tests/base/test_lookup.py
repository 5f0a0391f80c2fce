"""What this user may not look up is refused, and never taken for missing, on every version of Python."""

import errno
import os

import pytest

from clipgan.base import lookup
from tests.users import as_nobody, public_folder


def test_what_is_there_is_told_from_what_is_missing(tmp_path):
    file, link, dangling = tmp_path / "file", tmp_path / "link", tmp_path / "dangling"
    file.touch()
    link.symlink_to(tmp_path)
    dangling.symlink_to(tmp_path / "nothing")
    for path, answers in (
        (file, (True, False, True)),
        (link, (False, True, True)),
        (dangling, (False, False, False)),
        (tmp_path / "nothing", (False, False, False)),
        (file / "below", (False, False, False)),
        ("null\0", (False, False, False)),
    ):
        assert (lookup.is_file(path), lookup.is_dir(path), lookup.exists(path)) == answers, path
    with pytest.raises(OSError, match="too long"):
        lookup.exists("x" * 300)


def test_what_is_closed_is_refused_and_what_is_to_be_written_is_not_called_unreadable():
    with public_folder() as folder:
        closed, private = folder / "closed", folder / "private"
        closed.mkdir(mode=0o700)
        private.touch(mode=0o600)
        lookup.check_readable(closed)
        lookup.check_readable(folder / "nothing")
        with as_nobody():
            for look, path in (
                (lookup.is_file, closed / "file"),
                (lookup.is_dir, closed / "file"),
                (lookup.exists, closed / "file"),
                (lookup.check_readable, closed),
                (lookup.check_readable, private),
                (open, private),
            ):
                with pytest.raises(PermissionError) as caught:
                    look(path)
                message = f"{path} cannot be opened (Permission denied): this user may not read it"
                assert lookup.refusal(caught.value) == message, look
            for path in (folder / "new", closed / "new"):
                with pytest.raises(PermissionError) as caught:
                    path.mkdir()
                assert lookup.refusal(caught.value) is None


def test_an_error_of_another_kind_is_no_refusal():
    assert lookup.refusal(FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "x")) is None
    assert lookup.refusal(PermissionError(errno.EACCES, os.strerror(errno.EACCES))) is None
