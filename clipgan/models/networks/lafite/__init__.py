"""LAFITE's published networks (Zhou et al. 2022, arXiv:2111.13792), for using LAFITE's published weights.

The code is this project's own. These facts come from the public repository drboog/Lafite: the layers, their sizes and
gains, how the text enters each style, the clamping of activations, and that D sums the text's part of the logit over
the whole batch. These facts come from NVlabs/stylegan2-ada-pytorch, on which LAFITE builds: the [1, 3, 3, 1] filter,
the padding when resampling, the constant noise maps.
"""
