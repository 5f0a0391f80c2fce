"""Everything that gradients pass through: networks, augmentations, losses."""
