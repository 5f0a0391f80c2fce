"""torch.compile: the same step, with the lazy regularisers outside of the graphs."""

import pytest
import torch
from torch._dynamo.utils import counters

from clipgan.base.errors import UserError
from clipgan.tasks.gan.compiled import compile_networks
from tests.helpers import make_config
from tests.numeric import rounding
from tests.tiny import tiny

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")
SMALL = ("resolution=8", "batch=4", "precision=fp32", "mlflow.tracking_uri=null", "model.channel_max=4")


@pytest.fixture
def make_training(make_training):
    def make(*overrides):
        training = make_training(*SMALL, *overrides)
        for optimizer in (training.state.generator_optimizer, training.state.discriminator_optimizer):
            optimizer.param_groups[0]["eps"] = 1e-2  # Adam's first step is the gradient's sign, which rounding turns
        return training

    torch.compiler.reset()
    counters.clear()
    yield make
    torch.compiler.reset()


def assert_same_steps(compiled, plain):
    """A step with both regularisers, and one without."""
    for step in (0, 1):
        ours, theirs = (training.step(step) for training in (compiled, plain))
        assert ours.keys() == theirs.keys()
        assert {"loss/r1", "loss/path_length"} <= ours.keys() or step == 1
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[plain.config.precision]
        near = rounding(1000 if dtype == torch.float32 else 20, dtype)  # sums over layers, or what is kept of them
        for name in theirs.keys() - {"logits/real_sign"}:  # a sign turns by any rounding
            torch.testing.assert_close(
                ours[name], theirs[name], rtol=near, atol=near, msg=lambda text, name=name: f"{name}: {text}"
            )


@pytest.mark.exact
@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        (),
        pytest.param(("model=lafite", "precision=bf16"), marks=pytest.mark.endurance),
        pytest.param(("model=msg", "augment=ada"), marks=pytest.mark.endurance),
    ],
    ids=["own, fp32", "LAFITE's, bf16", "multi-scale, augmented"],
)
def test_a_traced_step_is_the_step(make_training, overrides):
    """PyTorch's tracer and autograd without its code generator, which takes minutes: no graph breaks in any network."""
    small = [*SMALL[1:], "model.z_dim=16", "model.w_dim=16", "model.channel_base=64"] if overrides else []
    compiled, plain = make_training(*overrides, *small), make_training(*overrides, *small)
    if "augment=ada" in overrides:
        for training in (compiled, plain):
            training.state.augmentation.p.fill_(0.5)
    compile_networks(compiled.state, compiled.objective.spaces, "default", backend="aot_eager")
    assert_same_steps(compiled, plain)
    assert counters["stats"]["unique_graphs"] >= 5  # mapping, synthesis, D, two encoders
    assert not counters["graph_break"]


@pytest.mark.endurance
def test_a_compiled_step_is_the_step(make_training):
    assert_same_steps(make_training("compile=default"), make_training())


@pytest.mark.exact
def test_unknown_mode(cache_dir):
    with pytest.raises(UserError, match="compile=fast is not allowed: compile must be one of default,"):
        make_config(*tiny(cache_dir, "compile=fast"))
