"""What small trainings need, loaded once for all of a process that have the same data and encoders."""

import copy

import torch

from clipgan.config import Config
from clipgan.tasks.gan.preparation import Prepared, prepare

CPU = torch.device("cpu")
NOT_READ = ("model", "augment", "adversarial", "accumulate", "contrast", "pairs", "precision")  # by `prepare`
_known: dict[str, Prepared] = {}


def prepared_for(config: Config) -> Prepared:
    """What `prepare` gives, with encoders of its own; data, features and tokenizers, which nothing changes, are shared.

    Loading takes four times as long as a step of a small training.
    """
    if config.discriminator.network is not None:  # hooks of the network that D reads would stay with the first one
        return prepare(config, CPU)
    key = repr({name: value for name, value in vars(config).items() if name not in NOT_READ})
    if key not in _known:
        _known[key] = prepare(config, CPU)
    known = _known[key]
    shared = [known.data, known.features, *(clip.tokenizer for clip in (known.clip, known.judge) if clip is not None)]
    return copy.deepcopy(known, {id(each): each for each in shared})
