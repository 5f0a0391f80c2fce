"""Compile the networks of a step with torch.compile. The lazy regularisers differentiate twice and stay uncompiled."""

from clipgan.tasks.gan.spaces import FrozenSpaces
from clipgan.tasks.gan.state import TrainingState


def compile_networks(state: TrainingState, spaces: FrozenSpaces, mode: str, backend: str = "inductor") -> None:
    """Compile G, D and the encoders' image towers in place; torch compiles each shape at its first use.

    Args:
        state: has the generator and the discriminator; its moving average stays uncompiled.
        spaces: has the encoders.
        mode: of torch.compile: default | reduce-overhead (CUDA graphs on a GPU) | max-autotune.
        backend: of torch.compile.
    """
    towers = [spaces.clip.backbone.visual, *([] if spaces.resnet is None else [spaces.resnet.backbone])]
    for module in (state.generator.mapping, state.generator.synthesis, state.discriminator, *towers):
        module.compile(mode=mode if backend == "inductor" else None, backend=backend, dynamic=False, fullgraph=True)
    state.compiled = True
