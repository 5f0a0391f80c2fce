"""Memory maps that are read once from start to end."""

import mmap

import numpy as np


def release_pages(array: np.ndarray) -> None:
    """Release the pages of a memory map (or of a view of one), which otherwise count as memory of this process.

    Other arrays, and systems without `MADV_DONTNEED`, are left as they are.
    """
    pages = getattr(array, "_mmap", None)
    if pages is not None and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)
