"""Check every point of a sweep before a study is touched.

Hydra composes each combination of options (`model=tiny,base`) once, in 0.15 s. Within a combination, points differ in
plain values alone: the app's `hydra.sweeper.point_check` tries these in a few milliseconds. It gets the configuration
of a combination and, if it takes a second argument, the keys and groups that the command line gives there besides the
plain values: a job may refuse one that it does not read.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from clipgan.base.text import first_line
from sweeps.base.errors import SweepError
from sweeps.command.composition import Composition
from sweeps.search.plan import Grid, Source

SHOWN = 3  # points in the message
Check = Callable[[Mapping[str, Any]], None]  # key -> value; it raises an error if they are not allowed


def check_points(source: Source, fixed: Sequence[str], composition: Composition, make_check: str | None) -> None:
    """Check all points of a grid, or of a sampler each choice and each bound with the first values of other axes.

    Args:
        source: the points.
        fixed: overrides that all points share.
        composition: of the sweep.
        make_check: `hydra.sweeper.point_check`.

    Raises:
        SweepError: names the first points that are not allowed.
    """
    points = source.grid if isinstance(source, Grid) else source.examples()
    make: Callable[..., Check] = get_method(make_check) if make_check is not None else _types_only
    takes_keys = len(inspect.signature(make).parameters) > 1
    checks: dict[tuple[str, ...], Check] = {}
    tried: set[str] = set()  # names that are no axis: `Composition.check_choices` tries the axes
    refused = []
    for point in points:
        lines, values = composition.parted(point.overrides)
        try:
            if point.distributions.keys() - tried:
                composition.composed((*fixed, *point.overrides))
                tried.update(point.distributions)
            if lines not in checks:
                config = composition.composed((*fixed, *lines))
                _refuse_unknown_folder(config)
                own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
                given = [line.partition("=")[0].lstrip("+~") for line in (*fixed, *lines)]
                checks[lines] = make(own, given) if takes_keys else make(own)
            checks[lines]({override.key_or_group: override.value() for override in values})
        except Exception as error:  # the app's own errors
            refused.append(f"{point}: {first_line(error)}")
    if refused:
        more = f"\n... and {len(refused) - SHOWN} more" if len(refused) > SHOWN else ""
        raise SweepError(
            "\n".join(refused[:SHOWN]) + f"{more}\n{len(refused)} of {len(points)} points are not allowed: no trial has"
            " been started"
        )


def _refuse_unknown_folder(config: DictConfig) -> None:
    """Refuse a folder of a job that refers to a key that is not there: Hydra finds out when it starts the job."""
    try:
        _ = config.hydra.sweep.subdir
    except InterpolationKeyError as error:
        raise SweepError(f"hydra.sweep.subdir: {first_line(error)}") from error
    except OmegaConfBaseException:  # it refers to what only a running job has, such as hydra.job.num
        return


def _types_only(config: DictConfig) -> Check:
    """For an app without a check: a value must have the type of its key."""

    def check(values: Mapping[str, Any]) -> None:
        for key, value in values.items():
            OmegaConf.update(config, key, value, force_add=True)

    return check
