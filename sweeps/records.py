"""What is known of a trial, as tables and reports show it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import FrozenTrial

from sweeps.search_space import Value

JOB = "job."  # prefix of the attributes that a job sets


@dataclass(frozen=True)
class TrialRecord:
    """What is known of a trial."""

    number: int
    state: str  # WAITING | RUNNING | COMPLETE | FAIL
    point: Mapping[str, Value]
    value: float | None = None
    steps: Mapping[int, float] = field(default_factory=dict)  # step -> reported value
    attributes: Mapping[str, Any] = field(default_factory=dict)  # set by the job
    reason: str | None = None
    run_dir: str | None = None


def record_of(trial: FrozenTrial) -> TrialRecord:
    """Read Optuna's trial."""
    attributes = trial.user_attrs
    return TrialRecord(
        number=trial.number,
        state=trial.state.name,
        point=attributes["point"],
        value=trial.value,
        steps=dict(sorted(trial.intermediate_values.items())),
        attributes={key.removeprefix(JOB): attributes[key] for key in attributes if key.startswith(JOB)},
        reason=attributes.get("reason"),
        run_dir=attributes.get("run_dir"),
    )
