"""`mlflow`: where the figures go."""

from dataclasses import dataclass

from clipgan.base.mlflow_store import DEFAULT_URI
from clipgan.config.checks import require


@dataclass
class MlflowConfig:
    """Where MLflow keeps the metrics; metrics.jsonl has them too."""

    tracking_uri: str | None = DEFAULT_URI  # MLflow's address; null: metrics.jsonl only
    experiment: str = "clipgan"  # experiment that holds the runs; created if missing
    log_model: bool = True  # true: a training logs its generator to MLflow, which can serve it

    def __post_init__(self) -> None:
        require(self.experiment.strip() != "" and self.experiment.isprintable(), "mlflow.experiment",
                 repr(self.experiment), "a name of printable characters")  # fmt: skip
