"""The GAN's training: discriminator step, generator step, moving average; at each snapshot FID and a sample grid."""

import shlex
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clipgan.about import Origin
from clipgan.batches import Batches
from clipgan.conditions import prompts
from clipgan.config import Config
from clipgan.distributed import joined, own_device, planned_rank, planned_size, rank, told_by_first
from clipgan.durable import remove_unfinished
from clipgan.installed import train_command
from clipgan.losses.structure import active_terms
from clipgan.metrics.evaluation import Evaluation
from clipgan.metrics.prompts import evenly
from clipgan.networks.cost import multiply_adds
from clipgan.prefetch import Prefetched, Source
from clipgan.prepare import Prepared, choose_device, prepare
from clipgan.progress import console
from clipgan.sample_grid import SampleGrid, title
from clipgan.tracking import RunLog
from clipgan.training import run_files
from clipgan.training.compiled import check_compiler, compile_networks
from clipgan.training.course import Course, Report, Result
from clipgan.training.determinism import deterministic_algorithms, is_deterministic, settle_cublas
from clipgan.training.initial import InitialWeights, read_initial, start_from
from clipgan.training.precision import choose_precision
from clipgan.training.run import Run
from clipgan.training.spaces import FrozenSpaces
from clipgan.training.state import new_state, parameter_count
from clipgan.training.steps import Objective, train_step
from clipgan.weight_table import weight_table


