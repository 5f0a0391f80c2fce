"""`mlflow`: where the figures go."""

from dataclasses import dataclass

from clipgan.config.checks import require


@dataclass
class MlflowConfig:
    """Where the figures go besides metrics.jsonl."""

    tracking_uri: str | None = "sqlite:///mlflow.db"  # null: no MLflow
    experiment: str = "clipgan"
    log_model: bool = True  # the generator, once, at the end of a training that reaches it

    def __post_init__(self) -> None:
        require(self.experiment.strip() != "" and self.experiment.isprintable(), "mlflow.experiment",
                 repr(self.experiment), "a name of printable characters")  # fmt: skip
