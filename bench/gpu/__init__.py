"""Measure and check everything that needs a GPU, in one command of a few minutes; see `bench/gpu/__main__.py`."""
