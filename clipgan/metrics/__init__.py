"""FID through torch-fidelity, by an extractor whose name is in the metric's."""
