"""Memory maps that are read once from end to end."""

import mmap

import numpy as np


def forget(array: np.ndarray) -> None:
    """Take the pages of a memory map (or of a view of one) out of this process: those that were read count as its
    memory, up to the size of the file. Of any other array nothing happens, nor where the system cannot.
    """
    pages = getattr(array, "_mmap", None)
    if pages is not None and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)
