"""Whether a trial is to end early: Optuna's pruners, asked by the job itself."""

import copy
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeps.base.options import pruner_of
from sweeps.base.optuna_internals import key_of
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
    """Whether the pruner ends a running trial at a step that it has reported.

    The pruner does not see failed trials, whose figures a later trial of the same task may have too. It sees this trial
    up to `step` only: a trial that goes on from a checkpoint reports its old steps again.
    """
    pruner = pruner_of(settings, max_step)
    if pruner is None:
        return False
    persisted = _study(storage.url, study)
    trials = persisted.get_trials(deepcopy=False)
    if trials[number].user_attrs.get("replica", 0):
        return False  # the first seed decides; a mean over the seeds that a pruner left would be that of the lucky ones
    view = in_memory_study(persisted.user_attrs.get("family", study), directions_of(persisted), _seen(trials))
    trial = _up_to(view.get_trials(deepcopy=False)[number], step)
    verdict = pruner.prune(view, trial)
    for key, value in view.get_trials(deepcopy=False)[number].system_attrs.items():
        if trial.system_attrs.get(key) != value:  # how far successive halving has got with it
            storage.set_trial_system_attr(key_of(trials[number]), key, value)
    return verdict


@functools.lru_cache(maxsize=4)
def _study(url: str, name: str) -> optuna.Study:
    """The study as this process has read it: Optuna asks again only for trials that have not ended."""
    return optuna.load_study(study_name=name, storage=open_storage(url))


def _seen(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials as a pruner should see them: those that failed or were queued again have no figures."""
    newest = {r.number for r in newest_of_each_task(record_of(trial) for trial in trials if OWN in trial.user_attrs)}
    blank = create_trial(state=TrialState.FAIL)
    return [t if t.number in newest and t.state != TrialState.FAIL else blank for t in trials]


def _up_to(trial: FrozenTrial, step: int) -> FrozenTrial:
    """A trial without what it has reported after a step."""
    trial = copy.copy(trial)
    trial.intermediate_values = {s: value for s, value in trial.intermediate_values.items() if s <= step}
    return trial
