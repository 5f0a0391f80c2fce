"""Metrics of a generator's images. A metric's name states how it was measured; see `protocol`."""
