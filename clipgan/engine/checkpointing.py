"""The checkpoints of a run while it trains: where it resumes from, when the next one is due, which one is the last."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from clipgan.base.console import console
from clipgan.base.distributed import any_process, rank
from clipgan.config import Config
from clipgan.engine import checkpoint_folder
from clipgan.engine.checkpoint_file import checkpoint_path, save_checkpoint
from clipgan.engine.same_run import refuse_other


class Checkpointing:
    """Writes and finds the checkpoints of a run; only the first process writes."""

    def __init__(self, config: Config, run_dir: Path) -> None:
        self.config, self.run_dir = config, run_dir
        self.last: Path | None = None  # the newest checkpoint that this run has written or resumed from
        self.last_step = 0
        self._written_at = time.monotonic()

    def find(self, device: torch.device, sources: Mapping[str, Any]) -> checkpoint_folder.Found | None:
        """Load the checkpoint that `config.resume` means, if there is one.

        Args:
            device: device for its tensors.
            sources: identity of this run's data and encoders.

        Raises:
            UserError: the checkpoint is damaged, or belongs to another run.
        """
        found = checkpoint_folder.find(self.config.resume, self.run_dir, device)
        any_process(False)  # wait until all processes have read, before the first one writes
        if found is None:
            if self.config.resume == "none":
                self._set_aside(None)
            return None
        refuse_other(found, self.config, sources)
        return found

    def begin_from(self, found: checkpoint_folder.Found, step: int) -> None:
        """Note the checkpoint that the run resumes from; if the user named it, move those of another branch aside."""
        if self.config.resume != "auto":
            self._set_aside(found)
        self.last, self.last_step = found[0], step

    def is_due(self) -> bool:
        """Whether `checkpoint_minutes` have passed; the first process's clock decides for all."""
        minutes = self.config.checkpoint_minutes
        return minutes is not None and any_process(rank() == 0 and time.monotonic() - self._written_at >= 60 * minutes)

    def save_between(self, content: Mapping[str, Any]) -> None:
        """Write `latest.pt`, between two snapshots."""
        self._save(self.run_dir / checkpoint_folder.LATEST, content)
        self.say()

    def save_snapshot(self, units: int, content: Mapping[str, Any], snapshots: Sequence[tuple[int, float]],
                      maximised: bool) -> None:  # fmt: skip
        """Write a snapshot's checkpoint, and delete the checkpoints that the run need not keep.

        Args:
            units: units done.
            content: the checkpoint's content.
            snapshots: units and objective of each snapshot so far.
            maximised: whether a higher objective is better.
        """
        self._save(checkpoint_path(self.run_dir, units), content)
        if rank() == 0:
            checkpoint_folder.drop_latest(self.run_dir)
            checkpoint_folder.keep_only(
                self.run_dir, snapshots, self.config.keep_last, self.config.keep_best, maximised
            )

    def say(self) -> None:
        """Print the path of the newest checkpoint."""
        if rank() == 0:
            console.print(f"checkpoint after step {self.last_step}: {self.last}")

    def last_good(self) -> str:
        """Return text with the newest checkpoint's path, for the message of a divergence."""
        return "there is no checkpoint yet" if self.last is None else f"the last good checkpoint is {self.last}"

    def _save(self, path: Path, content: Mapping[str, Any]) -> None:
        if rank() == 0:
            save_checkpoint(path, dict(content))
        self.last, self.last_step, self._written_at = path, content["state"]["step"], time.monotonic()

    def _set_aside(self, begin: checkpoint_folder.Found | None) -> None:
        """Move the checkpoints of another branch aside."""
        if rank() == 0:
            checkpoint_folder.set_aside(self.run_dir, begin)
