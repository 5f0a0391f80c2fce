"""The options of the groups `hydra/sweeper/study/pruner` and `.../sampler`, and the objects that they describe.

`python app.py -m hydra/sweeper/study/pruner=median hydra.sweeper.pruner.n_startup_trials=5 ...`. clipgan has short
names for them, as in `pruner=median` (conf/pruner/). A step is the number with which a job reports a value (kimg).
"""

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from sweeps.base.errors import SweepError


@dataclass
class NoPruner:
    """Lets every trial run to its end; trials that were pruned before continue."""

    _target_: str | None = None


@dataclass
class MedianPruner:
    """Ends a trial whose best value so far is worse than the median of the complete trials at the same step."""

    _target_: str = "optuna.pruners.MedianPruner"
    n_startup_trials: int = 4  # complete trials before any is ended
    n_warmup_steps: int | None = None  # no trial ends before this step; null: a fifth of hydra.sweeper.max_step
    interval_steps: int = 1
    n_min_trials: int = 1  # complete trials that have reported at the step


@dataclass
class SuccessiveHalvingPruner:
    """Ends all but the best 1 / reduction_factor at the steps min_resource x reduction_factor^n (asynchronously)."""

    _target_: str = "optuna.pruners.SuccessiveHalvingPruner"
    min_resource: int | None = None  # the first step that compares; null: a fifth of hydra.sweeper.max_step
    reduction_factor: int = 2
    min_early_stopping_rate: int = 0
    bootstrap_count: int = 0


@dataclass
class HyperbandPruner:
    """Successive halving in several brackets, which begin to compare at different steps."""

    _target_: str = "optuna.pruners.HyperbandPruner"
    min_resource: int | None = None  # the first step that compares; null: an eighth of hydra.sweeper.max_step
    max_resource: int | None = None  # a trial's last step; null: hydra.sweeper.max_step
    reduction_factor: int = 3
    bootstrap_count: int = 0


@dataclass
class PatiencePruner:
    """Ends a trial that has not improved for `patience` reports; other trials do not matter."""

    _target_: str = "optuna.pruners.PatientPruner"
    wrapped_pruner: Any = None  # null: patience alone decides
    patience: int = 3  # reports
    min_delta: float = 0.0  # smallest change that counts as an improvement


@dataclass
class ThresholdPruner:
    """Ends a trial whose value leaves the bounds, or is NaN."""

    _target_: str = "optuna.pruners.ThresholdPruner"
    lower: float | None = None
    upper: float | None = None
    n_warmup_steps: int | None = None  # null: a fifth of hydra.sweeper.max_step
    interval_steps: int = 1


@dataclass
class AutoSampler:
    """Chooses grid if all axes are lists of choices, and tpe if an axis is an interval."""

    _target_: str | None = None


@dataclass
class GridSampler:
    """Every combination of the choices, in order."""

    _target_: str = "sweeps.base.samplers_and_pruners.GridSampler"


@dataclass
class RandomSampler:
    """Independent draws."""

    _target_: str = "optuna.samplers.RandomSampler"
    seed: int | None = 0  # the same seed draws the same points; null: other points each time


@dataclass
class TPESampler:
    """Tree-structured Parzen estimator: for any axes, several objectives and pruned trials."""

    _target_: str = "optuna.samplers.TPESampler"
    seed: int | None = 0
    n_startup_trials: int = 10  # random points first
    constant_liar: bool = True  # several workers do not draw the same neighbourhood


@dataclass
class GPSampler:
    """Gaussian process: few, expensive trials."""

    _target_: str = "optuna.samplers.GPSampler"
    seed: int | None = 0
    n_startup_trials: int = 10
    deterministic_objective: bool = False


@dataclass
class CmaEsSampler:
    """CMA-ES: many trials on two or more axes of numbers; names are drawn at random."""

    _target_: str = "optuna.samplers.CmaEsSampler"
    seed: int | None = 0
    n_startup_trials: int = 1
    popsize: int | None = None  # null: 4 + 3 ln(number of axes)
    warn_independent_sampling: bool = False


@dataclass
class NSGAIISampler:
    """NSGA-II: several objectives, many trials."""

    _target_: str = "optuna.samplers.NSGAIISampler"
    seed: int | None = 0
    population_size: int = 20


