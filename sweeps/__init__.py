"""Resumable Hydra sweeps on Optuna studies; nothing here knows what is being trained."""
