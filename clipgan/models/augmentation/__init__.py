"""What changes images before the discriminator sees them, real and generated ones alike, so that it learns them by
heart later: DiffAugment (arXiv:2006.10738) and StyleGAN2-ADA's adaptive augmentation (arXiv:2006.06676).

All of D's steps, G's step and R1 go through it, and so do their gradients. D's semantic features f_D are of the
augmented view as well: the contrast in space D pulls an augmented image to the features of the caption, or of the image
as it was. CLIP, the ResNet and all metrics see images as they are.

The code is this project's own. kornia (0.9.0) has differentiable transforms of a batch, but it draws from PyTorch's
global generator, resamples without a filter between the scales, and takes 0.8 s to import and 22 MB; torchvision's
transforms draw once for a whole batch.
"""
