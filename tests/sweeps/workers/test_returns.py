"""What `sweep` returns of jobs that ran in other processes."""

import pytest
from hydra.core.utils import JobStatus
from omegaconf import OmegaConf

from sweeps.base.errors import FAILED
from sweeps.study.stored_study import records_of
from sweeps.workers.returns import job_returns
from tests.sweeps.sweep_app import App


@pytest.mark.slow
def test_the_results_of_workers_are_read_from_their_folders(app: App) -> None:
    app.run("mode=raise", "only_at=3", "h=0.5,2,3", "hydra.sweeper.workers=2", status=FAILED)
    config = OmegaConf.create({"hydra": {"output_subdir": ".hydra"}})
    first, second = job_returns(records_of(app.study()), {}, config, 2)
    assert [result.return_value for result in first] == [0.0, 2.25]
    assert first[1].overrides == ["mode=raise", "only_at=3", "h=2"]
    assert [(result.cfg.h, result.task_name) for result in (*first, *second)] == [(0.5, "app"), (2, "app"), (3, "app")]
    [failed] = second
    assert failed.status == JobStatus.FAILED
    with pytest.raises(RuntimeError, match="DivergenceError: loss is nan at h=3"):
        _ = failed.return_value
    assert [list(results) for results in job_returns([], {}, config, None)] == [[]]
