"""The measures, a file each; `clipgan/config/measure_registry.py` registers them."""
