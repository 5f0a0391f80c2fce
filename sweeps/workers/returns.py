"""What `sweep` returns, as Hydra's own sweepers do: the results of the jobs that a command has run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from sweeps.points.trial_record import TrialRecord


def job_returns(
    records: Sequence[TrialRecord], known: Mapping[int, JobReturn], config: DictConfig, size: int | None
) -> list[Sequence[JobReturn]]:
    """Return the results of trials, in the order of their run directories and in lists of `size` (None: in one list).

    Args:
        records: trials that have ended.
        known: trial number -> the result, of the jobs that ran in this process. The others are read from their folders.
        config: of the sweep.
        size: `hydra.sweeper.max_batch_size`.
    """
    ordered = sorted(records, key=lambda record: record.run)
    step = size or len(ordered)
    batches = [ordered[start : start + step] for start in range(0, len(ordered), step)] if ordered else [[]]
    return [_Results(batch, known, config) for batch in batches]


class _Results(Sequence[JobReturn]):
    """Results of trials. A command of Hydra's reads none of them, so a folder is read when its result is asked for."""

    def __init__(self, records: Sequence[TrialRecord], known: Mapping[int, JobReturn], config: DictConfig) -> None:
        self._records, self._known, self._config = records, known, config

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        record = self._records[index]
        return self._known.get(record.number) or _read(record, self._config)


def _read(record: TrialRecord, config: DictConfig) -> JobReturn:
    """Read the result of a job that another process has run; its value is what the study has of it."""
    values: Any = list(record.values) if len(record.values) > 1 else record.value
    failed = record.state != "COMPLETE"
    result = JobReturn(status=JobStatus.FAILED if failed else JobStatus.COMPLETED)
    result.return_value = RuntimeError(record.reason or record.state) if failed else values
    if record.run_dir is None or config.hydra.output_subdir is None:
        return result
    folder = Path(record.run_dir, config.hydra.output_subdir)
    files = {name: folder / f"{name}.yaml" for name in ("config", "hydra", "overrides")}
    if all(path.exists() for path in files.values()):
        loaded: dict[str, Any] = {name: OmegaConf.load(path) for name, path in files.items()}
        result.cfg, result.hydra_cfg, result.overrides = loaded["config"], loaded["hydra"], list(loaded["overrides"])
        result.task_name = result.hydra_cfg.hydra.job.name
        result.working_dir = record.run_dir if result.hydra_cfg.hydra.job.chdir else str(Path.cwd())
    return result
