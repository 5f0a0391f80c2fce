"""CLIP-guided text-to-image GANs: data, encoders, losses, networks, training and metrics."""
