"""The whole measurement: what is there, that it repeats, and that batch size and ranks change nothing."""

import copy
import dataclasses
import json
import socket

import pytest
import torch
from torch.utils.data import TensorDataset

from clipgan.base.checksums import file_digest
from clipgan.base.errors import UserError
from clipgan.metrics.evaluation import Evaluation
from clipgan.metrics.generated import CHUNK, PIXELS, generate
from clipgan.metrics.measure import load_measure
from clipgan.metrics.prompts import evenly
from clipgan.tasks.gan.preparation import prepare
from clipgan.tasks.gan.state import new_state
from tests import warm
from tests.helpers import make_config
from tests.numeric import in_float64, prepare_in_float64
from tests.tiny import tiny

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")
EIGEN = 1e-6  # FID takes square roots of eigenvalues, of which those that are zero are found to 1e-16
ALL = ("metrics.n_images=120", "metrics.accuracy=end", "metrics.fid_sd=snapshot")


class Images(TensorDataset):
    def __getitem__(self, index):
        return super().__getitem__(index)[0]


def evaluation_of(config, prepared, **metrics):
    config = dataclasses.replace(config, metrics=dataclasses.replace(config.metrics, **metrics))
    judge = None if config.metrics.judge is None else prepared.judge
    made = Evaluation(config, prepared.data, prepared.features, judge, prepared.clip, prepared.cache_dir, CPU)
    conditions = made.prompts.conditions.to(torch.get_default_dtype())
    made.prompts = dataclasses.replace(made.prompts, conditions=conditions)
    return made


def generator_of(config, prepared):
    generator = new_state(config, prepared.clip.dim, CPU).generator_ema
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):  # zero in an untrained network, which would hide the noise
            parameter.fill_(0.5)
    return generator


@pytest.fixture(scope="module")
def setting(cache_dir):
    config = make_config(*tiny(cache_dir, *ALL))
    prepared = prepare(config, CPU)
    return config, prepared, generator_of(config, prepared)


@pytest.fixture(scope="module")
def exactly(setting):
    """The setting in float64, and all its figures."""
    config = setting[0]
    with in_float64():
        prepared = prepare_in_float64(config)
        generator = generator_of(config, prepared)
        return config, prepared, generator, evaluation_of(config, prepared)(generator, last=True)


def test_snapshots_have_some_figures_and_the_end_all(setting):
    config, prepared, generator = setting
    evaluation = evaluation_of(config, prepared, r_precision_hard="end")
    snapshot, end = (evaluation(generator, last) for last in (False, True))
    assert evaluation.key == "fjd120_real32_clip_tiny64"  # there are captions
    assert set(snapshot) == {
        "fid120_real32_clip_tiny64",
        "fid120_real32_clip_tiny64_sd",
        "fjd120_real32_clip_tiny64",
        "fjd120_real32_clip_tiny64_sd",
        "r_precision32_clip_tiny64",
    }  # 32 captions
    assert set(end) - set(snapshot) == {
        "kid120_real32_clip_tiny64", "kid120_real32_clip_tiny64_sd", "precision120_real32_clip_tiny64",
        "recall120_real32_clip_tiny64",
        "clip_score_clip_tiny64", "r_precision_hard_clip_tiny64", "diversity120_clip_tiny64", "accuracy",
        "accuracy_colour", "accuracy_size", "accuracy_shape", "accuracy_position",
        "accuracy_background",
    }  # fmt: skip
    assert {key: end[key] for key in snapshot} == snapshot
    assert end["fid120_real32_clip_tiny64"] > 10 * end["fid120_real32_clip_tiny64_sd"] > 0
    assert end["r_precision32_clip_tiny64"] <= 0.2  # nothing is trained: near chance
    assert all(0 <= end[key] <= 1 for key in end if key.startswith("accuracy"))


@pytest.mark.exact
def test_accuracies_are_left_out_for_other_data(setting):
    config, prepared, generator = setting
    emoji = dataclasses.replace(config, data=dataclasses.replace(config.data, name="emoji"))
    values = evaluation_of(emoji, prepared, accuracy="snapshot")(generator, last=False)
    assert values.keys() == evaluation_of(config, prepared, accuracy="never")(generator, last=False).keys()


def test_several_chunks_in_a_forward_pass_have_each_chunks_images(setting):
    config, prepared, generator = setting
    conditions = evaluation_of(config, prepared).prompts.conditions
    together, singly = (
        torch.cat([generate(generator, conditions, chunks, config.seed, draw=1) for chunks in split]).float()
        for split in ([range(3)], [range(1), range(1, 2), range(2, 3)])
    )
    assert together.shape == (3 * CHUNK, 3, config.resolution, config.resolution)
    assert (together - singly).abs().max() <= 1  # rounding may move a value to the neighbouring byte
    assert (together != singly).float().mean() < 1e-3


@pytest.mark.usefixtures("float64")
def test_the_number_of_chunks_in_a_forward_pass_changes_nothing(exactly, monkeypatch):
    config, prepared, generator, expected = exactly
    monkeypatch.setitem(PIXELS, "cpu", 2 * CHUNK * config.resolution**2)  # two chunks; three are needed
    together = evaluation_of(config, prepared)(generator, last=True)
    assert together == pytest.approx(expected, rel=EIGEN, abs=EIGEN)


