"""Everything that is differentiated: networks, augmentations, losses."""
