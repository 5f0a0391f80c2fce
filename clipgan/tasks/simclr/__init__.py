"""SimCLR (arXiv:2002.05709); a frozen CLIP may help to choose the pairs: `python train.py task=simclr`."""
