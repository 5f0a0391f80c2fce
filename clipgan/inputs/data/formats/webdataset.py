"""`data=webdataset`: img2dataset's tar shards, `00000.tar` with `000000012.jpg`, `.txt` and `.json`.

The captions of a sample are its `.txt`, `.caption` and `.0.txt`, `.1.txt`, ..., one caption each, else those in its
`.json`. The shards are listed once with Python's tarfile, and their images are then read in place. The webdataset
package streams instead: it does not refuse members that lead outside, and it cannot start in the middle of a shard.
"""

import json
import os
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from clipgan.base import lookup
from clipgan.base.errors import UserError
from clipgan.base.text import counted
from clipgan.config import DataConfig
from clipgan.inputs.data.account import Account
from clipgan.inputs.data.archives import LimitedHeader, check_member, open_span
from clipgan.inputs.data.files import Found, Listing, archive_states, fingerprint
from clipgan.inputs.data.folders import is_hidden, walk
from clipgan.inputs.data.images import CaptionedImage, has_image_suffix
from clipgan.inputs.data.limits import check_text_size
from clipgan.inputs.data.splits import HELDOUT, TRAIN, Splits, find_splits, words
from clipgan.inputs.data.spool import Spool
from clipgan.inputs.data.tables import texts_of
from clipgan.inputs.data.text import checked, decode, one_caption, one_line

Members = dict[str, tarfile.TarInfo]  # one sample: suffix -> member
PREFERRED = (".png", ".jpg", ".jpeg", ".webp", ".bmp")  # of several images in a sample, in this order
TEXT = re.compile(r"\.(?:(\d+)\.)?(?:txt|caption)")
NUMBER = re.compile(r"\.\d+(?=\.(?:txt|caption)$)")  # of a text: `.0` of `1.a.0.txt`
PIECE = 2**20  # bytes of a member that are read at once
COMPRESSED = re.compile(r"\.(?:tgz|tar\.\w+)$")
STATISTICS = (".json", ".parquet")  # that img2dataset writes beside the shards
IN_JSON = ("caption", "captions")


def find(path: Path, config: DataConfig) -> Found:
    """Find the samples of the shard `path`, or of all shards at any depth below it, in order.

    Args:
        path: a shard, or a folder of shards. `train/` beside `val/`, or names such as `train-0000.tar` and
            `val-0000.tar`, are splits.
        config: `encoding` is the encoding of the captions; `caption_column` a further key of captions in `.json`.

    Raises:
        UserError: there is no shard. The listing, made later, raises it if no shard can be read, or if a member leads
            outside.
    """
    account = Account(unit="a shard")
    shards = {"train": [path]} if lookup.is_file(path) else _shards(path, account)
    if not any(shards.values()):
        there = f" (it has {account.skipped()[0]})" if account.skipped() else ""
        raise UserError(f"data.path={path} has no .tar{there}; give a folder with img2dataset's shards, or one shard")
    root = path.parent if lookup.is_file(path) else path
    texts = [config.encoding, config.caption_column, account.faults(), account.notes]
    states = list(archive_states(shards["train"], root))
    heldout = {split: list(archive_states(paths, root)) for split, paths in shards.items() if split != "train"}
    return Found(fingerprint(texts, states, heldout.items()), lambda: _list(shards, root, config, account))


def _shards(root: Path, account: Account) -> dict[str, list[Path]]:
    """Return the shards of each split; `heldout` is missing if there is none."""
    splits = find_splits(root, account)
    files = [(folder, name) for folder in walk(root, account) for name in folder.files]
    tars = [(folder, name) for folder, name in files if name.lower().endswith(".tar")]
    for folder, name in files:
        if COMPRESSED.search(name.lower()):
            account.skip(folder.name_of(name), "a compressed tar; decompress it")
        elif not name.lower().endswith((".tar", *STATISTICS)):
            account.other(folder.name_of(name), "not a tar")
    by_name = Splits("", sorted({_kind(name) for _, name in tars}))
    named = by_name.exist and not splits.exist
    if named:
        kinds = (" and ".join(sorted(kinds)) for kinds in (by_name.train, by_name.heldout))
        account.note("training images are those of the shards named {}, held-out images those named {}".format(*kinds))
    shards: dict[str, list[Path]] = {"train": []}
    if splits.exist or named:
        shards["heldout"] = []
    for folder, name in tars:
        place = (_kind(name),) if named else (*folder.parts, name)
        split = (by_name if named else splits).of(place, folder.name_of(name), account)
        if split is not None:
            shards[split].append(folder.path / name)
    return shards


def _kind(shard: str) -> str:
    """Return the split in a shard's name: `cc3m-train-0001.tar` gives `train`."""
    return min(words(shard).intersection((*TRAIN, *HELDOUT)), default="(no split in the name)")


