"""Note a sweep's command with its study, and queue the points that the study lacks."""

from collections.abc import Callable

from hydra.types import TaskFunction
from rich.console import Console

from sweeps.command.command_line import ATTRIBUTE, note, wider_axes
from sweeps.command.make_plan import has_seed
from sweeps.command.request import Request
from sweeps.display.progress import queueing_bar
from sweeps.points.search_space import Interval, space_of
from sweeps.search.sampling import SampledPoints
from sweeps.study.claims import SweepStudy
from sweeps.study.stored_study import ABOUT, DEPENDENCIES, INTERVALS, LOG_AXES
from sweeps.workers.code_version import note_code


def queue_points(
    study: SweepStudy, request: Request, task_function: TaskFunction, console: Console, say: Callable[[str], None]
) -> None:
    """Note the command with the study, and queue its points.

    Args:
        study: of the command.
        request: what the command asks for.
        task_function: the app's; the study notes the version of its code.
        console: for a progress bar.
        say: shows one line to the user.
    """
    composition, settings, plan, layout = request.composition, request.settings, request.plan, request.layout
    composition.save()
    seeded = has_seed(settings, composition.config)
    wider = wider_axes(layout.axes, study.records()) if layout.is_product else []
    intervals = [axis for axis in request.axes if isinstance(axis, Interval)]
    study.set_attributes(
        {
            ATTRIBUTE: note(request.fixed, composition.sweep_dir, settings.best_command, seeded, wider),
            ABOUT: request.about,
            LOG_AXES: [axis.name for axis in intervals if axis.log],
            INTERVALS: sorted({*(study.attribute(INTERVALS) or ()), *(axis.name for axis in intervals)}),
            DEPENDENCIES: layout.lines(),
        }
    )
    note_code(study, task_function, say)
    study.keep_goal(plan.goal)
    if isinstance(plan.source, SampledPoints) and plan.source.way is not None:
        say(plan.source.way)
    with queueing_bar(console) as tell:
        study.enqueue(plan, space_of(request.axes), settings.retried, settings.warm_start, tell)
    if n := study.n_foreign:
        said = f"{n} trial{'s' if n > 1 else ''} of study {study.name} not made by this sweeper"
        say(f"ignored: {said}; to add points, use hydra.sweeper.enqueue or another value on an axis")
