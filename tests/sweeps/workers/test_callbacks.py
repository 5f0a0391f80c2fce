"""Hydra's callbacks: each event of a sweep is called once, with any number of workers."""

import pytest
from omegaconf import OmegaConf

from tests.sweeps.sweep_app import App

RECORDER = ("+hydra.callbacks.recorder._target_=recorder.Recorder", "+hydra.callbacks.recorder.log=events.log")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_each_event_is_called_once(app: App, workers: int) -> None:
    process = app.start(*RECORDER, "h=1,2,3,4", "seconds=0.2", f"hydra.sweeper.workers={workers}")
    app.end(process)
    events = [line.split() for line in (app.cwd / "events.log").read_text().splitlines()]
    jobs = ["0", "1", "2", "3"]
    for event in ("on_job_start", "on_job_end"):
        assert sorted(job for name, _, job in events if name == event) == jobs
    assert {job for name, _, job in events if name == "task_function"} == {"__main__.main"}
    for place, event in ((0, "on_multirun_start"), (-1, "on_multirun_end")):
        assert [name for name, _, _ in events].count(event) == 1
        assert events[place][:2] == [event, str(process.pid)]
    of_jobs = {int(pid) for name, pid, _ in events if name.startswith("on_job")}
    assert of_jobs == {process.pid} if workers == 1 else process.pid not in of_jobs
    for job in jobs:  # a job's files know nothing of how its worker was started
        [folder] = app.cwd.glob(f"runs/*/{job}/.hydra")
        hydra = OmegaConf.load(folder / "hydra.yaml").hydra
        assert hydra.callbacks.recorder._target_ == "recorder.Recorder"
        assert not [line for line in hydra.overrides.hydra if line.startswith("~")]


@pytest.mark.slow
def test_workers_start_where_an_option_follows_the_overrides(app: App) -> None:
    app.run(*RECORDER, "h=1,2", "hydra.sweeper.workers=2", "--config-name", "config")
    events = (app.cwd / "events.log").read_text()
    assert events.count("on_multirun_end") == 1
    assert events.count("on_job_end") == 2
