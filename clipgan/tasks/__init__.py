"""The tasks: training a text-to-image GAN, or pretraining an encoder by SimCLR."""