# Null in a pruner's settings means this share of a trial's last step. Early in a training, trials differ in speed more
# than in their final value, and the length of this early phase depends on the length of the training.
SHARES: Mapping[str, Mapping[str, float]] = {
    "MedianPruner": {"n_warmup_steps": 1 / 5},
    "ThresholdPruner": {"n_warmup_steps": 1 / 5},
    "SuccessiveHalvingPruner": {"min_resource": 1 / 5},
    "HyperbandPruner": {"min_resource": 1 / 8, "max_resource": 1},
}
PRUNERS: Mapping[str, type] = {
    "none": NoPruner,
    "median": MedianPruner,
    "successive_halving": SuccessiveHalvingPruner,
    "hyperband": HyperbandPruner,
    "patience": PatiencePruner,
    "threshold": ThresholdPruner,
}
SAMPLERS: Mapping[str, type] = {
    "auto": AutoSampler,
    "grid": GridSampler,
    "random": RandomSampler,
    "tpe": TPESampler,
    "gp": GPSampler,
    "cmaes": CmaEsSampler,
    "nsgaii": NSGAIISampler,
}


def instance(settings: Mapping[str, Any], group: str) -> Any:
    """The object that an option describes.

    Args:
        settings: its keys and values, `_target_` included.
        group: `pruner` or `sampler`, for the message.

    Raises:
        SweepError: an argument is not allowed, a package is missing, or it is no pruner or sampler of Optuna's.
    """
    import warnings

    from optuna.exceptions import ExperimentalWarning
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

    try:
        _class_of(settings["_target_"], group, {"pruner": BasePruner, "sampler": BaseSampler}[group])
    except ValueError as error:
        raise SweepError(f"hydra.sweeper.{group}.{error}") from error
    try:
        with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
            return _made(settings)
    except Exception as error:
        given = ", ".join(f"{key}={value}" for key, value in settings.items() if key != "_target_")
        name = str(settings["_target_"]).rpartition(".")[2]
        raise SweepError(f"hydra.sweeper.{group} is not allowed: {name}({given}): {error}") from error


def _class_of(target: Any, kind: str, *bases: type) -> type:
    """Find the class that `target` names; nothing is called, because a file may name anything.

    Raises:
        ValueError: it cannot be imported, or is no subclass of one of the bases.
    """
    try:
        found = _named(str(target))
    except Exception as error:  # of any kind: a module of the user's own is imported
        raise ValueError(f"_target_={target} cannot be imported ({type(error).__name__}: {error})") from error
    if not (isinstance(found, type) and issubclass(found, bases)):
        raise ValueError(f"_target_={target} is no {kind} of Optuna's")
    return found


def _named(target: str) -> Any:
    try:
        return pkgutil.resolve_name(target)
    except AttributeError:  # also where a module cannot be imported: importing it gives the reason
        import_module(target.rpartition(".")[0])
        raise


def _made(value: Any) -> Any:
    """Create the object that a mapping with `_target_` describes; its arguments may be such mappings too.

    Raises:
        ValueError: an argument's `_target_` cannot be imported, or is none of Optuna's building blocks.
    """
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.samplers.nsgaii import BaseCrossover

    if not isinstance(value, Mapping) or "_target_" not in value:
        return value
    made = _class_of(value["_target_"], "pruner, sampler or crossover", BasePruner, BaseSampler, BaseCrossover)
    arguments = {str(key): _made(argument) for key, argument in value.items() if key != "_target_"}
    return made(**arguments)


def pruner_of(settings: Mapping[str, Any] | None, max_step: int | None = None, n_objectives: int = 1) -> Any:
    """Create the pruner that `hydra.sweeper.pruner` describes, or return None.

    Args:
        settings: its keys and values, `_target_` included.
        max_step: a trial's last step, `hydra.sweeper.max_step`; None: unknown, and the pruner compares from step 1 on.
        n_objectives: number of the sweep's objectives.

    Raises:
        SweepError: its arguments are not allowed, or there are several objectives.
    """
    if settings is None or settings.get("_target_") is None:
        return None
    if n_objectives > 1:
        raise SweepError(
            f"hydra.sweeper.pruner={settings['_target_']} is not allowed with {n_objectives} objectives: a pruner"
            " cannot compare trials by several; take hydra/sweeper/study/pruner=none"
        )
    if settings.get("max_resource", 1) is None and max_step is None:
        raise SweepError(
            "hydra.sweeper.max_step is missing: hyperband must know the last step of a trial, as in"
            " hydra.sweeper.max_step=100"
        )
    shares = SHARES.get(settings["_target_"].rpartition(".")[2], {})
    unset = {name: share for name, share in shares.items() if settings.get(name, 0) is None}
    lengths = {name: max(1, round(share * (max_step or 0))) for name, share in unset.items()}  # at 0 nothing is trained
    return instance({**settings, **lengths}, "pruner")
