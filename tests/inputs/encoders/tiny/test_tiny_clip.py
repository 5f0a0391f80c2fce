"""Training the small CLIP: its batches, its loss, its cache, its gate."""

import copy
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file

from clipgan.base.errors import UserError
from clipgan.config import ClipConfig, TinyClipTraining
from clipgan.inputs.data.shapes import ATTRIBUTES, sample_scene
from clipgan.inputs.encoders.clip import load_clip
from clipgan.inputs.encoders.tiny import clip_report
from clipgan.inputs.encoders.tiny.clip_batches import packed_batches, shifted, training_batches, twin
from clipgan.inputs.encoders.tiny.scene_codes import SceneCodes, facts
from clipgan.inputs.encoders.tiny.tiny_clip import WEIGHTS, clip_description, clip_loss, train_tiny_clip
from tests.numeric import in_float64, rounding

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")


def few_steps(seed=0, gate=0.0):
    return TinyClipTraining(seed=seed, steps=3, batch=8, lr=1e-3, min_attribute_accuracy=gate)


def test_loss_equals_the_formula():
    image, text = torch.randn(5, 7, dtype=torch.float64), torch.randn(5, 7, dtype=torch.float64)
    u, v = image.numpy(), text.numpy()
    u, v = u / np.linalg.norm(u, axis=1, keepdims=True), v / np.linalg.norm(v, axis=1, keepdims=True)
    logits = np.exp(20 * u @ v.T)
    by_image = -np.log(np.diag(logits) / logits.sum(1)).mean()
    by_text = -np.log(np.diag(logits) / logits.sum(0)).mean()
    assert clip_loss(image, text, torch.tensor(20.0)).item() == pytest.approx((by_image + by_text) / 2, rel=1e-6)


def test_hard_negatives_join_the_candidates_of_their_own_image():
    image, text, hard = (torch.randn(*shape, dtype=torch.float64) for shape in ((5, 7), (5, 7), (5, 3, 7)))
    u, v, w = (each.numpy() / np.linalg.norm(each.numpy(), axis=-1, keepdims=True) for each in (image, text, hard))
    logits = np.exp(20 * u @ v.T)
    own = np.exp(20 * np.stack([w[row] @ u[row] for row in range(5)])).sum(1)
    by_image = -np.log(np.diag(logits) / (logits.sum(1) + own)).mean()
    by_text = -np.log(np.diag(logits) / logits.sum(0)).mean()
    assert clip_loss(image, text, torch.tensor(20.0), hard).item() == pytest.approx((by_image + by_text) / 2, rel=1e-6)


@pytest.mark.exact
def test_batches_hold_codes_of_swaps_and_are_otherwise_the_same(shapes_data):
    [plain] = training_batches(shapes_data, 8, 1, seed=0, dim=8)
    [hard] = training_batches(shapes_data, 8, 1, seed=0, dim=8, hard=3)
    assert plain.hard is None
    assert hard.hard.shape == (8, 3, 8)
    assert plain.captions == hard.captions
    assert (plain.codes == hard.codes).all()
    assert not (hard.hard == hard.codes[:, None]).all(axis=2).any()  # every swap is another scene


@pytest.mark.exact
def test_settings_of_earlier_versions_find_their_weights_in_the_cache(shapes_data):
    """`hard_negatives` is new; without it, an entry of the cache is described as before."""
    described = clip_description(few_steps(), shapes_data)
    assert set(described["training"]) == {"seed", "steps", "batch", "lr"}
    assert "hard_negatives" in clip_description(replace(few_steps(), hard_negatives=2), shapes_data)["training"]
    assert clip_description(few_steps(), shapes_data, "clipgan-tiny64") != described


def test_batches_of_shapes_hold_near_twins(shapes_data):
    [batch] = training_batches(shapes_data, 16, 1, seed=0, dim=8)
    images, captions = batch.images, batch.captions
    assert batch.codes is not None
    assert batch.codes.shape == (16, 8)
    assert images.shape == (16, 3, 32, 32)
    assert images.dtype == np.uint8
    assert len(set(captions)) == 16
    twins = np.abs(images[0::2].astype(int) - images[1::2]).mean()
    strangers = np.abs(images[0:-2:2].astype(int) - images[2::2]).mean()
    assert twins < strangers / 2


@pytest.mark.exact
def test_batches_follow_the_seed(shapes_data, folder_data):
    for data in (shapes_data, folder_data):
        first, again, other = (list(training_batches(data, 8, 2, seed, dim=4)) for seed in (1, 1, 2))
        assert [batch.captions for batch in first] == [batch.captions for batch in again]
        assert all((a.images == b.images).all() for a, b in zip(first, again, strict=True))
        assert [batch.captions for batch in first] != [batch.captions for batch in other]


@pytest.mark.exact
def test_images_whose_caption_names_a_side_are_never_mirrored(folder_data):
    for batch in packed_batches(folder_data.train, 40, 2, x_flip=True, rng=np.random.default_rng(0)):
        assert batch.codes is None
        for image, caption in zip(batch.images, batch.captions, strict=True):
            row = next(k for k, known in enumerate(folder_data.train.captions) if caption in known)
            original = folder_data.train.images[row]
            moved = [shifted(original, dy, dx) for dy in range(-8, 9) for dx in range(-8, 9)]
            is_plain = any((image == candidate).all() for candidate in moved)
            assert is_plain or ("left" not in caption and "right" not in caption)


