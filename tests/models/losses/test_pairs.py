"""Pair selection: each strategy against a loop over anchors and candidates, and batches that leave it nothing."""

import math

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import connected_components

from clipgan.config import PairsConfig
from clipgan.models.losses.contrastive import contrast
from clipgan.models.losses.pairs import STRATEGIES, one_component, select
from tests.capturable import Capturable
from tests.models.losses.test_contrastive import rows, tensors
from tests.numeric import CLOSE

pytestmark = pytest.mark.numeric

CONFIGS = {
    "plain": PairsConfig(),
    "add_new_positive": PairsConfig("add_new_positive", k=1),
    "add_new_positive, k 3": PairsConfig("add_new_positive", k=3),
    "drop_false_positive": PairsConfig("drop_false_positive", fraction=0.3),
    "drop_false_negative": PairsConfig("drop_false_negative", fraction=0.3),
    "drop_false_negative, 5 %": PairsConfig("drop_false_negative", fraction=0.05),
    "drop_easy_negative": PairsConfig("drop_easy_negative", fraction=0.4),
    "weakly_supervised": PairsConfig("weakly_supervised", k=1),
}


def half_up(x):
    return int(x + 0.5)


def components(n_nodes, edges):
    """Label of each node, by walking along the edges."""
    label = [-1] * n_nodes
    for start in range(n_nodes):
        stack = [start] if label[start] < 0 else []
        while stack:
            node = stack.pop()
            if label[node] < 0:
                label[node] = start
                stack += [b for a, b in edges if a == node] + [a for a, b in edges if b == node]
    return label


def brute_force(config, clip_similarity, fit, anchors, candidates, tau):
    """One direction of the contrast, straight from the definition of the strategy."""
    n, m = len(anchors), len(candidates)
    others = {i: [j for j in range(m) if j != i] for i in range(n)}
    by_likeness = {i: sorted(others[i], key=lambda j: -clip_similarity[i][j]) for i in range(n)}
    kept = list(range(n))
    if config.name == "drop_false_positive":
        worst = sorted(range(n), key=lambda i: fit[i])[: min(half_up(config.fraction * n), n - 1)]
        kept = [i for i in range(n) if i not in worst]
    edges = [(i, j) for i in range(n) for j in by_likeness[i][: config.k or 0]]
    label = components(m, edges) if config.name == "weakly_supervised" else None
    total = 0.0
    for i in kept:
        denominator, positives = list(range(m)), [i]
        if config.name == "drop_false_negative":
            gone = by_likeness[i][: half_up(config.fraction * (m - 1))]
            denominator = [j for j in denominator if j not in gone]
        if config.name == "drop_easy_negative":
            gone = by_likeness[i][::-1][: half_up(config.fraction * (m - 1))]
            denominator = [j for j in denominator if j not in gone]
        if config.name == "add_new_positive":
            positives += by_likeness[i][: config.k]
        if label is not None:
            positives = [j for j in range(m) if label[j] == label[i]]
        logits = [float(np.dot(anchors[i], candidates[j])) / tau for j in range(m)]
        normaliser = sum(math.exp(logits[j]) for j in denominator)
        total -= sum(math.log(math.exp(logits[j]) / normaliser) for j in positives) / len(positives)
    return total / len(kept)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("further", [0, 6])
@pytest.mark.parametrize("name", CONFIGS)
def test_each_strategy_equals_the_loop_in_both_directions(name, further):
    n, config = 9, CONFIGS[name]
    a, b, image, text = rows(1, n=n), rows(2, n=n + further), rows(3, n=n + further), rows(4, n=n)
    similarity, fit = image[:n] @ image.T, (text * image[:n]).sum(axis=1)
    selections = select(config, *tensors(similarity, fit))
    ours = contrast(*tensors(a, b), 0.4, selections=selections)
    forth = brute_force(config, similarity, fit, a, b, 0.4)
    back = brute_force(config, similarity[:, :n], fit, b[:n], a, 0.4)
    assert float(ours.homologous) == pytest.approx(forth, rel=CLOSE)
    assert float(ours.heterologous) == pytest.approx(back, rel=CLOSE)
    plain = contrast(*tensors(a, b), 0.4)
    unchanged = name == "plain" or (name.endswith("5 %") and further == 0)  # 5 % of 8 negatives are none
    assert (abs(float(ours.homologous) - float(plain.homologous)) < 1e-6) == unchanged


