"""clipgan from Python: four functions, which do what the commands do.

    from clipgan.api import evaluate, load_generator, sweep, train

    result = train(["h=1", "kimg=2"])                         # python train.py h=1 kimg=2
    study = sweep(["h=0.1,0.5,2", "kimg=2"])                  # python train.py -m h=0.1,0.5,2 kimg=2
    generator = load_generator(checkpoint=study.best_checkpoint)
    generator.draw("a big red circle", seed=0)                # a PIL image
    evaluate(checkpoint=study.best_checkpoint)                # {"fjd2k_clip_tiny64": 0.33, ...}

Overrides are those of the command line. A mistake raises the error whose message the command would print.
"""

from clipgan.api.evaluating import evaluate
from clipgan.api.generating import load_generator
from clipgan.api.sweeping import sweep
from clipgan.api.training import train

__all__ = ["evaluate", "load_generator", "sweep", "train"]
