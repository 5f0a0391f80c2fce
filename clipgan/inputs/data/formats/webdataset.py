"""`data=webdataset`: img2dataset's tar shards, `00000.tar` with `000000012.jpg`, `.txt` and `.json`.

The shards are listed once with Python's tarfile, and their images are then read in place. The webdataset package
streams instead: it does not refuse members that lead outside, and it cannot start in the middle of a shard.
"""

import json
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from clipgan.base.errors import UserError
from clipgan.config import DataConfig
from clipgan.inputs.data.archives import check_member, open_span
from clipgan.inputs.data.files import Found, Listing, archive_states, fingerprint
from clipgan.inputs.data.images import SUFFIXES, CaptionedImage, caption_lines
from clipgan.inputs.data.spool import Spool

Members = dict[str, tarfile.TarInfo]  # one sample: suffix -> member


def find(path: Path, config: DataConfig) -> Found:
    """Find the samples of the shard `path`, or of all shards at any depth below it, in order; `config` is unused.

    Raises:
        UserError: there is no shard. The listing, made later, raises it if a shard is compressed or not a tar, or if a
            member leads outside.
    """
    shards = [path] if path.is_file() else sorted(path.rglob("*.tar"))
    if not shards:
        raise UserError(f"data.path={path} has no .tar; give a folder with img2dataset's shards, or one shard")
    root = path.parent if path.is_file() else path
    return Found(fingerprint(archive_states(shards)), lambda: _list(shards, root))


def _list(shards: list[Path], root: Path) -> Listing:
    images: Spool[CaptionedImage] = Spool()
    skipped: list[str] = []
    for shard in shards:
        name = shard.relative_to(root).as_posix()
        try:
            with tarfile.open(shard, "r:") as tar:  # no compression, so that each member has an offset in the file
                for key, members in _samples(tar, shard, name, skipped):
                    _add(tar, shard, f"{name}/{key}", members, images, skipped)
        except (tarfile.TarError, OSError) as error:
            raise UserError(
                f"data.path: {shard} is not an uncompressed tar ({error}); decompress it first if it is a .tar.gz"
            ) from error
    return Listing(images, skipped=skipped)


def _samples(tar: tarfile.TarFile, shard: Path, name: str, skipped: list[str]) -> Iterator[tuple[str, Members]]:
    """Group the members by webdataset's key: the path up to the first dot in its last part."""
    samples: dict[str, Members] = {}
    try:
        for member in tar:
            check_member(shard, member.name, member.isfile() or member.isdir())
            if member.isfile():
                folder, _, last = member.name.rpartition("/")
                key, _, suffix = last.partition(".")
                sample = samples.setdefault(f"{folder}/{key}" if folder else key, {})
                if f".{suffix.lower()}" in sample:
                    skipped.append(f"{name}/{member.name}: the shard already has a file of this name")
                sample.setdefault(f".{suffix.lower()}", member)
        if not _is_whole(tar, shard):
            skipped.append(
                f"{name}: the shard ends early (everything after its {len(tar.getmembers())} members is missing)"
            )
    except tarfile.ReadError as error:
        if not samples:
            raise
        skipped.append(f"{name}: the shard ends early ({error})")
    yield from samples.items()


def _is_whole(tar: tarfile.TarFile, shard: Path) -> bool:
    """Tell whether a tar has its final block of zeros; tarfile itself ends a cut-off archive without an error."""
    last = tar.getmembers()[-1:]
    end = max(
        (member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE for member in last), default=0
    )
    with shard.open("rb") as file:
        file.seek(end)
        return file.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)


def _add(
    tar: tarfile.TarFile, shard: Path, name: str, members: Members, images: Spool[CaptionedImage], skipped: list[str]
) -> None:
    suffix = next((suffix for suffix in SUFFIXES if suffix in members), None)
    if suffix is None:
        skipped.append(f"{name}: no image (it has {', '.join(members)})")
        return
    image = members[suffix]
    try:
        captions = _captions(tar, members)
    except (ValueError, tarfile.TarError) as error:
        skipped.append(f"{name}: its caption cannot be read ({error})")
        return
    images.append(CaptionedImage(name + suffix, captions, partial(open_span, shard, image.offset_data, image.size)))


def _captions(tar: tarfile.TarFile, members: Members) -> list[str]:
    """Return the lines of `.txt`, else `caption` in `.json`, which is a string or a list of strings."""
    for suffix in (".txt", ".json"):
        if suffix in members:
            file = tar.extractfile(members[suffix])
            assert file is not None
            text = file.read().decode("utf-8", errors="replace")
            if suffix == ".txt":
                return caption_lines(text)
            content = json.loads(text)
            caption = content.get("caption") if isinstance(content, dict) else None
            texts = caption if isinstance(caption, list) else [caption]
            return [" ".join(text.split()) for text in texts if isinstance(text, str) and text.strip()]
    return []
