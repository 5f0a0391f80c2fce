"""Small tools that know nothing of training."""
