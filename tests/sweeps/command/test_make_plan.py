"""Settings of the search, as a user gives them: whole sweeps, dry runs, and refused settings."""

import html
import re
from pathlib import Path

import optuna
import pytest
from hydra.errors import HydraException
from optuna.trial import TrialState

from sweeps.base.errors import FAILED
from sweeps.report.__main__ import write
from tests.sweep_check import check_sweep
from tests.sweeps.sweep_app import APP, App


def points(app: App, name: str | None = None) -> list[tuple[dict[str, object], int]]:
    return [(trial.params, trial.user_attrs["replica"]) for trial in app.trials(name)]


@pytest.mark.slow
def test_an_interval_is_drawn_from_and_a_study_grows_to_more_trials(app: App) -> None:
    command = ("h=tag(log,interval(0.1,2))", "C_it=1,2")
    app.run(*command, "hydra.sweeper.n_trials=4", "hydra.sweeper.workers=2")
    assert app.study().user_attrs["log_axes"] == ["h"]  # for the report
    before = points(app)
    assert len(before) == 4
    assert "0 trials run: all 4 points" in app.run(*command, "hydra.sweeper.n_trials=4")
    app.run(*command, "hydra.sweeper.n_trials=6", "sampler=random")
    assert len(points(app)) == 6
    assert points(app)[:4] == before
    assert len({str(point) for point, _ in points(app)}) == 6
    app.run("h=0.1,4", "C_it=choice(1)")  # the same axes, other values: the same study
    assert len(points(app)) == 8


@pytest.mark.slow
def test_points_that_exist_and_points_to_begin_with(app: App) -> None:
    where = 'hydra.sweeper.where="C_it >= h and loss.offset < 2 and batch == 16"'
    app.run(
        "h=1,2", "C_it=1,2", "loss=symmetric,lafite", where, "hydra.sweeper.enqueue=[{C_it: 2, h: 2, loss: symmetric}]"
    )
    assert [(p["h"], p["C_it"], p["loss"]) for p, _ in points(app)] == [
        (2, 2, "symmetric"), (1, 1, "symmetric"), (1, 2, "symmetric"),
    ]  # fmt: skip


@pytest.mark.slow
def test_replicas_extend_a_study_and_the_summary_shows_their_noise(app: App) -> None:
    app.run("h=0.1,2", "noise=0.2")
    out = app.run("h=0.1,2", "noise=0.2", "hydra.sweeper.replicas=3", "hydra.sweeper.aggregate=median")
    assert [trial.user_attrs["replica"] for trial in app.trials()] == [0, 0, 1, 1, 2, 2]
    assert app.trials()[3].user_attrs["overrides"] == ["h=2", "seed=1"]
    assert [trial.value for trial in app.trials()] == pytest.approx(
        [0.16, 2.25, 0.3283, 2.4183, 0.3419, 2.4319], abs=1e-4
    )
    rows = [line.split() for line in out.splitlines()]
    assert ["0.1", "3", "0.3283", "0.2767", "0.1", "0.1600", "to", "0.3419", "-"] in rows
    assert ["2", "3", "2.418", "2.367", "0.1", "2.250", "to", "2.432", "worse:", "+1.86", "to", "+2.32"] in rows
    assert "best: h=0.1  value 0.3283 (median; mean 0.2767 ± 0.1 [0.16, 0.3419] n=3)" in out
    assert "0 trials run" in app.run("h=0.1,2", "noise=0.2")


@pytest.mark.slow
def test_only_the_best_points_are_replicated_also_by_two_workers(app: App) -> None:
    app.run("h=0.1,0.4,0.5,2", "hydra.sweeper.replicas=2", "hydra.sweeper.replicas_top=2", "hydra.sweeper.workers=2")
    assert sorted((point["h"], replica) for point, replica in points(app)) == [
        (0.1, 0), (0.4, 0), (0.4, 1), (0.5, 0), (0.5, 1), (2, 0),
    ]  # fmt: skip


