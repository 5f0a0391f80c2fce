"""The measures, one file for each; `clipgan/config/measure_registry.py` registers them."""
