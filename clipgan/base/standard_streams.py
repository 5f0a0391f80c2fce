"""Standard streams that whoever started a command has closed, as a shell's `>&-` does."""

import os
import sys


def open_missing() -> None:
    """Lead each closed one to the null device: no other file gets its descriptor, and what is printed is dropped.

    The processes that a command starts inherit it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest descriptor that is free: this one
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
