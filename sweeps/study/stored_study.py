"""Create or open a study in its database, check its identity, and read its trials as records."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage
from optuna.study import StudyDirection

from clipgan.base.text import listed
from sweeps.base.errors import SweepError
from sweeps.base.optuna_internals import replace_distributions, set_study_notes
from sweeps.points.ranking import Goal
from sweeps.points.search_space import Space, Value, Values, axis_texts, conform, is_numeric, merge, name_of
from sweeps.points.trial_record import OWN, TrialRecord, record_of
from sweeps.study.identity import differences
from sweeps.study.outage import patient

MAX_DIFFERENCES = 5  # quoted in an error message
LOG_AXES = "log_axes"  # note: the axes with a logarithmic scale
INTERVALS = "intervals"  # note: the axes that a command has asked for as an interval
DEPENDENCIES = "dependencies"  # note: lines that say how axes depend on each other
CODE = "code"  # note: the versions of the code that has run the study, the newest last
FAMILY = "family"  # note: the first name of the study, by which a command finds it after it was renamed
SLURM_JOBS = "slurm_jobs"  # note: the ids of the jobs that commands with `detach` have submitted
ABOUT = "about"  # note of the study: what its trials share, in a few words for titles


class StoredStudy:
    """Optuna's study of a sweep: its notes, and all values that each axis has had.

    Args:
        storage: the study's storage; the caller holds its lock here and in all methods that write.
        name: the study's name.
        directions: minimize or maximize, one for each objective.
        identity: the settings that all trials share, from `identity_of`; None: those of the study, which exists.
        say: shows one line to the user.

    Raises:
        SweepError: the study of this name belongs to another sweep or tool, or is not there and has no identity.
    """

    def __init__(
        self,
        storage: RDBStorage,
        name: str,
        directions: Sequence[str],
        identity: Mapping[str, Any] | None,
        say: Callable[[str], None],
    ) -> None:
        self._storage = storage
        self._say = say
        known = current_name(storage, name)
        if known is None and identity is None:
            raise SweepError(f"there is no study {name} any more; run its command again to begin it anew")
        if known is None:
            as_optuna = [StudyDirection[direction.upper()] for direction in directions]
            optuna.create_study(study_name=name, storage=storage, directions=as_optuna)
            self._begin(name, {"identity": identity, "space": {}, FAMILY: name})
        self.study = load_study(storage, known or name)
        self.key = storage.get_study_id_from_name(self.study.study_name)
        refuse_another(self.study, name, directions, identity)
        self.name = str(self.study.user_attrs[FAMILY])  # its run directories lie under it

    @property
    def space(self) -> Space:
        """All values that each axis has had."""
        return dict(self.study.user_attrs["space"])

    def distributions(self) -> dict[str, BaseDistribution]:
        """Make Optuna's distribution for each axis."""
        return {axis: distribution_of(values) for axis, values in self.space.items()}

    def conforming(self, points: Sequence[Values]) -> list[dict[str, Value]]:
        """Convert points to the value types of this study.

        Raises:
            SweepError: a point has a number from an interval on an axis of names.
        """
        space = self.space
        converted = [conform(values, space) for values in points]
        for axis, value in {item for point in converted for item in point.items()}:
            if isinstance(value, str) and value not in space.get(axis, (value,)):
                names = ", ".join(map(str, space[axis]))
                raise SweepError(
                    f"study {self.study.study_name} has names on the axis {axis} ({names}), so no number can be drawn"
                    " there; give another hydra.sweeper.study_name"
                )
        return converted

    def extend(self, space: Space) -> bool:
        """Add these values to the axes, and return whether this has changed existing trials.

        Optuna accepts a wider range of numbers. It refuses another list of choices, so earlier trials get the new list
        too. If an axis has names now, the numbers of earlier trials become names.
        """
        intervals = self.study.user_attrs.get(INTERVALS, [])
        old, merged = self.space, merge(self.space, space, intervals)
        if merged == old:
            return False
        for name in old:
            if is_numeric(old[name]) and not is_numeric(merged[name]):  # for an interval, `old` has only the bounds
                drawn = [name_of(t.params[name]) for t in self.study.get_trials(deepcopy=False) if name in t.params]
                merged[name] = list(dict.fromkeys([*merged[name], *drawn]))
        named = {name: distribution_of(merged[name]) for name in old if not is_numeric(merged[name])}
        changed = {name: new for name, new in named.items() if new != distribution_of(old[name])}
        replace_distributions(self._storage, self.key, changed, name_of, ("space", merged))
        texts = axis_texts(merged, intervals)
        grown = [f"{name}={texts[name]}" for name in old if {*map(name_of, merged[name])} - {*map(name_of, old[name])}]
        if grown:
            self._say(f"study {self.study.study_name} is extended: {'; '.join(grown)}")
        return bool(changed)

    def keep_goal(self, goal: Goal) -> None:
        """Store the goal for `goal_of`, with the largest number of replicas that any command has asked for."""
        known = goal_of(self.study)
        notes = {
            "objectives": list(goal.names),
            "aggregate": goal.aggregate,
            "replicas": max((goal.replicas or 1) if goal.error is None else 1, known.replicas or 1),
            "replicas_error": goal.error,
            "replicas_top": goal.top,
            "seed_key": goal.seed_key,
            "step_name": goal.step_name,
        }
        set_study_notes(self._storage, self.key, notes)
        if len(goal.names) > 1:  # for other tools
            with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
                self.study.set_metric_names(list(goal.names))

    @patient  # without its notes, the study would be another tool's
    def _begin(self, name: str, notes: Mapping[str, Any]) -> None:
        set_study_notes(self._storage, self._storage.get_study_id_from_name(name), notes)


