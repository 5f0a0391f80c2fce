"""The trials of a study, kept in memory and up to date: each is read when it changes, not each time.

All of Optuna's inner calls are here; its own reading of a study costs more with every trial that waits.
"""

from collections.abc import Iterable

import sqlalchemy
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from sweeps.points.trial_record import TrialRecord, record_of, task_id

POINT = "point"  # user attribute of every trial that this sweeper has made
_UNFINISHED = sqlalchemy.text(
    "SELECT trial_id, state FROM trials"
    " WHERE study_id = :study AND (trial_id > :last OR state IN ('RUNNING', 'WAITING'))"
)


class Trials:
    """What is known of a study's trials; those that another tool has added are left out.

    Trials are Optuna's, by its trial number, and not to be changed.
    """

    def __init__(self, storage: RDBStorage, study: str) -> None:
        self.study = study
        self._storage = storage
        self._study_id = storage.get_study_id_from_name(study)
        self._states: dict[int, str] = {}  # Optuna's trial id -> state, of the unfinished ones
        self._last = -1  # the newest trial id that was read
        self.all: dict[int, FrozenTrial] = {}
        self.records: dict[int, TrialRecord] = {}  # the same, as this sweeper reads them
        self.waiting: dict[int, FrozenTrial] = {}
        self.running: dict[int, FrozenTrial] = {}
        self.newest: dict[str, TrialRecord] = {}  # task -> its newest trial

    def refresh(self, with_running: bool = False) -> list[TrialRecord]:
        """Read what is new or has another state now, and return it by number.

        Args:
            with_running: read the running ones too, which may have reported.
        """
        now = self._unfinished()
        changed = {number for number, state in self._states.items() if now.get(number) != state}
        if with_running:
            changed |= {number for number, state in now.items() if state == TrialState.RUNNING.name}
        if not changed and all(number <= self._last for number in now):
            return []
        return [self.records[trial.number] for trial in self._read(changed) if self._take(trial)]

    def silent(self, grace: int) -> Iterable[FrozenTrial]:
        """The running trials whose owner has not beaten for `grace` seconds of the database's clock."""
        self._storage.heartbeat_interval = self._storage.grace_period = grace
        ids = set(self._storage._get_stale_trial_ids(self._study_id))
        return [trial for trial in self.running.values() if trial._trial_id in ids]

    def id_of(self, number: int) -> int:
        """Optuna's key of a trial in its storage."""
        return self.all[number]._trial_id

    def _unfinished(self) -> dict[int, str]:
        with self._storage.engine.connect() as connection:
            rows = connection.execute(_UNFINISHED, {"study": self._study_id, "last": self._last})
            return {number: state for number, state in rows}

    def _read(self, changed: set[int]) -> list[FrozenTrial]:
        """The trials of these ids, and all after the last one."""
        trials = self._storage._get_trials(self._study_id, None, changed, self._last)
        for trial in trials:
            self._last = max(self._last, trial._trial_id)
            if trial.state.is_finished():
                self._states.pop(trial._trial_id, None)
            else:
                self._states[trial._trial_id] = trial.state.name
        return trials

    def _take(self, trial: FrozenTrial) -> bool:
        if POINT not in trial.user_attrs:
            return False
        number = trial.number
        self.all[number] = trial
        for trials, state in ((self.waiting, TrialState.WAITING), (self.running, TrialState.RUNNING)):
            if trial.state == state:
                trials[number] = trial
            else:
                trials.pop(number, None)
        record = self.records[number] = record_of(trial)
        key = task_id(record.point, record.replica)
        if key not in self.newest or self.newest[key].number <= number:
            self.newest[key] = record
        return True


def trial_id(storage: RDBStorage, study: str, number: int) -> int:
    """Optuna's key of a trial in its storage."""
    return storage.get_trial_id_from_study_id_trial_number(storage.get_study_id_from_name(study), number)
