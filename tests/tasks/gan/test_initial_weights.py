"""Starting from another run's weights: which tensors are copied, which do not fit, which files are refused."""

import copy
from dataclasses import asdict

import pytest
import torch

from clipgan.base.errors import UserError
from clipgan.config import MlflowConfig
from clipgan.engine.checkpoint_file import checkpoint_path, load_checkpoint, save_checkpoint
from clipgan.models.networks.scales import Scales
from clipgan.tasks.gan.initial_weights import read_initial, start_from
from clipgan.tasks.gan.state import new_state
from clipgan.tasks.train import train
from clipgan.tracking.mlflow_run import RUN_ID_FILE
from clipgan.tracking.run_description import RunDescription
from clipgan.tracking.run_log import RunLog

CPU = torch.device("cpu")
C = 24  # width of the CLIP of these tests


@pytest.fixture
def trained(configure, tmp_path):
    """A checkpoint whose G, average and D differ from each other and from a fresh state."""
    config = configure("seed=7", "resolution=32")
    state = new_state(config, C, CPU)
    with torch.no_grad():
        for index, parameter in enumerate(state.generator_ema.parameters()):
            parameter.add_(0.01 * (index + 1))
        state.generator_ema.mapping.w_average.fill_(0.3)
    path = tmp_path / "trained.pt"
    content = {"state": state.state_dict(), "history": [(3, 1.0)], "train_seconds": 9.0, "config": asdict(config)}
    save_checkpoint(path, content)
    return path


def start(config, clip_dim=C):
    state = new_state(config, clip_dim, CPU)
    drawn = copy.deepcopy(state)
    start_from(state, read_initial(config), config)
    return state, drawn


def assert_equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert torch.equal(ours[name], value), name


def test_the_average_becomes_both_generators_and_nothing_else_is_taken(configure, trained):
    state, _ = start(configure("resolution=32", f"init={trained}"))
    source = load_checkpoint(trained, CPU)["state"]
    assert_equal(state.generator.state_dict(), source["generator_ema"])
    assert_equal(state.generator_ema.state_dict(), source["generator_ema"])
    assert_equal(state.discriminator.state_dict(), source["discriminator"])
    assert all(not torch.equal(value, source["generator"][name]) for name, value in state.generator.named_parameters())
    assert (state.step, float(state.path_length_mean)) == (0, 0)
    assert not state.generator_optimizer.state


@pytest.mark.parametrize(("resolution", "new_ups", "d_blocks"), [(64, [3], {1: 0, 2: 1, 3: 2}), (16, [], {0: 1, 1: 2})])
def test_another_resolution_shares_the_layers_up_to_the_lower(
    configure, trained, capsys, resolution, new_ups, d_blocks
):
    state, drawn = start(configure(f"resolution={resolution}", f"init={trained}"))
    source = load_checkpoint(trained, CPU)["state"]
    for name, value in state.generator.state_dict().items():
        is_new = any(name.startswith(f"synthesis.{kind}.{up}.") for kind in ("ups", "convs", "rgbs") for up in new_ups)
        expected = drawn.generator.state_dict() if is_new else source["generator_ema"]
        assert torch.equal(value, expected[name]), name
    assert_equal(state.generator_ema.state_dict(), state.generator.state_dict())
    blocks = {f"blocks.{ours}.": f"blocks.{theirs}." for ours, theirs in d_blocks.items()}
    for name, value in state.discriminator.state_dict().items():
        prefix = name[: len("blocks.0.")]
        if name.startswith("from_rgb.") or (prefix.startswith("blocks.") and prefix not in blocks):
            expected = drawn.discriminator.state_dict()[name]
        else:
            expected = source["discriminator"][blocks.get(prefix, prefix) + name.removeprefix(prefix)]
        assert torch.equal(value, expected), name
    said = capsys.readouterr().out
    assert "new layers: from_rgb" in said
    source_g = len(source["generator_ema"])
    taken = source_g - 14 if resolution == 16 else source_g  # two styled layers of 5 tensors and RGB's 4
    assert f"G starts from {taken} of {source_g} tensors" in said
    assert ("synthesis.ups.3" in said) == (resolution == 64)


