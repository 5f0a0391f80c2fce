"""What a training is given: images and captions, frozen encoders, their cached features, batches."""
