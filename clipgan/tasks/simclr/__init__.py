"""SimCLR (arXiv:2002.05709) whose pairs a frozen CLIP helps to choose: `python train.py task=simclr`."""
