"""Studies to report on, made with Optuna itself and the attributes that the sweeper gives its trials."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from sweeps.points.search_space import name_of
from sweeps.report.reading import Sweep, read

HOSTILE = "</script><script>document.title = 'owned'</script>"
MARKUP = "<b>bold</b> & \"double\" 'single' $x$ {{ 7 * 7 }} | `code`"


class Studies:
    """Studies in an SQLite file."""

    def __init__(self, folder: Path) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.url = f"sqlite:///{folder}/sweeps.db"

    def make(self, name: str, directions: Sequence[str] = ("minimize",), **notes: Any) -> optuna.Study:
        """An empty study."""
        study = optuna.create_study(study_name=name, storage=self.url, directions=list(directions))
        command = {"program": "train.py", "fixed": ["kimg=8"]}
        for key, value in {"family": name, "step_name": "kimg", "command": command, **notes}.items():
            study.set_user_attr(key, value)
        return study

    def read(self, name: str) -> Sweep:
        """What a report has of it."""
        return read(self.url, name)


def add(
    study: optuna.Study,
    point: Mapping[str, float | str],
    values: Sequence[float] = (),
    *,
    state: TrialState = TrialState.COMPLETE,
    steps: Mapping[int, float] | None = None,
    **attributes: Any,
) -> None:
    """Add one trial; a numeric axis reaches from 0 to 10, one of names has its own."""
    study.add_trial(
        create_trial(
            state=state,
            values=list(values) or None,
            params=dict(point),
            distributions={axis: _distribution(value) for axis, value in point.items()},
            user_attrs={
                "point": dict(point),
                "overrides": [f"{axis}={name_of(value)}" for axis, value in point.items()],
                **attributes,
            },
            intermediate_values=dict(steps or {}),
        )
    )


def grid(study: optuna.Study, replicas: int = 1) -> None:
    """Two axes, 2 x 5 points with curves; h matters most; one point is pruned and one has failed."""
    for loss, h in itertools.product(("symmetric", "asymmetric"), (0.1, 0.2, 0.5, 1.0, 2.0)):
        point = {"loss": loss, "h": h}
        for replica in range(replicas):
            value = 20 + 10 * abs(h - 0.5) + (loss == "asymmetric") + 0.1 * replica
            steps = {kimg: value + 40 / kimg for kimg in (2, 4, 6, 8)}
            if (loss, h) == ("asymmetric", 2.0):
                add(study, point, state=TrialState.PRUNED, steps={2: steps[2]}, replica=replica)
            elif (loss, h) == ("asymmetric", 1.0):
                add(study, point, state=TrialState.FAIL, reason="DivergenceError: nan", replica=replica)
            else:
                add(study, point, [value], steps=steps, replica=replica, **{"job.sec_per_kimg": 9.5})


def hostile(study: optuna.Study) -> None:
    """Axes and choices that a page or a plot might take for its own language."""
    for one, other in itertools.product((HOSTILE, MARKUP, "plain"), repeat=2):
        number = len(study.get_trials(deepcopy=False))
        point = {HOSTILE: one, "<img src=x onerror=\"document.title='owned'\">": other}
        add(study, point, [1.0 + number], steps={1: 1.0, 2: float("nan")}, **{f"job.{MARKUP}": HOSTILE})
    add(study, {"h": 1.0}, state=TrialState.FAIL, reason=HOSTILE, run_dir=f"/runs/{HOSTILE}")


def _distribution(value: float | str) -> BaseDistribution:
    if isinstance(value, float):
        return FloatDistribution(0, 10)
    return CategoricalDistribution([HOSTILE, MARKUP, "plain", "symmetric", "asymmetric"])
