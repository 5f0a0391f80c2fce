"""The file `optimization_results.yaml` in a sweep's folder, as Hydra's own Optuna plug-in writes it."""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from clipgan.base.durable_files import replace_text
from sweeps.points.ranking import Ranking
from sweeps.points.search_space import Value, Values

FILE = "optimization_results.yaml"


def write_results(ranking: Ranking, folder: Path) -> None:
    """Write the best point, or the Pareto front of several objectives; without one, remove what was written before."""
    if ranking.best is None:
        (folder / FILE).unlink(missing_ok=True)
        return
    best = ranking.best
    found: dict[str, Any] = {"best_params": _params(best.point), "best_value": best.values[0]}
    if len(ranking.goal.names) > 1:
        front = [{"params": _params(result.point), "values": list(result.values)} for result in ranking.leaders]
        found = {"solutions": front}
    replace_text(folder / FILE, OmegaConf.to_yaml({"name": "optuna", **found}))  # other nodes write the same file


def _params(point: Values) -> dict[str, Value]:
    return {name: int(v) if isinstance(v, float) and v.is_integer() else v for name, v in point.items()}
