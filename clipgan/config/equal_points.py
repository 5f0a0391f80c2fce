"""Points of a sweep that are the same training, because they differ only in what nothing reads."""

from collections.abc import Mapping
from typing import Any

from clipgan.base.errors import UserError
from clipgan.base.text import as_typed
from clipgan.config.condition import PSEUDO_TEXT_KEYS
from clipgan.config.training import Config


def refuse_equal_points(
    config: Config,
    values: Mapping[str, Any],
    written: Mapping[str, Any],
    checked: dict[frozenset[tuple[str, str]], Mapping[str, Any]],
) -> None:
    """Refuse a point that is the same training as an earlier one.

    Args:
        config: of the point.
        values: of its axes.
        written: values of its axes, and of the dotted keys that refer to others: one may refer to an axis.
        checked: the values that are read -> the first point that has them; this point is added.

    Raises:
        UserError: names an axis that changes nothing, why, and a condition under which other points have it.
    """
    if config.simclr is not None:
        return
    unread = _unread(config)
    if not _followers(written, "h"):  # a structure with a number in its place: a point may have the same number
        unread["h"] = _no_term(config)
    without = [key for key in values if key in unread and _followers(written, key) <= {"loss.heterologous"}]
    first = checked.setdefault(frozenset((key, repr(values[key])) for key in values if key not in without), values)
    for key in without:
        if key not in first or values[key] != first[key]:
            reason, where = unread[key]
            raise UserError(
                f"{key}={as_typed(values[key])} changes nothing: {reason}; leave it out, or vary it for other options"
                f' alone: "+hydra.sweeper.params={{{key}:{{where:\\"{where}\\"}}}}"'
            )


def _unread(config: Config) -> dict[str, tuple[str, str]]:
    """Return what a training does not read: its key -> why, and the condition under which it is read."""
    model, condition = config.model, config.condition
    unread = dict.fromkeys(config.unread_weights(), _no_term(config))
    if condition.language_free == 0:
        why = f"condition={condition.name} has no pseudo text", "condition.language_free > 0"
        unread |= dict.fromkeys((f"condition.{key}" for key in PSEUDO_TEXT_KEYS), why)
    elif condition.pseudo_text == "noise":
        unread["condition.neighbours"] = "condition.pseudo_text=noise", "condition.pseudo_text == 'nearest'"
    if not model.pl_weight:
        unread["model.pl_interval"] = "model.pl_weight=0", "model.pl_weight > 0"
    if not config.gradient_penalties():
        unread["model.r1_interval"] = "no gradient penalty is on", "model.r1_gamma > 0"
    return unread


def _no_term(config: Config) -> tuple[str, str]:
    return f"no term of loss={config.loss.name} has it", f"loss.name != '{config.loss.name}'"


def _followers(written: Mapping[str, Any], key: str) -> set[str]:
    """Return the settings that refer to another one, as C_it=${h} does."""
    return {name for name, text in written.items() if f"${{{key}}}" in str(text)}
