"""Train the GAN: discriminator step, generator step, moving average; at each snapshot, FID and a sample grid."""

import math
import shlex
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clipgan.base.console import console
from clipgan.base.distributed import rank
from clipgan.base.installed import module_command
from clipgan.base.text import shown_path
from clipgan.config import Config, direction_of
from clipgan.config.arguments import key_of
from clipgan.engine import checkpoint_folder
from clipgan.engine.result import Report
from clipgan.engine.run import Run
from clipgan.engine.schedule import Schedule
from clipgan.inputs.batches.batches import Batches
from clipgan.inputs.batches.prefetch import Prefetched, Source
from clipgan.inputs.features.evaluation_conditions import prompts
from clipgan.metrics.evaluation import Evaluation
from clipgan.metrics.prompts import evenly
from clipgan.models.losses.structure import active_terms
from clipgan.models.networks.cost import multiply_adds, parameter_count
from clipgan.tasks.gan.compiled import compile_networks
from clipgan.tasks.gan.initial_weights import InitialWeights, read_initial, start_from
from clipgan.tasks.gan.objective import Objective
from clipgan.tasks.gan.preparation import Prepared, prepare
from clipgan.tasks.gan.sample_grid import SampleGrid, title
from clipgan.tasks.gan.spaces import FrozenSpaces
from clipgan.tasks.gan.state import new_state
from clipgan.tasks.gan.train_step import graphs_of, train_step
from clipgan.tasks.gan.weight_table import weight_table
from clipgan.tracking.log import Log
from clipgan.tracking.run_description import Origin


