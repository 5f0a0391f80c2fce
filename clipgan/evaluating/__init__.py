"""Metrics of a trained generator or of pictures, after the training."""
