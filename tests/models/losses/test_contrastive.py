"""InfoNCE against an independent computation: loops over samples, in NumPy and float64."""

import gc
import math
import weakref

import numpy as np
import pytest
import torch

from clipgan.base.vectors import unit
from clipgan.config import PairsConfig
from clipgan.models.losses.contrastive import ALL_PLAIN, contrast, contrasts
from clipgan.models.losses.pairs import select
from tests.numeric import CLOSE, rounding

pytestmark = pytest.mark.numeric


def reference(anchors: np.ndarray, candidates: np.ndarray, tau: float, published: bool = False) -> float:
    """L(anchors -> candidates), term by term; candidate i is anchor i's positive, and there may be more of them."""
    total = 0.0
    for i in range(len(anchors)):
        logits = [float(np.dot(anchors[i], candidates[j])) / tau for j in range(len(candidates))]
        if published:
            logits = [math.exp(logit) for logit in logits]
        total -= math.log(math.exp(logits[i]) / sum(math.exp(logit) for logit in logits))
    return total / len(anchors)


def rows(seed: int, n: int = 7, d: int = 12) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.tensor(array).float() for array in arrays]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("similarity", "tau"), [("cos", 0.07), ("cos", 0.5), ("cos", 1.0), ("exp_cos", 0.5), ("exp_cos", 1.0)]
)
@pytest.mark.parametrize("further", [0, 5])
def test_both_directions_equal_the_loop(similarity, tau, further):
    a, b = rows(1), rows(2, n=7 + further)
    ours = contrast(*tensors(a, b), tau, similarity)
    published = similarity == "exp_cos"
    assert float(ours.homologous) == pytest.approx(reference(a, b, tau, published), rel=CLOSE)
    assert float(ours.heterologous) == pytest.approx(reference(b[:7], a, tau, published), rel=CLOSE)
    assert abs(float(ours.homologous) - float(ours.heterologous)) > 1e-4  # the directions differ


@pytest.mark.parametrize("further", [0, 3])
@pytest.mark.parametrize("directions", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("similarity", ["cos", "exp_cos"])
@pytest.mark.parametrize("pairs", [
    PairsConfig(), PairsConfig("add_new_positive", k=1), PairsConfig("drop_false_positive", fraction=0.3),
    PairsConfig("drop_easy_negative", fraction=0.4), PairsConfig("weakly_supervised", k=1),
], ids=lambda pairs: pairs.name)  # fmt: skip
def test_the_gradient_equals_finite_differences(pairs, similarity, directions, further):
    a, b = (torch.tensor(rows(seed, n=n, d=3), requires_grad=True) for seed, n in ((1, 5), (2, 5 + further)))
    image = torch.tensor(rows(3, n=5 + further))
    selections = select(pairs, image[:5] @ image.T, torch.arange(5.0).double())

    def weighted(images, targets):
        value = contrast(images, targets, 0.3, similarity, selections, directions)
        return sum(weight * loss for weight, loss in zip((1, 0.2), value, strict=True) if loss is not None)

    assert torch.autograd.gradcheck(weighted, (a, b))


@pytest.mark.parametrize("tau", [0.001, 0.01])
def test_the_coldest_temperature_is_finite(tau):
    """Logits of some hundreds, where exp alone would overflow or leave zero."""
    a, b = tensors(rows(1), rows(2))
    a.requires_grad_()
    value = contrast(a, b, tau)
    (value.homologous + value.heterologous).backward()
    logits = rows(1) @ rows(2).T / tau
    expected = [np.mean(np.logaddexp.reduce(x, axis=1) - x.diagonal()) for x in (logits, logits.T)]
    of_a_logit = rounding(2 * (12 + 4)) / tau  # both of the logits of a difference: 12 products and the scaling
    assert [float(loss.detach()) for loss in value] == pytest.approx(expected, abs=of_a_logit)
    assert a.grad.isfinite().all()


@pytest.mark.exact
@pytest.mark.usefixtures("float64")
def test_a_direction_that_is_not_asked_for_is_not_computed():
    a, b = tensors(rows(1), rows(2))
    assert contrast(a, b, 0.5, directions=(True, False)).heterologous is None
    assert contrast(a, b, 0.5, directions=(False, True)).homologous is None
    further = torch.full((3, 12), math.nan)  # candidates of the homologous direction alone
    value = contrast(a, torch.cat([b, further]), 0.5, directions=(False, True)).heterologous
    torch.testing.assert_close(value, contrast(a, b, 0.5).heterologous)


def test_one_sample_has_nothing_to_contrast():
    value = contrast(torch.ones(1, 3), torch.ones(1, 3), 0.5)
    assert (float(value.homologous), float(value.heterologous)) == (0, 0)


@pytest.mark.usefixtures("float64")
def test_identical_images_cost_the_log_of_the_batch():
    same = torch.ones(5, 4) / 2
    assert float(contrast(same, same, 0.5).homologous) == pytest.approx(math.log(5), rel=1e-6)


def test_perfect_match_costs_nothing_when_cold():
    eye = torch.eye(6)
    assert float(contrast(eye, eye, 0.01).homologous) < 1e-6


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("similarity", ["cos", "exp_cos"])
def test_pairs_at_once_are_the_pairs_one_by_one(similarity):
    """Two spaces of different widths, the first one with two targets; also the gradients of both sides."""
    a, b, b2 = (x.requires_grad_() for x in tensors(rows(1), rows(2, n=9), rows(3, n=9)))
    c, d = (x.requires_grad_() for x in tensors(rows(4, d=5), rows(5, n=9, d=5)))
    pairs, taus, weights = [(a, b), (a, b2), (c, d)], [0.3, 0.5, 0.7], torch.tensor([[1.0, 2.0, 3.0], [0.5, 0.1, 0.7]])
    together = contrasts([x for x, _ in pairs], [y for _, y in pairs], taus, similarity, ALL_PLAIN, (True, True))
    apart = [contrast(x, y, tau, similarity) for (x, y), tau in zip(pairs, taus, strict=True)]
    torch.testing.assert_close(together, torch.stack([torch.stack(losses) for losses in zip(*apart, strict=True)]))
    leaves = [a, b, b2, c, d]
    expected = torch.autograd.grad((torch.stack([torch.stack(losses) for losses in apart]).T * weights).sum(), leaves)
    torch.testing.assert_close(torch.autograd.grad((together * weights).sum(), leaves), expected)


@pytest.mark.usefixtures("float64")
def test_unit_rows():
    lengths = unit(torch.randn(4, 9) * 7).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(4))


@pytest.mark.exact
def test_a_contrast_frees_its_matrices_at_once():
    """Python's collector does not see a cycle between a result and its context: a training would grow without end."""
    gc.collect()
    gc.disable()
    try:
        counts = []
        for _ in range(3):
            a, b = tensors(rows(1), rows(2))
            losses = contrasts([a.requires_grad_()], [b], [0.5], "cos", ALL_PLAIN, (True, True))
            losses.sum().backward()
            node = weakref.ref(losses.grad_fn)
            del losses, a, b
            counts.append(int(node() is not None))
    finally:
        gc.enable()
    assert counts == [0, 0, 0]
