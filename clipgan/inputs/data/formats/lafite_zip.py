"""`data=lafite_zip`: a zip by the public LAFITE code's dataset_tool: PNGs, and CLIP features in a `dataset.json`.

    {"clip_img_features": [["00000/img00000000.png", [512 numbers]], ...],
     "clip_txt_features": [["00000/img00000000.png", [[512 numbers], ...]], ...]}     one row for each caption

The zip has no words of captions, unless a `.txt` lies beside each PNG. `dataset.json` takes gigabytes for real data
sets, so it is read as a stream.
"""

import os
import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import ijson
import numpy as np

from clipgan.base.errors import UserError
from clipgan.base.text import counted, first_line
from clipgan.config import DataConfig
from clipgan.inputs.data.account import NO_IMAGE, NO_PICTURE, Account
from clipgan.inputs.data.archives import check_member
from clipgan.inputs.data.files import Found, Listing, archive_states, fingerprint
from clipgan.inputs.data.folders import is_hidden
from clipgan.inputs.data.images import CaptionedImage, has_image_suffix
from clipgan.inputs.data.limits import ARCHIVE_ERRORS, check_json, open_image_member, read_text_member
from clipgan.inputs.data.packed_captions import CaptionFile
from clipgan.inputs.data.splits import Splits
from clipgan.inputs.data.supplied_features import finish_stored, stored_rows
from clipgan.inputs.data.text import checked, decode, lines, one_line

TABLE = "dataset.json"
IMAGES, TEXTS = "clip_img_features", "clip_txt_features"  # its lists


def find(path: Path, config: DataConfig) -> Found:
    """Find the images of the zip, sorted by name.

    Args:
        path: the zip; LAFITE's zip for testing belongs in `data.heldout_path`.
        config: `encoding` is the encoding of the captions.

    Raises:
        UserError: `path` is not a zip. The listing, made later, raises it if a member leads outside of the zip, or if
            `dataset.json` is missing or foreign.
    """
    if not zipfile.is_zipfile(path):
        what = "is a folder, not a zip; zip what is in it" if path.is_dir() else "is not a zip, or its end is missing"
        raise UserError(f"data.path={path} {what}; give a zip that LAFITE's dataset_tool.py wrote")
    states = archive_states([path], path.parent)
    return Found(fingerprint([config.encoding], states), lambda: _list(path, config.encoding))


def _list(path: Path, encoding: str) -> Listing:
    archive = zipfile.ZipFile(path)  # stays open: several threads read its members later
    for member in archive.infolist():
        kind = stat.S_IFMT(member.external_attr >> 16)
        check_member(path, member.filename, kind in (0, stat.S_IFREG, stat.S_IFDIR))
    members = set(archive.namelist())
    if TABLE not in members:
        raise UserError(f"data.path={path} has no {TABLE}, which LAFITE's dataset_tool.py writes")
    _check_table(path, archive)
    account = Account()
    for name, count in Counter(archive.namelist()).items():
        if count > 1:
            account.skip(name, "the zip has several files of this name, and the last one is read")
    n_texts = {name: len(rows) for name, rows in _rows(path, TEXTS)}
    pictures = _pictures(members, account)
    by_stem = {os.path.splitext(name)[0]: name for name in members if name.lower().endswith(".txt")}
    texts = {name: by_stem.get(os.path.splitext(name)[0]) for name in pictures}
    has_words = any(texts.values())  # never mix real captions and placeholders
    for name in sorted(members - {TABLE, *pictures, *filter(None, texts.values())}):
        if not name.endswith("/") and not _is_hidden(name):
            account.other(name, NO_PICTURE if name in by_stem.values() else NO_IMAGE)
    images = []
    for name in pictures:
        captions = [f"(caption {k} of {name})" for k in range(1, n_texts.get(name, 0) + 1)]
        if has_words:
            try:
                text = texts[name]
                words = b"" if text is None else read_text_member(archive, text)
                captions = lines(checked(decode(words, encoding), encoding))
            except ValueError as error:
                account.skip_captions(name, error)
                continue
        Splits().of(PurePosixPath(name).parent.parts, name, account)
        images.append(CaptionedImage(one_line(name), captions, partial(open_image_member, archive, name)))
    if missing := n_texts.keys() - {one_line(name) for name in pictures}:
        account.note(f"{TABLE} names {counted(len(missing), 'image')} missing from the zip, such as {min(missing)}")
    return Listing(images, account=account, extras=partial(_write_features, path, has_words))


