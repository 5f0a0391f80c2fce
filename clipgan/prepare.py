"""Prepare the data, encoders and features that runs share: pack, train or fetch, and cache them.

python -m clipgan.prepare data=emoji resolution=64
python -m clipgan.prepare data=coco data.path=COCO resolution=256 clip=ViT-B32 resnet=resnet50 device=cuda

The settings are those of train.py, which `python train.py --help` lists. A training with the same settings finds
everything in the cache (cache_dir), and starts at once. A killed command goes on where it was when it is given again.
"""

import sys

from clipgan.base.console import console
from clipgan.base.device import choose_device
from clipgan.config.command_line import compose_config, helped, messages_not_tracebacks


def main() -> None:
    """Prepare everything that a run with the command line's overrides needs."""
    if helped(__doc__):
        return
    with messages_not_tracebacks():
        config = compose_config(sys.argv[1:])
        device = choose_device(config.device)
        if config.simclr is not None:
            from clipgan.tasks.simclr.pretraining import prepare_pretraining

            data = prepare_pretraining(config, device).data
        else:
            from clipgan.tasks.gan.preparation import prepare

            data = prepare(config, device).data
        console.print(f"{data.name}: {len(data.train)} training and {len(data.heldout)} held-out images, ready")


if __name__ == "__main__":
    main()
