"""A pretrained encoder as a GAN's ResNet space."""

import pytest
import torch
from mlflow import MlflowClient

from clipgan.base.errors import UserError
from clipgan.inputs.encoders.frozen import weights_digest
from clipgan.inputs.encoders.tiny.tiny_resnet import TinyResNet
from clipgan.tasks.gan.preparation import prepare
from clipgan.tasks.gan.training import Training
from clipgan.tasks.simclr.pretrained import PREFIX, load_pretrained
from clipgan.tasks.train import train
from tests.helpers import make_config
from tests.tiny import tiny, tiny_simclr

CPU = torch.device("cpu")


@pytest.mark.slow
def test_the_youngest_run_or_a_named_one_or_a_file(cache_dir, tmp_path, mlflow_store):
    mlflow = f"mlflow.tracking_uri={mlflow_store(tmp_path / 'mlflow.db')}"
    run = train(make_config(*tiny_simclr(cache_dir, "epochs=1", mlflow)), tmp_path / "run")
    assert run.unit == "epoch"
    run_id = (tmp_path / "run" / "mlflow_run_id.txt").read_text().strip()
    path = tmp_path / "run" / "checkpoint-000001.pt"
    frozen = load_pretrained(path, "float32")
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    features = frozen.encode_image(images)
    network = torch.load(path, weights_only=True)["state"]["network"]
    encoder = {name.removeprefix(PREFIX): network[name] for name in network if name.startswith(PREFIX)}
    trained = TinyResNet()
    trained.load_state_dict(encoder)
    assert frozen.weights == weights_digest(trained)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(3))
    settings = [text for text in tiny(cache_dir) if not text.startswith("resnet.")]
    for given in ("resnet.run=latest", f"resnet.run={run_id}", f"resnet.checkpoint={path}"):
        config = make_config(*settings, "resnet=simclr", given, mlflow)
        prepared = prepare(config, CPU)
        assert prepared.resnet.key == frozen.key
        torch.testing.assert_close(prepared.resnet.encode_image(images), features)
    assert torch.isfinite(Training(config, tmp_path / "gan", prepared, CPU, None).step(0)["G/ResNet/ii"])
    with pytest.raises(UserError, match=r"resnet\.run=abc: MLflow .* did not return this run"):
        prepare(make_config("resnet=simclr", "resnet.run=abc", mlflow, f"cache_dir={cache_dir}"), CPU)


def test_missing_encoders_are_refused(cache_dir, tmp_path):
    def ask(*overrides):
        prepare(make_config("resnet=simclr", "data.n_train=96", "data.n_heldout=32", f"cache_dir={cache_dir}",
                            "resolution=16", *overrides), CPU)  # fmt: skip

    with pytest.raises(UserError, match=r"resnet\.run=latest: there is no MLflow at sqlite:.*none\.db"):
        ask(f"mlflow.tracking_uri=sqlite:///{tmp_path}/none.db")
    with pytest.raises(UserError, match=r"needs MLflow.*resnet\.checkpoint=FILE"):
        ask("mlflow.tracking_uri=null")
    with pytest.raises(UserError, match=r"resnet\.run=null is not allowed"):
        ask("resnet.run=null")
    with pytest.raises(UserError, match=r"resnet\.run=x is not allowed: .*null for resnet=tiny"):
        make_config("+resnet.run=x")


@pytest.mark.slow
def test_a_run_goes_on_with_the_pretraining_that_it_began_with(cache_dir, tmp_path, mlflow_store, capfd):
    uri = mlflow_store(tmp_path / "mlflow.db")
    mlflow = f"mlflow.tracking_uri={uri}"

    def pretrain(name):
        train(make_config(*tiny_simclr(cache_dir, "epochs=1", f"seed={len(name)}", mlflow)), tmp_path / name)
        return (tmp_path / name / "mlflow_run_id.txt").read_text().strip()

    def go_on(kimg, *given):
        settings = [text for text in tiny(cache_dir) if not text.startswith("resnet.")]
        config = make_config(*settings, "resnet=simclr", f"kimg={kimg}", mlflow, *given)
        return train(config, tmp_path / "gan")

    first, file = pretrain("a"), tmp_path / "a" / "checkpoint-000001.pt"
    recorded = torch.load(go_on(1).checkpoint, weights_only=True)["resnet"]
    assert recorded == {"run": first, "file": str(file)}
    run_id = (tmp_path / "gan" / "mlflow_run_id.txt").read_text().strip()
    params = MlflowClient(uri).get_run(run_id).data.params
    assert (params["resnet/run"], params["resnet/file"]) == (first, str(file))
    second = pretrain("second")
    assert torch.load(go_on(2).checkpoint, weights_only=True)["resnet"] == recorded
    moved = file.rename(file.with_name("checkpoint-000002.pt"))  # the run has trained on, and dropped the old file
    go_on(3)
    assert f"the encoder of run {first}, {moved}" in capfd.readouterr().out
    with pytest.raises(UserError, match=rf"resnet\.run={first} there, {second} here; resume=none starts over"):
        go_on(4, f"resnet.run={second}")
    (tmp_path / "a").rename(tmp_path / "kept")
    lost = rf"^resnet\.run={first}, which .*gan/checkpoint-000003\.pt began with: the run's directory .* no checkpoint"
    with pytest.raises(UserError, match=lost):
        go_on(4)
    go_on(4, f"resnet.checkpoint={tmp_path / 'kept' / moved.name}")
