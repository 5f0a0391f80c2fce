"""`mlflow`: where the metrics go."""

import os
from dataclasses import dataclass

from clipgan.config.checks import require

DEFAULT_URI = "sqlite:///mlflow.db"


def tracking_uri(given: str | None = None) -> str:
    """The address of MLflow: the given one, else the environment's, else `mlflow.db` in the working directory."""
    return given or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


@dataclass
class MlflowConfig:
    """Where MLflow keeps the metrics; metrics.jsonl has them too."""

    tracking_uri: str | None = DEFAULT_URI  # MLflow's address; null: metrics.jsonl only
    experiment: str = "clipgan"  # experiment that holds the runs; created if missing
    log_model: bool = True  # true: a training logs its generator to MLflow, which can serve it

    def __post_init__(self) -> None:
        require(self.experiment.strip() != "" and self.experiment.isprintable(), "mlflow.experiment",
                 repr(self.experiment), "a name of printable characters")  # fmt: skip
