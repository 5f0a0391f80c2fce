"""The training loop: discriminator step, generator step, moving average; at each snapshot FID, grid and checkpoint."""

import math
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clipgan.conditions import prompts
from clipgan.config import Config, flatten, plain
from clipgan.data.batches import Batches
from clipgan.data.prefetch import Prefetched, Source
from clipgan.distributed import any_of, joined, own_device, planned_rank, planned_size, rank, told_by_first
from clipgan.errors import DivergenceError, Interrupted, UserError
from clipgan.losses.structure import active_terms
from clipgan.metrics.evaluation import Evaluation
from clipgan.metrics.prompts import evenly
from clipgan.prepare import Prepared, choose_device, prepare
from clipgan.progress import console, track
from clipgan.sample_grid import SampleGrid, title
from clipgan.tracking import RunLog, SilentLog
from clipgan.training import run_files
from clipgan.training.checkpoint import checkpoint_path, save_checkpoint
from clipgan.training.compiled import compile_networks
from clipgan.training.determinism import deterministic_algorithms, is_deterministic
from clipgan.training.initial import InitialWeights, read_initial, start_from
from clipgan.training.interruption import Interruption
from clipgan.training.precision import choose_precision
from clipgan.training.spaces import FrozenSpaces
from clipgan.training.state import new_state, parameter_count
from clipgan.training.steps import Objective, train_step
from clipgan.training.tick import Tick
from clipgan.weight_table import weight_table

Report = Callable[[float, int], bool]  # (FID, whole kimg) -> whether the run is to end there


