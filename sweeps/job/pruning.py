"""Whether a trial is to end early: Optuna's pruners, asked by the job itself."""

import copy
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeps.base.errors import SweepError
from sweeps.base.options import SHARES, instance
from sweeps.points.trial_record import trial_task_id
from sweeps.search.in_memory_study import mirror
from sweeps.study.storage import open_storage
from sweeps.study.trial_cache import trial_id


def pruner_of(
    settings: Mapping[str, Any] | None, max_step: int | None = None, n_objectives: int = 1
) -> BasePruner | None:
    """The pruner that `hydra.sweeper.pruner` describes, or None.

    Args:
        settings: its keys and values, `_target_` included.
        max_step: a trial's last step, `hydra.sweeper.max_step`; None: unknown, and trials are compared from step 1 on.
        n_objectives: of the sweep.

    Raises:
        SweepError: its arguments are not allowed, or there are several objectives.
    """
    if settings is None or settings.get("_target_") is None:
        return None
    if n_objectives > 1:
        raise SweepError(
            f"hydra.sweeper.pruner={settings['_target_']} is not allowed with {n_objectives} objectives: a trial cannot"
            " be compared half-way by several; take pruner=none"
        )
    if settings.get("max_resource", 1) is None and max_step is None:
        raise SweepError(
            "hydra.sweeper.max_step is missing: hyperband must know the last step of a trial, as in"
            " hydra.sweeper.max_step=100"
        )
    pruner = instance({**settings, **_lengths(settings, max_step)}, "pruner")
    if not isinstance(pruner, BasePruner):
        raise SweepError(f"hydra.sweeper.pruner._target_={settings['_target_']} is no pruner of Optuna's")
    return pruner


def _lengths(settings: Mapping[str, Any], max_step: int | None) -> dict[str, int]:
    """The steps that are null in the settings: shares of a trial's length; at least 1, for at 0 nothing is trained."""
    shares = SHARES.get(settings["_target_"].rpartition(".")[2], {})
    unset = {name: share for name, share in shares.items() if settings.get(name, 0) is None}
    return {name: max(1, round(share * (max_step or 0))) for name, share in unset.items()}


def is_to_end(
    storage: RDBStorage,
    study: str,
    number: int,
    step: int,
    settings: Mapping[str, Any],
    max_step: int | None = None,
) -> bool:
    """Whether the pruner gives up a running trial at a step that it has reported.

    The pruner sees the study without failed trials (an orphan's figures are also its successor's), and this trial
    only up to `step`: one that goes on from a checkpoint reports its old steps again.
    """
    pruner = pruner_of(settings, max_step)
    if pruner is None:
        return False
    persisted = _study(storage.url, study)
    trials = persisted.get_trials(deepcopy=False)
    if trials[number].user_attrs.get("replica", 0):
        return False  # one seed decides whether a point is worth more of them; what these come to is a mean, or none
    family = persisted.user_attrs.get("family", study)  # its successors have the same trials with the same numbers
    directions = [direction.name for direction in persisted.directions]
    view = mirror(family, directions, _seen(trials))
    trial = _up_to(view.get_trials(deepcopy=False)[number], step)
    verdict = pruner.prune(view, trial)
    for key, value in view.get_trials(deepcopy=False)[number].system_attrs.items():
        if trial.system_attrs.get(key) != value:  # how far successive halving has got with it
            storage.set_trial_system_attr(trial_id(storage, study, number), key, value)
    return verdict


@functools.lru_cache(maxsize=4)
def _study(url: str, name: str) -> optuna.Study:
    """The study as this process has read it: Optuna asks again only for trials that have not ended."""
    return optuna.load_study(study_name=name, storage=open_storage(url))


def _seen(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials as a pruner should see them: those that failed or were succeeded by another have no figures."""
    own = {trial_task_id(trial): trial.number for trial in trials if "point" in trial.user_attrs}
    newest = set(own.values())
    blank = create_trial(state=TrialState.FAIL)
    return [t if t.number in newest and t.state != TrialState.FAIL else blank for t in trials]


def _up_to(trial: FrozenTrial, step: int) -> FrozenTrial:
    """A trial without what it has reported after a step."""
    trial = copy.copy(trial)
    trial.intermediate_values = {s: value for s, value in trial.intermediate_values.items() if s <= step}
    return trial
