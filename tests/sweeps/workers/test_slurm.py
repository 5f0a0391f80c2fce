"""What Slurm answers to a submission, in its own words; tests/slurm runs jobs."""

import pytest

from sweeps.workers.slurm import FOR_NOW, not_accepted


@pytest.mark.parametrize(
    ("answer", "for_now"),
    [
        ("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)", True),
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", True),
        ("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying", True),
        (
            "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job violates"
            " accounting/QOS policy (job submit limit, user's size and/or time limits)",
            True,
        ),
        (
            "sbatch: error: QOSMaxWallDurationPerJobLimit\nsbatch: error: Batch job submission failed: Job violates"
            " accounting/QOS policy (job submit limit, user's size and/or time limits)",
            False,
        ),
        ("sbatch: error: AssocGrpSubmitJobsLimit", True),
        ("sbatch: error: Batch job submission failed: Slurm backup controller in standby mode", True),
        ("sbatch: error: Batch job submission failed: Required partition not available (inactive or drain)", True),
        ("sbatch: error: invalid partition specified: nosuch", False),
        ("sbatch: error: Batch job submission failed: Requested node configuration is not available", False),
    ],
)
def test_a_refusal_for_now_is_told_from_a_final_one(answer: str, for_now: bool) -> None:
    assert bool(FOR_NOW.search(answer)) == for_now


def test_slurms_answer_is_one_line() -> None:
    error = RuntimeError("sbatch: error: invalid partition specified: no\nsbatch: error: Batch job submission failed\n")
    assert (
        str(not_accepted(error))
        == "Slurm does not accept the jobs: invalid partition specified: no; Batch job submission failed"
    )
