"""The measures, one file for each; `clipgan/config/measures.py` registers them."""
