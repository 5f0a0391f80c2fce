"""Trials of a study without a database."""

from sweeps.points.trial_record import TrialRecord


def record(h: int, replica: int, state: str = "COMPLETE", value: float | None = None, **more: object) -> TrialRecord:
    """A trial of the point h, with a seed's number, and its value if it has one."""
    values = () if value is None else (value,)
    return TrialRecord(h, state, {"h": float(h)}, value, replica=replica, values=values, **more)  # type: ignore[arg-type]
