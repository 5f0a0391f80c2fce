"""The captions of a packed data set, read from disk on demand; memory holds eight bytes for each image."""

import json
import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np

PIECE = 1 << 24  # bytes searched for line ends at a time


class CaptionFile(Sequence[list[str]]):
    """`captions.jsonl`: line k is the list of image k's captions."""

    def __init__(self, path: Path) -> None:
        """Open the file and find where each line starts."""
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        starts = [np.zeros(1, dtype=np.int64)]
        done = 0
        while piece := os.pread(self._file, PIECE, done):
            starts.append(done + 1 + np.flatnonzero(np.frombuffer(piece, dtype=np.uint8) == ord("\n")))
            done += len(piece)
        self._starts = np.concatenate(starts)

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, index: int) -> list[str]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[str]]: ...
    def __getitem__(self, index: int | slice) -> list[str] | list[list[str]]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        k = range(len(self))[index]  # a negative index counts from the end; an index out of range raises IndexError
        start, stop = int(self._starts[k]), int(self._starts[k + 1])
        return json.loads(os.pread(self._file, stop - start, start))


def caption_starts(captions: Sequence[Sequence[str]]) -> np.ndarray:
    """Return offsets into the list of all captions: image i has captions `[i]` to `[i + 1] - 1`. int64 [N + 1]."""
    counts = np.fromiter((len(texts) for texts in captions), dtype=np.int64, count=len(captions))
    return np.concatenate([[0], np.cumsum(counts)])
