"""FID: torch-fidelity's own command line on PNGs of the same images, a closed form, and the name it carries."""

import copy
import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from clipgan.conditions import prompts
from clipgan.config import ConditionConfig
from clipgan.metrics.fid import Fid, GeneratedImages, RealImages, evenly, to_uint8
from clipgan.metrics.inception import find_inception_weights
from clipgan.prepare import prepare
from clipgan.training.state import new_state
from tests.helpers import ROOT, make_config
from tests.tiny import tiny

CPU = torch.device("cpu")


class Images(TensorDataset):
    def __getitem__(self, index):
        return super().__getitem__(index)[0]


def write_pngs(folder, images):
    folder.mkdir()
    for index, image in enumerate(images):
        Image.fromarray(np.asarray(image).transpose(1, 2, 0)).save(folder / f"{index:04d}.png")


def command_line(extractor_code, arguments):
    """torch-fidelity's CLI, in a process of its own, after a line that makes an extractor known."""
    code = f"{extractor_code}\nfrom torch_fidelity.fidelity import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, "--fid", "--json", "--silent", "--save-cpu-ram", "--cpu", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(result.stdout[result.stdout.index("{") :])["frechet_inception_distance"]


def heldout_prompts(prepared):
    return prompts(prepared.features.heldout, ConditionConfig(), 0)


def fid_of(metrics, prepared):
    conditions = heldout_prompts(prepared)
    return Fid(metrics, prepared.data, "heldout", conditions, prepared.judge, prepared.cache_dir, CPU)


@pytest.fixture(scope="module")
def setting(cache_dir):
    config = make_config(*tiny(cache_dir))
    prepared = prepare(config, CPU)
    fid = fid_of(config.metrics, prepared)
    generator = new_state(config, prepared.clip.dim, CPU).generator_ema
    return config, prepared, fid, generator


def test_the_stand_in_carries_its_own_name(setting):
    assert setting[2].key == "fid_clip_tiny"


@pytest.mark.slow
def test_command_line_on_pngs_agrees(setting, tmp_path, cache_dir):
    _, prepared, fid, generator = setting
    value = fid(generator, seed=3)
    generated = GeneratedImages(generator, heldout_prompts(prepared), 32, 3, CPU)
    write_pngs(tmp_path / "fake", [generated[index] for index in range(32)])
    write_pngs(tmp_path / "real", prepared.data.heldout.images)
    overrides = tiny(cache_dir)
    register = (
        "import torch\nfrom tests.helpers import make_config\nfrom clipgan.prepare import prepare\n"
        "from clipgan.metrics.fid import register_clip_extractor\n"
        f"register_clip_extractor(prepare(make_config(*{overrides!r}), torch.device('cpu')).judge)"
    )
    arguments = ["--input1", str(tmp_path / "fake"), "--input2", str(tmp_path / "real"), "--no-cache"]
    expected = command_line(register, [*arguments, "--feature-extractor", fid.extractor])
    assert value > 0
    assert value == pytest.approx(expected, rel=1e-3)


@pytest.mark.slow
def test_inception_from_a_file_agrees_with_the_command_line(setting, tmp_path, cache_dir):
    """The real architecture with random weights of a useful scale: the path is real, the figure means nothing."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

    class Untrained(FeatureExtractorInceptionV3):
        def load_state_dict(self, state_dict, *_):
            return None

    weights = tmp_path / "inception.pth"
    torch.manual_seed(0)
    torch.save({}, weights)
    network = Untrained("untrained", ["2048"], feature_extractor_weights_path=str(weights))
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    torch.save(network.state_dict(), weights)
    assert "inception-v3-compat" in FEATURE_EXTRACTORS_REGISTRY

    overrides = tiny(cache_dir, "metrics=fid", f"metrics.inception_weights={weights}", "metrics.n_images=12")
    overrides = [text for text in overrides if not text.startswith("metrics.judge")]
    config, prepared = make_config(*overrides), setting[1]
    fid = Fid(config.metrics, prepared.data, "heldout", heldout_prompts(prepared), None, tmp_path / "cache", CPU)
    assert fid.key == "fid"
    first, second = prepared.data.train.images[:12], prepared.data.heldout.images[:12]
    value = fid.between(Images(torch.from_numpy(first.copy())), Images(torch.from_numpy(second.copy())))
    write_pngs(tmp_path / "first", first)
    write_pngs(tmp_path / "second", second)
    expected = command_line("", [
        "--input1", str(tmp_path / "first"), "--input2", str(tmp_path / "second"), "--no-cache",
        "--feature-extractor-weights-path", str(weights),
    ])  # fmt: skip
    assert value > 0
    assert value == pytest.approx(expected, rel=1e-3)


def test_frechet_distance_of_the_extractors_features(setting):
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) in float64, from the judge's features."""
    import scipy.linalg

    _, prepared, fid, _ = setting
    sets = [prepared.data.train.images[:80], prepared.data.heldout.images]
    features = []
    for images in sets:
        with torch.no_grad():
            scaled = torch.from_numpy(images.copy()).float() / 127.5 - 1
            features.append(prepared.judge.encode_image(scaled).double().numpy())
    (m1, m2), (s1, s2) = [f.mean(0) for f in features], [np.cov(f, rowvar=False) for f in features]
    expected = np.square(m1 - m2).sum() + np.trace(s1 + s2 - 2 * scipy.linalg.sqrtm(s1 @ s2).real)
    value = fid.between(*(Images(torch.from_numpy(images.copy())) for images in sets))
    assert value == pytest.approx(expected, rel=2e-2, abs=1e-5)  # singular covariances: sqrtm is good to this


def test_real_against_itself_is_zero(setting):
    _, prepared, fid, _ = setting
    real = RealImages(prepared.data.heldout, 32)
    assert fid.between(real, real) == pytest.approx(0, abs=1e-4)


def test_the_value_is_repeatable_and_independent_of_the_batch(setting):
    config, prepared, fid, untrained = setting
    generator = copy.deepcopy(untrained)
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):  # zero in an untrained network, which would hide the noise
            parameter.fill_(0.5)
    other = dataclasses.replace(config.metrics, batch=5)
    smaller = fid_of(other, prepared)
    assert fid(generator, 0) == fid(generator, 0)
    assert smaller(generator, 0) == pytest.approx(fid(generator, 0), rel=1e-4)
    assert abs(fid(generator, 1) / fid(generator, 0) - 1) > 1e-4


def test_a_changed_data_set_is_not_served_the_old_statistics(setting, cache_dir):
    _, _, fid, _ = setting
    config = make_config(*tiny(cache_dir, "data.seed=5"))
    prepared = prepare(config, CPU)
    other = fid_of(config.metrics, prepared)
    assert other.real_name != fid.real_name


def test_images_are_evenly_chosen():
    assert evenly(10, 5).tolist() == [0, 2, 4, 6, 8]
    assert evenly(3, 8).tolist() == [0, 1, 2]


def test_pixels_are_rounded_into_range():
    assert to_uint8(torch.tensor([-2.0, -1, 0, 1, 2])).tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize("content", [None, b"no weights", {"a": torch.zeros(1)}])
def test_wrong_inception_weights_are_one_message(tmp_path, content):
    from clipgan.errors import UserError

    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(UserError, match=r"metrics\.inception_weights"):
        find_inception_weights(str(path))
