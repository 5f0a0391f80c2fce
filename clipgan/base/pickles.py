"""Look at a pickle before Python's unpickler reads it: a few bytes can make it take gigabytes."""

import os
import pickle
import pickletools
from typing import IO

STORES = ("PUT", "BINPUT", "LONG_BINPUT")  # operations that number an object; the unpickler makes room for all numbers


def refuse_huge_numbers(file: IO[bytes]) -> None:
    """Refuse a pickle with numbers of objects beyond what the file can hold; it is then at its start again.

    Args:
        file: seekable, with nothing but the pickle.

    Raises:
        UnpicklingError: a number is larger than the file has bytes.
        ValueError: it is no pickle.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    for operation, argument, _ in pickletools.genops(file):
        if operation.name in STORES and isinstance(argument, int) and argument > size:
            raise pickle.UnpicklingError(f"it numbers an object {argument}, and the file has {size} bytes")
    file.seek(0)
