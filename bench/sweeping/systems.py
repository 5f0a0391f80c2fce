"""The sweepers to compare, each as a command line. Sweepers of other projects get their own environments."""

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
VENVS = Path("runs/bench/venvs").absolute()
# hydra-optuna-sweeper requires optuna < 3, which does not work with SQLAlchemy 2
OPTUNA = ("hydra-core==1.3.*", "hydra-optuna-sweeper==1.3.*", "sqlalchemy<2", "hydra-joblib-launcher")
MLFLOW = ("hydra-core==1.3.*", "hydra-optuna-mlflow-sweeper", "hydra-joblib-launcher")


@dataclass(frozen=True)
class System:
    """A sweeper with a number of workers."""

    name: str
    workers: int
    overrides: tuple[str, ...]  # `{n}` is the number of trials
    requirements: tuple[str, ...] = ()  # empty: use this environment

    @property
    def label(self) -> str:
        """As the tables call it."""
        return f"{self.name} x {self.workers}"

    def python(self) -> Path:
        """Return the environment's interpreter; the first call creates the environment."""
        if not self.requirements:
            return Path(sys.executable)
        folder = VENVS / self.name
        python = folder / "bin" / "python"
        if not (folder / "complete").exists():
            print(f"making {folder}", flush=True)
            venv.create(folder, clear=True, with_pip=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", "--quiet", *self.requirements], check=True)
            (folder / "complete").touch()
        return python

    def command(self, n: int, *more: str) -> list[str]:
        """A sweep of `n` trials."""
        overrides = [override.format(n=n) for override in self.overrides]
        return [str(self.python()), "-m", "bench.sweeping.trivial", "-m", f"x=range(0,{n})", *overrides, *more]

    def environment(self) -> dict[str, str]:
        """Put this project on the path only for its own sweeper, because Hydra loads every plugin that it finds."""
        path = str(ROOT) if not self.requirements else str(_without_plugins())
        return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def systems() -> list[System]:
    """List the sweepers; Hydra's own comes first, as the base of the ratios."""
    joblib = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    optuna = (
        "hydra/sweeper=optuna", "hydra/sweeper/sampler=grid", "hydra.sweeper.n_trials={n}",
        "hydra.sweeper.study_name=s", "hydra.sweeper.storage=sqlite:///s.db",
    )  # fmt: skip
    settings = "hydra.sweeper.optuna_config"
    mlflow = (
        "hydra/sweeper=mlflow_optuna", settings + ".n_trials={n}", f"{settings}.study_name=s",
        f"{settings}.storage=sqlite:///s.db",
    )  # fmt: skip
    return [
        System("BasicSweeper", 1, ("hydra/sweeper=basic",)),
        System("clipgan", 1, ("hydra/sweeper=study", "hydra.sweeper.workers=1")),
        System("clipgan", 2, ("hydra/sweeper=study", "hydra.sweeper.workers=2")),
        System("optuna-sweeper", 1, (*optuna, "hydra.sweeper.n_jobs=1"), OPTUNA),
        System("optuna-sweeper", 2, (*optuna, "hydra.sweeper.n_jobs=2", *joblib), OPTUNA),
        System("mlflow-sweeper", 1, mlflow, MLFLOW),
        System("mlflow-sweeper", 2, (*mlflow, *joblib), MLFLOW),
    ]


def _without_plugins() -> Path:
    """Make a folder that has `bench` and nothing else of this project."""
    folder = VENVS / "path"
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "bench"
    if not link.exists():
        link.symlink_to(ROOT / "bench")
    return folder
