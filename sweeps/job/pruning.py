"""Decide whether a trial ends early: the job itself asks Optuna's pruner."""

import copy
import functools
from collections.abc import Container, Mapping
from typing import Any

import optuna
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

from sweeps.base.optuna_internals import key_of
from sweeps.base.samplers_and_pruners import pruner_of
from sweeps.study.storage import open_storage
from sweeps.study.trial_cache import Trials


def is_to_end(
    storage: RDBStorage,
    study: str,
    number: int,
    step: int,
    settings: Mapping[str, Any],
    max_step: int | None = None,
) -> bool:
    """Whether the pruner ends a running trial at a step that the trial has reported.

    The pruner does not see failed trials: another trial of the same task may repeat their values. It sees this trial
    up to `step` only: a trial that resumes from a checkpoint reports its old steps again.
    """
    pruner = pruner_of(settings, max_step)
    if pruner is None:
        return False
    persisted, known = _study(storage.url, study)
    known.refresh(with_running=True)
    if known.all[number].replica:
        return False  # the first seed decides: if a pruner chose seeds, the mean would cover the lucky seeds only
    shown = [known.read[each.number] for each in known.results() if each.state not in ("FAIL", "WAITING")]
    view = _View(sorted(shown, key=lambda trial: trial.number))
    name = persisted.user_attrs.get("family", study)  # Hyperband assigns brackets by it
    trial = _up_to(known.read[number], step)
    verdict = pruner.prune(optuna.create_study(storage=view, study_name=name, directions=persisted.directions), trial)
    for key, value in view.notes.items():
        if trial.system_attrs.get(key) != value:  # progress of successive halving
            storage.set_trial_system_attr(key_of(trial), key, value)
    return verdict


class _Read(Trials):
    """The trials of a study as Optuna has them, too. A refresh reads no waiting trial twice, as Optuna would."""

    def forget(self) -> None:
        super().forget()
        self.read: dict[int, FrozenTrial] = {}

    def see(self, trial: FrozenTrial) -> None:
        self.read[trial.number] = trial


class _View(InMemoryStorage):
    """Shows trials to a pruner without a copy of each, and keeps its notes on the trial that it is asked about."""

    def __init__(self, shown: list[FrozenTrial]) -> None:
        super().__init__()
        self.shown, self.notes = shown, dict[str, Any]()

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        found = [trial for trial in self.shown if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        return BaseStorage.get_best_trial(self, study_id)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.notes[key] = value


@functools.lru_cache(maxsize=4)
def _study(url: str, name: str) -> tuple[optuna.Study, _Read]:
    """Open the study once in this process: then only trials that have changed are read again."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # Optuna would log each study in memory
    return optuna.load_study(study_name=name, storage=open_storage(url)), _Read(open_storage(url), name)


def _up_to(trial: FrozenTrial, step: int) -> FrozenTrial:
    """Copy a trial without its reports after a step."""
    trial = copy.copy(trial)
    trial.intermediate_values = {s: value for s, value in trial.intermediate_values.items() if s <= step}
    return trial
