"""Steps whose kernels are recorded and repeated: nothing that changes from step to step may be fixed in them."""

import pytest

from tests.engine.test_step_graphs import VARIANTS, assert_same_state, with_graphs
from tests.recorded import record

pytestmark = [pytest.mark.numeric, pytest.mark.slow]

STEPS = 22
MORE = {
    "all at once": [
        "accumulate=2", "contrast.grad_cache=true", "contrast.negatives=20", "contrast.every=2", "augment=ada",
        "augment.kimg=1", "augment.target=0.01", "model=msg", "features=online",
    ],
    "LAFITE": ["model=lafite", "loss=lafite", "accumulate=2"],
    "LAFITE, fp16": ["model=lafite", "precision=fp16"],
    "no mixing": ["model.style_mixing=0"],
    "always mixing": ["model.style_mixing=1"],
    "language-free": ["condition=language_free"],
    "uneven groups": ["batch=12", "model.mbstd_group=3", "accumulate=2", "model.r1_interval=3"],
    "no path lengths": ["model.pl_weight=0", "model.r1_gamma=0"],
}  # fmt: skip


@pytest.mark.parametrize("variant", [*VARIANTS, *MORE])
def test_a_replay_reads_nothing_stale(make_training, variant):
    overrides = (VARIANTS | MORE)[variant]
    graphs, eager = with_graphs(make_training(*overrides), record), make_training(*overrides)
    for step in range(STEPS):
        ours, theirs = graphs.step(step), eager.step(step)
        assert {name: float(value) for name, value in ours.items()} == pytest.approx(
            {name: float(value) for name, value in theirs.items()}, rel=0, abs=0, nan_ok=True
        ), step
    assert graphs.state.watch.fault() == eager.state.watch.fault()
    assert_same_state(graphs, eager)
    assert graphs.state.graphs.failure is None
