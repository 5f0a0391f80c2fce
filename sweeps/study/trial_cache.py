"""Cache the trials of a study in memory: a refresh reads only the trials that have changed."""

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from sweeps.base.optuna_internals import key_of, read_trials, silent_trials, unfinished
from sweeps.points.trial_record import OWN, TrialRecord, record_of, results_of_each_task


class Trials:
    """The cached trials of a study, by trial number; without the trials of other tools."""

    def __init__(self, storage: RDBStorage, study: str) -> None:
        self._storage = storage
        self.study = storage.get_study_id_from_name(study)  # its key
        self.forget()

    def forget(self) -> None:
        """Empty the cache, so that the next `refresh` reads everything."""
        self._states: dict[int, str] = {}  # trial key -> state, of the unfinished ones
        self._last = -1  # the newest key that was read
        self.all: dict[int, TrialRecord] = {}
        self.waiting: dict[int, TrialRecord] = {}
        self.running: dict[int, TrialRecord] = {}
        self.newest: dict[str, TrialRecord] = {}  # task -> its newest trial
        self.foreign: set[int] = set()  # keys of other tools' trials

    def refresh(self, with_running: bool = False) -> list[TrialRecord]:
        """Read the trials that are new or have another state now, and return them sorted by number.

        Args:
            with_running: also read all running trials, which may have new reports.
        """
        now = unfinished(self._storage, self.study, self._last)
        changed = {key for key, state in self._states.items() if now.get(key) != state}
        if with_running:
            changed |= {key for key, state in now.items() if state == TrialState.RUNNING.name}
        if not changed and all(key <= self._last for key in now):
            return []
        found = []
        for trial in read_trials(self._storage, self.study, changed, self._last):
            key = key_of(trial)
            self._last = max(self._last, key)
            if trial.state.is_finished():
                self._states.pop(key, None)
            else:
                self._states[key] = trial.state.name
            if OWN in trial.user_attrs:
                self.see(trial)
                found.append(record_of(trial))
                self._take(found[-1])
            else:
                self.foreign.add(key)
        return found

    def see(self, trial: FrozenTrial) -> None:
        """Called with each trial as it was read; a subclass may keep it."""

    def keep(self, record: TrialRecord) -> None:
        """Note a change of an unfinished trial that this process has made, so that no refresh reads it again."""
        self._states[record.key] = record.state
        self._take(record)

    def results(self) -> list[TrialRecord]:
        """The trial of each task whose result counts, in the order of the tasks' first trials.

        So what draws or compares points sees a result that a failed rerun left as it was.
        """
        found = {each.task: each for each in results_of_each_task(each for _, each in sorted(self.all.items()))}
        return [found[task] for task in self.newest]

    def silent(self, grace: int) -> list[TrialRecord]:
        """Find running trials without a heartbeat for `grace` seconds by the database's clock."""
        keys = silent_trials(self._storage, self.study, grace)
        return [record for record in self.running.values() if record.key in keys]

    def _take(self, record: TrialRecord) -> None:
        self.all[record.number] = record
        for records, state in ((self.waiting, "WAITING"), (self.running, "RUNNING")):
            if record.state == state:
                records[record.number] = record
            else:
                records.pop(record.number, None)
        known = self.newest.get(record.task)
        if known is None or known.number <= record.number:
            self.newest[record.task] = record