def test_another_clip_width_leaves_the_layers_of_the_embedding_new(configure, trained, capsys):
    state, drawn = start(configure("resolution=32", "clip.name=other", f"init={trained}"), clip_dim=C + 8)
    source = load_checkpoint(trained, CPU)["state"]
    new = {"text_code.layers.0.weight", "text_projection.weight", "semantic.weight", "semantic.bias"}
    for network, theirs in (("generator", "generator_ema"), ("discriminator", "discriminator")):
        before = getattr(drawn, network).state_dict()
        for name, value in getattr(state, network).state_dict().items():
            assert torch.equal(value, before[name] if name in new else source[theirs][name]), name
    said = capsys.readouterr().out
    assert "new layers: text_code.layers.0" in said
    assert "trained with clip=tiny, this is clip=other" in said


def test_other_widths_are_refused_with_the_settings_that_fit(configure, trained):
    config = configure("resolution=32", "model.channel_base=128", "model.z_dim=32", f"init={trained}")
    with pytest.raises(UserError, match=r"other widths.*start from it with model\.z_dim=64 model\.channel_base=64"):
        read_initial(config)


LAFITE = ("model=lafite", "model.z_dim=16", "model.w_dim=16", "model.text_dim=16")


def test_lafite_from_another_resolution(configure, tmp_path):
    config = configure(*LAFITE, "resolution=16", "seed=7")
    source = new_state(config, C, CPU).state_dict()
    content = {"state": source, "history": [], "train_seconds": 0.0, "config": asdict(config)}
    save_checkpoint(tmp_path / "lafite.pt", content)
    state, drawn = start(configure(*LAFITE, "resolution=32", f"init={tmp_path}/lafite.pt"))
    new = {"generator": "synthesis.blocks.32.", "discriminator": ("from_rgb.", "blocks.32.")}
    for network, prefix in new.items():
        before = getattr(drawn, network).state_dict()
        for name, value in getattr(state, network).state_dict().items():
            expected = before if name.startswith(prefix) else source[network]
            assert torch.equal(value, expected[name]), name


def test_another_architecture_is_refused(configure, trained):
    with pytest.raises(UserError, match=r"has this project's own networks, model=lafite has LAFITE's.*model=tiny"):
        read_initial(configure(*LAFITE, "resolution=32", f"init={trained}"))


def test_files_that_are_no_checkpoints_are_refused(configure, tmp_path):
    with pytest.raises(UserError, match=r"init=/nowhere\.pt does not exist.*mlflow:RUN_ID"):
        read_initial(configure("init=/nowhere.pt"))
    torch.save({"some": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(UserError, match="not from this project"):
        read_initial(configure(f"init={tmp_path}/other.pt"))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["init=a.pt", "resume=b.pt"], "init=a.pt is not allowed: .*null with resume=b.pt"),
        (["init='mlflow:'"], "init=mlflow: is not allowed"),
        (["init=mlflow:abc", "mlflow.tracking_uri=null"], "a file where mlflow.tracking_uri=null"),
        (["freeze_d=2"], "freeze_d=2 is not allowed: freeze_d must be 0 without init"),
        (["init=a.pt", "freeze_d=8"], "freeze_d=8 .* from 0 to 7 at resolution=16"),
    ],
)
def test_combinations_that_make_no_sense_are_refused(configure, overrides, words):
    with pytest.raises(UserError, match=words):
        configure(*overrides)


def test_freeze_d_keeps_the_first_layers_and_trains_the_rest(configure, trained, cache_dir):
    config = configure("resolution=32", f"init={trained}", "freeze_d=5")  # from RGB, a block, a convolution
    state, _ = start(config)
    parameters = state.discriminator.named_parameters()
    frozen = {name.rpartition(".")[0] for name, value in parameters if not value.requires_grad}
    assert frozen == {"from_rgb", "blocks.0.conv", "blocks.0.down", "blocks.0.skip", "blocks.1.conv"}
    images, text = torch.randn(4, 3, 32, 32), torch.randn(4, C)
    before = copy.deepcopy(state.discriminator.state_dict())
    state.train_discriminator(False)
    assert not any(parameter.requires_grad for parameter in state.discriminator.parameters())
    state.train_discriminator(True)
    judged = state.discriminator(Scales(images), text)
    (judged.logits.sum() + judged.semantic.square().sum()).backward()
    state.discriminator_optimizer.step()
    for name, value in state.discriminator.state_dict().items():
        assert torch.equal(value, before[name]) == (name.rpartition(".")[0] in frozen), name


