"""Fine-tuning: one step against the formula, the untouched encoder, and a divergence."""

import copy
import socket

import numpy as np
import pytest
import torch

from clipgan.base.errors import DivergenceError
from clipgan.engine.precision import choose_precision
from clipgan.inputs.data.labels import Labels
from clipgan.inputs.data.pack import Split
from clipgan.inputs.features.encoding import to_images
from clipgan.tasks.simclr.evaluation import computed_of_all
from clipgan.tasks.simclr.fine_tuning import FineTuning
from clipgan.tasks.simclr.network import build_encoder
from tests import warm
from tests.helpers import make_config
from tests.numeric import in_float32, in_float64

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")
WHOLE = ("simclr.augment.crop=1", "simclr.augment.aspect=1")  # a crop is the image


def tuning(*overrides, count=48):
    """Squares that are bright or dark, in noise, and their fine-tuning."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % 2
    pixels = random.integers(100, size=(count, 3, 16, 16)) + 100 * labels[:, None, None, None]
    settings = ("task=simclr", "resolution=16", "simclr.few_labels=[0.5]", "simclr.finetune.when=end", *WHOLE)
    with in_float32():
        config = make_config(*settings, *overrides)
    split = Split(pixels.astype(np.uint8), [[]] * count)
    return FineTuning(config, split, Labels(["dark", "bright"], labels, labels), False, choose_precision("fp32", CPU))


def encoder_of(seed=0):
    torch.manual_seed(seed)
    return build_encoder("tiny", "auto", 16)[0]


@pytest.mark.usefixtures("float64")
def test_two_steps_are_those_of_sgd_on_the_whole_network():
    method = tuning("simclr.finetune.epochs=2", "simclr.finetune.batch=8", "simclr.finetune.lr=3.2")
    encoder = encoder_of()
    labelled = torch.arange(8)
    found = method(encoder, labelled)
    network = torch.nn.Sequential(copy.deepcopy(encoder), torch.nn.Linear(128, 2))
    torch.nn.init.zeros_(network[1].weight)
    torch.nn.init.zeros_(network[1].bias)
    images, labels = to_images(method.split.images[:8], CPU).double(), torch.from_numpy(method.labels.train[:8])
    velocity = [torch.zeros_like(parameter) for parameter in network.parameters()]
    for rate in (0.1, 0.05):  # 3.2 * 8 / 256, and half of it: the cosine's middle
        network.zero_grad()
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        with torch.no_grad():
            for parameter, v in zip(network.parameters(), velocity, strict=True):
                v.mul_(0.9).add_(parameter.grad)
                parameter.sub_(rate * (parameter.grad + 0.9 * v))
    for ours, expected in zip(found.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(ours, expected)


TWICE = ("simclr.finetune.epochs=2", "simclr.finetune.batch=8", "simclr.augment.crop=0.5")


def one_of_two_processes(rank, address, results):
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    torch.set_num_threads(1)
    with in_float64():
        torch.save(tuning(*TWICE)(encoder_of(), torch.arange(19)).state_dict(), results / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.exact
@pytest.mark.slow
@pytest.mark.usefixtures("float64")
def test_two_processes_share_each_batch(tmp_path):
    """They end with the weights and the statistics of one process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    warm.call_by_ranks(one_of_two_processes, address, tmp_path, processes=2)
    expected = tuning(*TWICE)(encoder_of(), torch.arange(19)).state_dict()
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt")
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, msg=name)


def test_it_learns_and_leaves_the_encoder_as_it_is():
    settings = ("simclr.finetune.epochs=10", "simclr.finetune.batch=8", "simclr.finetune.lr=1")
    method, encoder = tuning(*settings), encoder_of()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    torch.manual_seed(5)
    logits = computed_of_all(method(encoder, torch.arange(24)), method.split, method.precision)
    assert (logits.argmax(dim=1).numpy() == method.labels.train).mean() > 0.9
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    torch.manual_seed(6)
    again = computed_of_all(method(encoder, torch.arange(24)), method.split, method.precision)
    torch.testing.assert_close(again, logits, rtol=0, atol=0)


def test_a_divergence_is_named_with_its_rate():
    method = tuning("simclr.finetune.epochs=3", "simclr.finetune.batch=8", "simclr.finetune.lr=1e30")
    with pytest.raises(DivergenceError, match=r"fine-tuning on 24 labels: .*simclr.finetune.lr=1e\+30; take a smaller"):
        method(encoder_of(), torch.arange(24))
