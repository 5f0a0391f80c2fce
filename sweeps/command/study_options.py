"""What the commands for studies share: options, names of files, and one message for a mistake."""

import argparse
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clipgan.base.lookup import refusal
from clipgan.base.text import printable
from sweeps.base.environment import STORAGE
from sweeps.base.errors import SweepError
from sweeps.base.settings import Settings


def add_storage(parser: argparse.ArgumentParser) -> None:
    """Add the option `--storage`."""
    parser.add_argument(
        "--storage",
        default=os.environ.get(STORAGE, Settings.storage),
        help=f"URL of the database, as in hydra.sweeper.storage; default: the environment variable {STORAGE},"
        f" which keeps a password off the command line, or else {Settings.storage}",
    )


def add_pictures(parser: argparse.ArgumentParser) -> None:
    """Add the option `--pictures`."""
    parser.add_argument(
        "--pictures",
        default="samples-*.png",
        metavar="GLOB",
        help="names of pictures in a run directory, of which the newest counts; default: %(default)s",
    )


def file_name(study: str) -> str:
    """Return the name of a study without characters that a file's name should not have."""
    return re.sub(r"[^\w.-]+", "_", study)


def program(module: str) -> str:
    """Return the name that a command has in its help: `python -m MODULE`, or that of the script of pip's."""
    started = Path(sys.argv[0]).name
    return f"python -m {module}" if started == "__main__.py" else started


@contextmanager
def one_message(option: str) -> Iterator[None]:
    """End the process with one message for a mistake, an error of the database, or a file that `option` names.

    The block raises SweepError, SQLAlchemy's and Optuna's errors, or OSError.
    """
    from sweeps.study.outage import telling_database_errors  # it imports Optuna, which `--help` does not need

    try:
        with telling_database_errors():
            yield
    except SweepError as error:
        sys.exit(printable(str(error)))
    except OSError as error:
        name = error.filename or "a file"  # a library's write names none
        unwritten = f"{name} cannot be written ({error.strerror or error}); choose another with {option}"
        sys.exit(printable(refusal(error) or unwritten))