def _check_table(path: Path, archive: zipfile.ZipFile) -> None:
    try:
        with archive.open(TABLE) as file:
            check_json(file)
    except (ValueError, *ARCHIVE_ERRORS) as error:
        raise UserError(f"data.path={path}: its {TABLE} cannot be read ({one_line(str(error))})") from error


def _pictures(members: set[str], account: Account) -> list[str]:
    for name in filter(_is_hidden, sorted(members)):
        account.hide(name)
    return sorted(name for name in members if has_image_suffix(name) and not _is_hidden(name))


def _is_hidden(name: str) -> bool:
    return any(is_hidden(part) for part in name.split("/"))


def _rows(path: Path, key: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and features of each image in the list `key`, float32 [rows, C]; nothing if the list is null.

    Raises:
        UserError: LAFITE's code does not write such a `dataset.json`.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(TABLE) as file:
            for path_in_zip, features in ijson.items(file, f"{key}.item", use_float=True):
                name = one_line(path_in_zip.replace("\\", "/"))
                yield name, _matrix(name, features if key == TEXTS else [features])
    except ijson.JSONError as error:  # the table holds both lists: the fault may lie in the other one
        raise UserError(f"data.path={path}: its {TABLE} cannot be read ({first_line(error)})") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"data.path={path}: {key} in its {TABLE} is not what LAFITE's dataset_tool.py writes: {error}"
        ) from error


def _matrix(name: str, features: Any) -> np.ndarray:
    rows = np.asarray(features, dtype=np.float32)
    if rows.shape == (0,):  # an image without captions
        return rows.reshape(0, 0)
    if rows.ndim != 2 or rows.shape[1] == 0 or not np.isfinite(rows).all():
        raise ValueError(f"the features of {name} are no rows of numbers")
    return rows


def _write_features(path: Path, has_words: bool, directory: Path, names: Sequence[str]) -> None:
    """Store the features of the packed images; leave out a kind (image or text) that any image lacks."""
    counts = [len(captions) for captions in CaptionFile(directory / "captions.jsonl")]
    rows = {
        kind: _gather(partial(stored_rows, directory, kind), names, n_rows, key, _rows(path, key))
        for kind, key, n_rows in (("image", IMAGES, [1] * len(names)), ("text", TEXTS, counts))
    }
    finish_stored(directory, rows, has_words)


def _gather(
    allocate: Callable[[int, int], np.ndarray],
    names: Sequence[str],
    counts: Sequence[int],
    key: str,
    rows: Iterator[tuple[str, np.ndarray]],
) -> np.ndarray | str:
    """Collect the rows of all `names`, in order: float32 [sum of counts, C].

    Returns:
        The rows; or why the list `key` cannot be used: it lacks an image, or a row has another width or no direction.
    """
    place = {name: (start, count) for name, start, count in zip(names, np.cumsum([0, *counts]), counts, strict=False)}
    gathered: np.ndarray | None = None
    for name, features in rows:
        start, count = place.pop(name, (0, 0))
        if count == 0:
            continue
        width = features.shape[1] if gathered is None else gathered.shape[1]
        if features.shape != (count, width):
            return f"{key} has {len(features)} rows of {features.shape[1]} numbers for {name}, not {count} of {width}"
        lengths = np.linalg.norm(features, axis=1)
        if not ((lengths > 0) & np.isfinite(lengths)).all():
            return f"{key} has a row of length {lengths.min():g} for {name}"
        if gathered is None:
            gathered = allocate(sum(counts), width)
        gathered[start : start + count] = features
    lacking = [name for name, (_, count) in place.items() if count]
    if lacking:
        return f"{key} lacks {len(lacking)} of {len(names)} images, such as {lacking[0]}"
    return f"{key} is empty" if gathered is None else gathered
