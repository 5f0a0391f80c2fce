"""Parts that check the step, from `equality` to `devices`."""

import itertools
import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bench.gpu.findings import Findings, Setting
from bench.gpu.timing import GIB, relative_difference, steps
from bench.gpu.trainings import GRAPHS, graphs_in_use, noise_training, prepared_for, real_training
from clipgan.base.memory import give_back_memory
from clipgan.base.randomness import StepRandom
from clipgan.engine.determinism import deterministic_algorithms
from clipgan.engine.precision import choose_precision
from clipgan.tasks.gan.regularisers import gradient_penalty_step, path_length_step
from clipgan.tasks.gan.training import Training

# Each kind of step eagerly, then captured, then replayed, also with contrast.every=2.
NUMBERS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32)
ROUNDING = {"fp32": 1e-4, "tf32": 1e-2, "bf16": 5e-2, "fp16": 1e-2}  # relative, of losses after a few steps
STRUCTURES: dict[str, tuple[str, ...]] = {
    "loss=lafite": ("loss=lafite",),
    "adversarial=hinge adversarial.mismatch=1": ("adversarial=hinge", "adversarial.mismatch=1"),
    "adversarial=relativistic": ("adversarial=relativistic",),
    "discriminator=projected": ("discriminator=projected",),
    "loss.temperature.learned=true": ("loss.temperature.learned=true",),
    **{f"precision={name}": (f"precision={name}",) for name in ("fp32", "tf32", "bf16", "fp16")},
    **{f"loss={name}": (f"loss={name}",) for name in ("asymmetric", "symmetric")},
    **{
        f"pairs={name}": (f"pairs={name}",)
        for name in (
            "add_new_positive", "drop_easy_negative", "drop_false_negative", "drop_false_positive", "weakly_supervised"
        )
    },
    **{f"augment={name}": (f"augment={name}",) for name in ("diffaugment", "ada")},
    "accumulate=2": ("accumulate=2",),
    "accumulate=2 contrast.grad_cache=true": ("accumulate=2", "contrast.grad_cache=true"),
    "contrast.negatives=64": ("contrast.negatives=64",),
    "contrast.every=2": ("contrast.every=2",),
    "features=online": ("features=online",),
    "heterologous=source": ("heterologous=source",),
    "model=msg": ("model=msg",),
}  # fmt: skip


def equality(setting: Setting, found: Findings) -> None:
    """Forty steps in fp32 with `deterministic=true`: with graphs they have the losses and weights of eager steps."""
    with deterministic_algorithms(True):
        runs = {way: real_training(setting, "precision=fp32", *overrides) for way, overrides in GRAPHS.items()}
        losses = {way: losses_of(training, range(setting.count(40, 20))) for way, training in runs.items()}
    differing = differing_tensors(*runs.values())
    worst = relative_difference(*losses.values())
    found.check("40 steps", worst == 0 and not differing, {
        "largest relative difference of losses": worst, "tensors that differ": len(differing),
        "steps": graphs_in_use(runs["graphs"]),
    })  # fmt: skip


def structures(setting: Setting, found: Findings) -> None:
    """Compare a few steps of each setting with graphs and without; they must agree within the precision's rounding."""
    prepared = prepared_for(setting)
    names = [name for name in STRUCTURES if name != "precision=tf32" or setting.device != "cpu"]
    for name in setting.within(names, found, first=5):
        with found.attempt(name), deterministic_algorithms(True):
            runs = {
                way: real_training(setting, *STRUCTURES[name], *graphs, prepared=prepared)
                for way, graphs in GRAPHS.items()
            }
            losses = [losses_of(training, NUMBERS) for training in runs.values()]
            last = list(runs.values())[-1]
            worst = relative_difference(losses[0], losses[-1])
            good = worst <= ROUNDING[last.state.precision.name] and all(
                map(math.isfinite, itertools.chain(*losses[-1]))
            )
            ran = setting.device == "cpu" or graphs_in_use(last) == "graphs"
            found.check(name, good and ran, {"relative difference": worst, "steps": graphs_in_use(last)})
            del runs, last
        give_back_memory()


def failed_capture(setting: Setting, found: Findings) -> None:
    """A step whose capture fails, and all after it, run eagerly; the losses and weights are those of eager steps."""

    def out_of_memory(image: Tensor) -> None:
        if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
            raise torch.OutOfMemoryError("out of memory, as a check")

    def read(image: Tensor) -> None:
        image.sum().item()  # CUDA gives up the capture, and PyTorch may not be able to end it

    for name, fail in (("out of memory in a capture", out_of_memory), ("a value is read in a capture", read)):
        with found.attempt(name), deterministic_algorithms(True):
            runs = {way: real_training(setting, "precision=fp32", *overrides) for way, overrides in GRAPHS.items()}
            state = runs["graphs"].state
            run = state.discriminate
            state.discriminate = lambda images, *rest, run=run, fail=fail: fail(images.image) or run(images, *rest)  # type: ignore[method-assign,misc]
            losses = {way: losses_of(training, NUMBERS) for way, training in runs.items()}
            ran, differing = graphs_in_use(runs["graphs"]), differing_tensors(*runs.values())
            row: dict[str, Any] = {"steps": ran, "tensors that differ": len(differing)}
            good = losses["eager"] == losses["graphs"] and not differing
            if setting.device != "cpu":
                default = torch.cuda.current_stream() == torch.cuda.default_stream()
                torch.randn(3, device="cuda")  # the generator is in order
                row |= {"stream is the default one": default, "reserved_gib": torch.cuda.memory_reserved() / GIB}
                good = good and default and ran.startswith("eager: ")
            found.check(name, good, row)
            del runs, state, run
        give_back_memory()


