"""torch.compile for the networks of a step. The lazy regularisers differentiate twice and are not compiled."""

from clipgan.tasks.gan.spaces import FrozenSpaces
from clipgan.tasks.gan.state import TrainingState


def compile_networks(state: TrainingState, spaces: FrozenSpaces, mode: str, backend: str = "inductor") -> None:
    """Compile G, D and the encoders' image towers in place; each shape is compiled when it first comes.

    Args:
        state: its generator and discriminator are compiled; the moving average is not.
        spaces: its encoders are compiled.
        mode: torch.compile's: default | reduce-overhead (CUDA graphs on a GPU) | max-autotune.
        backend: torch.compile's.
    """
    towers = [spaces.clip.backbone.visual, *([] if spaces.resnet is None else [spaces.resnet.backbone])]
    for module in (state.generator.mapping, state.generator.synthesis, state.discriminator, *towers):
        module.compile(mode=mode if backend == "inductor" else None, backend=backend, dynamic=False, fullgraph=True)
    state.compiled = True
