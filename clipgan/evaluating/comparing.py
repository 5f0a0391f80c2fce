"""Whether the data and the judge are those of the training: only then do metrics belong beside the training's own."""

from clipgan.base.errors import UserError
from clipgan.config import Config
from clipgan.evaluating.options import EvaluateOptions
from clipgan.sampling.source import Source
from clipgan.tasks.gan.preparation import Prepared


def compares_with_training(config: Config, source: Source, options: EvaluateOptions, prepared: Prepared) -> bool:
    """Compare the digests of data and judge with those that the checkpoint has.

    A digest that either side lacks counts as equal: models in MLflow and checkpoints of version 0.1.0 have none.

    Args:
        config: of the evaluation.
        source: the trained generator.
        options: the command.
        prepared: what the evaluation measures with.

    Raises:
        UserError: they differ, and the command does not ask for other ones.
    """
    recorded = source.sources or {}
    same_data = _equal(recorded.get("data.content"), prepared.data.content)
    if not same_data and not options.gives_any("data"):
        where = config.data.path or f"data={config.data.name}"
        raise UserError(
            f"{source.name} was trained with other images or captions than {where} has now, so its metrics would not"
            f" compare with those of the training: give theirs with data.path=DIR, or data={config.data.name} to"
            " measure with those that are here (MLflow then gets no metric)"
        )
    judge, of_run = config.metrics.judge, source.config.metrics.judge
    if judge is None or prepared.judge is None or of_run is None or judge.name != of_run.name:  # has another name
        return same_data
    if _equal(recorded.get("judge.key"), prepared.judge.key):
        return same_data
    if not options.gives_any("metrics.judge", "clip@metrics.judge"):
        raise UserError(
            f"{source.name} was judged by other weights than those that are here ({prepared.judge.file}), so its"
            " metrics would not compare with those of the training: give theirs with metrics.judge.checkpoint=FILE, or"
            f" clip@metrics.judge={judge.name} to measure with those that are here (MLflow then gets no metric)"
        )
    return False


def _equal(recorded: str | None, now: str | None) -> bool:
    return recorded is None or now is None or recorded == now
