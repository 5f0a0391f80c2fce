"""What can be trained: a text-to-image GAN, or an encoder by SimCLR."""
