"""Resumable Hydra sweeps on Optuna studies; this package knows nothing of the training."""
