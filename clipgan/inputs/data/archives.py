"""Safe reading of archives: members are read in place and never unpacked; a path out of the archive is refused."""

import io
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO, Self

from clipgan.base.errors import UserError
from clipgan.inputs.data.limits import check_image_size

EXTENDED = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK
)  # fmt: skip
EXTENDED_BYTES = 1 << 20  # of a header with a long name or other attributes, which tarfile reads as a whole


class LimitedHeader(tarfile.TarInfo):
    """A member's header that takes little memory; for `tarfile.open(..., tarinfo=LimitedHeader)`."""

    def _proc_member(self, archive: tarfile.TarFile) -> Self:
        """Read on after a header of 512 bytes; refuse a huge extended header, which a sparse file can have.

        tarfile leaves this method to subclasses.

        Raises:
            ReadError: the header is too large, or damaged.
        """
        if self.type in EXTENDED and not 0 <= self.size <= EXTENDED_BYTES:
            raise tarfile.ReadError(f"a header has {self.size} bytes")
        try:
            member: Self = super()._proc_member(archive)  # type: ignore[misc]
        except (ValueError, RecursionError) as error:  # the map of a sparse file, thousands of long names for one file
            raise tarfile.ReadError("a header is damaged") from error
        return member


def check_member(archive: Path, name: str, plain: bool) -> None:
    """Refuse the whole archive if one member could write outside of it.

    Args:
        archive: the file, for the message.
        name: the member's path.
        plain: whether the member is a file or a folder, not a link or a device.

    Raises:
        UserError: the path is absolute or climbs up, or the member is not plain; quotes the member.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
        raise UserError(f"{archive} is refused: its member {name} leads outside of the archive")
    if not plain:
        raise UserError(f"{archive} is refused: its member {name} is a link or a device")


def open_span(path: Path, start: int, size: int) -> IO[bytes]:
    """Read `size` bytes of a file from `start` on, as a file in memory.

    Raises:
        ValueError: they are more than an image in an archive may have.
    """
    check_image_size(size)
    with path.open("rb") as file:
        file.seek(start)
        return io.BytesIO(file.read(size))
