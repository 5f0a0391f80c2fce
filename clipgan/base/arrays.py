"""Write arrays as .npy files."""

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike


def save_array(path: Path, array: ArrayLike) -> None:
    """Write an array like `np.save`.

    Raises:
        OSError: with the system's error number, which numpy's own writer loses when a disk is full.
    """
    content = np.asarray(array, order="C")
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(content))
        file.write(content.tobytes())
