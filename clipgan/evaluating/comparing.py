"""Whether the data and the judge are those of the training: only then do metrics belong beside the training's own."""

from clipgan.base.errors import UserError
from clipgan.config import Config
from clipgan.evaluating.options import EvaluateOptions
from clipgan.metrics.measure import load_measure
from clipgan.metrics.needs import reads_judge
from clipgan.sampling.source import Source
from clipgan.tasks.gan.preparation import Prepared


def compares_with_training(config: Config, source: Source, options: EvaluateOptions, prepared: Prepared) -> bool:
    """Compare the digests of data and judge with those that the checkpoint has, as far as the measures depend on them.

    A model in MLflow and a checkpoint of version 0.1.0 have no digests: then the settings are compared. Weights that
    another program trained have no metrics that would have to compare.

    Args:
        config: of the evaluation.
        source: the trained generator.
        options: the command.
        prepared: what the evaluation measures with.

    Raises:
        UserError: they differ, and the command does not ask for other ones.
    """
    if source.sources is None and source.kimg == 0:  # converted weights, such as LAFITE's
        return True
    asked = options.metrics or ("fid", *config.metrics.asked())
    against_real = any(load_measure(name).reals for name in asked)
    recorded, theirs = source.sources or {}, source.config
    same_data = True
    if against_real or not options.prompts:  # else the data's captions are no prompts either
        same_data = _equal(recorded.get("data.content"), prepared.data.content, config.data == theirs.data)
    if not same_data and not options.gives_any("data"):
        where = config.data.path or f"data={config.data.name}"
        raise UserError(
            f"{source.name} was trained with other images or captions than {where} has now, so its metrics would not"
            f" compare with those of the training: give theirs with data.path=DIR, or data.name={config.data.name} to"
            " measure with those that are here (MLflow then gets no metric)"
        )
    judge, of_run = config.metrics.judge, theirs.metrics.judge
    if not reads_judge(asked, config) or judge is None or prepared.judge is None:
        return same_data
    if of_run is None or judge.name != of_run.name:  # it gives the metrics another name
        return same_data
    if _equal(recorded.get("judge.key"), prepared.judge.key, judge == of_run):
        return same_data
    if options.protocol is None and not options.gives_any("metrics.judge", "clip@metrics.judge"):
        raise UserError(
            f"{source.name} was judged by other weights than those that are here ({prepared.judge.file}), so its"
            " metrics would not compare with those of the training: give theirs with metrics.judge.checkpoint=FILE, or"
            f" metrics.judge.name={judge.name} to measure with those that are here (MLflow then gets no metric)"
        )
    return False


def _equal(recorded: str | None, now: str | None, same_settings: bool) -> bool:
    return same_settings if recorded is None or now is None else recorded == now
