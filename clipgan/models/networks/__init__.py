"""StyleGAN2-type generator and discriminator with a text condition."""