def test_images_are_generated_in_the_trainings_precision(setting):
    config, prepared, generator = setting
    expected = evaluation_of(config, prepared)(generator, last=False)
    evaluation = evaluation_of(config, prepared)
    seen = []

    def watch(module, inputs, output):
        seen.append(output.dtype)

    handle = generator.synthesis.first.register_forward_hook(watch)
    evaluation.context = lambda: torch.autocast("cpu", torch.bfloat16)
    values = evaluation(generator, last=False)
    handle.remove()
    assert set(seen) == {torch.bfloat16}
    key = evaluation.key
    assert 0 < abs(values[key] - expected[key]) < expected[f"{key}_sd"]


def test_torch_fidelity_on_the_images_agrees(setting):
    """The judge as an extractor of torch-fidelity's own, on the same uint8 images."""
    from torch_fidelity import calculate_metrics, register_feature_extractor
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase

    config, prepared, generator = setting

    class Judge(FeatureExtractorBase):
        def __init__(self, name, features_list, **_):
            super().__init__(name, features_list)

        def forward(self, images):
            return (prepared.judge.encode_image(images.float() / 127.5 - 1),)

        @staticmethod
        def get_provided_features_list():
            return ("embedding",)

        @staticmethod
        def get_default_feature_layer_for_metric(metric):
            return "embedding"

        @staticmethod
        def can_be_compiled():
            return False

    register_feature_extractor("test-judge", Judge)
    evaluation = evaluation_of(config, prepared)
    conditions = evaluation.prompts.conditions
    images = generate(generator, conditions, range(3), config.seed)[:120]
    theirs = calculate_metrics(
        input1=Images(images), input2=Images(torch.from_numpy(prepared.data.heldout.images.copy())),
        fid=True, kid=True, prc=True, kid_subset_size=16, feature_extractor="test-judge", batch_size=CHUNK,
        cuda=False, cache=False, save_cpu_ram=True, verbose=False,
    )  # fmt: skip
    ours = evaluation(generator, last=True)
    for name, theirs_name in (
        ("fid120_real32_clip_tiny64", "frechet_inception_distance"),
        ("kid120_real32_clip_tiny64", "kernel_inception_distance_mean"),
        ("kid120_real32_clip_tiny64_sd", "kernel_inception_distance_std"),
        ("precision120_real32_clip_tiny64", "precision"),
        ("recall120_real32_clip_tiny64", "recall"),
    ):
        assert ours[name] == pytest.approx(theirs[theirs_name], rel=1e-6)


@pytest.mark.exact
@pytest.mark.usefixtures("float64")
def test_it_repeats_and_the_batch_changes_nothing(exactly):
    config, prepared, generator, expected = exactly
    assert evaluation_of(config, prepared)(generator, last=True) == expected
    smaller = evaluation_of(config, prepared, batch=7)(generator, last=True)
    assert smaller == pytest.approx(expected, rel=EIGEN, abs=EIGEN)
    other = evaluation_of(dataclasses.replace(config, seed=1), prepared)(generator, last=True)
    assert abs(other["fid120_real32_clip_tiny64"] / expected["fid120_real32_clip_tiny64"] - 1) > 1e-5


@pytest.mark.exact
def test_a_network_in_training_is_measured_in_evaluation_mode(setting):
    config, prepared, generator = setting
    raw = copy.deepcopy(generator).train()
    evaluation = evaluation_of(config, prepared, weights="raw")
    assert (
        evaluation(raw, last=False)["fid120_real32_clip_tiny64_raw"]
        == evaluation_of(config, prepared)(generator, False)["fid120_real32_clip_tiny64"]
    )
    assert raw.training


def one_of_two_ranks(rank, address, overrides, results):
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    torch.set_num_threads(1)
    config = make_config(*overrides)
    with in_float64():
        prepared = prepare_in_float64(config)
        values = evaluation_of(config, prepared)(generator_of(config, prepared), last=True)
    (results / f"{rank}.json").write_text(json.dumps(values))
    torch.distributed.destroy_process_group()


@pytest.mark.exact
@pytest.mark.slow
def test_two_ranks_find_what_one_does(exactly, cache_dir, tmp_path):
    """Three chunks: the second rank makes one that is thrown away."""
    expected = exactly[-1]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    warm.call_by_ranks(one_of_two_ranks, address, tiny(cache_dir, *ALL), tmp_path, processes=2)
    for rank in range(2):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert found.keys() == expected.keys()
        assert found == pytest.approx(expected, rel=EIGEN, abs=EIGEN)


