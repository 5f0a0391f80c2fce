"""Read the objectives from what a job returned."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


class NoObjectiveError(Exception):
    """The job did not return the objectives of the sweep; the message begins with the kind of mistake."""


class NotFiniteError(NoObjectiveError):
    """The job returned a number that cannot be compared: the training has diverged."""


def objectives(returned: Any, names: Sequence[str], kept: Mapping[str, Any]) -> tuple[float, ...]:
    """Find a finite number for each objective.

    A job may return a mapping of names to values, a list of values in order, or the first objective alone. In the last
    case, the job has set the other objectives on its trial.

    Args:
        returned: the job's return value.
        names: names of the objectives.
        kept: values that the job has set on its trial.

    Raises:
        NoObjectiveError: an objective is missing, or is not a number.
        NotFiniteError: an objective is not finite.
    """
    if isinstance(returned, Mapping):
        found = dict(returned)
    elif len(names) > 1 and isinstance(returned, list | tuple):
        if len(returned) != len(names):
            raise NoObjectiveError(f"ValueError: {len(names)} objectives ({_listed(names)}), but {returned!r:.100}")
        found = dict(zip(names, returned, strict=True))
    else:
        found = {**kept, names[0]: returned}
    missing = [name for name in names if name not in found]
    if missing:
        raise NoObjectiveError(f"KeyError: no objective {_listed(missing)}: the job gave only {_listed(found)}")
    return tuple(_number(found[name]) for name in names)


def _number(value: Any) -> float:
    try:
        if isinstance(value, bool | str):
            raise TypeError
        number = float(value)
    except OverflowError:
        raise NotFiniteError("not finite: the objective is greater than any float") from None
    except (TypeError, ValueError, RuntimeError):
        kind = type(value).__name__
        raise NoObjectiveError(f"TypeError: the objective must be a number, not {value!r:.100} ({kind})") from None
    if not math.isfinite(number):
        raise NotFiniteError(f"not finite: the objective is {number}")
    return number


def _listed(names: Any) -> str:
    return ", ".join(map(str, names)) or "none"
