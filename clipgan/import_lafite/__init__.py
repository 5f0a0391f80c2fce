"""Convert LAFITE's published network pickles into checkpoints: `python -m clipgan.import_lafite FILE.pkl OUT.pt`."""
