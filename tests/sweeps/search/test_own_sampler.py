"""A sampler of a user's own, in an option file of the user's own folder."""

import pytest

from tests.sweeps.sweep_app import App

OPTION = """
# @package hydra.sweeper.sampler
_target_: {target}
first: 1
"""


@pytest.mark.slow
def test_an_option_file_of_ones_own_chooses_it(app: App) -> None:
    folder = app.cwd / "mine/hydra/sweeper/study/sampler"
    folder.mkdir(parents=True)
    for name, module in (("mine", "own_sampler"), ("gone", "gone_sampler")):
        (folder / f"{name}.yaml").write_text(OPTION.format(target=f"{module}.Quarters"))
    axis = ("--config-dir", "mine", "h=interval(0,4)", "hydra.sweeper.n_trials=3")
    app.run(*axis, "hydra/sweeper/study/sampler=mine")
    assert sorted(trial.params["h"] for trial in app.trials()) == [1, 2, 3]
    refused = app.run(*axis, "hydra/sweeper/study/sampler=gone", status=1)
    assert "sampler._target_=gone_sampler.Quarters cannot be imported" in refused
    assert "No module named 'gone_sampler'" in refused
