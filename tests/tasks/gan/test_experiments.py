"""The shipped experiments: the settings of the source notes, and one small real training step of each."""

import math
from dataclasses import replace

import pytest
import torch
from hydra import compose, initialize_config_dir

from clipgan.tasks.gan.preparation import prepare
from clipgan.tasks.gan.training import Training
from tests.helpers import ROOT, make_config
from tests.tiny import tiny

OTHERS = ("quick", "study", "simclr_imagenet")
NOTES = sorted(path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml") if path.stem not in OTHERS)
LAFITES = ("lafite_coco", "origin_vit_b32", "clip_vit_b16", "modified_vit_l14_336")  # on 4 GPUs with 16 images each
FIGURES = {
    "lafite_coco": ("20.7419 at 2000 kimg", "16.7978 at 3000 kimg"),
    "origin_vit_b32": ("20.7419 at 2000 kimg", "16.7978 at 3000 kimg"),
    "modified_vit_l14_336": ("17.0790 at 2300 kimg",),
    "asymmetric_online": ("7 m 05 s", "1.042"),
    "asymmetric_preprocessed": ("6 m 30 s", "0.918"),
    "symmetric_online": ("7 m 23 s", "1.042"),
    "symmetric_preprocessed": ("6 m 57 s", "0.941"),
}
SMALL = (
    "data=shapes",
    "data.x_flip=false",
    "clip=tiny",
    "resnet=tiny",
    "metrics=fid2k_clip_tiny64",
    "model.z_dim=16",
    "model.w_dim=16",
    "model.text_dim=16",
    "model.mapping_layers=1",
    "device=cpu",
    "threads=1",
    "mlflow.tracking_uri=null",
)


@pytest.mark.parametrize("name", NOTES)
def test_the_schedule_is_the_notes(name):
    config = make_config(f"experiment={name}", "data.path=COCO")
    assert (config.data.name, config.resolution, config.kimg) == ("coco", 256, 25000)
    assert config.model.r1_gamma == 10
    assert config.batch == (64 if name in ("contrast_batch", *LAFITES) else 16)
    alone = config.model.lafite is not None and config.model.lafite.contrast == "process"
    assert (config.processes, alone) == ((4, True) if name in LAFITES else (1, False))
    assert (config.metrics.extractor, config.metrics.n_images) == ("inception", 30000)
    assert config.resnet.name == "resnet50"
    assert 2000 % config.snapshot_kimg == 2300 % config.snapshot_kimg == 0  # the kimg of the notes' figures have one


def test_a_larger_model_differs_in_nothing_else():
    larger, other = (
        make_config(f"experiment={name}", "data.path=COCO") for name in ("large_capacity", "symmetric_preprocessed")
    )
    assert larger.contrast.grad_cache  # micro-batches contrast over the whole batch
    assert replace(larger, model=other.model, accumulate=other.accumulate, contrast=other.contrast) == other


@pytest.mark.parametrize("name", NOTES)
def test_the_comment_has_the_expected_metric(name):
    text = (ROOT / "conf" / "experiment" / f"{name}.yaml").read_text()
    assert "# Expected: " in text
    for figure in FIGURES.get(name, ("no figure",)):
        assert figure in text


@pytest.mark.parametrize("axis", ["C_it", "C_ii", "h"])
def test_tuned_keys_are_axes_of_the_sweep(axis):
    def params(*overrides):
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return compose("config", overrides=list(overrides), return_hydra_config=True).hydra.sweeper.params

    assert params(f"experiment=tune_{axis}", "data.path=COCO") == params(f"grid={axis}")


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTES)
def test_a_step_of_each_in_small(name, cache_dir, tmp_path):
    whole = make_config(f"experiment={name}", "data.path=COCO")
    config = make_config(f"experiment={name}", *tiny(cache_dir, *SMALL, f"batch={whole.batch}"))
    assert (config.loss, config.accumulate, config.features) == (whole.loss, whole.accumulate, whole.features)
    cpu = torch.device("cpu")
    training = Training(config, tmp_path, prepare(config, cpu), cpu, report=None)
    first = next(training.state.generator.synthesis.parameters())
    before = first.clone()
    values = training.step(0)
    assert all(math.isfinite(float(value)) for value in values.values())
    spaces = {key.split("/")[1] for key in values if key.startswith("G/")}
    assert spaces == set(config.loss.generator)
    assert not torch.equal(first, before)