@pytest.mark.slow
def test_replicas_go_on_until_the_best_point_is_told_from_the_others(app: App) -> None:
    """The noise is the same at all points, so the differences have none: three seeds decide, old ones included."""
    app.run("h=0.1,2", "noise=0.2", "hydra.sweeper.replicas=2")
    command = ("h=0.1,0.4,2", "noise=0.2", "hydra.sweeper.replicas=auto")
    out = app.run(*command, "hydra.sweeper.workers=2")
    assert sorted((point["h"], replica) for point, replica in points(app)) == [
        (h, replica) for h in (0.1, 0.4, 2) for replica in (0, 1, 2)
    ]
    rows = [" ".join(line.split()) for line in out.splitlines()]
    assert any(row.startswith("0.1 3 ") and row.endswith(" worse: +0.15 to +0.15") for row in rows)
    assert any(row.startswith("2 3 ") and row.endswith(" worse: +2.24 to +2.24") for row in rows)
    assert "all intervals hold at once with probability 0.95" in out
    assert app.study().user_attrs["replicas_error"] == 0.05
    out = app.run(*command)
    assert "0 trials run: all 9 trials are already in study" in out
    app.run("h=0.4,2", "noise=0.2", "hydra.sweeper.replicas=4")  # a fixed number goes on from there
    assert len(points(app)) == 11


@pytest.mark.slow
def test_a_pruned_replica_ends_its_point(app: App) -> None:
    in_order = "hydra.sweeper.enqueue=[{h: 0.5}, {h: 0.6}, {h: 0.7}, {h: 3}]"
    median = ("pruner=median", "hydra.sweeper.pruner.n_startup_trials=3")
    app.run("h=0.5,0.6,0.7,3", "mode=curve", *median, "hydra.sweeper.replicas=2", in_order)
    bad = [trial for trial in app.trials() if trial.params["h"] == 3]
    assert [trial.state for trial in bad] == [TrialState.PRUNED] * 2
    assert bad[1].user_attrs["reason"] == "its point was pruned with replica 0"
    assert len(app.started()) == 7


@pytest.mark.slow
def test_a_pruner_leaves_replicas_alone(app: App) -> None:
    """A mean over the seeds that a pruner has let live would be that of the lucky ones."""
    once = ("pruner=median", "hydra.sweeper.pruner.n_startup_trials=1", "hydra.sweeper.pruner.n_warmup_steps=0")
    in_order = "hydra.sweeper.enqueue=[{h: 0.5}, {h: 2}]"
    # with noise the second seed is worse than any first one
    app.run("h=0.5,2", "mode=curve", *once, "hydra.sweeper.replicas=2", "noise=9", "hydra.sweeper.workers=1", in_order)
    trials = app.trials(state=TrialState.COMPLETE)
    assert sorted((t.params["h"], t.user_attrs["replica"]) for t in trials) == [(0.5, 0), (0.5, 1)]


@pytest.mark.slow
def test_several_objectives_have_a_front(app: App) -> None:
    several = ("hydra.sweeper.objectives=[fid,sec_per_step]", "mode=curve")
    out = app.run("h=0.5,2", "C_it=1,2", *several)
    assert [trial.values for trial in app.trials()] == [[0.0, 0.5], [0.0, 1.0], [2.25, 0.5], [2.25, 1.0]]
    assert "1 of 4 points are on the Pareto front" in out
    assert app.study().metric_names == ["fid", "sec_per_step"]
    assert "  trial 0  h=0.5  C_it=1  fid 0  sec_per_step 0.5" in out
    out = app.run("h=0.5,2", "C_it=1,2", *several, "hydra.sweeper.direction=[minimize,maximize]", status=1)
    assert "direction=minimize,maximize, but study" in out


@pytest.mark.slow
def test_a_study_starts_from_another_studys_results(app: App) -> None:
    app.run("h=0.5,3,0.1", "hydra.sweeper.study_name=old")
    warm = ("hydra.sweeper.study_name=new", "hydra.sweeper.warm_start=[old]", "batch=32")
    out = app.run("h=interval(0,2)", "sampler=random", "hydra.sweeper.n_trials=2", *warm)
    assert "2 complete trials of study old are taken over; 0 were known; that study differs: batch=16, here 32" in out
    assert "caution: 2 from old had other settings, so their values may not compare: batch=16, here" in out
    taken, own = app.trials("new")[:2], app.trials("new")[2:]
    assert [(t.params["h"], t.user_attrs["origin"]) for t in taken] == [(0.5, "old#0"), (0.1, "old#2")]
    assert [trial.value for trial in taken] == pytest.approx([0.0, 0.16])
    assert len(own) == 2
    assert "COMPLETE from old#0" in out
    assert len(app.started()) == 5
    out = app.run("h=interval(0,2)", "sampler=random", "hydra.sweeper.n_trials=2", *warm)
    assert "0 complete trials of study old are taken over; 2 were known" in out
    assert "0 trials run" in out


