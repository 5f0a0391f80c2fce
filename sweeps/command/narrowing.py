"""Find the study that a command narrows: an axis of the study has one value now, and so is an axis no more."""

from collections.abc import Sequence
from contextlib import suppress

from sweeps.base.errors import SweepError
from sweeps.command.request import Request, read
from sweeps.points.search_space import key_in
from sweeps.study.identity import differences
from sweeps.study.storage import absolute_url, is_made, open_storage
from sweeps.study.stored_study import FAMILY


def within_wider_study(request: Request, arguments: Sequence[str]) -> Request:
    """Return the command as a part of the newest study that has the same settings and some fixed keys as axes.

    Args:
        request: the command, as it was read.
        arguments: the overrides of the command line.

    Returns:
        The same request if it has a study of its own, or if there is no such study.

    Raises:
        SweepError: the storage cannot be used.
    """
    settings, mine = request.settings, request.identity
    url = absolute_url(settings.storage)
    if not is_made(url):
        return request
    notes = [{FAMILY: study.study_name, **study.user_attrs} for study in open_storage(url).get_all_studies()]
    identities = {note[FAMILY]: note.get("identity") for note in notes}  # by the names that commands find them by
    if identities.get(request.study_name) == mine:
        return request
    fixed = {key_in(line) for line in request.fixed}
    for name, theirs in reversed(identities.items()):
        if theirs is None or not set(mine["axes"]) < set(theirs["axes"]) <= {*mine["axes"], *fixed}:
            continue
        if any(key not in mine["config"] or mine["config"][key] != value for key, value in theirs["config"].items()):
            continue
        with suppress(SweepError):  # as an axis, a key may not go with another setting
            as_axes = sorted(set(theirs["axes"]) - set(mine["axes"]))
            wider = read(settings, request.composition, arguments, check=False, as_axes=as_axes)
            if wider.study_name == name and not differences(theirs, wider.identity):
                return wider
    return request
