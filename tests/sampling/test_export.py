"""The recipe of docs/sampling.md, which exports a generator for plain PyTorch."""

import re
import subprocess
import sys
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.helpers import ROOT

TEXT = (ROOT / "docs" / "sampling.md").read_text()
EXPORT, USE = re.findall(r"```python\n(.+?)```", TEXT, re.DOTALL)
EXAMPLE = "runs/single/TIME/checkpoint-000008.pt"


@pytest.mark.numeric
@pytest.mark.slow
def test_an_exported_generator_draws_the_same_without_clipgan(trained, tmp_path, monkeypatch):
    assert EXAMPLE in EXPORT
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(EXPORT.replace(EXAMPLE, str(trained.checkpoint)), names)
    torch.save(names["sampler"].generator(names["z"], names["condition"], names["noise"]), "expected.pt")
    check = """
import sys
assert "clipgan" not in sys.modules
assert image.shape == (1, 3, 16, 16)
torch.testing.assert_close(program.module()(z, condition, noise), torch.load("expected.pt"), rtol=0, atol=1e-4)
"""
    subprocess.run([sys.executable, "-c", USE + check], cwd=tmp_path, check=True)


def test_its_weights_become_safetensors(sampler, tmp_path, monkeypatch):
    [line] = re.findall(r"`(save_file\(.+?\))`", TEXT)
    monkeypatch.chdir(tmp_path)
    eval(line, {"save_file": save_file, "sampler": sampler})
    state = sampler.generator.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in load_file("g.safetensors").items())