@pytest.mark.slow
def test_a_dry_run_measures_one_short_job_and_leaves_nothing(app: App) -> None:
    points = ("h=0.5,2", "C_it=1", "mode=curve")  # C_it: half a second a step
    dry = (*points, "hydra.sweeper.dry_run=true")
    out = app.run(*dry)
    assert "2 trials, 2 left to run\n" in out
    assert "cost: unknown (no trial has reported its speed; hydra.sweeper.dry_run=measure runs a short job" in out
    assert not list(app.cwd.iterdir())
    (app.cwd / "sweeps.db").touch()  # as a full disk or a copy that broke off leaves it
    assert "sweeps.db is an empty file: it has no study\n" in app.run(*dry)
    assert (app.cwd / "sweeps.db").stat().st_size == 0
    (app.cwd / "sweeps.db").unlink()
    out = app.run("h=0.5,2", "steps=2,4", *dry[1:-1], "hydra.sweeper.dry_run=measure")
    assert "2 to 4 step x 0.5 s/step (measured with steps=1) = 0:00:02 a trial without its evaluation, on" in out
    assert "4 trials, 1 at a time: 0:00:06" in out
    out = app.run(*points, "hydra.sweeper.dry_run=measure", "hydra.sweeper.replicas=2")
    assert "4 trials, 4 left to run\n" in out
    assert "measuring the speed: a job runs with steps=1\n" in out
    assert "  2 of 2  h=2  seed=1" in out
    cost = "4 step x 0.5 s/step (measured with steps=1) = 0:00:02 a trial without its evaluation; 4 trials, 1 at a time"
    assert f"cost: {cost}: 0:00:08" in out
    assert [path.name for path in app.cwd.iterdir()] == ["started.log"]  # the app's own
    app.run("h=choice(0.5)", "C_it=1", "mode=curve")
    out = app.run(*dry)
    assert "2 trials, 1 left to run" in out
    assert "median of 1 trial of this study" in out
    assert len(app.started()) == 3
    assert optuna.get_all_study_names(f"sqlite:///{app.cwd}/sweeps.db") == [app.study().study_name]
    more = ("h=interval(0,9)", "C_it=1", "hydra.sweeper.n_trials=9", "hydra.sweeper.dry_run=true", "mode=curve")
    out = app.run(*more, "steps=8")  # only the length differs
    assert "and 8 that are chosen as results come in" in out
    assert "8 step x 0.5 s/step (median of 1 trial of study h-" in out
    assert "cost: unknown (no trial has reported its speed" in app.run(*more, "batch=3")  # it may have another speed


