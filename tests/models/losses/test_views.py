"""NT-Xent over the views of each image: every strategy against loops over anchors and candidates."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from clipgan.config import PairsConfig
from clipgan.models.losses.contrastive import nt_xent
from clipgan.models.losses.pairs import STRATEGIES, select_images, select_views
from tests.numeric import CLOSE

pytestmark = pytest.mark.numeric

N, TAU = 10, 0.1
CONFIGS = {
    "plain": PairsConfig(),
    "add_new_positive": PairsConfig("add_new_positive", k=1),
    "add_new_positive, k 3": PairsConfig("add_new_positive", k=3),
    "drop_false_positive": PairsConfig("drop_false_positive", fraction=0.3),
    "drop_false_negative": PairsConfig("drop_false_negative", fraction=0.2),
    "drop_easy_negative": PairsConfig("drop_easy_negative", fraction=0.3),
    "weakly_supervised": PairsConfig("weakly_supervised", k=1),
}


def rows(seed, n, width=6):
    drawn = np.random.default_rng(seed).standard_normal((n, width))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def classes(n, edges):
    """The class of each node: it takes over the least label among its neighbours until nothing changes."""
    label = list(range(n))
    changed = True
    while changed:
        changed = False
        for a, b in edges:
            least = min(label[a], label[b])
            changed = changed or label[a] != label[b]
            label[a] = label[b] = least
    return label


def loss_of(z, anchor, weight_of_positive, dropped):
    """-sum of the positives' weights times log( exp(z_i.z_j / tau) / sum over k != i, not dropped, of exp(...) )."""
    kept = [k for k in range(len(z)) if k != anchor and k not in dropped]
    denominator = sum(math.exp(float(z[anchor] @ z[k]) / TAU) for k in kept)
    return -sum(
        weight * math.log(math.exp(float(z[anchor] @ z[j]) / TAU) / denominator)
        for j, weight in weight_of_positive.items()
    )


def views_of(image, count):
    """The numbers of an image's views."""
    return [image + view * N for view in range(count)]


def by_views(config, z, seen, views):
    """CLIP sees every view; a view's negatives are the views of other images."""
    count = views * N
    image = [i % N for i in range(count)]
    total, anchors = 0.0, 0
    nearest = {
        i: sorted((j for j in range(count) if image[j] != image[i]), key=lambda j, i=i: -float(seen[i] @ seen[j]))
        for i in range(count)
    }
    edges = [(image[i], image[j]) for i in range(count) for j in nearest[i][: config.k or 0]]
    label = classes(N, edges)
    fit = [np.mean([seen[i] @ seen[j] for i, j in combinations(views_of(a, views), 2)]) for a in range(N)]
    worst = sorted(range(N), key=lambda a: fit[a])[: round((config.fraction or 0) * N)]
    share = int((config.fraction or 0) * (count - views) + 0.5)
    for i in range(count):
        positives, dropped = [j for j in views_of(image[i], views) if j != i], []
        if config.name == "drop_false_positive" and image[i] in worst:
            continue
        if config.name == "add_new_positive":
            positives += nearest[i][: config.k]
        if config.name == "drop_false_negative":
            dropped = nearest[i][:share]
        if config.name == "drop_easy_negative":
            dropped = nearest[i][-share:]
        if config.name == "weakly_supervised":
            positives = [j for j in range(count) if j != i and label[image[j]] == label[image[i]]]
        total += loss_of(z, i, dict.fromkeys(positives, 1 / len(positives)), dropped)
        anchors += 1
    return total / anchors


def by_images(config, z, seen, views):
    """CLIP has seen the images alone; a chosen image stands for all its views, which share its weight."""
    total = 0.0
    nearest = {
        a: sorted((b for b in range(N) if b != a), key=lambda b, a=a: -float(seen[a] @ seen[b])) for a in range(N)
    }
    label = classes(N, [(a, b) for a in range(N) for b in nearest[a][: config.k or 0]])
    share = int((config.fraction or 0) * (N - 1) + 0.5)
    for i in range(views * N):
        a = i % N
        friends, dropped = [], []
        if config.name == "add_new_positive":
            friends = nearest[a][: config.k]
        if config.name == "weakly_supervised":
            friends = [b for b in range(N) if b != a and label[b] == label[a]]
        if config.name == "drop_false_negative":
            dropped = nearest[a][:share]
        if config.name == "drop_easy_negative":
            dropped = nearest[a][-share:]
        each = 1 / (1 + len(friends))
        weights = {j: each / (views - 1) for j in views_of(a, views) if j != i}
        weights |= {j: each / views for b in friends for j in views_of(b, views)}
        total += loss_of(z, i, weights, [j for b in dropped for j in views_of(b, views)])
    return total / (views * N)


def tensor(array):
    return torch.tensor(array, dtype=torch.get_default_dtype())


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("views", [2, 3, 4])
@pytest.mark.parametrize("name", CONFIGS)
def test_each_strategy_equals_the_loop_where_clip_sees_the_views(name, views):
    z, seen = rows(1, views * N), rows(2, views * N)
    ours = nt_xent(tensor(z), TAU, select_views(CONFIGS[name], tensor(seen), views), views)
    assert float(ours) == pytest.approx(by_views(CONFIGS[name], z, seen, views), rel=CLOSE)
    plain = float(nt_xent(tensor(z), TAU, views=views))
    assert (abs(float(ours) - plain) < 1e-6) == (name == "plain")


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("views", [2, 3, 4])
@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "drop_false_positive"])
def test_each_strategy_equals_the_loop_where_clip_has_seen_the_images(name, views):
    z, seen = rows(1, views * N), rows(3, N)
    ours = nt_xent(tensor(z), TAU, select_images(CONFIGS[name], tensor(seen @ seen.T), views), views)
    assert float(ours) == pytest.approx(by_images(CONFIGS[name], z, seen, views), rel=CLOSE)
    plain = float(nt_xent(tensor(z), TAU, views=views))
    assert (abs(float(ours) - plain) < 1e-6) == (name == "plain")


@pytest.mark.exact
def test_every_strategy_is_covered():
    assert {config.name for config in CONFIGS.values()} == set(STRATEGIES)


@pytest.mark.usefixtures("float64")
def test_each_view_is_an_anchor_and_the_gradient_is_that_of_autograd():
    z = tensor(rows(1, 2 * N)).requires_grad_()
    nt_xent(z, TAU).backward()
    again = z.detach().clone().requires_grad_()
    logits = (again @ again.T / TAU).masked_fill(torch.eye(2 * N, dtype=torch.bool), -math.inf)
    torch.nn.functional.cross_entropy(logits, torch.arange(2 * N).roll(N)).backward()
    torch.testing.assert_close(z.grad, again.grad)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=list(CONFIGS))
@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("views", [2, 3])
def test_the_smallest_batches_are_finite(config, n, views):
    z = tensor(rows(1, views * n)).requires_grad_()
    loss = nt_xent(z, TAU, select_views(config, tensor(rows(2, views * n)), views), views)
    loss.backward()
    assert math.isfinite(float(loss.detach()))
    assert z.grad.isfinite().all()