class Training(Run):
    """One run of a GAN."""

    def __init__(
        self,
        config: Config,
        run_dir: Path,
        prepared: Prepared,
        device: torch.device,
        report: Report | None,
        initial: InitialWeights | None = None,
    ) -> None:
        schedule = Schedule("kimg", config.kimg, config.snapshot_kimg, Fraction(config.batch, 1000))
        self.maximised = direction_of(config.metrics.objective) == "maximize"
        super().__init__(config, run_dir, device, report, schedule)
        self.best_counts = config.metrics.returns == "best"
        features = prepared.features
        self.terms = active_terms(config)
        self.objective = Objective(
            config=config,
            generator_terms=[term for term in self.terms if term.phase == "G"],
            discriminator_terms=[term for term in self.terms if term.phase == "D"],
            spaces=FrozenSpaces(prepared.clip, prepared.resnet, features.text_to_resnet, config.loss.text == "noisy"),
        )
        self.clip, self.judge, self.pretrained = prepared.clip, prepared.judge, prepared.pretrained
        batches = Batches(config, prepared.data.train, features.train, device, prepared.data.x_flip)
        self.batches: Source = Prefetched(batches) if device.type == "cuda" else batches
        self.state = new_state(config, prepared.clip.dim, device, prepared.frozen)
        if initial is not None:
            start_from(self.state, initial, config)
        self.evaluation = Evaluation(
            config, prepared.data, features, prepared.judge, prepared.clip, prepared.cache_dir, device,
            self.state.precision.autocast,
        )  # fmt: skip
        self.key, self.names = self.evaluation.key, self.evaluation.names
        self.sources = prepared.sources | {"extractor.key": self.evaluation.extractor.key}
        self.costs = multiply_adds(self.state.generator, self.state.discriminator, prepared.clip.dim, self.state.frozen)
        if config.compile is not None:
            compile_networks(self.state, self.objective.spaces, config.compile)
        # not the state's own: a cycle of references would keep this run's memory in the next trial of the process
        self.graphs = graphs_of(config, self.state, device)
        self.grid = _grid_of(config, prepared, device)
        self.text_to_resnet_r2 = features.text_to_resnet_r2

    def announce(self) -> None:
        """Print the weights of the terms."""
        console.print(weight_table(self.terms, self.config))

    def params(self) -> dict[str, Any]:
        """The sizes of the networks, the pretraining of the ResNet, and the protocol of the metrics."""
        pretrained = self.pretrained.record() if self.pretrained else {}
        return {
            "parameters/G": parameter_count(self.state.generator),
            "parameters/D": parameter_count(self.state.discriminator),
            **{f"macs/{name}": macs for name, macs in self.costs.items()},
            **{f"resnet/{name}": value for name, value in pretrained.items()},
            **self.evaluation.record(),
        }

    def first_values(self) -> dict[str, float]:
        """Return how well captions predict ResNet features."""
        return {} if self.text_to_resnet_r2 is None else {"text_to_resnet_r2": self.text_to_resnet_r2}

    def step(self, step: int) -> dict[str, Tensor]:
        """See `train_step`."""
        return train_step(self.state, self.batches.at(step), self.objective, step, self.graphs)

    def named(self, values: dict[str, float]) -> dict[str, float]:
        """Put the contrastive terms (`G/CLIP/it`) under one prefix that sorts behind the metrics: `terms/G/CLIP/it`."""
        return {f"terms/{name}" if name.startswith(("G/", "D/")) else name: value for name, value in values.items()}

    def measure(self, units: int, last: bool) -> dict[str, float]:
        """Compute the objective and the other measures, and draw the sample grid."""
        raw = self.config.metrics.weights == "raw"
        measured = self.evaluation(self.state.generator if raw else self.state.generator_ema, last)
        if rank() == 0:
            [grid] = self.pictures(units)
            self.grid.save(self.state.generator_ema, grid)
        return measured

    def pictures(self, units: int) -> list[Path]:
        """The sample grid."""
        return [self.run_dir / f"samples-{units:06d}.png"]

    def record(self) -> dict[str, Any]:
        """Describe the CLIPs and the pretraining of the ResNet, so that a later command finds them."""
        return {
            "clip": self.clip.record(),
            "judge": self.judge.record() if self.judge else None,
            "resnet": self.pretrained.record() if self.pretrained else None,
        }

    def finish(self, log: Log) -> None:
        """Log the generator as an MLflow model."""
        if self.config.mlflow.log_model:
            log.model(self._write_model, self.history.recorded_units)

    def _write_model(self, folder: Path) -> None:
        from clipgan.sampling.served import write  # a run without MLflow does not need its imports

        write(folder, self.config, self.state.generator_ema, self.clip)

    def further(self, origin: Origin) -> list[tuple[str, str]]:
        """List commands for pictures, a longer training and a sweep."""
        assert self.checkpoints.last is not None
        drawing = [*module_command("clipgan.sample"), f"ckpt={shown_path(self.checkpoints.last)}", "prompts=PROMPTS"]
        steps = [(shlex.join(drawing), "draw what prompts say")]
        if origin.command.run_dir is None:
            return steps
        steps.append((origin.command.here().resumed(**self._twice_as_long()), "train on, for as long again"))
        if axis := axis_to_sweep(self.config):
            steps.append((origin.command.sweep(axis), f"compare other {key_of(axis)} in a sweep"))
        return steps

    def _twice_as_long(self) -> dict[str, str]:
        """The limits of a run that goes on for as long again; a limit that leaves room for it stays."""
        units, seconds, limit = 2 * self.history.recorded_units, 2 * self.history.recorded_seconds, self.config.seconds
        longer = {"kimg": f"{units}"} if units > self.config.kimg else {}
        if limit is not None and self.state.step < self.schedule.total_steps:
            longer["seconds"] = f"{math.ceil(max(2 * limit, seconds))}"  # one kimg may take longer than the limit
        elif limit is not None and limit < seconds:
            longer["seconds"] = f"{math.ceil(seconds)}"
        return longer


def axis_to_sweep(config: Config) -> str | None:
    """Choose the axis of the sweep that is proposed after a training: one that its loss reads."""
    unread = config.unread_weights()
    if config.loss.homologous == 0:  # h weighs one direction against the other, and a number may stand in its place
        unread.append("h")
    return next((axis for axis in ("h=0.1,0.5,2", "C_it=0.5,1.25,2.5") if key_of(axis) not in unread), None)


def _grid_of(config: Config, prepared: Prepared, device: torch.device) -> SampleGrid:
    """Make the sample grid of held-out captions; of a sorted set, they come from all parts."""
    conditions = prompts(prepared.features.heldout, config.condition, config.seed)
    chosen = evenly(len(conditions), config.sample_prompts)
    titles = [title(prepared.data.heldout, index) for index in chosen]
    return SampleGrid(titles, conditions[chosen], config.sample_latents, config.model.z_dim, config.seed, device)


def prepare_run(config: Config, run_dir: Path, device: torch.device, report: Report | None) -> Callable[[], Training]:
    """Fill the cache for a GAN's run, and return the function that makes the run.

    Raises:
        UserError: data, weights or a checkpoint are missing or do not fit.
    """
    initial = None
    if config.init is not None and not checkpoint_folder.exists(config.resume, run_dir):
        initial = read_initial(config)  # before the data, so that a user learns of a mistake at once
    prepared = prepare(config, device, run_dir)
    return lambda: Training(config, run_dir, prepared, device, report, initial)