def _list(shards: dict[str, list[Path]], root: Path, config: DataConfig, account: Account) -> Listing:
    images: dict[str, Spool[CaptionedImage]] = {split: Spool() for split in shards}
    whole, other_keys = 0, list[str]()
    for split, paths in shards.items():
        for path in paths:
            shard = Shard(path, one_line(path.relative_to(root).as_posix()), split, config, account)
            try:
                shard.add_images(images[split])
                whole += 1
            except (tarfile.TarError, OSError) as error:
                reason = getattr(error, "strerror", None) or error
                account.skip(shard.name, f"not an uncompressed tar; decompress it first if it is a .tar.gz ({reason})")
            other_keys += shard.other_keys
    if not whole:
        raise UserError(f"data.path={config.path} has no shard that can be read: {'; '.join(account.skipped()[:3])}")
    if other_keys:
        account.note(
            f"the .json of {counted(len(other_keys), 'sample')} without a text has none of the keys "
            f"{', '.join(_keys(config))} ({other_keys[0]}); data.caption_column=KEY reads another one"
        )
    return Listing(images["train"], images.get("heldout"), account)


def _keys(config: DataConfig) -> list[str]:
    """Return the keys of captions in a `.json`."""
    return list(dict.fromkeys((*IN_JSON, config.caption_column)))


