"""The settings of hydra-optuna-sweeper, Hydra's own Optuna plug-in, and what they mean for this sweeper.

`override hydra/sweeper: study_optuna` in place of `override hydra/sweeper: optuna` runs a configuration that was
written for that plug-in. docs/sweeps.md has the table.
"""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import Transformer

from sweeps.base.errors import SweepError
from sweeps.base.samplers_and_pruners import GridSampler
from sweeps.base.settings import Settings

PLUGIN = "hydra_plugins.hydra_optuna_sweeper"
OWN = ("n_jobs", "search_space")  # settings of that plug-in that this sweeper has not
REFUSED = {
    "optuna.samplers.MOTPESampler": "Optuna has no motpe any more; take hydra/sweeper/sampler=tpe",
    "optuna.samplers.QMCSampler": "workers cannot share a quasi-random sequence; take hydra/sweeper/sampler=random",
}


@dataclass
class OptunaPluginSettings(Settings):
    """The keys and defaults of that plug-in, and all settings of this sweeper."""

    n_trials: int | None = 20
    n_jobs: int = 2  # number of trials at a time; -1: as many as fit
    storage: Any = None  # null: this sweeper's own default, because a study must outlive its process
    max_retries: int = 0
    max_failure_rate: float = 0.0
    search_space: Any = None  # axis -> {type: float, low: 0, high: 1, log: true}
    params: Any = None


@dataclass
class TPE:
    _target_: str = "optuna.samplers.TPESampler"
    seed: int | None = None
    consider_prior: bool | None = None
    prior_weight: float | None = None
    consider_magic_clip: bool | None = None
    consider_endpoints: bool | None = None
    n_startup_trials: int = 10
    n_ei_candidates: int = 24
    multivariate: bool | None = None
    group: bool = False
    warn_independent_sampling: bool | None = None
    constant_liar: bool = True


@dataclass
class Random:
    _target_: str = "optuna.samplers.RandomSampler"
    seed: int | None = None


@dataclass
class CmaEs:
    _target_: str = "optuna.samplers.CmaEsSampler"
    seed: int | None = None
    x0: Any = None
    sigma0: float | None = None
    n_startup_trials: int = 1
    independent_sampler: Any = None
    warn_independent_sampling: bool = True
    consider_pruned_trials: bool = False
    restart_strategy: Any = None
    inc_popsize: int = -1
    use_separable_cma: bool = False


@dataclass
class NSGAII:
    _target_: str = "optuna.samplers.NSGAIISampler"
    seed: int | None = None
    population_size: int = 50
    mutation_prob: float | None = None
    crossover_prob: float = 0.9
    swapping_prob: float = 0.5


@dataclass
class GP:
    _target_: str = "optuna.samplers.GPSampler"
    seed: int | None = None
    n_startup_trials: int = 10
    deterministic_objective: bool = False


@dataclass
class Grid(GridSampler):
    seed: int | None = None  # read by nobody: this sweeper's grid has an order of its own


@dataclass
class MOTPE:
    _target_: str = "optuna.samplers.MOTPESampler"
    seed: int | None = None
    n_startup_trials: int = 10
    n_ehvi_candidates: int = 24


@dataclass
class QMC:
    _target_: str = "optuna.samplers.QMCSampler"
    seed: int | None = None
    qmc_type: str = "sobol"
    scramble: bool = False


PLUGIN_SAMPLERS: Mapping[str, type] = {
    "tpe": TPE,
    "random": Random,
    "cmaes": CmaEs,
    "nsgaii": NSGAII,
    "gp": GP,
    "grid": Grid,
    "motpe": MOTPE,
    "qmc": QMC,
}


def is_installed() -> bool:
    """Whether that plug-in is there: its groups are then its own."""
    return importlib.util.find_spec(PLUGIN) is not None


def settings_from_plugin(given: Mapping[str, Any]) -> Settings:
    """Translate the settings of that plug-in.

    Raises:
        SweepError: this sweeper has nothing like it; the message says what to write instead.
    """
    target = (given["sampler"] or {}).get("_target_")
    if target in REFUSED:
        raise SweepError(f"hydra.sweeper.sampler={target} is not allowed: {REFUSED[target]}")
    settings = {name: value for name, value in given.items() if name not in OWN}
    if settings["storage"] is None:
        del settings["storage"]
    if settings["workers"] is None and given["n_jobs"] != -1:
        settings["workers"] = given["n_jobs"]
    space = given["search_space"] or {}
    settings["params"] = {**{name: _axis(name, axis) for name, axis in space.items()}, **(given["params"] or {})}
    return Settings(**settings)


def _axis(name: str, given: Any) -> str:
    """Write an entry of `search_space` as the command line has it."""
    kind = given.get("type") if isinstance(given, Mapping) else None
    if kind == "categorical" and given.get("choices"):
        return f"choice({','.join(map(Transformer.str, given['choices']))})"
    if kind not in ("int", "float") or not {"low", "high"} <= given.keys():
        raise SweepError(
            f"hydra.sweeper.search_space.{name}={given} is not allowed: it must be {{type: float, low: 0, high: 1}},"
            " with type int or float, or {type: categorical, choices: [a, b]}"
        )
    number = int if kind == "int" else float
    low, high, step = number(given["low"]), number(given["high"]), given.get("step")
    if step is not None and (kind, step) != ("int", 1):
        return f"range({low},{high + number(step) / 2 if kind == 'float' else high + 1},{number(step)})"
    interval = f"interval({low},{high})" if kind == "float" else f"int(interval({low},{high}))"
    return f"tag(log,{interval})" if given.get("log") else interval
