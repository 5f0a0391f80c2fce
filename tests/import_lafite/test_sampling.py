"""A converted pickle is sampled as any checkpoint is."""

import torch
from PIL import Image

from clipgan.import_lafite.__main__ import import_lafite
from clipgan.inputs.encoders.tiny.tiny_clip import TINY_MODEL, build_clip, register_tiny_model
from clipgan.sample import sample
from clipgan.sampling.options import parse


def test_a_converted_pickle_is_sampled(public, tmp_path):
    import_lafite(public[1], tmp_path / "lafite.pt", ["clip=tiny"])
    register_tiny_model()
    torch.save(build_clip(TINY_MODEL).state_dict(), tmp_path / "clip.pt")
    settings = [f"ckpt={tmp_path}/lafite.pt", f"clip.checkpoint={tmp_path}/clip.pt", f"out={tmp_path}/out"]
    files = sample(parse([*settings, "prompts=a red bird;a plate", "seeds=0-1", "truncation=0.7"]))
    pictures = [Image.open(path) for path in files[1:]]
    assert [picture.size for picture in pictures] == [(16, 16)] * 4
    assert len({picture.tobytes() for picture in pictures}) == 4
