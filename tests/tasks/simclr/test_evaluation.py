"""The metrics of frozen features."""

import numpy as np
import pytest
import torch

from clipgan.base.device import tensorfloat
from clipgan.config.simclr import KnnConfig, LinearConfig
from clipgan.engine.precision import choose_precision
from clipgan.inputs.data.pack import Split
from clipgan.inputs.features.encoding import to_images
from clipgan.tasks.simclr import knn, linear_eval
from clipgan.tasks.simclr.evaluation import computed_of_all
from clipgan.tasks.simclr.knn import knn_accuracy
from clipgan.tasks.simclr.linear_eval import linear_accuracy
from clipgan.tasks.simclr.network import build_encoder
from tests.numeric import assert_apart

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")


def clusters(count, seed, noise=0.3, classes=4):
    """Classes around the corners of a simplex, in badly scaled coordinates."""
    random = np.random.default_rng(seed)
    labels = random.integers(classes, size=count)
    rows = np.eye(8)[labels] + noise * random.standard_normal((count, 8))
    return torch.tensor(rows * 10.0 ** np.arange(-3, 5), dtype=torch.float32), torch.from_numpy(labels)


def test_a_linear_classifier_finds_what_can_be_separated():
    train, labels = clusters(400, 0, noise=0.1)
    heldout, answers = clusters(200, 1, noise=0.1)
    assert linear_accuracy(LinearConfig(epochs=5, batch=32), train, labels, heldout, answers, 4, seed=0) > 0.99


def test_labels_without_meaning_give_chance():
    train, labels = clusters(400, 0)
    heldout, answers = clusters(400, 1)
    shuffled = labels[torch.randperm(400, generator=torch.Generator().manual_seed(0))]
    accuracy = linear_accuracy(LinearConfig(epochs=5, batch=32), train, shuffled, heldout, answers, 4, seed=0)
    assert accuracy == pytest.approx(0.25, abs=0.1)


def test_few_labels_train_on_these_images_alone():
    """The other images have wrong labels, and features that training must not see but the scaling does."""
    train, labels = clusters(400, 0, noise=0.1)
    heldout, answers = clusters(200, 1, noise=0.1)
    labelled = torch.arange(0, 400, 10)
    wrong = torch.full_like(labels, 3).index_copy(0, labelled, labels[labelled])
    known, config = (train, wrong, heldout, answers, 4), LinearConfig(epochs=40, batch=32)
    assert linear_accuracy(config, *known, seed=0, labelled=labelled) > 0.95
    assert linear_accuracy(config, *known, seed=0) < 0.6


def test_linear_accuracy_is_reproducible():
    train, labels = clusters(200, 0, noise=0.6)
    heldout, answers = clusters(200, 1, noise=0.6)
    torch.manual_seed(1)
    first = linear_accuracy(LinearConfig(epochs=3, batch=32), train, labels, heldout, answers, 4, seed=0)
    torch.manual_seed(2)
    assert linear_accuracy(LinearConfig(epochs=3, batch=32), train, labels, heldout, answers, 4, seed=0) == first
    assert first == round(200 * first) / 200  # a share of 200 images, without float32's rounding


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("k", [1, 5, 1000])
def test_the_vote_of_neighbours_is_the_loop(k):
    train, labels = torch.randn(60, 5, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 3
    heldout, answers = torch.randn(30, 5, generator=torch.Generator().manual_seed(1)), torch.arange(30) % 3
    right = 0
    for row, answer in zip(heldout, answers, strict=True):
        cosine = [float(row @ other / row.norm() / other.norm()) for other in train]
        assert_apart(cosine)
        votes = [0.0, 0.0, 0.0]
        for index in sorted(range(60), key=lambda i, cosine=cosine: -cosine[i])[:k]:
            votes[labels[index]] += np.exp(cosine[index] / 0.07)
        assert_apart(np.divide(sorted(votes)[-2:], sum(votes)))
        right += votes.index(max(votes)) == answer
    found = knn_accuracy(KnnConfig(k=k), train, labels, heldout, answers, 3)
    assert found == pytest.approx(right / 30)


@pytest.mark.usefixtures("float64")
def test_features_are_those_of_the_frozen_encoder_image_by_image():
    torch.manual_seed(0)
    encoder, _ = build_encoder("tiny", "auto", 16)
    encoder.train()
    pixels = np.random.default_rng(0).integers(256, size=(300, 3, 16, 16), dtype=np.uint8)
    found = computed_of_all(encoder, Split(pixels, [[]] * 300), choose_precision("fp32", CPU))
    assert encoder.training
    encoder.eval()
    with torch.no_grad():
        expected = encoder(to_images(pixels[290:], CPU))
    torch.testing.assert_close(found[290:], expected)
    assert len(found) == 300


@pytest.mark.exact
def test_accuracies_never_use_tensorfloat(monkeypatch):
    """Not in a training that allows it, which goes on to use it."""
    seen, shuffled, scaled = [], linear_eval.stream, knn.unit

    def noted(function):
        return lambda *given: seen.append(torch.backends.cuda.matmul.allow_tf32) or function(*given)

    monkeypatch.setattr(linear_eval, "stream", noted(shuffled))
    monkeypatch.setattr(knn, "unit", noted(scaled))
    known = (*clusters(40, 0), *clusters(20, 1), 4)
    with tensorfloat(True):
        linear_accuracy(LinearConfig(epochs=1, batch=32), *known, seed=0)
        knn_accuracy(KnnConfig(), *known)
        assert torch.backends.cuda.matmul.allow_tf32
    assert seen == [False] * 3