@pytest.mark.exact
def test_shift_moves_and_repeats_the_edge():
    image = np.arange(9, dtype=np.uint8).reshape(1, 3, 3)
    assert shifted(image, 1, 0)[0].tolist() == [[0, 1, 2], [0, 1, 2], [3, 4, 5]]
    assert shifted(image, 0, -1)[0].tolist() == [[1, 2, 2], [4, 5, 5], [7, 8, 8]]


@pytest.mark.exact
def test_twins_differ_in_one_attribute_often_the_hard_ones():
    rng = np.random.default_rng(0)
    swapped = Counter()
    for _ in range(2000):
        scene = sample_scene(rng)
        other = twin(scene, rng)
        changed = set(facts(scene)) ^ set(facts(other))
        swapped["relation" if scene.relation != other.relation else next(iter(changed))[0]] += 1
        if scene.relation == other.relation:
            assert len(changed) == 2
    assert swapped["relation"] / 2000 == pytest.approx(2 / 3 * 0.35, abs=0.03)


def test_a_code_is_the_sum_of_the_scenes_facts():
    codes = SceneCodes(6, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    scene = next(scene for scene in iter(lambda: sample_scene(rng), None) if scene.relation == "above")
    upper, lower = scene.things
    expected = [("top", value) for value in (upper.colour, upper.size, upper.shape)]
    expected += [("bottom", value) for value in (lower.colour, lower.size, lower.shape)]
    expected += [("background", scene.background)]
    assert facts(scene) == expected
    parts = np.stack([codes.table[codes.index[fact]] for fact in expected]).astype(np.float64)
    least = rounding(len(parts)) * np.abs(parts).sum(axis=0).max()
    np.testing.assert_allclose(codes([scene])[0], parts.sum(axis=0), rtol=0, atol=least)
    turned = replace(scene, relation="below", things=(lower, upper))  # the same picture in other words
    np.testing.assert_allclose(codes([turned]), codes([scene]), rtol=0, atol=2 * least)


@pytest.mark.exact
@pytest.mark.slow
def test_training_is_determined_by_its_seed_and_cached(shapes_data, tmp_path, monkeypatch):
    monkeypatch.setattr(clip_report, "CASES", 10)
    first = train_tiny_clip(few_steps(), shapes_data, tmp_path / "a")
    again = train_tiny_clip(few_steps(), shapes_data, tmp_path / "b")
    other = train_tiny_clip(few_steps(seed=1), shapes_data, tmp_path / "a")
    weights, same, different = (load_file(entry / WEIGHTS) for entry in (first, again, other))
    assert all(torch.equal(weights[name], same[name]) for name in weights)
    assert not torch.equal(weights["visual.conv1.weight"], different["visual.conv1.weight"])
    written = (first / WEIGHTS).stat().st_mtime_ns
    assert train_tiny_clip(few_steps(), shapes_data, tmp_path / "a") == first
    assert (first / WEIGHTS).stat().st_mtime_ns == written

    report = json.loads((first / "report.json").read_text())
    accuracy = report["attribute_accuracy"]
    assert set(accuracy) == {*ATTRIBUTES, "mean", "minimum"}
    assert accuracy["mean"] == pytest.approx(np.mean([accuracy[name] for name in ATTRIBUTES]), abs=1e-4)
    assert accuracy["minimum"] == min(accuracy[name] for name in ATTRIBUTES)

    frozen = load_clip(ClipConfig(train=few_steps()), shapes_data, tmp_path / "a", CPU)
    elsewhere = open_clip.create_model(f"local-dir:{first}").eval()
    with torch.no_grad(), in_float64():
        images, theirs = torch.rand(2, 3, 32, 32) * 2 - 1, copy.deepcopy(elsewhere).double()
        ours = copy.deepcopy(frozen).double().encode_image(images)
        torch.testing.assert_close(ours, theirs.encode_image(images, normalize=True))
    assert elsewhere.visual.preprocess_cfg["mean"] == [0.5, 0.5, 0.5]

    judge = load_clip(ClipConfig(train=few_steps(seed=1)), shapes_data, tmp_path / "a", CPU)
    assert judge.key != frozen.key

    with pytest.raises(
        UserError, match=r"after 3 steps, less than min_attribute_accuracy=0\.99: train it for more steps"
    ):
        train_tiny_clip(few_steps(gate=0.99), shapes_data, tmp_path / "a")


@pytest.mark.exact
@pytest.mark.slow
def test_a_set_without_attributes_has_no_gate(folder_data, tmp_path):
    entry = train_tiny_clip(few_steps(gate=1.0), folder_data, tmp_path)
    report = json.loads((entry / "report.json").read_text())
    assert "attribute_accuracy" not in report
    assert 0 <= report["heldout_retrieval_top1"] <= 1
