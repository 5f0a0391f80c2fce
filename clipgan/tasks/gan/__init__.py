"""The text-to-image GAN: discriminator step, generator step, moving average, snapshots."""
