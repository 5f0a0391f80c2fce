"""Ask git for the version of code: its commit, and whether the code differs from it."""

import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

GIT_SECONDS = 10  # that git may take
SHORT = 12  # characters of a commit for readers


@dataclass(frozen=True)
class Checkout:
    """The state of a checkout."""

    commit: str  # hexadecimal
    changes: str | None  # digest of all uncommitted changes of files that git knows; None: there are none

    def __str__(self) -> str:
        return self.commit[:SHORT] + (f" with uncommitted changes ({self.changes})" if self.changes else "")


def checkout_of(file: Path, code: Sequence[str]) -> Checkout | None:
    """Return the state of the checkout that has a file; None if git does not say so.

    A file that git does not know has no commit: an installed package would get that of the project around it.

    Args:
        file: a source file.
        code: git's patterns of the files that count, from the top of the checkout; new files count too.
    """
    try:
        _git(file.parent, "ls-files", "--error-unmatch", "--", file.name)
        top, commit = _git(file.parent, "rev-parse", "--show-toplevel", "HEAD").splitlines()
        status = _git(Path(top), "status", "--porcelain", "--", *code)
        changes = status + _git(Path(top), "diff", "HEAD", "--", *code) if status.strip() else None
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return Checkout(commit, None if changes is None else hashlib.sha256(changes.encode()).hexdigest()[:8])


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=GIT_SECONDS)
    return done.stdout.decode(errors="backslashreplace")