@dataclass(frozen=True)
class Result:
    """What a run comes to."""

    objective: float  # its last or its best FID, as `metrics.objective` says
    sec_per_kimg: float  # of the training alone, without snapshots
    stopped: bool  # whether `report` ended it before its last step
    objective_sd: float | None  # what another draw of the generated images may change in the objective; None: unknown


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
        Interrupted: SIGTERM or SIGINT came, and a checkpoint was written.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    device = own_device(choose_device(config.device))
    precision = choose_precision(config.precision, device)
    config = replace(config, precision=precision.name)  # what `auto` came to is part of what the figures depend on
    initial = None
    if config.init is not None and not run_files.exists(config.resume, run_dir):
        initial = read_initial(config)  # before the data, so that a mistake is known at once
    if planned_rank() > 0:
        told_by_first("prepared", "")
    prepared = prepare(config, device)  # on all cores, whatever the training takes
    if planned_rank() == 0:
        told_by_first("prepared", "")  # from now on the others find all of it in the cache
    before = torch.get_num_threads()
    torch.set_num_threads(config.threads or max(1, before // planned_size()))
    try:
        repeatable = deterministic_algorithms(is_deterministic(config.deterministic, device))
        with precision.products(), repeatable, joined(device):
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
        self.sources = {  # what files held: their names are in the configuration
            "data.fingerprint": prepared.data.fingerprint,
            "clip.key": prepared.clip.key,
            "judge.key": prepared.judge.key if prepared.judge else None,
            "resnet.key": prepared.resnet.key if prepared.resnet else None,
            "extractor.key": self.evaluation.extractor.key,
        }
        if config.compile is not None:
            compile_networks(self.state, self.objective.spaces, config.compile)
        heldout = prompts(features.heldout, config.condition, config.seed)
        chosen = evenly(len(heldout), config.sample_prompts)  # a set may be sorted
        titles = [title(prepared.data.heldout, index) for index in chosen]
        self.grid = SampleGrid(titles, heldout[chosen], config.sample_latents, config.model.z_dim, config.seed, device)
        self.history: list[tuple[int, float]] = []  # (kimg, FID)
        self.fid_sd: float | None = None  # of the last snapshot, where it was due
        self.train_seconds = 0.0
        self.tick = Tick()
        self.kimg = 0  # of the last record
        self.interruption = Interruption()
        self.saved: Path | None = None  # the last checkpoint
        self.saved_step, self.saved_at = 0, time.monotonic()
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
            **self.evaluation.record(),
        }
        log: RunLog = SilentLog()  # the first process alone writes
        if rank() == 0:
            log = RunLog(self.run_dir, self.config.mlflow, run_name(self.config), params, parent_run_id, resumed_at)
        status = "FAILED"
        try:
            if rank() == 0:
                log.artifact(self._save_config())
            with self.interruption.heeding():
                if resumed_at is None:
                    r2 = self.text_to_resnet_r2
                    self._snapshot(log, 0, {} if r2 is None else {"text_to_resnet_r2": r2}, last=False)
                self._steps(log)
            if self.config.mlflow.log_model and not self.stopped:
                log.model(self._write_model, self.config.kimg)
            status = "KILLED" if self.stopped else "FINISHED"  # a comparison of finished runs leaves it out
        except (KeyboardInterrupt, SystemExit, Interrupted):
            status = "KILLED"
            raise
        finally:
            log.finish(status, pruned=self.stopped)
        fids = [fid for _, fid in self.history]
        console.print(f"sample grids: {self.run_dir}/samples-*.png", markup=False)
        objective = fids[-1] if self.config.metrics.objective == "last" else min(fids)
        return Result(objective, self._sec_per_kimg(), self.stopped, self.fid_sd)

    def _steps(self, log: RunLog) -> None:
        config, state = self.config, self.state
        total = math.ceil(config.kimg * 1000 / config.batch)
        try:
            if self.tick.steps and not self.stopped:  # a snapshot may have been interrupted
                self._after_step(log, total)
            remaining = range(state.step, total)
            for step in track(remaining, f"training {run_name(config)}", len(remaining)):
                if self.stopped:
                    break
                self.tick.add(self.step(step))
                self._after_step(log, total)
                if state.step < total and not self.stopped:
                    self._between_snapshots()
        except Interrupted:
            if state.step > self.saved_step:
                self._save_latest()
            raise
        self.stopped = self.stopped and state.step < total

    def _after_step(self, log: RunLog, total: int) -> None:
        """A record where the step has ended a kimg, with a snapshot where one is due."""
        config, step = self.config, self.state.step
        before, kimg = (images * config.batch // 1000 for images in (step - 1, step))
        if step == total:
            kimg = config.kimg
        if kimg == before:
            return
        self._refuse_divergence(of_all=True)
        values = self.tick.means()
        values["sec_per_kimg"] = self.tick.stop() / (self.tick.steps * config.batch / 1000)
        values["memory_gb"] = self._memory()
        if kimg // config.snapshot_kimg > before // config.snapshot_kimg or step == total:
            self._snapshot(log, kimg, values, last=step == total)
        else:
            self._record(log, kimg, values)

    def _record(self, log: RunLog, kimg: int, values: dict[str, float]) -> None:
        log.metrics(kimg, values)
        self.train_seconds += self.tick.seconds() if self.tick.steps else 0.0
        self.tick, self.kimg = Tick(), kimg

    def _between_snapshots(self) -> None:
        """A checkpoint where it is time for one, or a signal has come.

        Raises:
            Interrupted: the latter.
        """
        self.interruption.check_together()
        minutes = self.config.checkpoint_minutes
        if minutes is not None and time.monotonic() - self.saved_at >= 60 * minutes:
            self._save_latest()

    def _save_latest(self) -> None:
        if rank() > 0:
            return
        path = self.run_dir / run_files.LATEST
        self._save(path)
        console.print(f"checkpoint after step {self.state.step}: {path}", markup=False)

    def step(self, step: int) -> dict[str, Tensor]:
        """See `train_step`."""
        return train_step(self.state, self.batches.at(step), self.objective, step)

    def _snapshot(self, log: RunLog, kimg: int, values: dict[str, float], last: bool) -> None:
        """FID, sample grid, checkpoint, and the record of them; the first process writes, and its verdict all have."""
        start = time.perf_counter()
        grid = self.run_dir / f"samples-{kimg:06d}.png"
        with self.interruption.at_once():
            raw = self.config.metrics.weights == "raw"
            measured = self.evaluation(self.state.generator if raw else self.state.generator_ema, last)
            key, fid = self.evaluation.key, measured[self.evaluation.key]
            if not math.isfinite(fid):
                raise DivergenceError(f"{key} is {fid} at {kimg} kimg; the last good checkpoint is {self.saved}")
            if rank() == 0:
                self.grid.save(self.state.generator_ema, grid)
        self.history.append((kimg, fid))
        best = min(fid for _, fid in self.history)
        seconds = time.perf_counter() - start
        self.fid_sd = measured.get(f"{key}_sd")
        figures = measured | {f"{key}_best": best, "snapshot_seconds": seconds}
        self._record(log, kimg, values | figures)
        log.artifact(grid)
        speed = f"  {values['sec_per_kimg']:.2f} s/kimg" if "sec_per_kimg" in values else ""
        console.print(f"{kimg:>6} kimg  {key} {fid:.4g}  best {best:.4g}{speed}")
        # the record comes before the checkpoint: a kill in between repeats this stretch and drops the later record
        if rank() == 0:
            self._save(checkpoint_path(self.run_dir, kimg))
            run_files.drop_latest(self.run_dir)
            run_files.keep_only(self.run_dir, self.history, self.config.keep_last, self.config.keep_best)
        if self.report:
            self.stopped = self.report(fid, kimg) and kimg > 0  # nothing is trained yet at 0
        self.stopped = any_of(self.stopped)

    def _save(self, path: Path) -> None:
        self._refuse_divergence()
        save_checkpoint(path, self._checkpoint())
        self.saved, self.saved_step, self.saved_at = path, self.state.step, time.monotonic()

    def _refuse_divergence(self, of_all: bool = False) -> None:
        """
        Raises:
            DivergenceError: what a step has computed is no number.
        """
        fault = self.state.watch.fault(of_all)
        if fault is not None:
            raise DivergenceError(
                f"{fault.name} is not finite in step {fault.step + 1}; the last good checkpoint is {self.saved}"
            )

    def _checkpoint(self) -> dict[str, Any]:
        return {
            "state": self.state.state_dict(),
            "history": self.history,
            "fid_sd": self.fid_sd,
            "train_seconds": self.train_seconds,
            "kimg": self.kimg,
            "tick": self.tick.state_dict() if self.tick.steps else None,
            "config": plain(self.config),
            "clip": self.clip.record(),
            "judge": self.judge.record() if self.judge else None,
            "sources": self.sources,
        }

    def _write_model(self, folder: Path) -> None:
        from clipgan.sampling.served import write  # what it imports, a run without MLflow does without

        write(folder, self.config, self.state.generator_ema, self.clip)

    def _resume(self) -> int | None:
        """Take over the checkpoint that `config.resume` means; its kimg, or None where there is none."""
        found = run_files.find(self.config.resume, self.run_dir, self.device)
        any_of(False)  # all have looked before the first one writes
        if found is None:
            if self.config.resume == "none":
                self._leave(None)
            return None
        path, checkpoint = found
        if not checkpoint["history"]:
            raise UserError(f"resume={path} holds weights and no training to go on with; init={path} starts from them")
        run_files.refuse_other_run(path, checkpoint["config"], self.config)
        if "sources" in checkpoint:  # earlier versions did not write them down
            run_files.refuse_differences(path, checkpoint["sources"], self.sources)
        if self.config.resume != "auto":
            self._leave(found)
        self.state.load_state_dict(checkpoint["state"])
        self.history = [(kimg, fid) for kimg, fid in checkpoint["history"]]
        self.fid_sd = checkpoint.get("fid_sd")
        self.train_seconds = checkpoint["train_seconds"]
        self.saved, self.saved_step = path, self.state.step
        self.kimg = checkpoint.get("kimg", self.history[-1][0])  # earlier versions wrote snapshots alone
        if checkpoint.get("tick") is not None:
            self.tick = Tick.resumed(checkpoint["tick"])
        console.print(f"resumed at {self.kimg} kimg from {path}, step {self.state.step}", markup=False)
        if self.report:
            for known_kimg, fid in self.history:  # a kill may have come before the last was reported
                self.stopped = self.report(fid, known_kimg) and known_kimg > 0
        self.stopped = any_of(self.stopped)
        return self.kimg

    def _leave(self, begin: run_files.Found | None) -> None:
        """The first process moves another branch's checkpoints aside."""
        if rank() == 0:
            run_files.set_aside(self.run_dir, begin)

    def _save_config(self) -> Path:
        from omegaconf import OmegaConf

        path = self.run_dir / "config.yaml"
        OmegaConf.save(OmegaConf.create(plain(self.config)), path)
        return path

    def _sec_per_kimg(self) -> float:
        return self.train_seconds / (self.state.step * self.config.batch / 1000)

    def _memory(self) -> float:
        """Peak memory in GB: the GPU's where training runs on one, else the process's."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 1e9
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux, bytes on macOS
        return peak / 1e9 if sys.platform == "darwin" else peak * 1024 / 1e9
