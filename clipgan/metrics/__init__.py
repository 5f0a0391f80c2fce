"""Metrics of a generator's images. A metric's name states its protocol: `metric_names` makes it."""
