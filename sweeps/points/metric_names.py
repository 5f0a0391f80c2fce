"""The metrics' own names, such as `fid2k_clip_tiny64`: each job tells those of its trial.

A sweep knows a job's objective as the value that it returns, and further metrics by the short names of
`hydra.sweeper.objectives`. What a metric measures, and so its name, may depend on the data that the job has loaded.
"""

from collections.abc import Sequence

from sweeps.points.trial_record import OBJECTIVE_SD, TrialRecord

RETURNED = "returned"  # stands for the value that the job returns


def own_name(records: Sequence[TrialRecord], short: str) -> str | None:
    """The own name of a metric; several, if the trials measure differently; None if no job has told it.

    Args:
        records: of a study.
        short: `RETURNED`, or the name of a job's attribute.
    """
    told = dict.fromkeys(record.names[short] for record in records if short in record.names)
    return " | ".join(told) or None


def objective_names(names: Sequence[str], records: Sequence[TrialRecord]) -> tuple[str, ...]:
    """The own names of a study's objectives; an objective whose own name is unknown keeps its short name.

    Args:
        names: the short names, of `hydra.sweeper.objectives`; the first objective is what a job returns.
        records: of the study.
    """
    shorts = (RETURNED, *names[1:])
    return tuple(own_name(records, short) or name for short, name in zip(shorts, names, strict=True))


def attribute_names(objectives: Sequence[str], records: Sequence[TrialRecord]) -> dict[str, str]:
    """Map each attribute that jobs have set to its own name, in order of appearance; without the objectives.

    Args:
        objectives: from `objective_names`.
        records: of the study.
    """
    found = dict.fromkeys(name for record in records for name in record.attributes)
    names = {name: own_name(records, name) or name for name in found}
    if OBJECTIVE_SD in names:
        names[OBJECTIVE_SD] = f"{objectives[0]}_sd"
    return {name: own for name, own in names.items() if own not in objectives}
