"""Parts `cost` and `memory`: the notes' cost table, ViT-L/14@336, and a GPU of 24 GB."""

from functools import partial
from typing import Any

import torch

from bench.cost import NOTES
from bench.gpu.findings import Findings, Setting
from bench.gpu.steps import BASE
from bench.gpu.timing import GIB, WARM_UP, kinds, mean_step, row_of, warmed
from bench.gpu.trainings import graphs_in_use, noise_training
from bench.measuring import ratio
from clipgan.base.memory import give_back_memory
from clipgan.tasks.gan.training import Training

CELLS = (
    ("asymmetric", "online"),
    ("asymmetric", "preprocessed"),
    ("symmetric", "online"),
    ("symmetric", "preprocessed"),
)
COMPARED = {  # name -> (over, under)
    "symmetric / asymmetric, online": (CELLS[2], CELLS[0]),
    "symmetric / asymmetric, preprocessed": (CELLS[3], CELLS[1]),
    "preprocessed / online, asymmetric": (CELLS[1], CELLS[0]),
    "preprocessed / online, symmetric": (CELLS[3], CELLS[2]),
}
LARGE = ("model=base", "resolution=256", "batch=16", "clip=ViT-L14@336", "resnet=resnet50")
LARGE_CELLS = {
    "asymmetric, bfloat16": ("loss=asymmetric", "clip.precision=bfloat16"),
    "symmetric, bfloat16": ("loss=symmetric", "clip.precision=bfloat16"),
    "asymmetric, float32": ("loss=asymmetric", "clip.precision=float32"),
    "symmetric, float32": ("loss=symmetric", "clip.precision=float32"),
}
CARD = 22.5  # GiB that PyTorch may take of a card of 24 GB; the rest is the driver's and CUDA's
FITTING = {
    "base, ViT-L/14@336, batch 16, bf16": (*LARGE, "precision=bf16"),
    "base, ViT-B32, batch 16, fp32": ("model=base", "clip=ViT-B32", "precision=fp32", "batch=16"),
    "lafite, ViT-B32, batch 16, bf16": ("model=lafite", "clip=ViT-B32", "precision=bf16", "batch=16"),
    "base, ViT-L/14@336 in float32, batch 16, fp32": (*LARGE, "precision=fp32", "clip.precision=float32"),
    "lafite, ViT-L/14@336, batch 16, bf16": ("model=lafite", "clip=ViT-L14@336", "precision=bf16", "batch=16"),
    "base, ViT-B32, batch 32, bf16": ("model=base", "clip=ViT-B32", "precision=bf16", "batch=32"),
}


def cost(setting: Setting, found: Findings) -> None:
    """Measure the notes' four cells in turns, then steps with ViT-L/14@336."""
    with found.attempt("the notes' table"):
        trainings = {cell: warm(setting, *BASE, f"loss={cell[0]}", f"features={cell[1]}")[0] for cell in CELLS}
        named = {" ".join(cell): training for cell, training in trainings.items()}
        each = {name: mean_step(times) for name, times in kinds(named, setting.count(5)).items()}
        base = " ".join(CELLS[0])
        for cell, (name, training) in zip(CELLS, named.items(), strict=True):
            notes = NOTES[cell] / NOTES[CELLS[0]]
            found.put(name, row_of(training, each[name]) | {"ratio": ratio(each[name], each[base]), "notes": notes})
        for name, (over, under) in COMPARED.items():
            ours = ratio(each[" ".join(over)], each[" ".join(under)])
            found.put(name, {"ratio": ours, "notes": NOTES[over] / NOTES[under]})
        del trainings, named, training
    give_back_memory()
    cells = {f"ViT-L/14@336: {name}": overrides for name, overrides in LARGE_CELLS.items()}
    for name in setting.within(cells, found, first=8):
        with found.attempt(name):
            training, row = warm(setting, *LARGE, *cells[name])
            times = kinds({"": training}, setting.count(2), brief=True)[""]
            found.put(name, row | row_of(training, mean_step(times)))
            del training
        give_back_memory()


def memory(setting: Setting, found: Findings) -> None:
    """See whether steps at 256 pixels fit in a card of 24 GB, imitated by a limit for PyTorch's allocator."""
    whole = torch.cuda.get_device_properties(0).total_memory if setting.device != "cpu" else 0
    gave_back = True
    for name in setting.within(FITTING, found, first=10):
        if not gave_back:
            found.put(name, "left out: a capture has failed, and PyTorch may keep its memory")
            continue
        with found.attempt(name):
            try:
                if whole:
                    torch.cuda.set_per_process_memory_fraction(min(1.0, CARD * GIB / whole))
                training, row = warm(setting, "resolution=256", "loss=asymmetric", "resnet=resnet50", *FITTING[name])
                ran = graphs_in_use(training)
                found.put(name, row | {"fits": True, "steps": ran})
                gave_back = not ran.startswith("eager:")
                del training
            except torch.OutOfMemoryError:
                found.put(name, {"fits": False})
        give_back_memory()


def warm(setting: Setting, *overrides: str) -> tuple[Training, dict[str, Any]]:
    """Make a training and do each kind of step twice; return it, and the peak of its memory."""
    training, row, _ = warmed(partial(noise_training, setting, *overrides), WARM_UP)
    return training, row
