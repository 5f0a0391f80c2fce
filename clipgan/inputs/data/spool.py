"""Long lists on disk, for the listing of a data set with millions of images."""

import os
import pickle
import tempfile
import weakref
from array import array
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, overload

import numpy as np

T = TypeVar("T")


class Spool(Sequence[T]):
    """An append-only list of picklable items in an unnamed temporary file; memory holds eight bytes for each item."""

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # the file lives as long as the list
        weakref.finalize(self, self._file.close)
        self._starts = array("q", [0])
        for item in items:
            self.append(item)

    def append(self, item: T) -> None:
        """Append an item."""
        self._starts.append(self._starts[-1] + self._file.write(pickle.dumps(item, pickle.HIGHEST_PROTOCOL)))

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return Subset(self, np.arange(len(self))[index])
        k = range(len(self))[index]
        self._file.flush()
        start, stop = self._starts[k], self._starts[k + 1]
        return pickle.loads(os.pread(self._file.fileno(), stop - start, start))  # safe: only this process has the file


class Subset(Sequence[T]):
    """A view of some items of a sequence, in a given order, without copying them."""

    def __init__(self, items: Sequence[T], indices: Any) -> None:
        """Choose `items[i]` for each i in `indices`, integers [n]."""
        self._items, self._indices = items, np.asarray(indices, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return Subset(self._items, self._indices[index])
        return self._items[int(self._indices[index])]
