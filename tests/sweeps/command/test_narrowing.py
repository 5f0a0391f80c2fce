"""A command that gives an axis of a study one value."""

import pytest

from sweeps.base.optuna_internals import rename_study
from sweeps.study.storage import exclusive, open_storage
from tests.sweeps.sweep_app import App


@pytest.mark.slow
def test_an_axis_with_one_value_goes_on_with_the_study_of_the_axis(app: App) -> None:
    app.run("h=0.1,0.5", "loss=lafite,symmetric")
    name = app.study().study_name
    out = app.run("h=0.5", "loss=lafite,symmetric")
    assert f"study {name} has these settings with the axis h: the command goes on with it" in out
    assert f"0 trials run: all 2 points are already in study {name}" in out
    assert "-m h=0.1,0.5 loss=lafite,symmetric hydra.sweeper.replicas=3" in out
    out = app.run("loss=lafite", "h=0.7", "hydra.sweeper.trial_timeout=1h")  # in a process of its own
    assert f"study {name} has these settings with the axes h, loss: the command goes on with it" in out
    assert "-m loss=lafite h=0.7 hydra.sweeper.trial_timeout=1h hydra.sweeper.replicas=3" in out  # no further point
    assert app.started()[4:] == ["4 0.7 lafite"]
    assert app.study().study_name == name  # the only one
    with exclusive(app.url):
        rename_study(open_storage(app.url), name, "mine")
    assert "0 trials run" in app.run("h=0.7", "loss=lafite")  # also under another name
    assert "dry run of study single-" in app.run("h=0.5", "loss=lafite", "seed=3", "hydra.sweeper.dry_run=true")
