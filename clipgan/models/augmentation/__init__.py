"""Augmentation of D's real and generated images, so that D overfits later: DiffAugment (arXiv:2006.10738) and
StyleGAN2-ADA's adaptive augmentation (arXiv:2006.06676).

D's steps, G's step and R1 see augmented images, and their gradients pass through the augmentation. D's semantic
features f_D also come from the augmented image: the contrast in space D pulls it towards the features of the caption or
of the original image. CLIP, the ResNet and all metrics see original images.

The code is this project's own. kornia (0.9.0) has differentiable transforms of a batch, but it draws from PyTorch's
global generator, resamples without a filter between the scales, and takes 0.8 s to import and 22 MB. torchvision's
transforms draw once for a whole batch.
"""
