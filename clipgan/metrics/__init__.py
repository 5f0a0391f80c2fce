"""Metrics of a generator's images. A metric's name states its protocol; see `protocol`."""
