"""Conversion of LAFITE's published pickles to checkpoints: `python -m clipgan.import_lafite FILE.pkl OUT.pt`."""