class Shard:
    """Lists one shard."""

    def __init__(self, path: Path, name: str, split: str, config: DataConfig, account: Account) -> None:
        """Describe the file `path` of a split; `name` is its path below the data set's root."""
        self.path, self.name, self.split, self.config, self.account = path, name, split, config, account
        self.other_keys: list[str] = []  # a sentence for each sample whose `.json` has no key of captions

    def add_images(self, images: Spool[CaptionedImage]) -> None:
        """Append the images of all samples.

        Raises:
            UserError: a member leads outside.
            tarfile.TarError: this is no uncompressed tar.
        """
        with tarfile.open(
            self.path, "r:", tarinfo=LimitedHeader
        ) as tar:  # no compression, so that each member has an offset in the file
            for key, members in self._samples(tar):
                self._add(tar, key, members, images)

    def _samples(self, tar: tarfile.TarFile) -> Iterator[tuple[str, Members]]:
        """Group the members by webdataset's key: the path up to the first dot in its last part.

        From a file that a sample has already, with other content, the rest of this name is another sample's, and not
        used: an image of one and a text of the other would be no pair.
        """
        samples: dict[str, Members] = {}
        closed: set[tuple[str, str]] = set()  # keys and stems
        try:
            for member in tar:
                check_member(self.path, member.name, member.isfile() or member.isdir())
                if any(is_hidden(part) for part in PurePosixPath(member.name).parts):
                    self.account.hide(f"{self.name}/{member.name}")
                elif member.isfile():
                    folder, _, last = member.name.rpartition("/")
                    name, _, suffix = last.partition(".")
                    key, suffix = f"{folder}/{name}" if folder else name, _in_small_letters(f".{suffix}")
                    sample, stem = samples.setdefault(key, {}), suffix.rpartition(".")[0]
                    if (first := sample.get(suffix)) is not None:
                        self.account.skip(f"{self.name}/{member.name}", "the shard already has a file of this name")
                        if first.name == member.name and not _equal(tar, first, member):
                            closed.add((key, stem))
                    elif {(key, stem), (key, NUMBER.sub("", suffix).rpartition(".")[0])} & closed:
                        self.account.skip(f"{self.name}/{member.name}", "of a second sample of this name")
                    else:
                        sample[suffix] = member
            if not _is_whole(tar, self.path):
                count = len(tar.getmembers())
                self.account.skip(self.name, f"the shard ends early (everything after its {count} members is missing)")
        except tarfile.ReadError as error:
            if not samples:
                raise
            self.account.skip(self.name, f"the shard ends early ({error})")
        for key, members in samples.items():
            yield from _parted(key, members)

    def _add(self, tar: tarfile.TarFile, key: str, members: Members, images: Spool[CaptionedImage]) -> None:
        name = f"{self.name}/{key}"
        pictures = _pictures(members)
        if not pictures:
            self.account.skip(name, f"no image (it has {', '.join(members)})")
            return
        image = members[pictures[0]]
        try:
            captions = self._captions(tar, name, members)
        except (ValueError, RecursionError, tarfile.TarError) as error:
            self.account.skip_captions(name, error)
            return
        for suffix in pictures[1:]:
            self.account.other(f"{name}{suffix}", f"the sample has another image, {pictures[0]}")
        for suffix in members:
            if suffix not in pictures and suffix != ".json" and not TEXT.fullmatch(suffix):
                self.account.other(f"{name}{suffix}")
        if self.split == "train":
            Splits().of(PurePosixPath(key).parent.parts, name, self.account)
        opened = partial(open_span, self.path, image.offset_data, image.size)
        images.append(CaptionedImage(one_line(name + pictures[0]), captions, opened))

    def _captions(self, tar: tarfile.TarFile, name: str, members: Members) -> list[str]:
        """Return the captions of a sample.

        Raises:
            ValueError: they are no text in `data.encoding`, or no strings.
        """
        texts = sorted(
            (int(match[1] or -1), suffix) for suffix in members if (match := TEXT.fullmatch(suffix)) is not None
        )
        captions = [self._text(tar, members[suffix]) for _, suffix in texts]
        if not any(captions) and ".json" in members:
            content = json.loads(self._text(tar, members[".json"]))
            found = [texts_of(content, key) for key in _keys(self.config)] if isinstance(content, dict) else []
            if all(texts is None for texts in found):
                there = one_line(", ".join(content)) if isinstance(content, dict) else "no object"
                self.other_keys.append(f"that of {name} has {there}")
            captions = next((texts for texts in found if texts), [])
            captions = [checked(one_caption(text), self.config.encoding) for text in captions]
        return [caption for caption in captions if caption]

    def _text(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
        check_text_size(member.size)
        file = tar.extractfile(member)
        assert file is not None
        return one_caption(checked(decode(file.read(), self.config.encoding), self.config.encoding))


def _in_small_letters(suffix: str) -> str:
    """Return a suffix such as `.A.JPG` with its last part in small letters; `1.A.jpg` and `1.a.jpg` are two samples."""
    stem, dot, last = suffix.rpartition(".")
    return f"{stem}{dot}{last.lower()}"


def _equal(tar: tarfile.TarFile, first: tarfile.TarInfo, second: tarfile.TarInfo) -> bool:
    """Whether two members have the same bytes; a sparse one may be huge, and counts as different."""
    if first.size != second.size or first.issparse() or second.issparse():
        return False
    files = [tar.extractfile(member) for member in (first, second)]
    while True:
        one, other = (file.read(PIECE) for file in files if file is not None)
        if one != other or not one:
            return one == other


def _parted(key: str, members: Members) -> Iterator[tuple[str, Members]]:
    """Yield a sample, or several where images have texts of their own: `1.a.png`, `1.a.txt`, `1.b.png`, `1.b.txt`."""
    stems = {suffix.rpartition(".")[0] for suffix in _images_in(members)}
    folded: dict[str, list[str]] = {}  # stems in small letters -> the stems
    for stem in stems:
        folded.setdefault(stem.lower(), []).append(stem)
    owners = {suffix: _stem_of(suffix, stems, folded) for suffix in members}
    own = (suffix[len(stem) :] for suffix, stem in owners.items() if stem)
    if not any(suffix == ".json" or TEXT.fullmatch(suffix) for suffix in own):
        yield key, members
        return
    parts: dict[str, Members] = {}
    for suffix, member in members.items():
        stem = owners[suffix]
        parts.setdefault(stem, {})[suffix[len(stem) :]] = member
    for stem, part in parts.items():
        yield key + stem, part


def _stem_of(suffix: str, stems: set[str], folded: Mapping[str, Sequence[str]]) -> str:
    """Return the stem of the image that a file belongs to: the longest one, in other letters if it is the only one."""
    stem = suffix
    while stem := stem.rpartition(".")[0]:
        if stem in stems:
            return stem
        if len(others := folded.get(stem.lower(), ())) == 1:
            return others[0]
    return ""


def _images_in(members: Members) -> list[str]:
    return [suffix for suffix in members if has_image_suffix(f"x{suffix}")]


def _pictures(members: Members) -> list[str]:
    """Return the suffixes of a sample's images, the preferred first; `.image.png` counts where there is no `.png`."""
    suffixes = _images_in(members)
    plain = [suffix for suffix in suffixes if suffix.count(".") == 1]
    order = {suffix: place for place, suffix in enumerate(PREFERRED)}
    return sorted(plain or suffixes, key=lambda suffix: (order.get(suffix, len(order)), suffix))


def _is_whole(tar: tarfile.TarFile, shard: Path) -> bool:
    """Tell whether a tar has its final block of zeros; tarfile itself ends a cut-off archive without an error."""
    last = tar.getmembers()[-1:]
    with shard.open("rb") as file:
        if last and last[0].issparse():  # its size says nothing of its place in the tar
            file.seek(-tarfile.BLOCKSIZE, os.SEEK_END)
        elif last:
            file.seek(last[0].offset_data + -(-last[0].size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE)
        return file.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
