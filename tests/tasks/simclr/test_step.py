"""One step: gradient caching, BatchNorm's statistics, and the images that CLIP sees."""

import copy
from itertools import combinations

import pytest
import torch

from clipgan.base.randomness import stream
from clipgan.engine.divergence import Fault
from clipgan.models.losses.contrastive import nt_xent
from clipgan.tasks.simclr.pretraining import Pretraining, prepare_pretraining
from clipgan.tasks.simclr.step import choose_pairs, train_step, views_of
from tests.helpers import make_config
from tests.numeric import CLOSE, in_float32
from tests.tiny import tiny_simclr

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")


@pytest.fixture
def pretraining(cache_dir, tmp_path):
    def make(*overrides):
        config = make_config(*tiny_simclr(cache_dir, *overrides))
        with in_float32():
            prepared = prepare_pretraining(config, CPU)
        return Pretraining(config, tmp_path, prepared, CPU, None)

    return make


def gradients(network):
    return [parameter.grad.clone() for parameter in network.parameters() if parameter.requires_grad]


def step_of(run, state):
    """The state's gradients and values after a step whose update changes nothing else."""
    values = train_step(state, run.batches.at(0), run.method, 0)
    return gradients(state.network), values


@pytest.mark.usefixtures("float64")
@pytest.mark.slow
def test_a_batch_in_parts_has_the_gradient_of_the_whole_contrast(pretraining):
    run = pretraining("accumulate=4", "pairs=add_new_positive", "simclr.views=3", "simclr.head=bn")
    state, batch = copy.deepcopy(run.state), run.batches.at(0)
    views = views_of(batch, run.method, 0)
    selection = choose_pairs(run.config.pairs, batch, views, None)
    parts = zip(*(each.chunk(4) for each in views), strict=True)
    embedded = [state.project(torch.cat(part)).chunk(3) for part in parts]  # with a graph, all at once
    z = torch.cat([torch.cat(each) for each in zip(*embedded, strict=True)])
    loss = nt_xent(z, 0.1, selection, views=3)
    loss.backward()
    before = copy.deepcopy(run.state)
    found, values = step_of(run, before)
    assert float(values["loss/nt_xent"]) == pytest.approx(float(loss.detach()), rel=CLOSE)
    for ours, expected in zip(found, gradients(state.network), strict=True):
        torch.testing.assert_close(ours, expected)
    for name, buffer in state.network.named_buffers():  # each part has counted once
        torch.testing.assert_close(before.network.get_buffer(name), buffer)


@pytest.mark.usefixtures("float64")
@pytest.mark.slow
def test_without_batchnorms_statistics_parts_are_the_whole(pretraining):
    whole, parts = (pretraining(f"accumulate={count}") for count in (1, 4))
    for run in (whole, parts):
        run.state.network.eval()
    (first, a), (second, b) = (step_of(run, run.state) for run in (whole, parts))
    assert float(a["loss/nt_xent"]) == pytest.approx(float(b["loss/nt_xent"]), rel=CLOSE)
    for ours, expected in zip(second, first, strict=True):
        torch.testing.assert_close(ours, expected)


@pytest.mark.exact
def test_clip_sees_the_images_or_the_views(pretraining):
    cached = pretraining("pairs=drop_easy_negative")
    assert cached.method.clip is None
    assert cached.batches.at(0).features.shape == (32, 128)
    online = pretraining("pairs=drop_easy_negative", "features=online")
    assert online.method.clip is not None
    assert online.batches.at(0).features is None
    assert pretraining("pairs=drop_false_positive").method.clip is not None  # the cache has no views to compare
    plain = pretraining()
    assert plain.clip is None
    text = pretraining("pairs=weakly_supervised", "pairs.similarity=text").batches
    captions = pretraining("pairs=weakly_supervised").batches
    assert text.features.shape == captions.features.shape == (96, 128)
    assert not (text.features == captions.features).any(axis=1).all()


@pytest.mark.exact
def test_more_views_leave_the_first_two_as_they_are(pretraining):
    two, four = (pretraining(f"simclr.views={count}") for count in (2, 4))
    views = views_of(four.batches.at(0), four.method, 0)
    assert len(views) == 4
    torch.testing.assert_close(views[:2], views_of(two.batches.at(0), two.method, 0), rtol=0, atol=0)
    assert not any(torch.equal(one, other) for one, other in combinations(views, 2))


@pytest.mark.exact
def test_both_views_change_from_step_to_step_and_come_back(pretraining):
    run = pretraining()
    batch = run.batches.at(0)
    one, other = views_of(batch, run.method, 0)
    assert not torch.equal(one, other)
    torch.testing.assert_close(views_of(batch, run.method, 0), (one, other), rtol=0, atol=0)
    assert not torch.equal(views_of(batch, run.method, 1)[0], one)


@pytest.mark.exact
def test_every_image_comes_once_an_epoch(pretraining):
    batches = pretraining().batches
    seen = [batches.indices(step) for step in range(3)]
    assert sorted(index for each in seen for index in each.tolist()) == list(range(96))
    assert batches.indices(3).tolist() != seen[0].tolist()
    assert batches.indices(0).tolist() == seen[0].tolist()


@pytest.mark.exact
def test_a_loss_that_is_not_finite_is_named(pretraining):
    run = pretraining()
    torch.nn.init.constant_(run.state.network.head[0].weight, float("nan"))
    run.step(0)
    assert run.state.watch.fault() == Fault("loss/nt_xent", 0)


@pytest.mark.exact
def test_the_seed_alone_decides_the_first_weights(pretraining):
    torch.manual_seed(1)
    first = pretraining().state.network.state_dict()
    torch.manual_seed(2)
    again = pretraining().state.network.state_dict()
    other = pretraining("seed=1").state.network.state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.0.weight"], other["head.0.weight"])
    assert stream(0, "view 1").initial_seed() != stream(0, "view 2").initial_seed()