@pytest.mark.exact
def test_a_run_that_judges_itself_says_so(setting, cache_dir, capsys):
    config, prepared, generator = setting
    itself = make_config(*tiny(cache_dir, *ALL, "metrics=fid2k_clip_tiny", "metrics.judge.train.seed=0"))
    theirs = prepare(itself, CPU)
    assert "the judge CLIP is also the guide" in capsys.readouterr().out
    evaluation = evaluation_of(itself, theirs)
    assert evaluation.key == "fid120_real32_clip_tiny_self"
    assert evaluation.record()["metrics/judge"] == "the guide itself"
    values = evaluation(generator, last=True)
    assert all("_self" in key for key in values if not key.startswith("accuracy"))
    independent = evaluation_of(config, prepared).record()
    assert independent["metrics/judge"] == "independent of the guide"
    assert independent["metrics/judge_key"] == prepared.judge.key


@pytest.mark.exact
def test_a_judge_of_the_same_weights_in_another_precision_is_the_guide(cache_dir):
    rounded = make_config(
        *tiny(
            cache_dir, *ALL, "metrics=fid2k_clip_tiny", "metrics.judge.train.seed=0", "metrics.judge.precision=bfloat16"
        )
    )
    theirs = prepare(rounded, CPU)
    assert theirs.judge.key != theirs.clip.key
    assert evaluation_of(rounded, theirs).key == "fid120_real32_clip_tiny_self"


@pytest.mark.exact
def test_too_few_images_for_precision_and_recall_are_refused(setting):
    config, prepared, _ = setting
    with pytest.raises(UserError, match=r"precision_recall needs at least 4 .* 3 generated .* and 3 real"):
        evaluation_of(config, prepared, n_images=3)
    assert evaluation_of(config, prepared, n_images=3, precision_recall="never").key == "fjd3_clip_tiny64"


@pytest.mark.exact
def test_a_single_real_image_is_refused(setting):
    """It has no covariance: eigenvalues of NaN ended the command with a traceback."""
    config, _, _ = setting
    for measure in ("fid", "fjd", "kid", "fid_sd"):
        with pytest.raises(UserError, match="at least 2 real images, and the heldout split has 1"):
            load_measure(measure).check(config, 1)
        load_measure(measure).check(config, 2)
    for measure in ("accuracy", "clip_score", "inception_score"):  # they compare with no real image
        load_measure(measure).check(config, 1)


def test_an_objective_that_the_prompts_cannot_give_is_refused(setting):
    """Captions may differ, and those drawn for prompts all be one: the preparation does not see that."""
    config, prepared, _ = setting
    same = dataclasses.replace(prepared.data.heldout, captions=[["a bird"]] * len(prepared.data.heldout))
    data = dataclasses.replace(prepared.data, heldout=same)
    with pytest.raises(UserError, match=r"metrics\.objective=r_precision is not allowed: .* must be fid, fjd or null"):
        evaluation_of(config, dataclasses.replace(prepared, data=data), objective="r_precision", captions="first")


def test_other_data_are_not_served_the_old_features(setting):
    config, prepared, _ = setting
    negative = dataclasses.replace(prepared.data.heldout, images=255 - prepared.data.heldout.images)
    data = dataclasses.replace(prepared.data, fingerprint="other", heldout=negative)
    other = evaluation_of(config, dataclasses.replace(prepared, data=data)).real
    assert not torch.allclose(other, evaluation_of(config, prepared).real, atol=1e-3)


@pytest.mark.exact
@pytest.mark.slow
def test_inception_from_a_file_agrees_with_torch_fidelity(setting, tmp_path, monkeypatch):
    """The real architecture with random weights of a useful scale: the path is real, the figure means nothing."""
    from torch_fidelity import calculate_metrics
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

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

    config, prepared, generator = setting
    inception = {"extractor": "inception", "inception_weights": str(weights), "n_images": 10, "batch": 10}
    inception |= {"inception_score": "end", "accuracy": "never", "fid_sd": "never", "judge": None}
    inception |= dict.fromkeys(("clip_score", "r_precision", "r_precision_hard", "fjd", "diversity"), "never")
    inception |= {"objective": "fid"}
    monkeypatch.setattr("clipgan.metrics.generated.CHUNK", 10)  # Inception reads whole chunks
    evaluation = evaluation_of(config, prepared, **inception)
    found = evaluation(generator, last=True)
    fake = generate(generator, evaluation.prompts.conditions, range(1), config.seed)
    theirs = calculate_metrics(
        input1=Images(fake), input2=Images(torch.from_numpy(prepared.data.heldout.images[evenly(32, 10)])),
        fid=True, isc=True, feature_extractor_weights_path=str(weights), batch_size=10,
        cuda=False, cache=False, save_cpu_ram=True, verbose=False,
    )  # fmt: skip
    name = f"fid10_inception-{file_digest(weights)[:8]}"  # weights of its own are never called fid alone
    assert evaluation.key == name
    assert found[name] == pytest.approx(theirs["frechet_inception_distance"], rel=1e-4)
    assert found[name.replace("fid", "inception_score")] == pytest.approx(theirs["inception_score_mean"], rel=1e-6)
    assert name.replace("fid", "precision") in found
    other = evaluation_of(config, prepared, **inception, resize="bicubic")
    assert other.key == f"{name}_bicubic"
    assert not torch.allclose(other.real, evaluation.real, rtol=1e-3)