def train(config: Config, run_dir: Path, report: Report | None = None, origin: Origin | None = None) -> Result:
    """One training, from its last checkpoint if there is one.

    Args:
        config: the run; its task is a GAN where `config.simclr` is null.
        run_dir: where its files go; made if missing.
        report: called with the objective at each snapshot, so that a sweep can watch it and end it there.
        origin: what has started it, which MLflow shows.

    Raises:
        UserError: data, weights or a checkpoint are missing or do not fit.
        DivergenceError: a loss is no longer finite.
        Interrupted: SIGTERM or SIGINT came, and a checkpoint was written.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    if planned_rank() == 0:
        remove_unfinished(run_dir)
    device = choose_device(config.device)
    deterministic = is_deterministic(config.deterministic, device)
    if deterministic and device.type == "cuda":
        settle_cublas()
    if config.compile is not None:
        check_compiler(config.compile, device)
    device = own_device(device)
    precision = choose_precision(config.precision, device)
    config = replace(config, precision=precision.name)  # what `auto` came to is part of what the figures depend on
    if planned_rank() > 0:
        told_by_first("prepared", "")
    make = _prepared(config, run_dir, device, report)  # on all cores, whatever the training takes
    if planned_rank() == 0:
        told_by_first("prepared", "")  # from now on the others find all of it in the cache
    before = torch.get_num_threads()
    torch.set_num_threads(config.threads or max(1, before // planned_size()))
    try:
        with precision.products(), deterministic_algorithms(deterministic), joined(device):
            return make().run(origin or Origin())
    finally:
        torch.set_num_threads(before)


def _prepared(config: Config, run_dir: Path, device: torch.device, report: Report | None) -> Callable[[], Run]:
    """What makes the run, once all that it needs is in the cache."""
    if config.simclr is not None:
        from clipgan.simclr.loop import Pretraining, prepare_pretraining  # a GAN does without

        ready = prepare_pretraining(config, device)
        return lambda: Pretraining(config, run_dir, ready, device, report)
    initial = None
    if config.init is not None and not run_files.exists(config.resume, run_dir):
        initial = read_initial(config)  # before the data, so that a mistake is known at once
    prepared = prepare(config, device)
    return lambda: Training(config, run_dir, prepared, device, report, initial)


class Training(Run):
    """One run of a GAN: its state, its data, its measures."""

    maximised = False

    def __init__(
        self,
        config: Config,
        run_dir: Path,
        prepared: Prepared,
        device: torch.device,
        report: Report | None,
        initial: InitialWeights | None = None,
    ) -> None:
        course = Course("kimg", config.kimg, config.snapshot_kimg, Fraction(config.batch, 1000))
        super().__init__(config, run_dir, device, report, course)
        self.best_counts = config.metrics.objective == "best"
        features = prepared.features
        self.terms = active_terms(config)
        self.objective = Objective(
            config=config,
            generator_terms=[term for term in self.terms if term.phase == "G"],
            discriminator_terms=[term for term in self.terms if term.phase == "D"],
            spaces=FrozenSpaces(prepared.clip, prepared.resnet, features.text_to_resnet),
        )
        self.clip, self.judge = prepared.clip, prepared.judge
        batches = Batches(config, prepared.data.train, features.train, device, prepared.data.x_flip)
        self.batches: Source = Prefetched(batches) if device.type == "cuda" else batches
        self.state = new_state(config, prepared.clip.dim, device)
        if initial is not None:
            start_from(self.state, initial, config)
        self.evaluation = Evaluation(
            config, prepared.data, features, prepared.judge, prepared.clip, prepared.cache_dir, device
        )
        self.key = self.evaluation.key
        self.sources = {  # what files held: their names are in the configuration
            "data.fingerprint": prepared.data.fingerprint,
            "clip.key": prepared.clip.key,
            "judge.key": prepared.judge.key if prepared.judge else None,
            "resnet.key": prepared.resnet.key if prepared.resnet else None,
            "extractor.key": self.evaluation.extractor.key,
        }
        self.costs = multiply_adds(self.state.generator, self.state.discriminator, prepared.clip.dim)
        if config.compile is not None:
            compile_networks(self.state, self.objective.spaces, config.compile)
        heldout = prompts(features.heldout, config.condition, config.seed)
        chosen = evenly(len(heldout), config.sample_prompts)  # a set may be sorted
        titles = [title(prepared.data.heldout, index) for index in chosen]
        self.grid = SampleGrid(titles, heldout[chosen], config.sample_latents, config.model.z_dim, config.seed, device)
        self.text_to_resnet_r2 = features.text_to_resnet_r2

    def announce(self) -> None:
        """The weights of its terms."""
        console.print(weight_table(self.terms, self.config))

    def params(self) -> dict[str, Any]:
        """The sizes of the networks, and what FID is computed from."""
        return {
            "parameters/G": parameter_count(self.state.generator),
            "parameters/D": parameter_count(self.state.discriminator),
            **{f"macs/{name}": macs for name, macs in self.costs.items()},
            **self.evaluation.record(),
        }

    def first_values(self) -> dict[str, float]:
        """How well captions predict ResNet features."""
        return {} if self.text_to_resnet_r2 is None else {"text_to_resnet_r2": self.text_to_resnet_r2}

    def step(self, step: int) -> dict[str, Tensor]:
        """See `train_step`."""
        return train_step(self.state, self.batches.at(step), self.objective, step)

    def measure(self, mark: int, last: bool) -> dict[str, float]:
        """FID and what is measured beside it, and a sample grid."""
        raw = self.config.metrics.weights == "raw"
        measured = self.evaluation(self.state.generator if raw else self.state.generator_ema, last)
        if rank() == 0:
            [grid] = self.artifacts(mark)
            self.grid.save(self.state.generator_ema, grid)
        return measured

    def artifacts(self, mark: int) -> list[Path]:
        """The sample grid."""
        return [self.run_dir / f"samples-{mark:06d}.png"]

    def record(self) -> dict[str, Any]:
        """Its CLIPs, so that they are found again."""
        return {"clip": self.clip.record(), "judge": self.judge.record() if self.judge else None}

    def finish(self, log: RunLog) -> None:
        """The generator as a model of MLflow's."""
        if self.config.mlflow.log_model:
            log.model(self._write_model, self.ledger.mark)

    def _write_model(self, folder: Path) -> None:
        from clipgan.sampling.served import write  # what it imports, a run without MLflow does without

        write(folder, self.config, self.state.generator_ema, self.clip)

    def further(self, origin: Origin) -> list[tuple[str, str]]:
        """Pictures, a longer training, a sweep."""
        seconds, by_kimg = self.config.seconds, self.state.step == self.course.total
        longer = f"kimg={2 * self.ledger.mark}" if seconds is None or by_kimg else f"seconds={2 * seconds:g}"
        return [
            (f"python -m clipgan.sample ckpt={self.saved} prompts=PROMPTS", "draw what prompts say"),
            (f"{origin.command or shlex.join(train_command())} {longer}", "train on, for as long again"),
            (shlex.join([*train_command(), "-m", "h=0.1,0.5,2"]), "compare other h in a sweep"),
        ]
