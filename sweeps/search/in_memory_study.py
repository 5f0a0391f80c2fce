"""A study in memory with the trials that one of Optuna's samplers should see."""

from collections.abc import Sequence

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial


def in_memory_study(
    name: str, directions: Sequence[str], trials: Sequence[FrozenTrial], sampler: BaseSampler | None = None
) -> optuna.Study:
    """Make a study of these trials, which get the numbers 0, 1, ... in their order.

    Args:
        name: of the study.
        directions: minimize | maximize, one for each objective.
        trials: copied.
        sampler: what `ask` uses.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # Optuna would log each study
    study = optuna.create_study(
        storage=InMemoryStorage(),
        study_name=name,
        directions=[StudyDirection[direction.upper()] for direction in directions],
        sampler=sampler or optuna.samplers.RandomSampler(),
    )
    study.add_trials(trials)
    return study
