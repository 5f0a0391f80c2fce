"""Features of real images and captions by the frozen encoders, computed once and cached."""
