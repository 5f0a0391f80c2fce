"""The larger and the multi-scale model with each loss structure: two steps, the average, another model's weights."""

import copy
import math
from dataclasses import asdict

import pytest
import torch

from clipgan.base.errors import UserError
from clipgan.engine.checkpoint_file import save_checkpoint
from clipgan.models.losses.adversarial import gradient_penalty
from clipgan.models.networks.scales import scales_of
from clipgan.tasks.gan import regularisers
from clipgan.tasks.gan.initial_weights import read_initial, start_from
from clipgan.tasks.gan.state import new_state
from tests.helpers import make_config
from tests.tiny import tiny

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")
C = 24
SMALL = ("mlflow.tracking_uri=null", "batch=16", "model.channel_max=8", "model.z_dim=16", "model.w_dim=16")


@pytest.fixture
def make_training(make_training):
    return lambda *overrides: make_training(*SMALL, *overrides)


@pytest.mark.parametrize("loss", ["symmetric", "asymmetric", "lafite"])
@pytest.mark.parametrize("model", ["large", "msg"])
def test_two_steps_train_every_layer_and_its_average(make_training, model, loss):
    training = make_training(f"model={model}", f"loss={loss}")
    state = training.state
    before = copy.deepcopy(state)
    for step in (0, 1):  # the first one has both regularisers
        values = training.step(step)
        assert all(math.isfinite(float(value)) for value in values.values())
    for network in ("generator", "discriminator", "generator_ema"):
        old = getattr(before, network).state_dict()
        for name, value in getattr(state, network).state_dict().items():
            if not name.endswith("noise_strength"):  # starts at zero and moves by less than a float may show
                assert not torch.equal(value, old[name]), f"{network} {name}"
    buffers = dict(state.generator.named_buffers())
    assert buffers
    for name, value in state.generator_ema.named_buffers():
        assert torch.equal(value, buffers[name]), name


@pytest.mark.usefixtures("float64")
def test_r1_is_the_mean_over_scales(make_training):
    training = make_training("model=msg")
    state, batch = training.state, training.batches.at(0)
    real = scales_of(batch.images, True).map(lambda x: x.clone().requires_grad_())
    logits = state.discriminator(real, batch.condition).logits
    squares = [
        torch.autograd.grad(logits.sum(), scale, retain_graph=True)[0].square().sum() / 16 for scale in real.all()
    ]
    assert len(squares) == 3  # 16, 8 and 4 pixels
    assert min(squares) > 0
    expected = sum(squares) / 3
    torch.testing.assert_close(gradient_penalty(logits, real.all()), expected)
    values = regularisers.gradient_penalty_step(copy.deepcopy(state), batch, training.objective, None)
    torch.testing.assert_close(values["loss/r1"], expected)


@pytest.fixture
def trained(tmp_path):
    def save(*overrides):
        config = make_config(*tiny(tmp_path, *SMALL, "resolution=32", "seed=7", *overrides))
        state = new_state(config, C, CPU).state_dict()
        content = {"state": state, "history": [], "train_seconds": 0.0, "config": asdict(config)}
        save_checkpoint(tmp_path / "trained.pt", content)
        return state

    return save


def start(tmp_path, *overrides):
    config = make_config(*tiny(tmp_path, *SMALL, f"init={tmp_path}/trained.pt", *overrides))
    state = new_state(config, C, CPU)
    start_from(state, read_initial(config), config)
    return state


@pytest.mark.exact
def test_a_multi_scale_model_starts_from_one_of_another_resolution(trained, tmp_path):
    source = trained("model=msg")["discriminator"]
    state = start(tmp_path, "model=msg", "resolution=64")
    ours = state.discriminator.state_dict()
    for number in range(3):  # 16, 8 and 4 pixels
        assert torch.equal(ours[f"combine.{number + 1}.weight"], source[f"combine.{number}.weight"])
        assert torch.equal(ours[f"blocks.{number + 1}.conv.weight"], source[f"blocks.{number}.conv.weight"])
    assert not torch.equal(ours["combine.0.weight"], source["combine.0.weight"])


@pytest.mark.exact
def test_freeze_d_counts_the_layers_that_join_scales(trained, tmp_path):
    trained("model=msg")
    state = start(tmp_path, "model=msg", "resolution=32", "freeze_d=6")
    frozen = {name for name, value in state.discriminator.named_parameters() if not value.requires_grad}
    layers = {name.rpartition(".")[0] for name in frozen}
    assert layers == {"from_rgb", "blocks.0.conv", "blocks.0.down", "blocks.0.skip", "combine.0", "blocks.1.conv"}
    with pytest.raises(UserError, match=r"freeze_d=14 .* from 0 to 13 at resolution=32"):
        start(tmp_path, "model=msg", "resolution=32", "freeze_d=14")


@pytest.mark.exact
@pytest.mark.parametrize(
    ("model", "setting"), [("msg", r"model\.multi_scale=True there, False"), ("large", r"model\.channel_multiplier=2")]
)
def test_weights_of_another_form_are_refused(trained, tmp_path, model, setting):
    trained(f"model={model}")
    with pytest.raises(UserError, match=setting):
        start(tmp_path, "resolution=32")


@pytest.mark.exact
def test_weights_that_an_earlier_version_has_written_fit(trained, tmp_path):
    state = trained()
    config = make_config(*tiny(tmp_path, *SMALL, "resolution=32", "seed=7"))
    model = {
        key: value
        for key, value in asdict(config.model).items()
        if key not in ("channel_multiplier", "mapping_multiplier", "multi_scale")
    }
    content = {"state": state, "history": [], "train_seconds": 0.0, "config": asdict(config) | {"model": model}}
    save_checkpoint(tmp_path / "trained.pt", content)
    assert torch.equal(
        start(tmp_path, "resolution=32").generator.synthesis.constant, state["generator_ema"]["synthesis.constant"]
    )
