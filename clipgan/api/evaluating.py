"""`evaluate`: the metrics of a trained generator."""

from collections.abc import Sequence
from pathlib import Path

from clipgan.api.callers_state import alone, callers_state_kept
from clipgan.api.checks import refuse_no_list, refuse_two_sources


def evaluate(
    run: str | None = None,
    checkpoint: Path | str | None = None,
    device: str = "auto",
    mlflow_tracking_uri: str | None = None,
    metrics: Sequence[str] | None = None,
) -> dict[str, float]:
    """Measure a trained generator (its moving average), as `python -m clipgan.evaluate` does.

    A repeated call reads the finished figures from the cache.

    Args:
        run: the id of an MLflow run. Exactly one of `run` and `checkpoint` must be given.
        checkpoint: a checkpoint file of a training.
        device: auto | cpu | cuda | cuda:N.
        mlflow_tracking_uri: where to look for `run`; see `load_generator`.
        metrics: the metrics to measure, as in `["fid", "kid"]`; None: those of the end of a training.

    Returns:
        Metrics by name; a name is its protocol (`fid2k_clip_tiny`).

    Raises:
        UserError: the model, its data, its encoders or weights are missing, or there is no such metric.
    """
    from clipgan.config.options import options_of
    from clipgan.evaluating.options import EvaluateOptions, parse_metrics

    refuse_two_sources(run, checkpoint)
    if metrics is not None:
        refuse_no_list("metrics", metrics, '["fid", "kid"]')
    uri = () if mlflow_tracking_uri is None else (f"mlflow.tracking_uri={mlflow_tracking_uri}",)
    options = EvaluateOptions(
        run=run,
        ckpt=() if checkpoint is None else (Path(checkpoint),),
        metrics=None if metrics is None else parse_metrics(",".join(metrics), options_of("metrics")),
        overrides=(f"device={device}", *uri),
    )
    with alone(), callers_state_kept():
        from clipgan.evaluating.command import find_job, run_job

        job = find_job(options)
        [measured] = run_job(job, job.configs[0], Path())
    return measured.metrics
