"""Write a run's metrics and pictures as TensorBoard's event files, by the library."""

import re
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from clipgan.base.errors import UserError

FOLDER = "tensorboard"  # in the run directory
PICTURE = re.compile(r"(?P<key>.+)-(?P<step>\d+)\.png")  # the name of a snapshot's picture


def check_installed(log: Iterable[str]) -> None:
    """Refuse the sink `tensorboard` where the library is missing.

    Raises:
        UserError: says how to install it.
    """
    if "tensorboard" in log and find_spec("tensorboard") is None:
        raise UserError(
            f"log=[{','.join(log)}] needs the package tensorboard, which is not installed here:"
            " pip install 'clipgan[tensorboard]' (in a checkout: pip install -e '.[tensorboard]')"
        )


class EventFiles:
    """The event files of one run."""

    def __init__(self, run_dir: Path, known: Iterable[Mapping[str, Any]]) -> None:
        """Begin a new file, which replaces all that earlier processes have written of the run.

        Args:
            run_dir: the run directory.
            known: the records of a run that goes on.
        """
        from torch.utils.tensorboard import SummaryWriter

        # A killed process may have written steps that the run repeats, or none: purge_step hides its events.
        self._writer = SummaryWriter(str(run_dir / FOLDER), purge_step=0)
        for record in known:
            self.metrics(record)
        for path in sorted(run_dir.glob("*.png")) if known else []:
            if match := PICTURE.fullmatch(path.name):
                self.picture(path, int(match["step"]))

    def metrics(self, record: Mapping[str, Any]) -> None:
        """Write a record: `step`, `time` (seconds since 1970), and metrics by name."""
        for key, value in record.items():
            if key not in ("step", "time"):
                self._writer.add_scalar(key, value, record["step"], walltime=record["time"])
        self._writer.flush()

    def picture(self, path: Path, step: int) -> None:
        """Write a PNG under the name of what it shows, so that a slider runs through its steps."""
        import numpy as np
        from PIL import Image

        match = PICTURE.fullmatch(path.name)
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        self._writer.add_image(match["key"] if match else path.stem, pixels, step, dataformats="HWC")

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