def encoder_bits(setting: Setting, found: Findings) -> None:
    """With `deterministic=true`, steps with ViT-B/32, which resizes images of 32 pixels, repeat bit for bit."""
    with deterministic_algorithms(True):
        runs = []
        for _ in range(2):
            training = noise_training(setting, "clip=ViT-B32", "resolution=32", "batch=16")
            runs.append((losses_of(training, range(20)), training))
    (one, first), (other, second) = runs
    different = differing_tensors(first, second)
    good = one == other and not different
    found.check(
        "ViT-B32, 32 pixels, 20 steps", good, {"tensors that differ": len(different), "steps": graphs_in_use(first)}
    )


def fp16(setting: Setting, found: Findings) -> None:
    """Three hundred steps in fp16: the loss scale, the updates that overflow skipped, and faults."""
    training = real_training(setting, "precision=fp16")
    count = setting.count(300, 20)
    before = training.state.scaler.get_scale()
    last = steps(training, range(count))[-1]
    scale, fault = training.state.scaler.get_scale(), training.state.watch.fault(True)
    values = {name: float(value) for name, value in last.items() if name in ("loss/G", "loss/D")}
    found.check("fp16", fault is None and all(map(math.isfinite, values.values())), {
        "steps": count, "scale at first": before, "scale at last": scale,
        "skipped updates": round(math.log2(before / scale)) if scale else None,  # each one halves the scale
        "fault": None if fault is None else f"{fault.name} in step {fault.step}", **values,
        "ran as": graphs_in_use(training),
    })  # fmt: skip


def gradients(setting: Setting, found: Findings) -> None:
    """Compare the gradients of R1 and of path length in each precision with fp32's, after 64 steps in fp32."""
    prepared = prepared_for(setting)
    base = real_training(setting, "precision=fp32", *GRAPHS["eager"], prepared=prepared)
    steps(base, range(setting.count(64, 4)))
    wanted = regulariser_gradients(base)
    for name in ("tf32", "bf16", "fp16") if setting.device != "cpu" else ("bf16",):
        with found.attempt(name):
            training = real_training(setting, f"precision={name}", *GRAPHS["eager"], prepared=prepared)
            scaler = training.state.scaler.state_dict()
            training.state.load_state_dict(base.state.state_dict() | {"scaler": scaler})
            found.put(name, {
                part: {"relative error": float((own - other).norm() / other.norm()),
                       "cosine": float(torch.cosine_similarity(own, other, dim=0))}
                for (part, own), other in zip(regulariser_gradients(training).items(), wanted.values(), strict=True)
            })  # fmt: skip


def regulariser_gradients(training: Training) -> dict[str, Tensor]:
    """Return the gradients of R1 and of path length, each flat and in float64, and put the weights back."""
    state, objective, config = training.state, training.objective, training.config
    saved = {name: {key: value.clone() for key, value in getattr(state, name).state_dict().items()}
             for name in ("generator", "discriminator")}  # fmt: skip
    mean, batch = state.path_length_mean.clone(), training.batches.at(0)
    random = StepRandom(config.seed, 0, min(config.model.mbstd_group, config.batch), training.device)
    found = {}
    with state.precision.products(), state.differentiated_twice():
        for name, step, network in (
            ("R1", gradient_penalty_step, state.discriminator), ("path length", path_length_step, state.generator)
        ):  # fmt: skip
            step(state, batch, objective, random)
            own = [
                parameter.grad.flatten().double() for parameter in network.parameters() if parameter.grad is not None
            ]
            found[name] = torch.cat(own)
    for name, weights in saved.items():
        getattr(state, name).load_state_dict(weights)
    state.path_length_mean.copy_(mean)
    return found


def devices(setting: Setting, found: Findings) -> None:
    """The names of the GPU mean the same, `auto` looks at the right one, and its compute mode is read."""
    if setting.device == "cpu":
        found.put("devices", "left out: no GPU")
        return
    found.put("compute mode", compute_mode())
    names = ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    found.put("auto", {name: choose_precision("auto", torch.device(name)).name for name in names})
    with deterministic_algorithms(True):
        losses = {
            name: losses_of(real_training(replace(setting, device=name), "precision=fp32"), NUMBERS)
            for name in names[:3]
        }
    first = losses["cuda"]
    found.check("the same losses", all(own == first for own in losses.values()), list(losses))


def compute_mode() -> str:
    """Ask the driver for the GPUs' compute mode; an exclusive mode lets one process use a GPU."""
    import subprocess

    asked = ["nvidia-smi", "--query-gpu=compute_mode", "--format=csv,noheader"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        return f"unknown: {type(error).__name__}"


def losses_of(training: Training, numbers: range | tuple[int, ...]) -> list[list[float]]:
    """Do steps, and return the losses of each."""
    return [[float(value) for key, value in sorted(values.items()) if key.startswith("loss/")]
            for values in steps(training, numbers)]  # fmt: skip


def differing_tensors(one: Training, other: Training) -> list[str]:
    """List the weights of G and D that two trainings do not share bit for bit."""
    return [
        f"{network}.{name}"
        for network in ("generator", "discriminator", "generator_ema")
        for (name, a), b in zip(
            getattr(one.state, network).state_dict().items(),
            getattr(other.state, network).state_dict().values(),
            strict=True,
        )
        if not torch.equal(a, b)
    ]
