"""Members of archives: refused if they could lead outside, read where they lie, never unpacked."""

import io
from pathlib import Path, PurePosixPath
from typing import IO

from clipgan.base.errors import UserError


def check_member(archive: Path, name: str, plain: bool) -> None:
    """Refuse an archive that was made to write elsewhere: nothing in it is trusted then.

    Args:
        archive: the file, for the message.
        name: the member's path.
        plain: whether it is a file or a folder, neither a link nor a device.

    Raises:
        UserError: quotes the member.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
        raise UserError(f"{archive} is refused: its member {name} leads outside of it")
    if not plain:
        raise UserError(f"{archive} is refused: its member {name} is a link or a device")


def open_span(path: Path, start: int, size: int) -> IO[bytes]:
    """The `size` bytes of a file from `start` on."""
    with path.open("rb") as file:
        file.seek(start)
        return io.BytesIO(file.read(size))
