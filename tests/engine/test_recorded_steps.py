"""Steps that are recorded on a CPU and repeated: nothing that changes from step to step may be fixed in them.

What Python computes is fixed at the recording, as in a CUDA graph.
"""

import pytest

from clipgan.engine.cpu_graph import CpuCapture
from clipgan.tasks.gan.train_step import due_at
from tests.engine.test_step_graphs import OFTEN, STEPS, assert_same_state, with_graphs

pytestmark = pytest.mark.slow  # not numeric: it compares the bits of one computation with those of the same one

VARIANTS = {
    "default": [],
    "micro-batches": ["accumulate=2"],
    "gradient caching, further targets": ["accumulate=2", "contrast.grad_cache=true", "contrast.negatives=20"],
    "asymmetric, online": ["loss=asymmetric", "features=online", "contrast.every=3"],
    "LAFITE's loss": ["loss=lafite"],
    "adaptive augmentation": ["augment=ada", "augment.kimg=1", "augment.target=0.01"],  # p rises
    "DiffAugment, multi-scale": ["augment=diffaugment", "model=msg"],
    "pairs": ["pairs=add_new_positive"],
    "pseudo-classes": ["pairs=weakly_supervised"],
    "badly fitting captions, mixed": ["pairs=drop_false_negative", "pairs.fraction=0.3", "condition=mixed"],
    "fp16": ["precision=fp16"],
    "bf16": ["precision=bf16"],
    "relativistic, learned temperatures": [
        "adversarial=relativistic", "adversarial.mismatch=1", "loss.temperature.learned=true", "accumulate=2",
    ],
    "projected": [
        "discriminator=projected", "adversarial=hinge", "adversarial.mismatch=1", "model.r1_gamma=1",
        "adversarial.r2_gamma=1", "loss.temperature.learned=true",
    ],
    "LAFITE": ["model=lafite", "loss=lafite", "accumulate=2"],
    "uneven groups": ["batch=12", "model.mbstd_group=3", "accumulate=2", "model.r1_interval=3"],
    "no regularisers, no mixing": ["model.pl_weight=0", "model.r1_gamma=0", "model.style_mixing=0"],
    "all at once": [
        "accumulate=2", "contrast.grad_cache=true", "contrast.negatives=20", "contrast.every=2", "augment=ada",
        "augment.kimg=1", "augment.target=0.01", "model=msg", "features=online",
    ],
}  # fmt: skip


IN_CI = ("fp16", "projected", "LAFITE", "all at once")


@pytest.mark.parametrize(
    "variant", [pytest.param(name, marks=[] if name in IN_CI else pytest.mark.endurance) for name in VARIANTS]
)
def test_a_replay_changes_no_bit(make_training, variant):
    """Nothing stale is read, every block of rows gets the same draws, and every fault of the watch its name."""
    overrides = [*OFTEN, "batch=8", *VARIANTS[variant]]  # two blocks of rows, or one in each micro-batch
    graphs, eager = with_graphs(make_training(*overrides), CpuCapture()), make_training(*overrides)
    for step in range(STEPS):
        ours, theirs = graphs.step(step), eager.step(step)
        assert {name: float(value) for name, value in ours.items()} == pytest.approx(
            {name: float(value) for name, value in theirs.items()}, rel=0, abs=0, nan_ok=True
        ), step
        assert graphs.state.watch._noted == eager.state.watch._noted
    assert graphs.state.watch.fault() == eager.state.watch.fault()
    assert_same_state(graphs, eager)
    assert graphs.graphs._variants.keys() == {due_at(graphs.config, step) for step in range(STEPS)}
    assert graphs.graphs.failure is None
