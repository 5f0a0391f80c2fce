"""Prepare the data, encoders and features that runs share: pack, train or fetch, and cache them.

python -m clipgan.prepare data=emoji resolution=64
"""

import sys

from clipgan.base.console import console
from clipgan.base.device import choose_device
from clipgan.config.command_line import compose_config, messages_not_tracebacks


def main() -> None:
    """Prepare everything that a run with the command line's overrides needs."""
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