REFUSED = [
    (["h=1,2", "hydra.sweeper.pruner=median"], "by its group: hydra/sweeper/study/pruner=median in place of this"),
    (["h=1,2", "hydra.sweeper.sampler=tpe"], "by its group: hydra/sweeper/study/sampler=tpe in place of this"),
    (["h=1,2", "hydra.sweeper.direction=null"], "direction=null is not allowed: it must be minimize or maximize"),
    (["h=1,2", "hydra.sweeper.dry_run=yes"], "dry_run=yes is not allowed: it must be true, false or measure"),
    (["h=1,2", "hydra.sweeper.max_step=0"], "max_step=0 is not allowed: it must be at least 1"),
    (["h=interval(1,2)"], "hydra.sweeper.n_trials is missing"),
    (["h=interval(1,2)", "sampler=grid"], "h=interval(1,2) is not allowed in a grid"),
    (["h=1,2", "hydra.sweeper.n_trials=1"], "n_trials=1 is less than the 2 points of the grid"),
    (["h=1,2", "sampler=tpe", "hydra.sweeper.n_trials=0"], "n_trials=0 is not allowed: it must be at least 1"),
    (["sampler=tpe", "hydra.sweeper.n_trials=3"], "has no axis to draw from"),
    (["h=1,2", "sampler=cmaes", "hydra.sweeper.n_trials=3"], "less than two axes of numbers"),
    (
        ["h=1,2", "sampler=tpe", "hydra.sweeper.n_trials=3", "hydra.sweeper.sampler.n_startup_trials=x"],
        "n_startup_trials",
    ),
    (["h=1,2", "sampler=nosuch"], "nosuch"),
    (["h=1,2", "pruner=nosuch"], "nosuch"),
    (["h=1,2", "pruner=hyperband", "hydra.sweeper.max_step=null"], "max_step is missing"),
    (["h=1,2", "pruner=median", "hydra.sweeper.direction=[minimize,minimize]"], "not allowed with 2 objectives"),
    (["h=1,2", "hydra.sweeper.direction=[minimize,up]"], "it must be minimize or maximize"),
    (["h=1,2", "hydra.sweeper.objectives=[a,b,a]"], "a list without a name twice"),
    (
        ["h=1,2", "hydra.sweeper.objectives=[a,b]", "hydra.sweeper.direction=[minimize]"],
        "one each for the 2 objectives a, b",
    ),
    (["h=1,2", "hydra.sweeper.where='h >'"], "where=h > is not allowed: invalid syntax"),
    (["h=1,2", "hydra.sweeper.where='loss != lafite'"], "value that is on no axis needs quotes: 'lafite'"),
    (["h=1,2", "hydra.sweeper.where='C_iz > 2'"], "there is no axis and no key C_iz; did you mean C_i"),
    (["h=1,2", "hydra.sweeper.where='loss.offset > 2'"], "holds for no point of the grid"),
    (["h=1,2", "hydra.sweeper.enqueue=[{h: 3}]"], "{h: 3}: h=3 is not on the axis h=1,2"),
    (
        ["h=1,2", "C_it=1,2", "hydra.sweeper.enqueue=[{h: 1}]"],
        "no point of the grid: it needs a value on each of h, C_it",
    ),
    (["h=1,2", "hydra.sweeper.enqueue=[{H: 1}]"], "no axis H among h"),
    (["h=1,2", "hydra.sweeper.enqueue=[1]"], "enqueue has 1; it must be a list of points"),
    (["h=1,2", "hydra.sweeper.replicas=0"], "replicas=0 is not allowed: it must be auto, or at least 1"),
    (["h=1,2", "hydra.sweeper.replicas=some"], "replicas=some is not allowed: it must be auto, or at least 1"),
    (["h=1,2", "hydra.sweeper.replicas=auto", "hydra.sweeper.replicas_max=2"], "replicas_max=2 is not allowed"),
    (["h=1,2", "hydra.sweeper.replicas=auto", "hydra.sweeper.replicas_error=1"], "replicas_error=1.0 is not allowed"),
    (["h=1,2", "hydra.sweeper.replicas=auto", "hydra.sweeper.replicas_top=1"], "replicas_top=1 is not allowed"),
    (["h=1,2", "hydra.sweeper.replicas=auto", "hydra.sweeper.aggregate=median"], "which compares means"),
    (["h=1,2", "hydra.sweeper.replicas=auto", "hydra.sweeper.objectives=[a,b]"], "which have no best point"),
    (
        ["h=1,2", "hydra.sweeper.replicas=auto", "hydra.sweeper.replicas_trials=5"],
        "replicas_trials=5 is not allowed: it must be at least 6, as each of the 2 points gets 3 seeds",
    ),
    (["seed=1,2", "hydra.sweeper.replicas=2"], "not allowed together with a seed axis: replicas already vary the seed"),
    (["h=1,2", "hydra.sweeper.replicas=2", "hydra.sweeper.seed_key=loss.name"], "seed_key=loss.name is not allowed"),
    (["h=1,2", "hydra.sweeper.replicas_top=2"], "it must be null where hydra.sweeper.replicas=1"),
    (["h=1,2", "hydra.sweeper.aggregate=max"], "aggregate=max is not allowed"),
    (["h=1,2", "hydra.sweeper.warm_start=[nosuch]"], "there is no study nosuch"),
]


