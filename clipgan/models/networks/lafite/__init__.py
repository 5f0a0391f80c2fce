"""LAFITE's published networks (Zhou et al. 2022, arXiv:2111.13792), so that its published weights can be used.

The code here is this project's own. These facts are taken from the public repository drboog/Lafite: which layers there
are, their sizes and gains, how the text enters each style, that activations are clamped, and that D adds the text's
part of the logit over the whole batch. Those of StyleGAN2 underneath are from NVlabs/stylegan2-ada-pytorch, on which
it builds: the [1, 3, 3, 1] filter, where padding goes when resampling, the constant noise maps.
"""