def refuse_another(
    study: optuna.Study, name: str, directions: Sequence[str], identity: Mapping[str, Any] | None
) -> None:
    """Refuse a study that a command cannot go on with.

    Args:
        study: Optuna's.
        name: by which the command asked for it.
        directions: minimize or maximize, one for each objective of the command.
        identity: the settings that all trials of the command share; None: those of the study.

    Raises:
        SweepError: it belongs to another sweep or tool.
    """
    attributes = study.user_attrs
    if "identity" not in attributes:
        raise SweepError(f"study {name} was not made by this sweeper; give another hydra.sweeper.study_name")
    theirs = list(directions_of(study))
    if theirs != list(directions):
        raise SweepError(
            f"hydra.sweeper.direction={','.join(directions)}, but study {name} has {','.join(theirs)};"
            " give another hydra.sweeper.study_name"
        )
    different = [] if identity is None else differences(attributes["identity"], identity)
    if different:
        assert identity is not None
        hint = _takes_over(attributes["identity"], identity)
        raise SweepError(
            f"study {name} belongs to another configuration: {listed(different, MAX_DIFFERENCES, '; ')}."
            " Give another hydra.sweeper.study_name, or null to have one derived"
            + f". A new study takes over its complete trials with hydra.sweeper.warm_start=[{name}]"
            * hint
        )


def _takes_over(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> bool:
    """Whether two identities differ only in settings that one of them lacks, as those of two versions do."""
    there, here = theirs["config"], ours["config"]
    return theirs["axes"] == ours["axes"] and all(there[key] == here[key] for key in {*there} & {*here})


def first_names(storage: RDBStorage) -> dict[str, str]:
    """Map each study's name to its first name, which its run directories have: it may have been renamed."""
    summaries = optuna.get_all_study_summaries(storage, include_best_trial=False)
    return {summary.study_name: str(summary.user_attrs.get(FAMILY, summary.study_name)) for summary in summaries}


def current_name(storage: RDBStorage, name: str) -> str | None:
    """Return the name that a study of this name has today, as it may have been renamed; None if there is no study."""
    if name in optuna.get_all_study_names(storage):
        return name
    return next((today for today, first in first_names(storage).items() if first == name), None)


def load_study(storage: RDBStorage, name: str) -> optuna.Study:
    """Load the study that has this name today. It has no sampler: a study in memory draws the points."""
    return optuna.load_study(study_name=name, storage=storage, sampler=optuna.samplers.RandomSampler())


def records_of(study: optuna.Study) -> list[TrialRecord]:
    """Read a study's trials, sorted by number. Trials of another tool count only if the study has no others."""
    trials = study.get_trials(deepcopy=False)
    return [record_of(trial) for trial in [t for t in trials if OWN in t.user_attrs] or trials]


def directions_of(study: optuna.Study) -> tuple[str, ...]:
    """Read the direction of each objective: minimize or maximize."""
    return tuple(direction.name.lower() for direction in study.directions)


def goal_of(study: optuna.Study) -> Goal:
    """Read a study's goal from its notes, with defaults for missing notes."""
    notes, directions = study.user_attrs, directions_of(study)
    names = tuple(notes.get("objectives") or study.metric_names or ())
    if len(names) != len(directions):
        several = [f"objective {index + 1}" for index in range(len(directions))]
        names = ("objective",) if len(directions) == 1 else tuple(several)
    replicas, seed_key = notes.get("replicas"), notes.get("seed_key", "seed")
    if seeds := notes.get("space", {}).get(seed_key):  # swept by hand
        replicas = max(replicas or 1, len(seeds))
    return Goal(
        names,
        directions,
        aggregate=notes.get("aggregate", "mean"),
        replicas=replicas,
        error=notes.get("replicas_error"),
        top=notes.get("replicas_top"),
        seed_key=seed_key,
        step_name=notes.get("step_name", "step"),
    )


def distribution_of(values: Sequence[Value]) -> BaseDistribution:
    """Make Optuna's distribution for an axis with these values."""
    if is_numeric(values):
        return FloatDistribution(float(min(values)), float(max(values)))
    return CategoricalDistribution(list(values))
