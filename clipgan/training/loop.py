"""The training loop: discriminator step, generator step, moving average; at each snapshot FID, grid and checkpoint."""

import math
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clipgan.conditions import prompts
from clipgan.config import Config, flatten
from clipgan.data.batches import Batches
from clipgan.errors import DivergenceError, UserError
from clipgan.losses.structure import active_terms
from clipgan.metrics.fid import Fid, evenly
from clipgan.metrics.retrieval import Retrieval
from clipgan.prepare import Prepared, choose_device, prepare
from clipgan.progress import console, track
from clipgan.sample_grid import SampleGrid, title
from clipgan.tracking import RunLog
from clipgan.training.checkpoint import checkpoint_path, keep_only, load_checkpoint, resume_path, save_checkpoint
from clipgan.training.initial import InitialWeights, read_initial, start_from
from clipgan.training.precision import choose_precision
from clipgan.training.spaces import FrozenSpaces
from clipgan.training.state import new_state, parameter_count
from clipgan.training.steps import Objective, train_step
from clipgan.weight_table import weight_table

Report = Callable[[float, int], bool]  # (FID, whole kimg) -> whether the run is to end there

# What may change between a run and its resumption: nothing that the figures depend on.
RESUMABLE = (
    "kimg", "snapshot_kimg", "device", "threads", "resume", "cache_dir", "mlflow.", "sample_", "metrics.objective",
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What a run comes to."""

    objective: float  # its last or its best FID, as `metrics.objective` says
    sec_per_kimg: float  # of the training alone, without snapshots
    stopped: bool  # whether `report` ended it before its last step


def train(config: Config, run_dir: Path, report: Report | None = None, parent_run_id: str | None = None) -> Result:
    """One training, from its last checkpoint if there is one.

    Args:
        config: the run.
        run_dir: where its files go; made if missing.
        report: called with the FID at each snapshot, so that a sweep can watch it and end it there.
        parent_run_id: the MLflow run of the sweep, if there is one.

    Raises:
        UserError: data, weights or a checkpoint are missing or do not fit.
        DivergenceError: a loss is no longer finite.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    device = choose_device(config.device)
    precision = choose_precision(config.precision, device)
    config = replace(config, precision=precision.name)  # what `auto` came to is part of what the figures depend on
    initial = None
    if config.init is not None and resume_path(config.resume, run_dir) is None:
        initial = read_initial(config)  # before the data, so that a mistake is known at once
    prepared = prepare(config, device)  # on all cores, whatever the training takes
    before = torch.get_num_threads()
    torch.set_num_threads(config.threads or before)
    try:
        with precision.products():
            return Training(config, run_dir, prepared, device, report, initial).run(parent_run_id)
    finally:
        torch.set_num_threads(before)


def run_name(config: Config) -> str:
    """`symmetric h=0.5 tiny shapes`: loss structure, h, CLIP and data set, for a person to read."""
    return f"{config.loss.name} h={config.h:g} {config.clip.name} {config.data.name}"


class Training:
    """One run: its state, its data, its measures."""

    def __init__(
        self,
        config: Config,
        run_dir: Path,
        prepared: Prepared,
        device: torch.device,
        report: Report | None,
        initial: InitialWeights | None = None,
    ) -> None:
        self.config, self.run_dir, self.device, self.report = config, run_dir, device, report
        torch.set_flush_denormal(True)  # on a CPU, multiplying denormal gradients takes some 25 x as long
        features = prepared.features
        terms = active_terms(config)
        self.objective = Objective(
            config=config,
            generator_terms=[term for term in terms if term.phase == "G"],
            discriminator_terms=[term for term in terms if term.phase == "D"],
            spaces=FrozenSpaces(
                prepared.clip, prepared.resnet, features.text_to_resnet, online=config.features == "online"
            ),
        )
        self.clip, self.judge = prepared.clip, prepared.judge
        self.batches = Batches(config, prepared.data.train, features.train, device, prepared.data.x_flip)
        self.state = new_state(config, prepared.clip.dim, device)
        if initial is not None:
            start_from(self.state, initial, config)
        split = config.data.fid_split
        conditions = prompts(getattr(features, split), config.condition, config.seed)
        self.fid = Fid(config.metrics, prepared.data, split, conditions, prepared.judge, prepared.cache_dir, device)
        heldout = prompts(features.heldout, config.condition, config.seed)
        self.retrieval = Retrieval.of(prepared.judge, prepared.data.heldout, heldout, config.metrics, device)
        chosen = evenly(len(heldout), config.sample_prompts)  # a set may be sorted
        titles = [title(prepared.data.heldout, index) for index in chosen]
        self.grid = SampleGrid(titles, heldout[chosen], config.sample_latents, config.model.z_dim, config.seed, device)
        self.history: list[tuple[int, float]] = []  # (kimg, FID)
        self.train_seconds = 0.0
        self.stopped = False
        self.text_to_resnet_r2 = features.text_to_resnet_r2
        self.terms = terms

    def run(self, parent_run_id: str | None) -> Result:
        """Train to `config.kimg`, or until the report says to stop, and return the figures."""
        console.print(weight_table(self.terms, self.config))
        resumed_at = self._resume()
        params = flatten(self.config) | {
            "parameters/G": parameter_count(self.state.generator),
            "parameters/D": parameter_count(self.state.discriminator),
            "fid_key": self.fid.key,
        }
        log = RunLog(self.run_dir, self.config.mlflow, run_name(self.config), params, parent_run_id, resumed_at)
        status = "FAILED"
        try:
            log.artifact(self._save_config())
            if resumed_at is None:
                r2 = self.text_to_resnet_r2
                self._snapshot(log, 0, {} if r2 is None else {"text_to_resnet_r2": r2})
            self._steps(log)
            if self.config.mlflow.log_model and not self.stopped:
                log.model(self._write_model, self.config.kimg)
            status = "KILLED" if self.stopped else "FINISHED"  # a comparison of finished runs leaves it out
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            log.finish(status, pruned=self.stopped)
        fids = [fid for _, fid in self.history]
        console.print(f"sample grids: {self.run_dir}/samples-*.png", markup=False)
        objective = fids[-1] if self.config.metrics.objective == "last" else min(fids)
        return Result(objective, self._sec_per_kimg(), self.stopped)

    def _steps(self, log: RunLog) -> None:
        config, state = self.config, self.state
        total = math.ceil(config.kimg * 1000 / config.batch)
        tick = _Tick()
        remaining = range(state.step, total)
        for step in track(remaining, f"training {run_name(config)}", len(remaining)):
            if self.stopped:
                break
            tick.add(self.step(step))
            before, kimg = (images // 1000 for images in (step * config.batch, state.step * config.batch))
            if state.step == total:
                kimg = config.kimg
            if kimg == before:
                continue
            self.train_seconds += tick.seconds()
            values = tick.means(state.step)
            values["sec_per_kimg"] = tick.seconds() / (tick.steps * config.batch / 1000)
            values["memory_gb"] = self._memory()
            if kimg // config.snapshot_kimg > before // config.snapshot_kimg or state.step == total:
                self._snapshot(log, kimg, values)
            else:
                log.metrics(kimg, values)
            tick = _Tick()
        self.stopped = self.stopped and state.step < total

    def step(self, step: int) -> dict[str, Tensor]:
        """See `train_step`."""
        return train_step(self.state, self.batches.at(step), self.objective, step)

    def _snapshot(self, log: RunLog, kimg: int, values: dict[str, float]) -> None:
        """FID, sample grid, checkpoint, and the record of them."""
        start = time.perf_counter()
        fid = self.fid(self.state.generator_ema, self.config.seed)
        if not math.isfinite(fid):
            raise DivergenceError(f"{self.fid.key} is {fid} at {kimg} kimg")
        self.history.append((kimg, fid))
        best_kimg, best = min(self.history, key=lambda entry: entry[1])
        if self.retrieval is not None:
            values = values | {self.retrieval.key: self.retrieval(self.state.generator_ema, self.config.seed)}
        grid = self.run_dir / f"samples-{kimg:06d}.png"
        self.grid.save(self.state.generator_ema, grid)
        seconds = time.perf_counter() - start
        log.metrics(kimg, {**values, self.fid.key: fid, f"{self.fid.key}_best": best, "snapshot_seconds": seconds})
        log.artifact(grid)
        speed = f"  {values['sec_per_kimg']:.2f} s/kimg" if "sec_per_kimg" in values else ""
        console.print(f"{kimg:>6} kimg  {self.fid.key} {fid:.4g}  best {best:.4g}{speed}")
        # the record comes before the checkpoint: a kill in between repeats this stretch and drops the later record
        path = checkpoint_path(self.run_dir, kimg)
        save_checkpoint(path, self._checkpoint())
        keep_only(self.run_dir, {path, checkpoint_path(self.run_dir, best_kimg)})
        if self.report:
            self.stopped = self.report(fid, kimg) and kimg > 0  # nothing is trained yet at 0

    def _checkpoint(self) -> dict[str, Any]:
        return {
            "state": self.state.state_dict(),
            "history": self.history,
            "train_seconds": self.train_seconds,
            "config": asdict(self.config),
            "clip": self.clip.record(),
            "judge": self.judge.record() if self.judge else None,
        }

    def _write_model(self, folder: Path) -> None:
        from clipgan.sampling.served import write  # what it imports, a run without MLflow does without

        write(folder, self.config, self.state.generator_ema, self.clip)

    def _resume(self) -> int | None:
        """Take over the checkpoint that `config.resume` means; its kimg, or None where there is none."""
        path = resume_path(self.config.resume, self.run_dir)
        if path is None:
            return None
        checkpoint = load_checkpoint(path, self.device)
        if not checkpoint["history"]:
            raise UserError(f"resume={path} holds weights and no training to go on with; init={path} starts from them")
        refuse_other_run(path, checkpoint["config"], self.config)
        self.state.load_state_dict(checkpoint["state"])
        self.history = [(kimg, fid) for kimg, fid in checkpoint["history"]]
        self.train_seconds = checkpoint["train_seconds"]
        kimg = self.history[-1][0]
        console.print(f"resumed at {kimg} kimg from {path}", markup=False)
        if self.report:
            for known_kimg, fid in self.history:  # a kill may have come before the last was reported
                self.stopped = self.report(fid, known_kimg) and known_kimg > 0
        return kimg

    def _save_config(self) -> Path:
        from omegaconf import OmegaConf

        path = self.run_dir / "config.yaml"
        OmegaConf.save(OmegaConf.create(asdict(self.config)), path)
        return path

    def _sec_per_kimg(self) -> float:
        return self.train_seconds / (self.state.step * self.config.batch / 1000)

    def _memory(self) -> float:
        """Peak memory in GB: the GPU's where training runs on one, else the process's."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 1e9
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux, bytes on macOS
        return peak / 1e9 if sys.platform == "darwin" else peak * 1024 / 1e9


class _Tick:
    """Means of the values between two records."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.steps = 0

    def add(self, values: dict[str, Tensor]) -> None:
        self.steps += 1
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def seconds(self) -> float:
        return time.perf_counter() - self.start

    def means(self, step: int) -> dict[str, float]:
        """One number a name; a value that was not finite in any step makes its sum so, and raises."""
        means = {name: float(total) / self.counts[name] for name, total in self.sums.items()}
        for name, mean in means.items():
            if not math.isfinite(mean):
                raise DivergenceError(f"{name} became {mean} by step {step}")
        return means


def refuse_other_run(path: Path, theirs: dict[str, Any], ours: Config) -> None:
    """Refuse the checkpoint of a run whose figures would not be this one's.

    Raises:
        UserError: names the first keys that differ.
    """
    there, here = flatten(theirs), flatten(ours)
    keys = [key for key in sorted(there.keys() | here.keys()) if not key.startswith(RESUMABLE)]
    changed = [f"{key}={there.get(key)} there, {here.get(key)} here" for key in keys if there.get(key) != here.get(key)]
    if changed:
        raise UserError(f"checkpoint {path} is of another run: {'; '.join(changed[:3])}; resume=none starts afresh")