@pytest.mark.exact
def test_every_strategy_is_covered():
    assert {config.name for config in CONFIGS.values()} == set(STRATEGIES)


GREEDY = {  # as much as the configuration lets through
    "add_new_positive": PairsConfig("add_new_positive", k=99),
    "drop_false_positive": PairsConfig("drop_false_positive", fraction=0.999),
    "drop_false_negative": PairsConfig("drop_false_negative", fraction=0.999),
    "drop_easy_negative": PairsConfig("drop_easy_negative", fraction=0.999),
    "weakly_supervised": PairsConfig("weakly_supervised", k=99),
}


@pytest.mark.parametrize("config", [*CONFIGS.values(), *GREEDY.values()], ids=lambda config: f"{config.name}")
@pytest.mark.parametrize("batch", ["one sample", "two samples", "identical images", "ordinary"])
def test_degenerate_batches_are_finite_and_so_is_their_gradient(config, batch):
    n = {"one sample": 1, "two samples": 2}.get(batch, 8)
    a, b, image = rows(1, n=n), rows(2, n=n), rows(3, n=n)
    if batch == "identical images":
        image = np.repeat(image[:1], n, axis=0)
    images = tensors(a)[0].requires_grad_()
    selections = select(config, *tensors(image @ image.T, np.ones(n)))
    value = contrast(images, tensors(b)[0], 0.5, selections=selections)
    (value.homologous + value.heterologous).backward()
    assert math.isfinite(float(value.homologous.detach()))
    assert math.isfinite(float(value.heterologous.detach()))
    assert images.grad.isfinite().all()


@pytest.mark.usefixtures("float64")
def test_an_anchor_whose_negatives_are_all_dropped_costs_nothing():
    n = 6
    similarity, fit = rows(3, n=n) @ rows(3, n=n).T, np.ones(n)
    selections = select(GREEDY["drop_false_negative"], *tensors(similarity, fit))
    value = contrast(*tensors(rows(1, n=n), rows(2, n=n)), 0.5, selections=selections)
    assert (float(value.homologous), float(value.heterologous)) == pytest.approx((0, 0), abs=1e-6)


def test_a_class_of_one_is_the_plain_loss():
    """Samples 0 to 2 are alike and 3 has a neighbour as well, always: only a graph without edges has classes of one."""
    similarity = torch.eye(1)
    selection = select(CONFIGS["weakly_supervised"], similarity, torch.ones(1)).homologous
    assert selection.positives.tolist() == [[1.0]]


@pytest.mark.usefixtures("float64")
def test_pseudo_classes_follow_chains_of_neighbours():
    angle = torch.tensor([0.0, 0.1, 0.22, 2.0, 2.1])  # 0 - 1 - 2 is a chain: 2's nearest is 1, whose nearest is 0
    points = torch.stack([angle.cos(), angle.sin()], dim=1)
    selection = select(CONFIGS["weakly_supervised"], points @ points.T, torch.ones(5)).homologous
    third, half = 1 / 3, 1 / 2
    expected = torch.tensor([[third] * 3 + [0] * 2] * 3 + [[0] * 3 + [half] * 2] * 2)
    torch.testing.assert_close(selection.positives, expected)


def by_scipy(linked):
    labels = connected_components(linked.numpy(), directed=False)[1]
    return torch.from_numpy(labels[:, None] == labels)


@pytest.mark.parametrize("nodes", [1, 2, 3, 16, 65, 200])
def test_components_equal_scipys(nodes):
    random = torch.Generator().manual_seed(nodes)
    for mean_degree in (0.0, 0.5, 1.0, 2.0):
        linked = (torch.rand(nodes, nodes, generator=random) < mean_degree / nodes).float()
        assert torch.equal(one_component(linked), by_scipy(linked))
    order = torch.eye(nodes)[torch.randperm(nodes, generator=random)]
    path = torch.ones(nodes, nodes).tril(-1).triu(-1)  # no other graph of one component has ends so far apart
    assert one_component(order @ path @ order.T).all()
    path[nodes // 2, nodes // 2 - 1] = 0
    assert torch.equal(one_component(order @ path @ order.T), by_scipy(order @ path @ order.T))


@pytest.mark.exact
@pytest.mark.parametrize("name", CONFIGS)
def test_a_graph_can_record_every_strategy(name):
    similarity, fit = torch.empty(9, 12, device="meta"), torch.empty(9, device="meta")  # nothing can copy from there
    with Capturable():
        select(CONFIGS[name], similarity, fit)
