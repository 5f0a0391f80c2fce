"""The predicted cost of a step: that the parts are those of the algorithm, and what limits them."""

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.scaling import Assumptions, Gpu, all_reduce_seconds
from bench.train_step import count, random_batch
from bench.training.algorithm import parts_of_step, total
from bench.training.ledger import Kernel, ledger, seconds
from bench.training.passes import passes
from clipgan.encoder_cost import random_clip, random_resnet
from clipgan.models.losses.structure import active_terms
from clipgan.tasks.gan.spaces import FrozenSpaces
from clipgan.tasks.gan.state import new_state
from clipgan.tasks.gan.steps import Objective, train_step
from tests.helpers import make_config

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("overrides", "clip", "resnet"),
    [
        (("loss=asymmetric", "features=preprocessed"), (1, 1), (1, 1)),
        (("loss=asymmetric", "features=online"), (2, 1), (2, 1)),
        (("loss=symmetric", "features=online"), (2, 1), (2, 1)),
        (("loss=lafite", "features=online"), (1, 1), (0, 0)),  # no image is contrasted with an image
        (("loss=symmetric", "features=online", "S.CLIP=0"), (1, 0), (2, 1)),  # D learns CLIP's features
        (("loss=symmetric", "features=online", "C_it=0", "C_ii=0"), (0, 0), (0, 0)),
    ],
)
def test_an_encoder_runs_where_a_term_needs_it(overrides, clip, resnet) -> None:
    config = make_config(*overrides)
    work = parts_of_step(active_terms(config), config.features, config.model)
    assert (work["CLIP forward"], work["CLIP to image"]) == clip
    assert (work["ResNet forward"], work["ResNet to image"]) == resnet


def test_the_lazy_regularisers_come_by_their_intervals() -> None:
    config = make_config("model.r1_interval=16", "model.pl_interval=4", "model.r1_gamma=1", "model.pl_weight=2")
    work = parts_of_step((), "preprocessed", config.model)
    assert (work["R1"], work["path length"]) == (1 / 16, 1 / 4)
    without = parts_of_step((), "preprocessed", replace(config.model, r1_gamma=0, pl_weight=0))
    assert (without["R1"], without["path length"]) == (0, 0)


@pytest.mark.parametrize("loss", ["asymmetric", "symmetric"])
@pytest.mark.parametrize("features", ["online", "preprocessed"])
def test_the_parts_add_up_to_a_real_step(loss: str, features: str) -> None:
    """Operations of two training steps on real tensors: one with both lazy regularisers, one without."""
    config = make_config(
        f"loss={loss}", f"features={features}", "resolution=16", "batch=8", "model.channel_base=512",
        "model.channel_max=64", "model.r1_interval=2", "model.pl_interval=2", "precision=fp32", "device=cpu",
    )  # fmt: skip
    terms = active_terms(config)
    clip, resnet = random_clip(config.clip, "float32"), random_resnet(config.resnet, "float32")
    unit = torch.nn.functional.normalize(torch.randn(config.batch, clip.dim))
    own = torch.nn.functional.normalize(torch.randn(config.batch, resnet.dim))
    batch = replace(random_batch(config, CPU), text=unit, clip_image=unit, condition=unit, resnet_image=own)
    objective = Objective(
        config,
        [term for term in terms if term.phase == "G"],
        [term for term in terms if term.phase == "D"],
        FrozenSpaces(clip, resnet, torch.randn(clip.dim, resnet.dim)),
    )
    state = new_state(config, clip.dim, CPU)

    def steps() -> None:
        for step in range(2):
            train_step(state, batch, objective, step)

    with sdpa_kernel(SDPBackend.MATH):
        real = count(steps) / 2
    work = parts_of_step(terms, features, config.model)
    costs = {part: sum(kernel.flops for kernel in kernels) for part, kernels in passes(config).items()}
    assert total(work, costs) == pytest.approx(real, rel=0.002)


def test_a_ledger_has_products_and_bytes_and_no_views() -> None:
    a, b = torch.empty(4, 8, device="meta"), torch.empty(8, 2, device="meta")
    assert ledger(lambda: (a @ b).t().relu_()) == [
        Kernel(2 * 4 * 8 * 2, 4 * (32 + 16 + 8)),
        Kernel(0, 4 * (8 + 8)),
    ]
    assert ledger(lambda: torch.empty(1, 8, device="meta").expand(4, 8) + a) == [
        Kernel(0, 4 * 8),
        Kernel(0, 4 * (8 + 32 + 32)),
    ]


def test_a_kernel_waits_for_arithmetic_or_for_memory() -> None:
    kernels = [Kernel(100, 1), Kernel(0, 60)]
    assert seconds(kernels, flops=10, bandwidth=20) == 10 + 3
    assert seconds(kernels, flops=10, bandwidth=20, width=0.5) == 10 + 1.5


@pytest.mark.parametrize(
    ("share", "launch", "expected", "limit"),
    [
        (1.0, 0.0, 2 * (10 + 3), "compute"),
        (0.5, 0.0, 4 * (10 + 3), "compute"),
        (1.0, 20.0, 2 * 2 * 20, "launches"),
    ],
)
def test_a_prediction_names_what_limits(share: float, launch: float, expected: float, limit: str) -> None:
    assumed = Assumptions(share, {"fp32": launch})
    counted = {"D forward": [Kernel(100, 1), Kernel(0, 60)]}
    found = assumed.predict({"D forward": 2}, counted, Gpu({"fp32": 10}, 20), "fp32", batch=1000)
    assert (found.seconds, found.limit) == (expected, limit)
    slow_memory = assumed.predict({"D forward": 2}, counted, Gpu({"fp32": 10}, 1), "fp32", batch=1000)
    assert slow_memory.limit == ("launches" if launch > 70 else "memory")


def test_a_ring_sends_each_gradient_nearly_twice() -> None:
    assert all_reduce_seconds(100, 2, 50) == 2
    assert all_reduce_seconds(100, 8, 50) == 3.5
