"""The end of a command in MLflow's run of its study."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState

from tests.sweeps.sweep_app import App


@pytest.mark.slow
def test_the_run_of_a_study_ends_with_the_last_command_that_works_on_it(
    app: App, mlflow_store: Callable[[Path], str]
) -> None:
    mlflow_store(app.cwd / "mlflow.db")
    client = MlflowClient(f"sqlite:///{app.cwd}/mlflow.db")
    mlflow = ("hydra.sweeper.mlflow_tracking_uri=sqlite:///mlflow.db", "hydra.sweeper.mlflow_experiment=t")

    def status() -> str:
        [run_id] = app.study().user_attrs["mlflow_run_ids"]
        return str(client.get_run(run_id).info.status)

    commands = []
    for count in (1, 2):
        commands.append(app.start("h=0.1,0.5", "mode=hang", *mlflow))
        app.wait_until(lambda count=count: len(app.trials(state=TrialState.RUNNING)) == count)
    app.await_file("hanging")
    first, second = commands
    app.wait_until(lambda: len(app.started()) == 2)
    first.send_signal(signal.SIGTERM)
    app.end(first, status=143)
    assert status() == "RUNNING"
    app.study().ask()  # a trial that another tool has taken belongs to no command
    second.send_signal(signal.SIGTERM)
    app.end(second, status=143)
    assert status() == "KILLED"


@pytest.mark.slow
def test_a_run_that_is_deleted_while_its_study_runs_has_a_successor_at_the_end(
    app: App, mlflow_store: Callable[[Path], str]
) -> None:
    mlflow_store(app.cwd / "mlflow.db")
    client = MlflowClient(f"sqlite:///{app.cwd}/mlflow.db")
    mlflow = ("hydra.sweeper.mlflow_tracking_uri=sqlite:///mlflow.db", "hydra.sweeper.mlflow_experiment=t")
    sweep = app.start("h=0.1,0.5", "mode=hang", *mlflow)
    app.await_file("hanging")
    client.delete_run(app.study().user_attrs["mlflow_run_ids"][0])
    (app.cwd / "go").touch()
    out = app.end(sweep)
    assert "warning" not in out
    _, successor = app.study().user_attrs["mlflow_run_ids"]
    run = client.get_run(successor)
    assert (run.info.status, run.data.metrics["n_complete"]) == ("FINISHED", 2)
    assert successor in out.partition("to compare its trials in MLflow:")[2]
