"""The studies that one sweep has had: Optuna refuses a changed choice list, so with a new choice a copy goes on."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from sweeps.base.errors import SweepError
from sweeps.points.search_space import Space, Value, Values, conform, is_numeric, merge, name_of
from sweeps.study.identity import differences

MAX_DIFFERENCES = 5  # quoted in an error message


class StudyFamily:
    """The newest study of a sweep, and how it was reached.

    Args:
        storage: where it lives; to be locked by the caller, here and in all methods that write.
        name: the family name; a study that had to be succeeded goes on under `name.2`, `name.3`, ...
        directions: minimize or maximize, one for each objective.
        identity: what all trials have in common, from `identity_of`.
        say: shows one line to the user.

    Raises:
        SweepError: the study of that name is another one.
    """

    def __init__(
        self,
        storage: RDBStorage,
        name: str,
        directions: Sequence[str],
        identity: Mapping[str, Any],
        say: Callable[[str], None],
    ) -> None:
        self._storage = storage
        self._say = say
        names = optuna.get_all_study_names(storage)
        self.study = self._load(name) if name in names else self._create(name, directions, identity, {}, name)
        self.follow_successors()
        self._refuse_another(name, directions, identity)

    @property
    def name(self) -> str:
        """The family name; run directories lie under it."""
        return str(self.study.user_attrs["family"])

    @property
    def _directions(self) -> list[str]:
        return [direction.name.lower() for direction in self.study.directions]

    @property
    def space(self) -> Space:
        """Every value that each axis has had."""
        return dict(self.study.user_attrs["space"])

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """The trials (in some states) by number, without any that another tool has added; not to be changed."""
        trials = self.study.get_trials(deepcopy=False, states=states or None)
        return [trial for trial in trials if "point" in trial.user_attrs]

    def _load(self, name: str) -> optuna.Study:
        # no sampler: all points of a grid are queued
        return optuna.load_study(study_name=name, storage=self._storage, sampler=optuna.samplers.RandomSampler())

    def _create(
        self, name: str, directions: Sequence[str], identity: Mapping[str, Any], space: Space, family: str
    ) -> optuna.Study:
        as_optuna = [StudyDirection[direction.upper()] for direction in directions]
        optuna.create_study(study_name=name, storage=self._storage, directions=as_optuna)
        study = self._load(name)
        for key, value in {"identity": identity, "space": space, "family": family}.items():
            study.set_user_attr(key, value)
        return study

    def _refuse_another(self, name: str, directions: Sequence[str], identity: Mapping[str, Any]) -> None:
        attributes = self.study.user_attrs
        if "identity" not in attributes:
            raise SweepError(f"study {name} was not made by this sweeper; give another hydra.sweeper.study_name")
        if self._directions != list(directions):
            raise SweepError(
                f"hydra.sweeper.direction={','.join(directions)}, but study {name} has {','.join(self._directions)};"
                " give another hydra.sweeper.study_name"
            )
        different = differences(attributes["identity"], identity)
        if different:
            more = f", and {len(different) - MAX_DIFFERENCES} more" if len(different) > MAX_DIFFERENCES else ""
            raise SweepError(
                f"study {name} belongs to another configuration: {'; '.join(different[:MAX_DIFFERENCES])}{more}."
                " Give another hydra.sweeper.study_name, or null to have one derived"
            )

    def follow_successors(self) -> None:
        """Turn to the newest study, which another leader may have made."""
        while (successor := self.study.user_attrs.get("successor")) is not None:
            self.study = self._load(successor)

    def conforming(self, values: Values) -> dict[str, Value]:
        """A point as this study has it.

        Raises:
            SweepError: a number from an interval, on an axis that has names.
        """
        space = self.space
        point = conform(values, space)
        for axis, value in point.items():
            if isinstance(value, str) and value not in space[axis]:
                names = ", ".join(map(str, space[axis]))
                raise SweepError(
                    f"study {self.study.study_name} has names on the axis {axis} ({names}), so no number can be drawn"
                    " there; give another hydra.sweeper.study_name"
                )
        return point

    def extend(self, space: Space) -> None:
        """Let each axis have these values too.

        Raises:
            SweepError: a new choice on an axis of names while another leader runs a trial of this study.
        """
        merged = merge(self.space, space)
        if merged == self.space:
            return
        changed = [name for name in self.space if distribution_of(merged[name]) != distribution_of(self.space[name])]
        if all(is_numeric(merged[name]) for name in changed):  # Optuna lets a range widen
            grown = [name for name in self.space if len(merged[name]) > len(self.space[name])]
            if grown:
                axes = "; ".join(f"{name}={','.join(map(name_of, merged[name]))}" for name in grown)
                self._say(f"study {self.study.study_name} is extended: {axes}")
            self.study.set_user_attr("space", merged)
        else:
            self._succeed(merged, changed)

    def _succeed(self, space: Space, changed: Sequence[str]) -> None:
        """Go on in a new study that has the old one's trials: Optuna refuses a changed choice list."""
        trials = copy.deepcopy(self.trials())
        running = [trial for trial in trials if trial.state == TrialState.RUNNING]
        axes = "; ".join(f"{name}={','.join(map(str, space[name]))}" for name in changed)
        if running:
            by = running[0].user_attrs["owner"]
            raise SweepError(
                f"{axes} adds a choice to study {self.study.study_name}, whose trial {running[0].number}"
                f" is being run by process {by['pid']} on {by['host']}: run this again when that sweep has ended"
            )
        for name in changed:  # numbers that were drawn from an interval, of which the space has the bounds alone
            had = [name_of(trial.user_attrs["point"][name]) for trial in trials if name in trial.user_attrs["point"]]
            if not is_numeric(space[name]):
                space[name] = list(dict.fromkeys([*space[name], *had]))
        old = self.study.study_name
        generation = 1 if old == self.name else int(old.removeprefix(f"{self.name}."))
        name = f"{self.name}.{generation + 1}"
        if name in optuna.get_all_study_names(self._storage):  # left by a process killed in the middle of the copy
            optuna.delete_study(study_name=name, storage=self._storage)
        notes = self.study.user_attrs
        successor = self._create(name, self._directions, notes["identity"], space, self.name)
        for trial in trials:
            trial.params = conform(trial.user_attrs["point"], space)
            trial.distributions = {axis: distribution_of(space[axis]) for axis in trial.params}
            trial.user_attrs["point"] = dict(trial.params)
            successor.add_trial(trial)
        for key in notes.keys() - {"identity", "space", "family"}:
            successor.set_user_attr(key, notes[key])
        self.study.set_user_attr("successor", name)  # from here on the copy counts
        self._say(f"study {old} has new choices ({axes}): it goes on as {name}, with its {len(trials)} trials")
        self.study = successor


def distribution_of(values: Sequence[Value]) -> BaseDistribution:
    """Optuna's distribution of an axis with these values."""
    if is_numeric(values):
        return FloatDistribution(float(min(values)), float(max(values)))
    return CategoricalDistribution(list(values))
