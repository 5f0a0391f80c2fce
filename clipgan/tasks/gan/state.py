"""The changing state of a training: networks, moving average, optimisers, path-length mean, step."""

import copy
import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from clipgan.base.randomness import stream_seed
from clipgan.config import Config
from clipgan.engine.divergence import Watch
from clipgan.engine.optimizer_step import update
from clipgan.engine.precision import Precision, choose_precision
from clipgan.inputs.encoders.frozen_layers import FrozenLayers
from clipgan.models.augmentation.policies import Augmentation, build_augmentation
from clipgan.models.losses.structure import active_terms
from clipgan.models.losses.temperature import LearnedTemperatures
from clipgan.models.networks.build import AnyDiscriminator, build_discriminator, build_generator
from clipgan.models.networks.derivatives import differentiated_twice
from clipgan.models.networks.discriminator import DiscriminatorOutput
from clipgan.models.networks.generator import TextToImage
from clipgan.models.networks.scales import Scales
from clipgan.tasks.gan.ema import MovingAverage
from clipgan.tasks.gan.optimizers import adam, allow_capture


@dataclass
class TrainingState:
    """The state of one run; a checkpoint stores its `state_dict`."""

    generator: TextToImage
    discriminator: AnyDiscriminator
    generator_ema: TextToImage
    generator_optimizer: torch.optim.Adam
    discriminator_optimizer: torch.optim.Adam
    path_length_mean: Tensor  # a scalar
    precision: Precision
    scaler: torch.amp.GradScaler
    step: int = 0  # batches done
    augmentation: Augmentation = field(default_factory=Augmentation)
    temperatures: LearnedTemperatures = field(default_factory=lambda: LearnedTemperatures([]))
    frozen: FrozenLayers | None = None  # whose maps a projected D reads in place of images; not in `state_dict`
    watch: Watch = field(default_factory=Watch)  # not in `state_dict`
    compiled: bool = False  # whether the networks run as torch.compile's graphs

    @functools.cached_property
    def moving_average(self) -> MovingAverage:
        """Updates `generator_ema`."""
        return MovingAverage(self.generator_ema, self.generator)

    def generate(self, ws: Tensor, condition: Tensor, noise: Sequence[Tensor]) -> Scales:
        """Run G in the training's precision: [N, L, W], [N, C] -> float32 images."""
        with self.precision.autocast():
            images: Scales = self.generator.scales(ws, condition, noise)
        return images.map(Tensor.float)

    def discriminate(self, images: Scales, condition: Tensor, mismatched: Tensor | None = None) -> DiscriminatorOutput:
        """Run D in the training's precision: images, [N, C] -> float32 logits and semantic features."""
        return self.discriminate_maps(
            images if self.frozen is None else self.frozen(images.image), condition, mismatched
        )

    def discriminate_maps(
        self, maps: Scales | Sequence[Tensor], condition: Tensor, mismatched: Tensor | None = None
    ) -> DiscriminatorOutput:
        """Run D on what it reads: images, or the frozen network's maps."""
        with self.precision.autocast():
            judged: DiscriminatorOutput = self.discriminator(maps, condition, mismatched)
        return judged.float()

    @contextmanager
    def differentiated_twice(self) -> Iterator[None]:
        """Leave out compiled graphs and written-out gradients in a block: they cannot be differentiated twice."""
        with torch.compiler.set_stance("force_eager") if self.compiled else nullcontext(), differentiated_twice():
            yield

    def update(self, optimizer: torch.optim.Optimizer, gradient: str) -> None:
        """Step an optimiser on the accumulated gradients of all processes.

        Args:
            gradient: the gradients' name in the watch.
        """
        update(optimizer, self.scaler, self.watch, gradient)

    def train_discriminator(self, on: bool) -> None:
        """Turn the gradients of D's weights on or off; for weights that Freeze-D keeps, they stay off."""
        for group in self.discriminator_optimizer.param_groups:
            for parameter in group["params"]:
                parameter.requires_grad_(on)

    def forget_gradients(self) -> None:
        """Drop the gradients of the last step, which the next one would drop first of all."""
        self.generator_optimizer.zero_grad(set_to_none=True)
        self.discriminator_optimizer.zero_grad(set_to_none=True)

    def reset(self) -> None:
        """Put the objects in order after a step that was recorded only in part and never ran."""
        self.train_discriminator(True)
        self.forget_gradients()  # they lie in the memory of the recording
        self.watch.forget()
        scaler = self.precision.scaler()  # the old one may wait for the end of the step
        scaler.load_state_dict(self.scaler.state_dict())
        self.scaler = scaler
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            for name in ("grad_scale", "found_inf"):  # the scaler notes them during a step, and would use them again
                vars(optimizer).pop(name, None)

    def state_dict(self) -> dict[str, Any]:
        """Return the state as tensors and plain data."""
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "generator_ema": self.generator_ema.state_dict(),
            "generator_optimizer": self.generator_optimizer.state_dict(),
            "discriminator_optimizer": self.discriminator_optimizer.state_dict(),
            "path_length_mean": self.path_length_mean,
            "scaler": self.scaler.state_dict(),
            "augmentation": self.augmentation.state_dict(),
            "temperatures": self.temperatures.state_dict(),
            "step": self.step,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the result of `state_dict`.

        Raises:
            RuntimeError: the networks have other shapes.
        """
        for name in ("generator", "discriminator", "generator_ema", "generator_optimizer", "discriminator_optimizer"):
            getattr(self, name).load_state_dict(state[name])
        allow_capture(self.generator_optimizer)
        allow_capture(self.discriminator_optimizer)
        self.path_length_mean.copy_(state["path_length_mean"])
        self.scaler.load_state_dict(state["scaler"])
        self.augmentation.load_state_dict(state["augmentation"])
        self.temperatures.load_state_dict(state.get("temperatures", {}))  # 0.1.0 had none
        self.step = state["step"]


def new_state(config: Config, clip_dim: int, device: torch.device, frozen: FrozenLayers | None = None) -> TrainingState:
    """Initialise new networks and optimisers.

    Args:
        config: the run; only its seed determines the initial weights.
        clip_dim: C, the width of the CLIP embedding.
        device: device of the networks.
        frozen: the layers that a projected D reads; None for any other D.

    Raises:
        UserError: the device cannot compute in `config.precision`.
    """
    model, precision = config.model, choose_precision(config.precision, device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(config.seed, "initial weights"))
        generator = build_generator(model, clip_dim, config.resolution)
        channels = None if frozen is None else frozen.channels
        discriminator = build_discriminator(model, clip_dim, config.resolution, config.discriminator, channels)
    for layer in discriminator.layers_from_image()[: config.freeze_d]:
        layer.requires_grad_(False)
    generator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    discriminator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    temperatures = LearnedTemperatures(active_terms(config)).to(device)
    return TrainingState(
        generator=generator,
        discriminator=discriminator,
        generator_ema=copy.deepcopy(generator).eval().requires_grad_(False),
        generator_optimizer=adam(
            [*generator.parameters(), *temperatures.of("G")], model.g_lr, model.pl_interval if model.pl_weight else None
        ),
        discriminator_optimizer=adam(
            [*discriminator.parameters(), *temperatures.of("D")],
            model.d_lr,
            model.r1_interval if config.gradient_penalties() else None,
        ),
        path_length_mean=torch.zeros((), device=device),
        precision=precision,
        scaler=precision.scaler(),
        augmentation=build_augmentation(config.augment, config.batch, device),
        temperatures=temperatures,
        frozen=frozen,
    )
