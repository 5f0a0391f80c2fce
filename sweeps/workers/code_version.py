"""Note in a study with which code it was run, and say where a command continues it with other code."""

import inspect
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

from clipgan.base.checkout import checkout_of
from sweeps.study.open_study import OpenStudy
from sweeps.study.outage import patient
from sweeps.study.stored_study import CODE

FILES = ("*.py", "*.yaml", "*.yml")  # code and configuration, as patterns of git


def version_of(task_function: Callable[..., Any]) -> str | None:
    """Return the version of the code of a task function: git's, or that of its installed package; None if unknown."""
    module = inspect.unwrap(task_function).__module__
    file = getattr(sys.modules.get(module), "__file__", None)
    checkout = None if file is None else checkout_of(Path(file), FILES)
    if checkout is not None:
        return str(checkout)
    package = module.partition(".")[0]
    if package == "__main__":  # a script is of no package
        return None
    with suppress(PackageNotFoundError):
        return f"{package} {version(package)}"
    # distributions whose name is not their package's; this reads the lists of all installed files, in 0.3 s
    packages = packages_distributions().get(package, [])
    return ", ".join(f"{name} {version(name)}" for name in sorted(set(packages))) or None


def note_code(study: OpenStudy, task_function: Callable[..., Any], say: Callable[[str], None]) -> None:
    """Add this command's version of the code to those of the study, the newest last."""
    now = version_of(task_function)
    if now is None:
        return
    known = _add(study, now)
    if known and known[-1] != now:
        say(f"study {study.base_name} goes on with other code: {now}; the command before had {known[-1]}")


@patient
def _add(study: OpenStudy, now: str) -> list[str]:
    """Add a version to those of the study, and return the ones that it had before."""
    with study.locked():
        known = study.attribute(CODE) or []
        study.set_attribute(CODE, [*(other for other in known if other != now), now])
    return known
