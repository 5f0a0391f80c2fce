"""LAFITE's published network pickles become checkpoints: `python -m clipgan.import_lafite FILE.pkl OUT.pt`."""
