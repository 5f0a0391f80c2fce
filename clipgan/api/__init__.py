"""clipgan from Python: four functions, which do what the commands do.

    from clipgan.api import evaluate, load_generator, sweep, train

    result = train(["h=1", "kimg=2"])                         # python train.py h=1 kimg=2
    study = sweep(["h=0.1,0.5,2", "kimg=2"])                  # python train.py -m h=0.1,0.5,2 kimg=2
    generator = load_generator(checkpoint=study.best_checkpoint)
    generator.draw("a big red circle", seed=0)                # a PIL image
    evaluate(checkpoint=study.best_checkpoint)                # {"fjd2k_clip_tiny64": 0.33, ...}

Overrides are those of the command line. A mistake raises a UserError with the message that the command would print.
The types that the functions take, return and raise are here too. Those that need torch or Optuna are imported at their
first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from clipgan.api.evaluating import evaluate
from clipgan.api.generating import load_generator
from clipgan.api.sweeping import sweep
from clipgan.api.training import train
from clipgan.base.errors import DivergenceError, Interrupted, UserError
from clipgan.config import Config

if TYPE_CHECKING:
    from clipgan.engine.result import Report, Result
    from clipgan.sampling.sampler import Sampler
    from clipgan.tracking.run_description import Origin
    from sweeps.base.errors import SweepError
    from sweeps.points.ranking import PointResult
    from sweeps.points.trial_record import TrialRecord
    from sweeps.report.reading import Sweep

__all__ = [
    "Config",
    "DivergenceError",
    "Interrupted",
    "Origin",
    "PointResult",
    "Report",
    "Result",
    "Sampler",
    "Sweep",
    "SweepError",
    "TrialRecord",
    "UserError",
    "evaluate",
    "load_generator",
    "sweep",
    "train",
]

_MODULES = {
    "Origin": "clipgan.tracking.run_description",
    "PointResult": "sweeps.points.ranking",
    "Report": "clipgan.engine.result",
    "Result": "clipgan.engine.result",
    "Sampler": "clipgan.sampling.sampler",
    "Sweep": "sweeps.report.reading",
    "SweepError": "sweeps.base.errors",
    "TrialRecord": "sweeps.points.trial_record",
}


def __getattr__(name: str) -> Any:
    """Import a type at its first use.

    Raises:
        AttributeError: there is no such name.
    """
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
