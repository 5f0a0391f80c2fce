"""How good a generator's images are. The name of a figure states how it was measured; see `protocol`."""
