"""The measures, a file each; `clipgan/config/measures.py` registers them."""
