"""Networks of the reference, and pickles of them."""

import numpy as np
import pytest
import torch

from tests.import_lafite.pickles import EasyDict, build, dump
from tests.import_lafite.reference import Discriminator, Generator

C = 128  # the width of the small CLIP


def public_networks(
    resolution=16, change=8, clamp=256, f_dim=C, use_norm=False, freeze=0, base=128, maximum=12,
    z_dim=20, w_dim=24, num_layers=3,
):  # fmt: skip
    """G, its average and D with other weights each, and the settings that a public pickle has beside them."""
    both = {"c_dim": 0, "img_resolution": resolution, "img_channels": 3}
    widths = {"channel_base": base, "channel_max": maximum, "num_fp16_res": 4, "conv_clamp": clamp}
    generator = both | {
        "z_dim": z_dim,
        "w_dim": w_dim,
        "mapping_kwargs": EasyDict(num_layers=num_layers),
        "synthesis_kwargs": EasyDict(widths, change=change, f_dim=f_dim),
    }
    discriminator = (
        both
        | widths
        | {
            "use_norm": use_norm,
            "use_fts": True,
            "block_kwargs": EasyDict(freeze_layers=freeze),
            "mapping_kwargs": EasyDict(),
            "epilogue_kwargs": EasyDict(mbstd_group_size=4, f_dim=f_dim),
        }
    )
    return {
        "training_set_kwargs": {"class_name": "training.dataset.ImageFolderDataset", "ratio": np.float64(1)},
        "G": build(Generator, **generator),
        "D": build(Discriminator, **discriminator),
        "G_ema": build(Generator, **generator),
        "augment_pipe": None,
    }


@pytest.fixture(scope="session")
def public(tmp_path_factory):
    """A public pickle with both kinds of styles, and the networks in it."""
    torch.manual_seed(3)
    networks = public_networks()
    return networks, dump(networks, tmp_path_factory.mktemp("public") / "network-snapshot-000000.pkl")