@pytest.mark.parametrize(("overrides", "message"), REFUSED)
def test_a_mistake_is_one_message(overrides: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(HydraException) as caught:
        check_sweep(APP.parent / "conf", overrides, tmp_path)
    assert message in str(caught.value)


@pytest.mark.slow
def test_a_dry_run_counts_trials_that_would_be_retried(app: App) -> None:
    command = ("h=0.1,0.5", "mode=raise", "only_at=0.1", "hydra.sweeper.max_retries=0")
    app.run(*command, status=FAILED)
    dry = (*command, "hydra.sweeper.dry_run=true")
    assert "2 trials, 0 left to run" in app.run(*dry)
    assert "2 trials, 1 left to run\n  1 of 2  h=0.1\n" in app.run(*dry, "hydra.sweeper.retry_failed=true")
    assert "there is no study other" in app.run(*dry, "hydra.sweeper.warm_start=[other]", status=1)


@pytest.mark.slow
def test_a_name_joins_an_axis_of_numbers_that_were_drawn(app: App) -> None:
    app.run("C_it=interval(0,3)", "sampler=random", "hydra.sweeper.n_trials=3")
    drawn = [trial.params["C_it"] for trial in app.trials()]
    out = app.run("C_it=1,null")
    assert "is extended: C_it=" in out
    assert [trial.params["C_it"] for trial in app.trials()] == [*map(repr, drawn), "1", "null"]


@pytest.mark.slow
def test_axes_that_depend_on_each_other_run_are_resumed_and_reported(app: App) -> None:
    axes = ['+hydra.sweeper.params.h={values:[0.1,0.5],where:"loss != lafite"}', "loss=lafite,symmetric"]
    pairs = "+hydra.sweeper.params.pair=[{C_it:1,C_ii:2},{C_it:3,C_ii:4}]"
    out = app.run(*axes, pairs)
    begun = ["0 0.5 lafite", "1 0.1 symmetric", "2 0.5 symmetric", "3 0.5 lafite", "4 0.1 symmetric", "5 0.5 symmetric"]
    assert app.started() == begun
    assert "best: trial 2  C_it=1  C_ii=2  h=0.5  loss=symmetric  value 0" in out
    assert "0 trials run: all 6 points are already in study" in app.run(*axes, pairs)
    name = app.study().study_name
    app.run(*axes, pairs, "h=0.5,2", "loss=lafite,asymmetric")  # grows
    assert app.started()[6:] == ["6 0.5 asymmetric", "7 2 asymmetric", "8 0.5 asymmetric", "9 2 asymmetric"]
    assert len(app.trials(name)) == 10
    page, *_ = write(name, app.url, app.cwd / "r.html", "*.png")
    text = page.read_text()
    assert "pair: C_it=1 C_ii=2 | C_it=3 C_ii=4; h only where loss != lafite." in html.unescape(text)
    app.run("+hydra.sweeper.params.w=[{h:1},{C_it:[1,2]}]", "h=0.7", "sampler=tpe", "hydra.sweeper.n_trials=3")
    assert sorted(line.split()[1] for line in app.started()[-3:]) == ["0.7", "0.7", "1"]


@pytest.mark.slow
def test_a_target_ends_the_sweep_and_rerun_runs_trials_again(app: App) -> None:
    out = app.run("h=0.1,0.5,2", "hydra.sweeper.target=0.2")
    assert app.started() == ["0 0.1 symmetric"]
    assert "hydra.sweeper.target=0.2 is reached: no further trial starts" in out
    app.run("h=0.1,0.5,2", "mode=hopeless", "only_at=2", status=FAILED)
    app.run("h=0.1,0.5,2", "hydra.sweeper.rerun=FAIL")
    assert [line.split()[0] for line in app.started()] == ["0", "1", "2", "2"]
    app.run("h=0.1,0.5", "hydra.sweeper.rerun=COMPLETE")
    assert [line.split()[0] for line in app.started()[4:]] == ["0", "1"]
    out = app.run("h=0.1,0.5", "hydra.sweeper.rerun=COMPLETE", "mode=hopeless", "only_at=0.5", status=FAILED)
    assert re.search(r"failed: trial 1  h=0\.5  loss is nan at h=0\.5  in .*, run again; its earlier result stays", out)
    assert "best: trial 1  h=0.5  value 0  in" in out
    app.run("h=0.1,0.5", "hydra.sweeper.retry_failed=true")
    assert [line.split()[0] for line in app.started()[6:]] == ["0", "1", "1"]
    assert "rerun=ALL is not allowed: it must be one of FAIL" in app.run("h=1,2", "hydra.sweeper.rerun=ALL", status=1)
