"""A study as a queue of points: claim one, run it, tell what came out. All of Optuna's inner calls are here.

Each trial carries in its user attributes what it is: `point` (axis -> value), `overrides` (as the user spelled them),
`run` (number of its run directory), `owner` (the process that claimed it), `reason` (why it failed), `run_dir`, and
`job.NAME` for what the job itself has set.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeps import owner
from sweeps.errors import SweepError
from sweeps.identity import differences
from sweeps.search_space import Point, Space, Value, conform, is_numeric, merge, point_id
from sweeps.storage import absolute_url, exclusive, open_storage

JOB = "job."  # prefix of the attributes that a job sets
ORPHANED, INTERRUPTED = "orphaned", "interrupted"
MAX_DIFFERENCES = 5  # quoted in an error message


@dataclass(frozen=True)
class Claim:
    """A trial that this process runs now."""

    number: int  # Optuna's trial number
    point: Point
    run: int  # number of the run directory; a requeued trial has its predecessor's


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


class SweepStudy:
    """The trials of one sweep, in one storage, shared by all leaders that run it.

    Args:
        storage: its URL.
        name: the family name of the study; a study that had to be succeeded goes on under `name.2`, `name.3`, ...
        direction: minimize or maximize.
        identity: what all trials have in common, from `identity_of`.
        say: shows one line to the user.

    Raises:
        SweepError: the storage cannot be used, or the study of that name is another one.
    """

    def __init__(
        self, storage: str, name: str, direction: str, identity: Mapping[str, Any], say: Callable[[str], None]
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.url = absolute_url(storage)
        self._storage: RDBStorage = open_storage(self.url)
        self._say = say
        with self.locked():
            names = optuna.get_all_study_names(self._storage)
            self._study = self._load(name) if name in names else self._create(name, direction, identity, {}, name)
            self._follow_successors()
        self._refuse_another(name, direction, identity)

    @property
    def name(self) -> str:
        """Optuna's name of the study."""
        return self._study.study_name

    @property
    def family(self) -> str:
        """The name that stays when the study is succeeded; run directories lie under it."""
        return str(self._study.user_attrs["family"])

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Exclude all other leaders of this storage; for a moment, and not reentrant."""
        with exclusive(self.url):
            yield

    def attribute(self, name: str) -> Any:
        """A note kept with the study, or None."""
        return self._study.user_attrs.get(name)

    def set_attribute(self, name: str, value: Any) -> None:
        """Keep a note (a JSON value) with the study."""
        self._study.set_user_attr(name, value)

    def enqueue(self, points: Sequence[Point], space: Space, retry_failed: bool) -> None:
        """Queue each point that the study does not have yet, and where asked those that have failed.

        Raises:
            SweepError: a new choice on an axis of names while another leader runs a trial of this study.
        """
        with self.locked():
            self._follow_successors()
            self._requeue_orphans()
            self._extend(space)
            newest = self._newest()
            run = max((trial.user_attrs["run"] for trial in newest.values()), default=-1)
            for point in points:
                values = conform(point.values, self._space)
                known = newest.get(point_id(values))
                if known is None:
                    run += 1
                    self._queue(values, {"overrides": list(point.overrides), "run": run})
                elif known.state == TrialState.FAIL and retry_failed:
                    self._queue_again(known)

    def claim(self, points: Sequence[Point]) -> Claim | None:
        """Take the next waiting trial of one of `points`, or None where none waits."""
        with self.locked():
            self._follow_successors()
            self._requeue_orphans()
            wanted = {point_id(conform(point.values, self._space)): point for point in points}
            waiting = self._trials(TrialState.WAITING)
            for trial in sorted(waiting, key=lambda trial: trial.user_attrs["run"]):  # requeued ones keep their turn
                point = wanted.get(point_id(trial.user_attrs["point"]))
                if point is not None:
                    # the owner first: a process killed between the two leaves a trial that still waits
                    self._set(trial.number, "owner", owner.this_process())
                    self._set_state(trial.number, TrialState.RUNNING)
                    return Claim(trial.number, point, trial.user_attrs["run"])
        return None

    def complete(self, claim: Claim, value: float, run_dir: str | None) -> None:
        """Tell the objective's value, a finite number."""
        self._set(claim.number, "run_dir", run_dir)
        self._study.tell(claim.number, value, state=TrialState.COMPLETE)

    def fail(self, claim: Claim, reason: str, run_dir: str | None) -> None:
        """Tell that a trial has failed, and why; its point is not run again unasked."""
        self._set(claim.number, "run_dir", run_dir)
        self._set(claim.number, "reason", reason)
        self._study.tell(claim.number, state=TrialState.FAIL)

    def give_back(self, claim: Claim) -> None:
        """Let the point of an interrupted trial wait again."""
        with self.locked():
            self._requeue(self._study.get_trials(deepcopy=False)[claim.number], INTERRUPTED)

    def records(self, points: Sequence[Point] | None = None) -> list[TrialRecord]:
        """The newest trial of each point (of `points`, or of the whole study), by trial number."""
        newest = self._newest()
        if points is not None:
            wanted = {point_id(conform(point.values, self._space)) for point in points}
            newest = {key: trial for key, trial in newest.items() if key in wanted}
        return [_record(trial) for trial in sorted(newest.values(), key=lambda trial: trial.number)]

    @property
    def n_superseded(self) -> int:
        """How many trials were interrupted, orphaned or retried, and so have a newer one of the same point."""
        return len(self._trials()) - len(self._newest())

    @property
    def _space(self) -> Space:
        return dict(self._study.user_attrs["space"])

    def _load(self, name: str) -> optuna.Study:
        # no sampler: all points of a grid are queued
        return optuna.load_study(study_name=name, storage=self._storage, sampler=optuna.samplers.RandomSampler())

    def _create(
        self, name: str, direction: str, identity: Mapping[str, Any], space: Space, family: str
    ) -> optuna.Study:
        optuna.create_study(study_name=name, storage=self._storage, direction=StudyDirection[direction.upper()])
        study = self._load(name)
        for key, value in {"identity": identity, "space": space, "family": family}.items():
            study.set_user_attr(key, value)
        return study

    def _refuse_another(self, name: str, direction: str, identity: Mapping[str, Any]) -> None:
        attributes = self._study.user_attrs
        if "identity" not in attributes:
            raise SweepError(f"study {name} was not made by this sweeper; give another hydra.sweeper.study_name")
        if self._study.direction.name.lower() != direction:
            raise SweepError(
                f"hydra.sweeper.direction={direction}, but study {name} has {self._study.direction.name.lower()};"
                " give another hydra.sweeper.study_name"
            )
        different = differences(attributes["identity"], identity)
        if different:
            more = f", and {len(different) - MAX_DIFFERENCES} more" if len(different) > MAX_DIFFERENCES else ""
            raise SweepError(
                f"study {name} belongs to another configuration: {'; '.join(different[:MAX_DIFFERENCES])}{more}."
                " Give another hydra.sweeper.study_name, or null to have one derived"
            )

    def _follow_successors(self) -> None:
        while (successor := self._study.user_attrs.get("successor")) is not None:
            self._study = self._load(successor)

    def _extend(self, space: Space) -> None:
        merged = merge(self._space, space)
        if merged == self._space:
            return
        changed = [name for name in self._space if _distribution(merged[name]) != _distribution(self._space[name])]
        if all(is_numeric(merged[name]) for name in changed):  # Optuna lets a range widen
            self._study.set_user_attr("space", merged)
        else:
            self._succeed(merged, changed)

    def _succeed(self, space: Space, changed: Sequence[str]) -> None:
        """Go on in a new study that has the old one's trials: Optuna refuses a changed choice list."""
        trials = copy.deepcopy(self._trials())
        running = [trial for trial in trials if trial.state == TrialState.RUNNING]
        axes = "; ".join(f"{name}={','.join(map(str, space[name]))}" for name in changed)
        if running:
            by = running[0].user_attrs["owner"]
            raise SweepError(
                f"{axes} adds a choice to study {self.name}, whose trial {running[0].number} is being run by process"
                f" {by['pid']} on {by['host']}: run this again when that sweep has ended"
            )
        generation = 1 if self.name == self.family else int(self.name.removeprefix(f"{self.family}."))
        name = f"{self.family}.{generation + 1}"
        if name in optuna.get_all_study_names(self._storage):  # left by a process killed in the middle of the copy
            optuna.delete_study(study_name=name, storage=self._storage)
        notes = self._study.user_attrs
        successor = self._create(name, self._study.direction.name.lower(), notes["identity"], space, self.family)
        for trial in trials:
            trial.params = conform(trial.user_attrs["point"], space)
            trial.distributions = {axis: _distribution(space[axis]) for axis in trial.params}
            trial.user_attrs["point"] = dict(trial.params)
            successor.add_trial(trial)
        for key in notes.keys() - {"identity", "space", "family"}:
            successor.set_user_attr(key, notes[key])
        self._study.set_user_attr("successor", name)  # from here on the copy counts
        self._say(f"study {self.name} has new choices ({axes}): it goes on as {name}, with its {len(trials)} trials")
        self._study = successor

    def _newest(self) -> dict[str, FrozenTrial]:
        """Point -> its newest trial."""
        return {point_id(trial.user_attrs["point"]): trial for trial in self._trials()}

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        """The trials (in some states) by number, without any that another tool has added; not to be changed."""
        trials = self._study.get_trials(deepcopy=False, states=states or None)
        return [trial for trial in trials if "point" in trial.user_attrs]

    def _requeue_orphans(self) -> None:
        for trial in self._trials(TrialState.RUNNING):
            if owner.is_dead(trial.user_attrs["owner"]):
                self._requeue(trial, ORPHANED)

    def _requeue(self, trial: FrozenTrial, reason: str) -> None:
        # the new one first: a process killed between the two leaves a trial whose owner is dead, and no second copy
        if self._newest()[point_id(trial.user_attrs["point"])].number == trial.number:
            self._queue_again(trial)
        self._set(trial.number, "reason", reason)
        self._set_state(trial.number, TrialState.FAIL)

    def _queue_again(self, trial: FrozenTrial) -> None:
        """Queue a trial's point once more, in the same run directory and with what it has reported."""
        attributes = trial.user_attrs
        kept = {key: attributes[key] for key in attributes if key in ("overrides", "run") or key.startswith(JOB)}
        self._queue(attributes["point"], kept, trial.intermediate_values)

    def _queue(self, values: Mapping[str, Value], attributes: Mapping[str, Any], steps: Any = None) -> None:
        self._study.add_trial(
            create_trial(
                state=TrialState.WAITING,
                params=dict(values),
                distributions={axis: _distribution(self._space[axis]) for axis in values},
                user_attrs={"point": dict(values), **attributes},
                intermediate_values=steps,
            )
        )

    def _set(self, number: int, name: str, value: Any) -> None:
        self._storage.set_trial_user_attr(trial_id(self._storage, self.name, number), name, value)

    def _set_state(self, number: int, state: TrialState) -> None:
        self._storage.set_trial_state_values(trial_id(self._storage, self.name, number), state)


def trial_id(storage: RDBStorage, study: str, number: int) -> int:
    """Optuna's key of a trial in its storage."""
    return storage.get_trial_id_from_study_id_trial_number(storage.get_study_id_from_name(study), number)


def _distribution(values: Sequence[Value]) -> BaseDistribution:
    if is_numeric(values):
        return FloatDistribution(float(min(values)), float(max(values)))
    return CategoricalDistribution(list(values))


def _record(trial: FrozenTrial) -> TrialRecord:
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
