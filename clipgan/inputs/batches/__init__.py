"""Batches of real images with their captions and features."""
