"""`evaluate`: the metrics of a trained generator."""

from dataclasses import replace
from pathlib import Path

from clipgan.api.generating import load_generator


def evaluate(
    run: str | None = None,
    checkpoint: Path | str | None = None,
    device: str = "auto",
    mlflow_tracking_uri: str | None = None,
) -> dict[str, float]:
    """Measure a trained generator (its moving average) as the end of its training does.

    Args:
        run: the id of an MLflow run. Exactly one of `run` and `checkpoint` must be given.
        checkpoint: a checkpoint file of a training.
        device: auto | cpu | cuda | cuda:N.
        mlflow_tracking_uri: where to look for `run`; see `load_generator`.

    Returns:
        Metrics by name; a name is its protocol (`fid2k_clip_tiny`).

    Raises:
        UserError: the model, its data or its encoders are missing.
    """
    from clipgan.engine.precision import Precision, with_precisions
    from clipgan.metrics.evaluation import Evaluation
    from clipgan.tasks.gan.preparation import prepare

    sampler = load_generator(run, checkpoint, device, mlflow_tracking_uri=mlflow_tracking_uri)
    recorded = sampler.source.config
    config = replace(recorded, device=device, resume="none", metrics=replace(recorded.metrics, weights="ema"))
    config = with_precisions(config, sampler.device)
    prepared = prepare(config, sampler.device)
    evaluation = Evaluation(
        config, prepared.data, prepared.features, prepared.judge, prepared.clip, prepared.cache_dir, sampler.device,
        Precision(config.precision, sampler.device).autocast,
    )  # fmt: skip
    return evaluation(sampler.generator, last=True)
