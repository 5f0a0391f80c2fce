"""The result of a job: complete, pruned or failed."""

import weakref
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf
from optuna import TrialPruned

from sweeps.job.job_result import reason_of, result_of
from sweeps.job.task_function import PermanentFailure


def job(returned: object, status: JobStatus = JobStatus.COMPLETED) -> JobReturn:
    return JobReturn(_return_value=returned, status=status)


def test_the_three_ends() -> None:
    done = result_of(job(12.5))
    assert (done.state, done.values, done.reason) == ("COMPLETE", (12.5,), None)
    pruned = result_of(job(TrialPruned(), JobStatus.FAILED))
    assert (pruned.state, pruned.values, pruned.reason) == ("PRUNED", (), None)
    failed = result_of(job(ValueError("no"), JobStatus.FAILED))
    assert (failed.state, failed.values, failed.reason) == ("FAIL", (), "ValueError: no")
    nothing = result_of(job(None))
    assert (nothing.state, nothing.reason) == ("FAIL", "TypeError: the objective must be a number, not None (NoneType)")


def test_crashes_are_distinguished_from_permanent_failures() -> None:
    assert result_of(job(ValueError("no"), JobStatus.FAILED)).crashed
    hopeless = result_of(job(PermanentFailure("h=-1 is not allowed"), JobStatus.FAILED))
    assert (hopeless.state, hopeless.reason, hopeless.crashed) == ("FAIL", "h=-1 is not allowed", False)


class Networks:
    """Stands for what a job has in memory."""


def test_a_failed_job_leaves_nothing_in_memory() -> None:
    known = []

    def load() -> None:
        networks = Networks()
        known.append(weakref.ref(networks))
        raise KeyError(f"no weights for {networks}")

    def train() -> None:
        networks = Networks()
        known.append(weakref.ref(networks))
        try:
            load()
        except KeyError as error:
            raise ValueError("cannot train") from error

    def failed() -> JobReturn:
        try:
            train()
        except ValueError as error:
            return job(error, JobStatus.FAILED)
        raise AssertionError

    kept = failed()
    assert all(networks() is not None for networks in known)
    assert result_of(kept).reason == "ValueError: cannot train"
    assert all(networks() is None for networks in known)
    assert isinstance(kept._return_value, ValueError)


def test_several_objectives() -> None:
    done = result_of(job(3.0), ["fid", "seconds"], {"seconds": 1.5})
    assert (done.state, done.values) == ("COMPLETE", (3.0, 1.5))
    failed = result_of(job(3.0), ["fid", "seconds"], {"other": 1.5})
    assert failed.reason == "KeyError: no objective seconds: the job gave only other, fid"


def test_a_reason_is_one_line() -> None:
    assert reason_of(ArithmeticError("loss is nan\n  at step 3")) == "ArithmeticError: loss is nan at step 3"
    assert len(reason_of(ValueError("x" * 1000))) == 300


def test_a_reason_with_bytes_that_are_no_text_is_shown_and_written(tmp_path: Path) -> None:
    failed = job(RuntimeError("cannot read a\udcffb.png"), JobStatus.FAILED)
    failed.hydra_cfg = OmegaConf.create({"hydra": {"runtime": {"output_dir": str(tmp_path)}}})
    assert result_of(failed).reason == "RuntimeError: cannot read a\\udcffb.png"
    assert "a\\udcffb.png" in (tmp_path / "error.txt").read_text()
