"""Find the function that `hydra.sweeper.custom_search_space` names, and give it the config of the sweep."""

from collections.abc import Iterable, Sequence
from functools import partial

from hydra.utils import get_method
from omegaconf import OmegaConf

from clipgan.base.text import first_line
from sweeps.base.errors import SweepError
from sweeps.base.settings import Settings
from sweeps.command.composition import Composition
from sweeps.points.layout import Layout
from sweeps.points.search_space import key_in
from sweeps.search.custom_space import CustomSpace


def custom_space_of(
    settings: Settings, layout: Layout, fixed: Sequence[str], composition: Composition, named: Iterable[str]
) -> CustomSpace | None:
    """Import the user's function; None if the settings name none.

    Args:
        settings: of the command.
        layout: the axes.
        fixed: the overrides that all points share. The function gets the config that they make.
        composition: of the sweep.
        named: the names in `hydra.sweeper.where`.

    Raises:
        SweepError: there is no such function.
    """
    path = settings.custom_search_space
    if path is None:
        return None
    try:
        function = get_method(path)
    except Exception as error:  # whatever the user's module raises
        raise SweepError(
            f"hydra.sweeper.custom_search_space={path} is not allowed: it must be the path of a function of a config"
            f" and a trial, as in app.configure ({first_line(error.__cause__ or error)})"
        ) from error
    config = composition.without_axes(fixed)[0]
    OmegaConf.set_readonly(config, True)  # the function is called again and again, and must answer alike
    reserved = {
        **dict.fromkeys(named, "hydra.sweeper.where names it, and knows the axes and the config alone"),
        **({settings.seed_key: "replicas vary it"} if settings.max_replicas > 1 else {}),
        **{key_in(line): f"the command line has {line}" for line in fixed},
        **{axis.name: f"it is an axis; read trial.params['{axis.key}']" for axis in layout.axes},
    }
    return CustomSpace(path, partial(function, config), layout.axes, reserved)