def test_freeze_d_freezes_no_random_layer(configure, trained):
    with pytest.raises(UserError, match=r"freeze_d=1 would keep layers .*\(from_rgb\)"):
        start(configure("resolution=16", f"init={trained}", "freeze_d=1"))


@pytest.fixture
def logged_run(trained, tmp_path):
    """A run in MLflow whose directory has two checkpoints, the earlier one with the lower FID."""
    mlflow = MlflowConfig(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db", experiment="test")
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    log = RunLog(run_dir, mlflow, RunDescription("a run", ""), {}, None)
    content = load_checkpoint(trained, CPU) | {"history": [(0, 9.0), (1, 2.0), (2, 3.0)]}
    save_checkpoint(checkpoint_path(run_dir, 1), content)
    save_checkpoint(checkpoint_path(run_dir, 2), content)
    log.finish("FINISHED")
    return (run_dir / RUN_ID_FILE).read_text().strip(), mlflow.tracking_uri, run_dir


def test_a_run_of_mlflow_gives_its_best_checkpoint_or_one_message(configure, logged_run, tmp_path):
    run_id, uri, run_dir = logged_run

    def read(run):
        return read_initial(configure("resolution=32", f"init=mlflow:{run}", f"mlflow.tracking_uri={uri}"))

    weights = read(run_id)
    assert weights.path == run_dir / "checkpoint-000001.pt"
    assert_equal(weights.generator, load_checkpoint(weights.path, CPU)["state"]["generator_ema"])
    newest = run_dir / "checkpoint-000002.pt"
    content = load_checkpoint(newest, CPU)
    maximised = copy.deepcopy(content["config"])
    maximised["metrics"]["objective"] = "accuracy"
    save_checkpoint(newest, content | {"config": maximised, "history": [(0, 1.0), (1, 2.0), (2, 3.0)]})
    assert read(run_id).path == newest
    save_checkpoint(newest, content)
    with pytest.raises(UserError, match=r"init=mlflow:0123: MLflow at sqlite.* did not return this run .*0123"):
        read("0123")
    weights.path.unlink()
    with pytest.raises(
        UserError, match=rf"init=mlflow:{run_id}: .* best checkpoint \(2 at 1 kimg; .* init={run_dir}/check.*2\.pt"
    ):
        read(run_id)
    (run_dir / "mlflow_run_id.txt").write_text("another\n")
    with pytest.raises(UserError, match=f"directory {run_dir} belongs to another run by now"):
        read(run_id)
    for path in run_dir.glob("checkpoint-*"):
        path.unlink()
    with pytest.raises(UserError, match=f"directory {run_dir} holds no checkpoint"):
        read(run_id)
    run_dir.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=f"directory {run_dir} is not on this machine"):
        read(run_id)
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    parent = client.create_run(client.get_experiment_by_name("test").experiment_id).info.run_id
    with pytest.raises(UserError, match="a sweep's own"):
        read(parent)


@pytest.mark.slow
def test_a_training_starts_from_a_run_and_resumes_as_itself(configure, tmp_path):
    def state(run, kimg):
        return load_checkpoint(checkpoint_path(tmp_path / run, kimg), CPU)

    train(configure("kimg=1", "loss=lafite"), tmp_path / "first")
    first = (tmp_path / "first" / "mlflow_run_id.txt").read_text().strip()
    best_kimg, _ = min(state("first", 1)["history"], key=lambda entry: entry[1])
    average = state("first", best_kimg)["state"]["generator_ema"]
    config = configure("kimg=1", "loss=lafite", "seed=5", f"init=mlflow:{first}", "freeze_d=1")
    train(config, tmp_path / "second")
    second = state("second", 1)
    assert second["state"]["step"] == 11  # 1 kimg at batch 96: its own schedule
    assert torch.equal(
        second["state"]["discriminator"]["from_rgb.weight"],
        state("first", best_kimg)["state"]["discriminator"]["from_rgb.weight"],
    )
    moved = second["state"]["generator_ema"]["synthesis.constant"] - average["synthesis.constant"]
    assert 0 < moved.abs().max() < 0.5
    for path in (tmp_path / "first").glob("checkpoint-*"):
        path.unlink()  # a run that goes on needs them no more
    train(
        configure("kimg=2", "loss=lafite", "seed=5", f"init=mlflow:{first}", "freeze_d=1"),
        tmp_path / "second",
    )
    assert state("second", 2)["state"]["step"] == 21
