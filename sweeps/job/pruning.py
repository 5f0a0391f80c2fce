"""Decide whether a trial ends early: the job itself asks Optuna's pruner."""

import copy
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeps.base.optuna_internals import key_of
from sweeps.base.samplers_and_pruners import pruner_of
from sweeps.points.trial_record import OWN, newest_of_each_task, record_of
from sweeps.search.in_memory_study import in_memory_study
from sweeps.study.storage import open_storage
from sweeps.study.stored_study import directions_of


def is_to_end(
    storage: RDBStorage,
    study: str,
    number: int,
    step: int,
    settings: Mapping[str, Any],
    max_step: int | None = None,
) -> bool:
    """Whether the pruner ends a running trial at a step that the trial has reported.

    The pruner does not see failed trials: a later trial of the same task may repeat their values. It sees this trial
    up to `step` only: a trial that resumes from a checkpoint reports its old steps again.
    """
    pruner = pruner_of(settings, max_step)
    if pruner is None:
        return False
    persisted = _study(storage.url, study)
    trials = persisted.get_trials(deepcopy=False)
    if trials[number].user_attrs.get("replica", 0):
        return False  # the first seed decides: if a pruner chose seeds, the mean would cover the lucky seeds only
    view = in_memory_study(persisted.user_attrs.get("family", study), directions_of(persisted), _seen(trials))
    trial = _up_to(view.get_trials(deepcopy=False)[number], step)
    verdict = pruner.prune(view, trial)
    for key, value in view.get_trials(deepcopy=False)[number].system_attrs.items():
        if trial.system_attrs.get(key) != value:  # progress of successive halving
            storage.set_trial_system_attr(key_of(trials[number]), key, value)
    return verdict


@functools.lru_cache(maxsize=4)
def _study(url: str, name: str) -> optuna.Study:
    """Open the study once in this process: Optuna then reads only unfinished trials again."""
    return optuna.load_study(study_name=name, storage=open_storage(url))


def _seen(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Prepare the trials for a pruner: trials that failed or were queued again have no values."""
    newest = {r.number for r in newest_of_each_task(record_of(trial) for trial in trials if OWN in trial.user_attrs)}
    blank = create_trial(state=TrialState.FAIL)
    return [t if t.number in newest and t.state != TrialState.FAIL else blank for t in trials]


def _up_to(trial: FrozenTrial, step: int) -> FrozenTrial:
    """Copy a trial without its reports after a step."""
    trial = copy.copy(trial)
    trial.intermediate_values = {s: value for s, value in trial.intermediate_values.items() if s <= step}
    return trial
